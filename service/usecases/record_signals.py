"""Records a stream of events: payments, usage, links and signals, each idempotent under its event_id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from service.domain.facts import Int8s
from service.domain.raw import Link, Payment, Signal, Usage
from service.domain.requests import Event, EventRejection, RecordedEvents
from service.signals.checks import Rejection, accepted_rows
from service.signals.door import Door
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW, Arrival, Arrivals
from service.storage.writer import Written, awaited

KEPT_REJECTIONS = 1_000
CONFLICT_TEXT = "came before with different content; the first is kept"


class Writes(Protocol):
    """A writer that commits together all that wait."""

    def begin(self, arrivals: Arrivals) -> Written: ...


@dataclass(frozen=True, slots=True)
class Recording:
    """A batch on its way to the disk."""

    kinds: tuple[_Begun, ...]
    written: Written

    def result(self, timeout_s: float) -> RecordedEvents:
        """What became of it, once it is durable. Raises DeadlineExceeded if nothing of it was recorded in time."""
        (outcome,) = awaited(self.written, timeout_s)
        parts = [each.kind.tally(each.name, each.bad, getattr(outcome, each.statuses)) for each in self.kinds]
        rejections = sorted((r for part in parts for r in part.rejections), key=lambda r: r.position)
        return RecordedEvents(
            recorded=sum(part.recorded for part in parts),
            duplicates=sum(part.duplicates for part in parts),
            rejected=sum(part.rejected for part in parts),
            rejections=tuple(rejections)[:KEPT_REJECTIONS],
        )

    def cancel(self) -> None:
        """Nobody waits for it: it is not written, unless that was begun."""
        self.written.cancel()


@dataclass(frozen=True, slots=True)
class RecordSignals:
    """The deed, wired to its rooms."""

    writes: Writes
    door: Door

    def __call__(self, events: Sequence[Event], *, now: int) -> Recording:
        """Hands a batch to the writer, and does not wait; a bad event is rejected alone, with its reason.

        What is begun later is judged, and written, later. ``now`` is the moment at which all of them are learned.
        Raises Overloaded where too many wait already.
        """
        payments: _Kind[Payment] = _Kind()
        usage: _Kind[Usage] = _Kind()
        links: _Kind[Link] = _Kind()
        signals: _Kind[Signal] = _Kind()
        kinds: dict[type[Event], _Kind[Any]] = {Payment: payments, Usage: usage, Link: links, Signal: signals}
        for position, event in enumerate(events):
            kinds[type(event)].add(event, position)
        payment_facts, bad_payments = self.door.payments(payments.events, now)
        usage_facts, bad_usage = self.door.usage(usage.events, now)
        link_facts, bad_links = self.door.links(links.events, now)
        signal_facts, bad_signals = self.door.signals(signals.events, now)
        arrival = Arrival(
            learned_at=now,
            signups=None,
            payments=payment_facts if len(payment_facts) else None,
            usage=usage_facts if len(usage_facts) else None,
            links=link_facts if len(link_facts) else None,
            signals=signal_facts if len(signal_facts) else None,
            assessments=(),
            atomic=False,
        )
        begun = (
            _Begun(payments, "payment", bad_payments, "payments"),
            _Begun(usage, "usage", bad_usage, "usage"),
            _Begun(links, "link", bad_links, "links"),
            _Begun(signals, "signal", bad_signals, "signals"),
        )
        return Recording(begun, self.writes.begin(Arrivals.of([arrival])))


_E = TypeVar("_E", Payment, Usage, Link, Signal)


@dataclass(frozen=True, slots=True)
class _Kind(Generic[_E]):
    """The events of one kind, and where they stood in the batch."""

    events: list[_E] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    def add(self, event: _E, position: int) -> None:
        self.events.append(event)
        self.positions.append(position)

    def tally(self, name: str, bad: Sequence[Rejection], status: Int8s) -> RecordedEvents:
        """What became of them; ``status`` has one element for each that the door let in, in order."""
        rejected = {rejection.row: rejection for rejection in reversed(bad)}
        conflicts = accepted_rows(len(self.events), bad)[status == CONFLICT].tolist()
        rejections = [
            EventRejection(
                self.events[i].event_id or "", rejected[i].reason, self.positions[i], f"{name}.{rejected[i].field}"
            )
            for i in rejected
        ] + [
            EventRejection(self.events[i].event_id or "", CONFLICT_TEXT, self.positions[i], "event_id", conflict=True)
            for i in conflicts
        ]
        return RecordedEvents(
            recorded=int((status == NEW).sum()),
            duplicates=int((status == DUPLICATE).sum()),
            rejected=len(rejections),
            rejections=tuple(rejections),
        )


@dataclass(frozen=True, slots=True)
class _Begun:
    """One kind of a batch, once the door has seen it."""

    kind: _Kind[Any]
    name: str  # of the event's field
    bad: Sequence[Rejection]
    statuses: str  # of an Outcome's field
