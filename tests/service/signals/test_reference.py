"""The reference tables: sound, dated, quick to open, and the operator's to replace."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from service.domain.errors import UsageError
from service.domain.parsed import ParsedAddress
from service.domain.profile import PROFILE, PROFILE_INDEX, country_number
from service.domain.time import DAY
from service.signals.address import AddressFacts, parse_address
from service.signals.agent import AgentFacts
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.mail import MailFacts
from service.signals.name import NameFacts
from service.signals.phone import PhoneFacts
from service.signals.place import Countries
from service.signals.reference.tables import HERE, OLD, AddressTables, damaged
from tests.service.signals.conftest import NOON


def test_no_vendored_file_differs_from_the_manifest() -> None:
    assert damaged() == []
    assert sum(path.stat().st_size for path in HERE.iterdir() if path.is_file()) < 40_000_000


def test_every_table_names_its_source_version_licence_and_most_their_date(tables: AddressTables) -> None:
    shown = tables.describe()
    assert len(shown) == 11
    for table in shown:
        assert table.source
        assert table.version
        assert table.licence
    dated = {table.name: table.published for table in shown if table.published is not None}
    assert {"IP to country", "IP to AS number", "Data centre, VPN, Tor, IPv4", "Public suffixes"} <= set(dated)
    assert all(NOON - 2 * OLD < published < NOON + OLD for published in dated.values())


def test_a_table_is_old_a_year_after_its_publication(tables: AddressTables) -> None:
    table = next(table for table in tables.describe() if table.name == "IP to country")
    assert table.published is not None
    assert not table.old(table.published + 365 * DAY)
    assert table.old(table.published + 366 * DAY)


def test_the_operators_own_table_stands_in_for_ours(tmp_path: Path, tables: AddressTables) -> None:
    own = tmp_path / "own.mmdb"
    own.write_bytes((HERE / "ip-asn.mmdb").read_bytes())  # knows no country at all
    with_own = AddressTables(country_mmdb=own)
    assert tables.countries(["81.2.69.160"]) == ["GB"]
    assert with_own.countries(["81.2.69.160"]) == [None]
    shown = next(table for table in with_own.describe() if table.name == "IP to country")
    assert (shown.source, shown.licence) == ("own.mmdb", "the operator's own")


@pytest.mark.parametrize("content", [b"", b"not an mmdb", None])
def test_an_operators_table_that_cannot_be_read_is_named_by_its_setting(tmp_path: Path, content: bytes | None) -> None:
    own = tmp_path / "own.mmdb"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(UsageError, match=r"GATEHOUSE_IP_ASN_MMDB: .*own\.mmdb"):
        AddressTables(asn_mmdb=own)


def test_opening_and_using_the_door_needs_no_network(monkeypatch: pytest.MonkeyPatch, keyring: Keyring) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the door reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    from service.domain.raw import Signup

    row = Signup("a", NOON, email="a@firma.de", phone="+4915112345678", ip="8.8.8.8", user_agent="x", country="DE")
    facts, _ = Door(keyring, AddressTables()).signups([row], NOON)
    assert len(facts) == 1


def test_every_country_has_a_clock_or_none_lives_there() -> None:
    table = json.loads((HERE / "countries.json").read_text())
    countries = Countries()
    without = {code for code in table if countries.clock(code, NOON) is None}
    assert len(table) == 250
    assert without == {"BV", "HM"}  # uninhabited islands
    assert table["CH"]["languages"] == ["de", "en", "fr", "it", "rm"] or {"de", "fr", "it"} <= set(
        table["CH"]["languages"]
    )


def test_country_numbers_are_small_distinct_and_never_zero() -> None:
    numbers = {country_number(a + b) for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    assert numbers == set(range(1, 677))


def test_facts_of_each_family_stand_together_in_the_profile_in_their_own_order() -> None:
    for family in (MailFacts, NameFacts, PhoneFacts, AgentFacts):
        start = PROFILE_INDEX[family._fields[0]]
        assert tuple(fact.name for fact in PROFILE[start : start + len(family._fields)]) == family._fields


def test_no_fact_is_declared_twice_or_without_meaning() -> None:
    assert len({fact.name for fact in PROFILE}) == len(PROFILE)
    assert all(fact.meaning and fact.unit for fact in PROFILE)


def test_both_ends_of_a_listed_range_belong_to_it_and_their_neighbours_may_not(tables: AddressTables) -> None:
    first = parse_address("146.70.117.2")
    assert first is not None
    assert tables.look_up([first], ["146.70.117.2"]).kind[0] == 3
    for edge in (bytes(4), b"\xff" * 4):
        assert tables.look_up([ParsedAddress(4, edge)], ["0.0.0.0"]).kind[0] == 0
    assert AddressFacts._fields[-1] == "country"
