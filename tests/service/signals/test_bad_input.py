"""What the door refuses: the row alone, by field, with a reason that mends it and quotes nothing personal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from service.domain.enums import PaymentKind, PaymentMethod
from service.domain.raw import Link, Payment, Signal, Signup, Usage
from service.domain.time import FUTURE_TOLERANCE, MINUTE
from service.signals.checks import EARLIEST, accepted_rows
from service.signals.door import Door
from tests.service.signals.conftest import NOON

SIGNUP = Signup("a", NOON)
PAYMENT = Payment("p", "a", NOON, PaymentKind.METHOD_ADDED, PaymentMethod.CARD)
USAGE = Usage("u", "a", NOON)
LINK = Link("a", NOON, "referral", "r")
SIGNAL = Signal("a", NOON, "stars", 1.0)


@pytest.mark.parametrize(
    ("row", "field", "value", "reason"),
    [
        (SIGNUP, "account_id", "", "must not be empty"),
        (SIGNUP, "account_id", "   ", "must not be empty"),
        (SIGNUP, "account_id", "a" * 201, "is longer than 200 characters"),
        (SIGNUP, "account_id", "a\n", "must not contain control characters"),
        (SIGNUP, "account_id", "a\ud800", "is not valid UTF-8"),
        (SIGNUP, "created_at", NOON + FUTURE_TOLERANCE + 1, "lies more than 5 minutes in the future"),
        (SIGNUP, "created_at", EARLIEST - 1, "lies before the year 2000"),
        (SIGNUP, "created_at", NOON // 1000, "lies before the year 2000"),  # milliseconds
        (SIGNUP, "email", "a" * 321, "is longer than 320 characters"),
        (SIGNUP, "email", "a\udcff@firma.de", "is not valid UTF-8"),
        (SIGNUP, "full_name", "n" * 1001, "is longer than 1000 characters"),
        (SIGNUP, "phone", "1" * 201, "is longer than 200 characters"),
        (SIGNUP, "country", "UK", "must be an ISO 3166-1 alpha-2 code (the United Kingdom is GB)"),
        (SIGNUP, "country", "D", "must be an ISO 3166-1 alpha-2 code (the United Kingdom is GB)"),
        (SIGNUP, "country", "Germany", "is longer than 2 characters"),
        (SIGNUP, "ip", "1.2.3.4:80", "must be one IPv4 or IPv6 address, without port, zone or list"),
        (SIGNUP, "user_agent", "u" * 4097, "is longer than 4096 characters"),
        (SIGNUP, "user_agent", "u" * 10_000_000, "is longer than 4096 characters"),
        (SIGNUP, "ip", "1" * 10_000_000, "is longer than 64 characters"),
        (SIGNUP, "form_seconds", -0.5, "must not be negative"),
        (SIGNUP, "form_seconds", float("nan"), "must be a finite number"),
        (SIGNUP, "form_seconds", float("inf"), "must be a finite number"),
        (PAYMENT, "event_id", "", "must not be empty"),
        (PAYMENT, "account_id", "", "must not be empty"),
        (PAYMENT, "card_bin", "12345", "must be 6 to 8 digits"),
        (PAYMENT, "card_bin", "123456789", "is longer than 8 characters"),
        (PAYMENT, "card_bin", "٤٥٧١٧٣", "must be 6 to 8 digits"),
        (PAYMENT, "card_country", "ZZ", "must be an ISO 3166-1 alpha-2 code (the United Kingdom is GB)"),
        (PAYMENT, "currency", "E1R", "must be an ISO 4217 code of three letters"),
        (USAGE, "input_tokens", -1, "must not be negative"),
        (USAGE, "output_tokens", 2**31, "must be at most 2147483647"),
        (USAGE, "happened_at", 0, "lies before the year 2000"),
        (USAGE, "model", "m" * 201, "is longer than 200 characters"),
        (LINK, "key_type", "", "must not be empty"),
        (LINK, "key_type", "k" * 101, "is longer than 100 characters"),
        (LINK, "key_value", " ", "must not be empty"),
        (SIGNAL, "name", "stars\x00", "must not contain control characters"),
        (SIGNAL, "value", float("nan"), "must be a finite number"),
        (SIGNAL, "value", float("-inf"), "must be a finite number"),
    ],
    ids=lambda value: str(value)[:16] if isinstance(value, str) else type(value).__name__,
)
def test_a_bad_row_is_refused_alone_by_its_field(door: Door, row: Any, field: str, value: Any, reason: str) -> None:
    read = {
        Signup: door.signups,
        Payment: door.payments,
        Usage: door.usage,
        Link: door.links,
        Signal: door.signals,
    }[type(row)]
    facts, rejections = read([row, replace(row, **{field: value}), row], NOON)
    assert [(r.row, r.field, r.reason) for r in rejections] == [(1, field, reason)]
    assert len(facts) == 2
    assert accepted_rows(3, rejections).tolist() == [0, 2]


def test_everything_wrong_with_a_row_is_said_at_once(door: Door) -> None:
    _, rejections = door.signups([Signup("", NOON * 2, country="XX", ip="?")], NOON)
    assert {r.field for r in rejections} == {"account_id", "created_at", "country", "ip"}


def test_five_minutes_ahead_is_another_clock_and_not_a_mistake(door: Door) -> None:
    facts, rejections = door.usage([replace(USAGE, happened_at=NOON + 5 * MINUTE)], NOON)
    assert not rejections
    assert facts.happened[0] == NOON + 5 * MINUTE


@pytest.mark.parametrize(
    ("field", "column", "reason"),
    [
        ("kind", ["refunded"], "must be one of method_added, charge_succeeded, charge_declined, refund, chargeback"),
        ("kind", [None], "must be one of method_added, charge_succeeded, charge_declined, refund, chargeback"),
        ("method", ["cash"], "must be one of card, wallet, bank, invoice, prepaid"),
        ("card_funding", ["gift"], "must be one of credit, debit, prepaid, unknown"),
        ("happened_at", pa.array([None], pa.timestamp("us", "UTC")), "must be given"),
    ],
)
def test_an_unknown_word_in_a_file_is_refused_with_the_words_there_are(
    door: Door, field: str, column: Any, reason: str
) -> None:
    columns = {
        "event_id": ["p"],
        "account_id": ["a"],
        "happened_at": pa.array([NOON], pa.timestamp("us", "UTC")),
        "kind": ["refund"],
        "method": ["card"],
    }
    facts, rejections = door.payments_table(pa.table({**columns, field: column}), NOON)
    assert len(facts) == 0
    assert [(r.row, r.field, r.reason) for r in rejections] == [(0, field, reason)]


def test_bytes_of_a_file_that_are_not_utf8_refuse_their_row_alone(door: Door) -> None:
    broken = pa.array([b"fine", b"\xff\xfe", b"also fine"]).view(pa.string())
    columns = {"account_id": broken, "created_at": pa.array([NOON] * 3, pa.timestamp("us", "UTC"))}
    facts, rejections = door.signups_table(pa.table(columns), NOON)
    assert [(r.row, r.field, r.reason) for r in rejections] == [(1, "account_id", "is not valid UTF-8")]
    assert list(facts.account_id) == ["fine", "also fine"]
    columns = {"account_id": ["a", "b", "c"], "created_at": columns["created_at"], "email": broken}
    _, rejections = door.signups_table(pa.table(columns), NOON)
    assert [(r.row, r.field) for r in rejections] == [(1, "email")]


def test_an_empty_batch_is_no_facts_and_no_complaint(door: Door) -> None:
    for facts, rejections in (
        door.signups([], NOON),
        door.payments([], NOON),
        door.usage([], NOON),
        door.links([], NOON),
        door.signals([], NOON),
    ):
        assert len(facts) == 0
        assert rejections == []
    assert door.signups([], NOON)[0].profile.shape[1] > 50


def test_a_table_may_lack_every_optional_column(door: Door) -> None:
    table = pa.table(
        {
            "event_id": ["u"],
            "account_id": ["a"],
            "happened_at": pa.array([NOON], pa.timestamp("us", "UTC")),
            "client": pa.nulls(1),
        }
    )
    facts, rejections = door.usage_table(table, NOON)
    alone, _ = door.usage([USAGE], NOON)
    assert not rejections
    np.testing.assert_array_equal(facts.content, alone.content)
    assert (facts.input_tokens[0], facts.status[0], facts.ip[0]) == (-1, -1, 0)
