"""Signups through the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import hash64_many
from service.domain.facts import Float32s, Int64s, LinkFacts, SignupFacts
from service.domain.parsed import ParsedAddress, ParsedMail, ParsedName, ParsedPhone
from service.domain.profile import PROFILE, PROFILE_INDEX, SMALL_HASH, country_number
from service.keys import address as address_keys
from service.keys import mail as mail_keys
from service.keys import person as person_keys
from service.signals import agent, mail, name, phone, place
from service.signals.address import LONGEST as LONGEST_ADDRESS
from service.signals.address import address_facts, address_problem, parse_address
from service.signals.batch import Batch, Numbers, Reals, Texts
from service.signals.checks import ID_LENGTH, Checks, Rejection
from service.signals.links import links_of, small_hash
from service.signals.place import Countries
from service.signals.pseudonymise import ContentHasher, Pseudonymiser
from service.signals.reference.tables import AddressTables

_LONGEST_DEVICE = 1000
_IP_FACTS = ("ip_version", "ip_kind", "ip_hosted", "ip_anonymous", "ip_country", "ip_network_size")


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
        return [getattr(self, field) for field in self.__slots__ if field not in ("account_id", "created_at")]


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
        account = hash64_many(rows.account_id.values)[rows.account_id.codes]
        profile, links = self._read(rows, account, now)
        content = self._content.columns("accounts", [rows.created_at, *rows.optional()])
        facts = SignupFacts(rows.account_id.rows(), account, rows.created_at.values, profile, content, links)
        return facts, rejections

    def _checked(self, batch: Batch, now: int) -> tuple[_Columns, list[Rejection]]:
        check = Checks(batch, now)
        said = _Columns(
            check.ids("account_id"),
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
        return _Columns(*(getattr(said, field).keep(sound) for field in said.__slots__)), rejections

    def _read(self, rows: _Columns, account: Int64s, now: int) -> tuple[Float32s, LinkFacts]:
        n = len(account)
        facts = np.full((n, len(PROFILE)), np.nan, np.float32)
        countries = [text.upper() for text in rows.country.values]
        country = [countries[code] if code >= 0 else None for code in rows.country.codes]
        mails = self._mails(rows, facts)
        names = self._names(rows, facts)
        _overlap(rows, mails, names, facts)
        phones = self._phones(rows, country, facts)
        addresses, ip_country = self._ips(rows, facts)
        _agree(facts, "ip_country_agrees", country, ip_country)
        self._clocks(rows, [own or other for own, other in zip(country, ip_country, strict=True)], facts)
        self._clients(rows, country, facts)
        numbers = np.array([country_number(text) for text in countries], np.float32)
        _say(facts, "country", rows.country.spread(numbers, np.nan))
        _say(facts, "plan", small_hash(rows.plan, SMALL_HASH))
        _say(facts, "signup_source", small_hash(rows.signup_source, SMALL_HASH))
        _say(facts, "device_given", rows.device_id.said)
        _say(facts, "form_log_seconds", np.where(rows.form_seconds.said, np.log1p(rows.form_seconds.values), np.nan))
        for field in ("email_verified", "phone_verified"):
            flag: Numbers = getattr(rows, field)
            _say(facts, field, np.where(flag.said, flag.values != 0, np.nan))
        _say(facts, "fields_given", np.sum([column.said for column in rows.optional()], axis=0))
        created = rows.created_at.values
        made: list[LinkFacts] = []
        for functions, parsed, codes in (
            (mail_keys.KEYS, mails, rows.email.codes),
            (person_keys.PHONE_KEYS, phones, np.arange(n)),
            (person_keys.DEVICE_KEYS, rows.device_id.values, rows.device_id.codes),
            (address_keys.KEYS, addresses, rows.ip.codes),
            (person_keys.NAME_KEYS, names, rows.full_name.codes),
        ):
            made += links_of(
                functions=functions,
                parsed=parsed,
                codes=codes,
                account=account,
                happened=created,
                pseudonymiser=self._pseudonymiser,
                now=now,
            )
        return facts, LinkFacts.concat(made)

    def _mails(self, rows: _Columns, facts: Float32s) -> list[ParsedMail | None]:
        read = [self._mail.read(text) for text in rows.email.values]
        _block(facts, mail.MailFacts._fields, rows.email, [each for each, _ in read])
        return [parsed for _, parsed in read]

    @staticmethod
    def _names(rows: _Columns, facts: Float32s) -> list[ParsedName | None]:
        read = [name.read_name(text) for text in rows.full_name.values]
        _block(facts, name.NameFacts._fields, rows.full_name, [each for each, _ in read])
        return [parsed for _, parsed in read]

    @staticmethod
    def _phones(rows: _Columns, country: list[str | None], facts: Float32s) -> list[ParsedPhone | None]:
        """One per row: what a national number means depends on the row's country."""
        known: dict[tuple[str, str | None], tuple[phone.PhoneFacts, ParsedPhone | None]] = {}
        parsed: list[ParsedPhone | None] = []
        start = PROFILE_INDEX[phone.PhoneFacts._fields[0]]
        for row, code in enumerate(rows.phone.codes):
            if code < 0:
                each, number = phone.NO_PHONE, None
            else:
                key = (rows.phone.values[code], country[row])
                if key not in known:
                    known[key] = phone.read_phone(*key)
                each, number = known[key]
            facts[row, start : start + len(each)] = each
            parsed.append(number)
        return parsed

    def _ips(self, rows: _Columns, facts: Float32s) -> tuple[list[ParsedAddress], list[str | None]]:
        """The distinct addresses, and the country of each row's address."""
        addresses = [found for found in map(parse_address, rows.ip.values) if found is not None]
        of_value, countries = address_facts(addresses, self._addresses)
        for column, fact in enumerate(_IP_FACTS):
            _say(facts, fact, rows.ip.spread(of_value[:, column], np.nan))
        return addresses, [countries[code] if code >= 0 else None for code in rows.ip.codes]

    def _clocks(self, rows: _Columns, where: list[str | None], facts: Float32s) -> None:
        start = PROFILE_INDEX["local_hour"]
        for row, country in enumerate(where):
            clock = self._countries.clock(country, int(rows.created_at.values[row])) if country else None
            if clock:
                facts[row, start : start + 3] = clock

    def _clients(self, rows: _Columns, country: list[str | None], facts: Float32s) -> None:
        """What the client says of itself: user agent and languages."""
        start = PROFILE_INDEX[agent.AgentFacts._fields[0]]
        for row, code in enumerate(rows.user_agent.codes):
            text = rows.user_agent.values[code] if code >= 0 else None
            each = agent.agent_facts(text, int(rows.created_at.values[row])) if text is not None else agent.NO_AGENT
            facts[row, start : start + len(each)] = each
        _say(facts, "language_given", rows.accept_language.said)
        languages = [place.read_languages(text) for text in rows.accept_language.values]
        count = np.array([len({spoken for spoken, _ in each}) for each in languages], np.float32)
        _say(facts, "language_count", rows.accept_language.spread(count, np.nan))
        agrees = np.full(len(facts), np.nan, np.float32)
        for row, code in enumerate(rows.accept_language.codes):
            lives = country[row]
            if code >= 0 and lives and languages[code]:
                agrees[row] = self._countries.speaks(lives, languages[code])
        _say(facts, "language_agrees", agrees)


