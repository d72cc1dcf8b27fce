"""Personal data stops at the door."""

from __future__ import annotations

import logging
from dataclasses import asdict, fields

import numpy as np
import pytest

from service.domain.enums import PaymentKind, PaymentMethod
from service.domain.parsed import ParsedAddress, ParsedMail, ParsedName, ParsedPhone
from service.domain.raw import Link, Payment, Signup, Usage
from service.signals.batch import Records
from service.signals.door import Door
from tests.service.signals.conftest import NOON

PERSONAL = {
    "email": "geheimrat.zwackelmann@firma-zwackelmann.de",
    "full_name": "Zebulon Zwackelmann",
    "phone": "+4915112345678",
    "ip": "217.80.1.77",
    "user_agent": "Zwackelbrowser/1.0",
    "device_id": "device-zwackelmann-1",
}
FRAGMENTS = ("wackel", "geheimrat", "ebulon", "15112345678", "217.80", "firma")


def test_facts_of_a_signup_hold_numbers_and_the_account_id_and_nothing_else(door: Door) -> None:
    facts, _ = door.signups([Signup("a1", NOON, country="DE", **PERSONAL)], NOON)  # type: ignore[arg-type]
    assert list(facts.account_id) == ["a1"]
    for field in fields(facts):
        value = getattr(facts, field.name)
        if isinstance(value, np.ndarray):
            assert value.dtype.kind in "if"
    shown = repr(facts) + repr(asdict(facts))
    assert not any(fragment in shown for fragment in FRAGMENTS)


def test_facts_of_events_hold_none_of_it_either(door: Door) -> None:
    payment = Payment(
        "p", "a", NOON, PaymentKind.REFUND, PaymentMethod.CARD, card_fingerprint="fp-geheimrat", card_bin="217801"
    )
    shown = repr(door.payments([payment], NOON)) + repr(door.usage([Usage("u", "a", NOON, ip="217.80.1.77")], NOON))
    shown += repr(door.links([Link("a", NOON, "kin", "Zebulon Zwackelmann")], NOON))
    assert not any(fragment in shown for fragment in (*FRAGMENTS, "217801"))


def test_a_refusal_never_quotes_what_it_refuses(door: Door) -> None:
    bad = {name: value + "\udcff" for name, value in PERSONAL.items()}
    _, rejections = door.signups([Signup("a1", NOON, **bad)], NOON)  # type: ignore[arg-type]
    assert {rejection.field for rejection in rejections} == set(PERSONAL)
    assert not any(fragment in repr(rejections) for fragment in FRAGMENTS)


def test_parsed_values_and_columns_show_nothing_of_themselves() -> None:
    parsed = [
        ParsedMail("geheimrat", "firma.de"),
        ParsedPhone("+4915112345678"),
        ParsedAddress(4, b"217."),
        ParsedName(("zebulon", "zwackelmann")),
        Records([Signup("a", NOON, **PERSONAL)]).texts("email"),  # type: ignore[arg-type]
    ]
    assert not any(fragment in repr(parsed) for fragment in FRAGMENTS)


def test_the_door_logs_nothing(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        door.signups([Signup("a1", NOON, **PERSONAL), Signup("", NOON, email="x")], NOON)  # type: ignore[arg-type]
    assert caplog.records == []


def test_link_keys_of_another_installation_are_other_keys(door: Door, tables: object) -> None:
    from service.signals.keyring import Keyring
    from service.signals.reference.tables import AddressTables

    assert isinstance(tables, AddressTables)
    row = [Signup("a1", NOON, **PERSONAL)]  # type: ignore[arg-type]
    ours, theirs = door.signups(row, NOON)[0], Door(Keyring.generated(0), tables).signups(row, NOON)[0]
    assert not set(ours.links.key.tolist()) & set(theirs.links.key.tolist())
    assert ours.content[0] != theirs.content[0]
    np.testing.assert_array_equal(ours.profile, theirs.profile)
