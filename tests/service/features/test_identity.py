"""Identity features on signups that went through the door, as scoring computes them."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from service.domain.facts import SignupFacts
from service.domain.profile import PROFILE, PROFILE_INDEX
from service.domain.raw import Signup
from service.features import identity
from service.features.catalogue import FEATURES, probe_columns
from service.features.columns import Columns
from service.signals.door import Door
from service.signals.keyring import Keyring, LinkSecret
from service.signals.reference.tables import AddressTables

NOON = 1_780_056_000_000_000
PHONE_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 "
    "Mobile/15E148 Safari/604.1"
)
DOOR = Door(Keyring((LinkSecret("k1", 0, b"secret of these tests"),), b"content key of these tests"), AddressTables())


def _columns(facts: SignupFacts) -> Columns:
    """The columns of these signups; what does not concern identity is the probe set's."""
    base = probe_columns(n=len(facts))
    return Columns(
        facts.account,
        facts.created_at,
        facts.created_at,
        np.ones(len(facts), bool),
        facts.profile,
        base.usage,
        base.payments,
        base.sharing,
        base.campaigns,
        {},
    )


def _ask(**fields: object) -> dict[str, float]:
    facts, rejections = DOOR.signups([Signup("a", NOON, **fields)], NOON)  # type: ignore[arg-type]
    assert not rejections
    columns = _columns(facts)
    return {feature.name: float(feature(columns)[0]) for feature in identity.FEATURES}


@pytest.mark.parametrize(
    ("email", "own"),
    [
        ("a@firma.de", 1),
        ("a@gmail.com", 0),
        ("a@mailinator.com", 0),
        ("a@duck.com", 0),
        ("a@stanford.edu", 0),
    ],
)
def test_a_domain_is_somebodys_own_when_it_is_no_providers_or_schools(email: str, own: int) -> None:
    assert _ask(email=email)["mail_own_domain"] == own


def test_a_signup_that_contradicts_itself_counts_each_contradiction() -> None:
    honest = _ask(country="DE", ip="217.80.1.1", phone="+4915112345678", accept_language="de")
    assert honest["country_disagreements"] == 0
    assert honest["ip_phone_country_agrees"] == 1
    odd = _ask(country="DE", ip="81.2.69.160", phone="+16502530000", accept_language="vi")
    assert odd["country_disagreements"] == 3
    assert odd["ip_phone_country_agrees"] == 0
    assert _ask(country="DE", ip="81.2.69.160")["country_disagreements"] == 1


def test_a_phone_in_a_data_centre_is_told_from_a_phone_at_home() -> None:
    assert _ask(user_agent=PHONE_AGENT, ip="52.95.110.1")["phone_from_server"] == 1
    assert _ask(user_agent=PHONE_AGENT, ip="217.80.1.1")["phone_from_server"] == 0
    assert isnan(_ask(user_agent=PHONE_AGENT)["phone_from_server"])


def test_night_is_where_the_account_lives() -> None:
    assert _ask(country="DE")["signed_up_at_night"] == 0
    assert _ask(country="NZ")["signed_up_at_night"] == 1  # midnight there
    assert isnan(_ask()["signed_up_at_night"])


def test_form_time_is_measured_against_what_was_filled_in() -> None:
    assert _ask(form_seconds=30.0, country="DE", plan="free")["seconds_per_field"] == pytest.approx(10.0)
    assert isnan(_ask(country="DE")["seconds_per_field"])


def test_lookalike_letters_count_wherever_they_stand() -> None:
    assert _ask(full_name="J\u0430ne Doe", email="p\u0430ypal@gmail.com")["homoglyphs"] == 2
    assert _ask(full_name="Jane Doe")["homoglyphs"] == 0
    assert isnan(_ask()["homoglyphs"])


def test_facts_told_as_they_stand_are_the_profiles_own() -> None:
    shown = _ask(email="anna.meier7@gmail.com", country="DE", form_seconds=3.0)
    facts, _ = DOOR.signups([Signup("a", NOON, email="anna.meier7@gmail.com", country="DE", form_seconds=3.0)], NOON)
    for fact in PROFILE:
        if fact.name in shown:
            np.testing.assert_equal(np.float32(shown[fact.name]), facts.profile[0, PROFILE_INDEX[fact.name]])


def test_where_somebody_lives_is_no_feature() -> None:
    names = {feature.name for feature in FEATURES}
    assert not names & {"country", "ip_country", "phone_country", "utc_offset_hours"}


def test_features_of_an_unknown_account_are_unknown() -> None:
    facts, _ = DOOR.signups([Signup("a", NOON)], NOON)
    unknown = replace(facts, profile=np.full_like(facts.profile, np.nan))
    columns = _columns(unknown)
    for feature in identity.FEATURES:
        assert isnan(float(feature(columns)[0])), feature.name


def test_categories_are_marked_and_every_feature_says_what_it_is() -> None:
    by_name = {feature.name: feature for feature in identity.FEATURES}
    assert len(by_name) == len(identity.FEATURES)
    assert {name for name, feature in by_name.items() if feature.categorical} == {
        "mail_suffix_class",
        "name_case",
        "phone_kind",
        "ip_kind",
        "agent_family",
        "agent_system",
        "local_weekday",
        "plan",
        "signup_source",
    }
    assert all(feature.meaning.endswith(".") and feature.family == "identity" for feature in identity.FEATURES)