def _say(facts: Float32s, fact: str, values: NDArray[Any]) -> None:
    facts[:, PROFILE_INDEX[fact]] = values


def _block(facts: Float32s, names: tuple[str, ...], column: Texts, of_value: list[tuple[float, ...]]) -> None:
    """Fills neighbouring facts from tuples per distinct value, in the profile's order."""
    start = PROFILE_INDEX[names[0]]
    table = np.array(of_value, np.float32).reshape(len(of_value), len(names))
    facts[:, start : start + len(names)] = column.spread(table, np.nan)


def _overlap(rows: _Columns, mails: list[ParsedMail | None], names: list[ParsedName | None], facts: Float32s) -> None:
    at = PROFILE_INDEX["mail_name_overlap"]
    for row, (of_mail, of_name) in enumerate(zip(rows.email.codes, rows.full_name.codes, strict=True)):
        found, called = mails[of_mail] if of_mail >= 0 else None, names[of_name] if of_name >= 0 else None
        if found and called:
            facts[row, at] = mail.name_overlap(found.local, called.folded)


def _agree(facts: Float32s, fact: str, left: list[str | None], right: list[str | None]) -> None:
    """1 where both are the same, 0 where they differ, NaN where one is not known."""
    both = [float(a == b) if a and b else np.nan for a, b in zip(left, right, strict=True)]
    _say(facts, fact, np.array(both, np.float32))
