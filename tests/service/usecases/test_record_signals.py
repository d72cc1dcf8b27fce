"""Recording events through the real door, store and writer, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.domain.enums import PaymentKind, PaymentMethod
from service.domain.raw import Link, Payment, Signal, Usage
from service.domain.requests import Event, RecordedEvents
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import Store
from service.storage.writer import Writer
from service.usecases.record_signals import CONFLICT_TEXT, KEPT_REJECTIONS, RecordSignals
from tests.factories import NOON

USAGE = Usage("u-1", "ada", NOON, ip="81.2.69.160", client="python/2", model="m", input_tokens=7, output_tokens=9)
PAYMENT = Payment("p-1", "ada", NOON, PaymentKind.CHARGE_DECLINED, PaymentMethod.CARD, card_fingerprint="f")
LINK = Link("ada", NOON, "workspace", "w-1", event_id="l-1")
SIGNAL = Signal("ada", NOON, "captcha", 0.5, event_id="s-1")
EACH: tuple[Event, ...] = (USAGE, PAYMENT, LINK, SIGNAL)


@pytest.fixture
def record(store: Store) -> Iterator[RecordSignals]:
    writer = Writer(store)
    yield RecordSignals(writer, Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables()))
    writer.close()


def told(result: RecordedEvents) -> tuple[int, int, int]:
    return result.recorded, result.duplicates, result.rejected


def test_events_of_every_kind_are_recorded_once_however_often_they_come(record: RecordSignals) -> None:
    assert told(record(EACH, now=NOON, timeout_s=30)) == (4, 0, 0)
    assert told(record((*EACH, replace(USAGE, event_id="u-2")), now=NOON + 1, timeout_s=30)) == (1, 4, 0)
    assert told(record([replace(SIGNAL, event_id="s-2")] * 3, now=NOON + 2, timeout_s=30)) == (1, 2, 0)


@pytest.mark.parametrize(
    "other",
    [
        replace(USAGE, output_tokens=10),
        replace(PAYMENT, card_fingerprint="g"),
        replace(LINK, key_value="w-2"),
        replace(SIGNAL, value=0.25),
    ],
)
def test_another_content_under_a_known_id_is_rejected_and_the_first_is_kept(
    record: RecordSignals, other: Event
) -> None:
    record(EACH, now=NOON, timeout_s=30)
    result = record((other,), now=NOON + 1, timeout_s=30)
    assert told(result) == (0, 0, 1)
    (rejection,) = result.rejections
    assert (rejection.event_id, rejection.field, rejection.conflict) == (other.event_id, "event_id", True)
    assert rejection.reason == CONFLICT_TEXT
    assert told(record(EACH, now=NOON + 2, timeout_s=30)) == (0, 4, 0)


def test_bad_events_are_rejected_alone_by_their_places_in_the_batch(record: RecordSignals) -> None:
    bad_usage = replace(USAGE, event_id="u-bad", ip="nowhere")
    bad_signal = replace(SIGNAL, event_id="s-bad", value=float("nan"))
    batch = (SIGNAL, bad_usage, PAYMENT, bad_signal, LINK, USAGE, replace(USAGE, output_tokens=1))
    result = record(batch, now=NOON, timeout_s=30)
    assert told(result) == (4, 0, 3)
    assert [(each.position, each.event_id, each.field, each.conflict) for each in result.rejections] == [
        (1, "u-bad", "usage.ip", False),
        (3, "s-bad", "signal.value", False),
        (6, "u-1", "event_id", True),
    ]


def test_of_many_rejections_all_are_counted_and_the_first_thousand_told(record: RecordSignals) -> None:
    bad = [replace(USAGE, event_id=f"u-{i}", ip="nowhere") for i in range(KEPT_REJECTIONS + 5)]
    result = record([*bad, PAYMENT], now=NOON, timeout_s=30)
    assert told(result) == (1, 0, KEPT_REJECTIONS + 5)
    assert [each.position for each in result.rejections] == list(range(KEPT_REJECTIONS))
