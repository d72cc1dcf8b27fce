"""What callers ask, in domain terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from service.domain.enums import Purpose
from service.domain.raw import Link, Payment, Signal, Signup, Usage

Item = TypeVar("Item")


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
    position: int = 0  # its place among the events of the call, counted from 0
    field: str = ""  # path in the caller's terms, such as ``usage.input_tokens``; empty: it is no single field
    conflict: bool = False  # the event_id came before with different content


@dataclass(frozen=True, slots=True)
class RecordedEvents:
    """What became of a stream of events."""

    recorded: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejections: tuple[EventRejection, ...] = ()  # the first 1,000


@dataclass(frozen=True, slots=True)
class LabelReceipt:
    """What became of a batch of labels, which is recorded as a whole or not at all."""

    recorded: int  # labels and retractions that were not known before
    duplicates: int
    created_campaigns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, and how to get the next ones."""

    items: tuple[Item, ...]
    next_page_token: str = ""  # empty: there are no more
