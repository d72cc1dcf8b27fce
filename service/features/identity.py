"""Identity: what the signup itself says.

Most features are facts of the signup as they stand, so they are named here and described once, in
``domain/profile.py``; those that put facts together are functions. Countries are not features by themselves: where
somebody lives is no evidence, only that the parts of a signup disagree about it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.domain.profile import PROFILE, PROFILE_INDEX
from service.features.arithmetic import known_where, ratio
from service.features.columns import Column, Columns
from service.features.feature import DEVICE, MAIL, NAME, NETWORK, PHONE, SIGNUP_FORM, Block, Feature, feature

_NIGHT_ENDS = 6.0


def _facts(c: Columns, places: Sequence[int]) -> Column:
    facts: Column = c.facts[:, places]
    return facts


_FACTS = Block(_facts)


def _as_said(reason: str, *names: str) -> tuple[Feature, ...]:
    """Facts of the signup as features of the same name."""
    facts = [PROFILE[PROFILE_INDEX[name]] for name in names]
    return tuple(
        Feature(
            fact.name,
            "identity",
            f"{fact.meaning}.",
            fact.unit,
            "accounts",
            reason,
            0,
            fact.unit == "category",
            _FACTS.of(PROFILE_INDEX[fact.name]),
            _FACTS,
            PROFILE_INDEX[fact.name],
        )
        for fact in facts
    )


@feature(unit="flag", source="accounts", reason=MAIL)
def mail_own_domain(c: Columns) -> Column:
    """The mail domain is somebody's own: no provider's, relay's or school's."""
    free = c.profile("mail_free")
    others = c.profile("mail_disposable") + c.profile("mail_relay") + c.profile("mail_education")
    return known_where(~np.isnan(free), (free + others) == 0)


@feature(unit="characters", source="accounts", reason=NAME)
def homoglyphs(c: Columns) -> Column:
    """Letters of name and mail address that only look like Latin ones; NaN: neither was given."""
    name, mail = c.profile("name_homoglyphs"), c.profile("mail_homoglyphs")
    return known_where(~(np.isnan(name) & np.isnan(mail)), np.nan_to_num(name) + np.nan_to_num(mail))


@feature(unit="flag", source="accounts", reason=NETWORK)
def ip_phone_country_agrees(c: Columns) -> Column:
    """Address and phone number are of the same country."""
    ip, phone = c.profile("ip_country"), c.profile("phone_country")
    return known_where(~(np.isnan(ip) | np.isnan(phone)), ip == phone)


@feature(unit="disagreements", source="accounts", reason=NETWORK)
def country_disagreements(c: Columns) -> Column:
    """How many of address, phone number and languages disagree with the account's country; NaN: none is known."""
    agree = [c.profile(name) for name in ("ip_country_agrees", "phone_country_agrees", "language_agrees")]
    known = ~(np.isnan(agree[0]) & np.isnan(agree[1]) & np.isnan(agree[2]))
    return known_where(known, (agree[0] == 0).astype(np.int64) + (agree[1] == 0) + (agree[2] == 0))


@feature(unit="flag", source="accounts", reason=NETWORK)
def phone_from_server(c: Columns) -> Column:
    """A phone's or tablet's user agent at an address that hosts servers."""
    mobile, hosted = c.profile("agent_mobile"), c.profile("ip_hosted")
    return known_where(~(np.isnan(mobile) | np.isnan(hosted)), (mobile == 1) & (hosted == 1))


@feature(unit="flag", source="accounts", reason=SIGNUP_FORM)
def signed_up_at_night(c: Columns) -> Column:
    """Signed up between midnight and six where the account's country is."""
    hour = c.profile("local_hour")
    return known_where(~np.isnan(hour), hour < _NIGHT_ENDS)


@feature(unit="seconds a field", source="accounts", reason=SIGNUP_FORM)
def seconds_per_field(c: Columns) -> Column:
    """Seconds on the form for each field that the signup carried."""
    seconds = np.expm1(c.profile("form_log_seconds").astype(np.float64))
    return ratio(seconds, c.profile("fields_given").astype(np.float64))


FEATURES: tuple[Feature, ...] = (
    *_as_said(
        MAIL,
        "mail_valid",
        "mail_free",
        "mail_disposable",
        "mail_education",
        "mail_suffix_class",
        "mail_domain_length",
        "mail_domain_digits",
        "mail_domain_vowels",
        "mail_plus_tag",
        "mail_dots",
        "mail_length",
        "mail_digits",
        "mail_last_digits",
        "mail_entropy",
        "mail_vowels",
        "mail_consonants",
        "mail_switches",
        "mail_two_names",
        "email_verified",
    ),
    mail_own_domain,
    *_as_said(
        NAME,
        "mail_name_overlap",
        "name_words",
        "name_length",
        "name_case",
        "name_vowels",
    ),
    homoglyphs,
    *_as_said(
        PHONE,
        "phone_given",
        "phone_valid",
        "phone_kind",
        "phone_country_agrees",
        "phone_variety",
        "phone_verified",
    ),
    *_as_said(NETWORK, "ip_version", "ip_kind", "ip_hosted", "ip_anonymous", "ip_country_agrees", "ip_network_size"),
    ip_phone_country_agrees,
    country_disagreements,
    phone_from_server,
    *_as_said(
        DEVICE,
        "agent_automated",
        "agent_family",
        "agent_system",
        "agent_mobile",
        "agent_months_behind",
        "device_given",
    ),
    *_as_said(
        SIGNUP_FORM,
        "local_hour",
        "local_weekday",
        "language_count",
        "language_agrees",
        "form_log_seconds",
        "fields_given",
        "plan",
        "signup_source",
    ),
    signed_up_at_night,
    seconds_per_field,
)
