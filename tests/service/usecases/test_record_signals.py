"""Recording events through the real door, store and writer, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from service.domain.enums import PaymentKind, PaymentMethod
from service.domain.errors import DeadlineExceeded
from service.domain.raw import Link, Payment, Signal, Usage
from service.domain.requests import Event, RecordedEvents
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.arrivals import Arrivals, Outcomes
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
def door() -> Door:
    return Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables())


@pytest.fixture
def record(store: Store, door: Door) -> Iterator[RecordSignals]:
    writer = Writer(store)
    yield RecordSignals(writer, door)
    writer.close()


def told(result: RecordedEvents) -> tuple[int, int, int]:
    return result.recorded, result.duplicates, result.rejected


def test_events_of_every_kind_are_recorded_once_however_often_they_come(record: RecordSignals) -> None:
    assert told(record(EACH, now=NOON).result(30)) == (4, 0, 0)
    assert told(record((*EACH, replace(USAGE, event_id="u-2")), now=NOON + 1).result(30)) == (1, 4, 0)
    assert told(record([replace(SIGNAL, event_id="s-2")] * 3, now=NOON + 2).result(30)) == (1, 2, 0)


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
    record(EACH, now=NOON).result(30)
    result = record((other,), now=NOON + 1).result(30)
    assert told(result) == (0, 0, 1)
    (rejection,) = result.rejections
    assert (rejection.event_id, rejection.field, rejection.conflict) == (other.event_id, "event_id", True)
    assert rejection.reason == CONFLICT_TEXT
    assert told(record(EACH, now=NOON + 2).result(30)) == (0, 4, 0)


def test_bad_events_are_rejected_alone_by_their_places_in_the_batch(record: RecordSignals) -> None:
    bad_usage = replace(USAGE, event_id="u-bad", ip="nowhere")
    bad_signal = replace(SIGNAL, event_id="s-bad", value=float("nan"))
    batch = (SIGNAL, bad_usage, PAYMENT, bad_signal, LINK, USAGE, replace(USAGE, output_tokens=1))
    result = record(batch, now=NOON).result(30)
    assert told(result) == (4, 0, 3)
    assert [(each.position, each.event_id, each.field, each.conflict) for each in result.rejections] == [
        (1, "u-bad", "usage.ip", False),
        (3, "s-bad", "signal.value", False),
        (6, "u-1", "event_id", True),
    ]


def test_of_many_rejections_all_are_counted_and_the_first_thousand_told(record: RecordSignals) -> None:
    bad = [replace(USAGE, event_id=f"u-{i}", ip="nowhere") for i in range(KEPT_REJECTIONS + 5)]
    result = record([*bad, PAYMENT], now=NOON).result(30)
    assert told(result) == (1, 0, KEPT_REJECTIONS + 5)
    assert [each.position for each in result.rejections] == list(range(KEPT_REJECTIONS))


def test_batches_are_judged_in_the_order_in_which_they_were_begun(record: RecordSignals) -> None:
    other = replace(USAGE, output_tokens=10)
    begun = [record([each], now=NOON + i) for i, each in enumerate((USAGE, other, USAGE, other))]
    assert [told(each.result(30)) for each in begun] == [(1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1)]
    assert told(record([USAGE], now=NOON + 9).result(30)) == (0, 1, 0)


def test_what_nobody_waits_for_is_not_written_unless_that_was_begun(store: Store, door: Door) -> None:
    writing, go_on = threading.Event(), threading.Event()

    class Slow:
        def write_together(self, groups: Sequence[Arrivals]) -> Outcomes:
            writing.set()
            assert go_on.wait(30)
            return store.write_together(groups)

    writer = Writer(Slow())
    record = RecordSignals(writer, door)
    first = record([USAGE], now=NOON)
    assert writing.wait(30)
    second = record([replace(USAGE, event_id="u-2")], now=NOON + 1)
    with pytest.raises(DeadlineExceeded):
        record([replace(USAGE, event_id="u-3")], now=NOON + 2).result(0.01)
    first.cancel()
    second.cancel()
    go_on.set()
    assert told(first.result(30)) == (1, 0, 0)
    asked = [replace(USAGE, event_id=f"u-{i}") for i in (1, 2, 3)]
    assert told(record(asked, now=NOON + 3).result(30)) == (2, 1, 0)
    writer.close()
