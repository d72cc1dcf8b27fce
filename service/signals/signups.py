"""Signups through the door."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import log1p, nan

import numpy as np

from service.domain.codes import hash64_many
from service.domain.facts import SignupFacts
from service.domain.parsed import ParsedAddress, ParsedMail, ParsedName, ParsedPhone
from service.domain.profile import PROFILE, SMALL_HASH, country_number
from service.keys import address as address_keys
from service.keys import mail as mail_keys
from service.keys import person as person_keys
from service.signals import agent, mail, name, phone, place
from service.signals.address import LONGEST as LONGEST_ADDRESS
from service.signals.address import NO_ADDRESS, AddressFacts, address_facts, address_problem, parse_address
from service.signals.batch import Batch, Numbers, Reals, Texts
from service.signals.checks import ID_LENGTH, Checks, Rejection
from service.signals.links import LinkCollector, small_hash
from service.signals.place import Countries
from service.signals.pseudonymise import ContentHasher, Pseudonymiser
from service.signals.reference.tables import AddressTables

_LONGEST_DEVICE = 1000
_NO_CLOCK = (nan, nan, nan)


@dataclass(frozen=True, slots=True, repr=False)
class _Columns:
    """The sound rows of a batch, by column."""

    account_id: Texts
    created_at: Numbers
    email: Texts
    full_name: Texts
    phone: Texts
    country: Texts
    ip: Texts
    user_agent: Texts
    device_id: Texts
    accept_language: Texts
    plan: Texts
    signup_source: Texts
    form_seconds: Reals
    email_verified: Numbers
    phone_verified: Numbers

    def optional(self) -> list[Texts | Numbers | Reals]:
        """The columns that a caller may leave out."""
        return [getattr(self, name) for name in self.__slots__[2:]]


@dataclass(frozen=True, slots=True, repr=False)
class _Values:
    """Facts and parsed forms of the distinct values of a batch, in the order of their columns' values.

    Each list of facts has one more element at its end: those of a value that was not said, which code -1 finds.
    """

    mails: list[mail.MailFacts]
    mailboxes: list[ParsedMail | None]
    names: list[name.NameFacts]
    words: list[ParsedName | None]
    addresses: list[AddressFacts]
    parsed_addresses: list[ParsedAddress]
    countries: list[str | None]  # in capitals
    languages: list[tuple[tuple[str, str], ...] | None]
    plans: list[float]
    sources: list[float]


class SignupDoor:
    """Reads signups; see ``Door``."""

    def __init__(
        self, pseudonymiser: Pseudonymiser, content: ContentHasher, addresses: AddressTables, countries: Countries
    ) -> None:
        self._pseudonymiser = pseudonymiser
        self._content = content
        self._addresses = addresses
        self._mail = mail.MailReader()
        self._countries = countries

    def read(self, batch: Batch, now: int) -> tuple[SignupFacts, list[Rejection]]:
        """Facts of the sound rows, in their order, and what is wrong with the others."""
        rows, rejections = self._checked(batch, now)
        values = self._read(rows)
        phones = self._phones(rows, values)
        profile = self._profiles(rows, values, [facts for facts, _ in phones])
        links = LinkCollector(self._pseudonymiser, now)
        links.add(mail_keys.KEYS, values.mailboxes, rows.email.codes.tolist())
        links.add(person_keys.PHONE_KEYS, [number for _, number in phones], list(range(len(phones))))
        links.add(person_keys.DEVICE_KEYS, rows.device_id.values, rows.device_id.codes.tolist())
        links.add(address_keys.KEYS, values.parsed_addresses, rows.ip.codes.tolist())
        links.add(person_keys.NAME_KEYS, values.words, rows.full_name.codes.tolist())
        account = hash64_many(rows.account_id.values)[rows.account_id.codes]
        facts = SignupFacts(
            rows.account_id.rows(),
            account,
            rows.created_at.values,
            np.array(profile, np.float32).reshape(len(profile), len(PROFILE)),
            self._content.columns("accounts", [rows.created_at, *rows.optional()]),
            links.facts(account, rows.created_at.values),
        )
        return facts, rejections

    def _checked(self, batch: Batch, now: int) -> tuple[_Columns, list[Rejection]]:
        check = Checks(batch, now)
        said = _Columns(
            check.unique_ids("account_id"),
            check.moments("created_at"),
            check.texts("email", mail.LONGEST),
            check.texts("full_name", name.LONGEST),
            check.texts("phone", phone.LONGEST),
            check.parsed("country", 2, self._countries.problem),
            check.parsed("ip", LONGEST_ADDRESS, address_problem),
            check.texts("user_agent", agent.LONGEST),
            check.texts("device_id", _LONGEST_DEVICE),
            check.texts("accept_language", place.LONGEST_LANGUAGE),
            check.texts("plan", ID_LENGTH),
            check.texts("signup_source", ID_LENGTH),
            check.reals("form_seconds", least=0.0),
            check.integers("email_verified"),
            check.integers("phone_verified"),
        )
        sound, rejections = check.close()
        if not rejections:
            return said, rejections
        return _Columns(*(getattr(said, field.name).keep(sound) for field in fields(said))), rejections

    def _read(self, rows: _Columns) -> _Values:
        mails = [self._mail.read(text) for text in rows.email.values]
        names = [name.read_name(text) for text in rows.full_name.values]
        addresses = [found for found in map(parse_address, rows.ip.values) if found is not None]
        return _Values(
            [*(facts for facts, _ in mails), mail.NO_MAIL],
            [parsed for _, parsed in mails],
            [*(facts for facts, _ in names), name.NO_NAME],
            [parsed for _, parsed in names],
            [*address_facts(addresses, self._addresses), NO_ADDRESS],
            addresses,
            [*(text.upper() for text in rows.country.values), None],
            [*(place.read_languages(text) for text in rows.accept_language.values), None],
            [*(small_hash(text, SMALL_HASH) for text in rows.plan.values), nan],
            [*(small_hash(text, SMALL_HASH) for text in rows.signup_source.values), nan],
        )

    @staticmethod
    def _phones(rows: _Columns, values: _Values) -> list[tuple[phone.PhoneFacts, ParsedPhone | None]]:
        """One per row: what a national number means depends on the row's country."""
        known: dict[tuple[int, int], tuple[phone.PhoneFacts, ParsedPhone | None]] = {}
        read: list[tuple[phone.PhoneFacts, ParsedPhone | None]] = []
        for code, country in zip(rows.phone.codes.tolist(), rows.country.codes.tolist(), strict=True):
            if code < 0:
                read.append((phone.NO_PHONE, None))
                continue
            if (code, country) not in known:
                known[code, country] = phone.read_phone(rows.phone.values[code], values.countries[country])
            read.append(known[code, country])
        return read

    def _profiles(self, rows: _Columns, values: _Values, phones: list[phone.PhoneFacts]) -> list[list[float]]:
        """The profile's facts of each row, in the profile's order."""
        said = [column.said for column in rows.optional()]
        given = np.array(said).sum(axis=0).tolist()
        coded = (rows.email, rows.full_name, rows.country, rows.ip, rows.user_agent, rows.accept_language)
        small = (rows.device_id, rows.plan, rows.signup_source)
        agents = [*rows.user_agent.values, None]
        out: list[list[float]] = []
        for of_mail, of_name, of_country, ip, browser, language, device, plan, source, at, dialled, fields_given in zip(
            *(column.codes.tolist() for column in (*coded, *small)),
            rows.created_at.values.tolist(),
            phones,
            given,
            strict=True,
        ):
            country, address = values.countries[of_country], values.addresses[ip]
            lives = country or address.country
            row = len(out)
            out.append(
                [
                    *values.mails[of_mail],
                    _overlap(values, of_mail, of_name),
                    *values.names[of_name],
                    *dialled,
                    address.version,
                    address.kind,
                    address.hosted,
                    address.anonymous,
                    float(country_number(address.country)) if address.country else nan,
                    float(country == address.country) if country and address.country else nan,
                    address.network_size,
                    *((self._countries.clock(lives, at) if lives else None) or _NO_CLOCK),
                    *agent.agent_facts(agents[browser], at),
                    *self._countries.language_facts(country, values.languages[language]),
                    float(device >= 0),
                    log1p(rows.form_seconds.values[row]) if rows.form_seconds.said[row] else nan,
                    _flag(rows.email_verified, row),
                    _flag(rows.phone_verified, row),
                    float(fields_given),
                    float(country_number(country)) if country else nan,
                    values.plans[plan],
                    values.sources[source],
                    address.asn,
                ]
            )
        return out


def _overlap(values: _Values, mail_code: int, name_code: int) -> float:
    found = values.mailboxes[mail_code] if mail_code >= 0 else None
    called = values.words[name_code] if name_code >= 0 else None
    return mail.name_overlap(found.local, called.folded) if found and called else nan


def _flag(column: Numbers, row: int) -> float:
    return float(column.values[row] != 0) if column.said[row] else nan
