"""What callers ask, in domain terms."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.enums import Purpose
from service.domain.raw import Link, Payment, Signal, Signup, Usage


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One account to score, with whatever the caller already knows about it."""

    request_id: str
    account_id: str
    purpose: Purpose
    signup: Signup | None = None  # None: the account must be known
    payments: tuple[Payment, ...] = ()
    links: tuple[Link, ...] = ()
    signals: tuple[Signal, ...] = ()
    explain: bool = False  # reasons also where the decision is allow
    content: int = 0  # hash of the request as said; 0 only in jobs


Event = Payment | Usage | Link | Signal


@dataclass(frozen=True, slots=True)
class EventRejection:
    """Why one event of a stream was not recorded."""

    event_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedEvents:
    """What became of a stream of events."""

    recorded: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejections: tuple[EventRejection, ...] = ()  # the first 1,000
