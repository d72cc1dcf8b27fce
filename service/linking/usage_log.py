"""Raw exchanges in memory, by the day on which they happened: new ones are added, old ones taken out, none is moved.

36 bytes each, 20 of one that need not be taken out again. Accounts are slots: numbers from 0 in the order in which they
were first heard of, which stay.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from service.domain.facts import Int32s, Int64s
from service.domain.time import DAY
from service.linking.sightings import Bools, grown
from service.linking.words import Words

NEVER = np.iinfo(np.int64).max
_PARTS = 8  # of one day, from which they are put together


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Exchanges in any order; all of shape (rows,)."""

    slot: Int32s
    happened: Int64s
    word: Words  # SimHash of the prompt; 0: not known
    tokens_in: Int32s  # -1: not said
    tokens_out: Int32s
    client: Int32s  # part of the name's hash; 0: not said
    model: Int32s

    def __len__(self) -> int:
        """How many."""
        return len(self.slot)

    def counted(self) -> tuple[Int32s, Int64s, Int32s, Int32s, Int32s, Int32s]:
        """The columns that habits are made of."""
        return self.slot, self.happened, self.tokens_in, self.tokens_out, self.client, self.model

    def part(self, low: int, high: int) -> Held:
        """Those from one row until before another, not copied."""
        return Held(*(getattr(self, each.name)[low:high] for each in fields(self)))

    def take(self, rows: Int64s | Bools) -> Held:
        """Some of them."""
        return Held(*(getattr(self, each.name)[rows] for each in fields(self)))

    def only_used(self) -> Held:
        """The same, without what only habits and prompts are made of: those columns are zeros that take no room."""
        size = len(self)
        word, small = np.broadcast_to(np.uint64(0), size), np.broadcast_to(np.int32(0), size)
        return Held(self.slot, self.happened, word, self.tokens_in, self.tokens_out, small, small)

    @classmethod
    def joined(cls, parts: list[Held]) -> Held:
        """All of several."""
        if len(parts) == 1:
            return parts[0]
        every = [NOTHING_HELD, *parts]
        return cls(*(np.concatenate([getattr(part, each.name) for part in every]) for each in fields(cls)))


_SMALL = np.empty(0, np.int32)
NOTHING_HELD = Held(_SMALL, np.empty(0, np.int64), np.empty(0, np.uint64), _SMALL, _SMALL, _SMALL, _SMALL)


class UsageLog:
    """Exchanges that are looked at, and what is known of each account's days. Not for several threads at once."""

    def __init__(self, *, once: bool = False, counts_only: bool = False) -> None:
        """``once``: none will be taken out, so of each only that is held which ``of`` is asked for.

        ``counts_only``: neither will it be asked for any, and nothing is held of them.
        """
        self._once, self._counts_only = once or counts_only, counts_only
        self._days: dict[int, list[Held]] = {}
        self._active: dict[int, Bools] = {}  # for each day (slots,) who had an exchange
        self.count = np.zeros(0, np.int64)  # (slots,) exchanges
        self.days = np.zeros(0, np.int64)  # (slots,) days with one
        self.first = np.zeros(0, np.int64)  # (slots,) when the first one happened, NEVER: there is none

    def add(self, some: Held, slots: int) -> list[Held]:
        """Takes in exchanges; ``slots`` accounts are known by now. They are given back as they are held, by day."""
        self.count = grown(self.count, slots, 0)
        self.days = grown(self.days, slots, 0)
        self.first = grown(self.first, slots, NEVER)
        self.count += np.bincount(some.slot, minlength=slots)
        np.minimum.at(self.first, some.slot, some.happened)
        by_day = _by_day(some)
        for day, mine in by_day:
            if not self._counts_only:
                self._days.setdefault(day, []).append(self._held(mine))
            active = grown(self._active.get(day, np.zeros(0, bool)), slots, False)
            was = active.copy()
            active[mine.slot] = True
            self._active[day] = active
            self.days[active & ~was] += 1
        return [mine for _, mine in by_day]

    def _held(self, some: Held) -> Held:
        return some.only_used() if self._once else some

    def settle(self) -> None:
        """Puts days together that came in many parts. Whoever still holds a part holds it twice from then on."""
        for day, parts in self._days.items():
            if len(parts) >= _PARTS:
                self._days[day] = [self._held(Held.joined(parts))]

    def happened(self, after: int, until: int) -> Held:
        """Those that happened in (after, until]."""
        days = sorted(day for day in self._days if day * DAY <= until and (day + 1) * DAY > after)
        parts = [part for day in days for part in self._days[day]]
        return Held.joined([part.take((part.happened > after) & (part.happened <= until)) for part in parts])

    def drop(self, until: int) -> Held:
        """Takes out those that happened at ``until`` or before, and gives them back."""
        out: list[Held] = []
        for day in sorted(day for day in self._days if day * DAY <= until):
            whole = Held.joined(self._days.pop(day))
            active = self._active.pop(day)
            self.days[np.flatnonzero(active)] -= 1
            left = whole.happened > until
            out.append(whole.take(~left))
            if left.any():
                kept = whole.take(left)
                self._days[day] = [kept]
                still = np.zeros(len(active), bool)
                still[kept.slot] = True
                self._active[day] = still
                self.days[still] += 1
        gone = Held.joined(out)
        if len(gone):
            self.count -= np.bincount(gone.slot, minlength=len(self.count))
            self._find_first(gone.slot, until)
        return gone

    def _find_first(self, slot: Int32s, until: int) -> None:
        """Sets the first exchange anew for accounts that have lost it."""
        lost = np.zeros(len(self.first), bool)
        lost[slot] = True
        lost &= self.first <= until
        self.first[lost] = NEVER
        for day in sorted(self._days):
            if not lost.any():
                return
            for part in self._days[day]:
                rows = np.flatnonzero(lost[part.slot])
                np.minimum.at(self.first, part.slot[rows], part.happened[rows])
            lost &= self.first == NEVER

    def of(self, wanted: Bools) -> Held:
        """Those of some accounts; ``wanted`` is (slots,). RuntimeError where they are only counted."""
        if self._counts_only:
            raise RuntimeError("exchanges were counted and not held")
        parts = [part for _, parts in sorted(self._days.items()) for part in parts]
        return Held.joined([part.take(np.flatnonzero(wanted[part.slot])) for part in parts])


def _by_day(some: Held) -> list[tuple[int, Held]]:
    day = some.happened // DAY
    if not len(day):
        return []
    if day[0] == day.max() == day.min():
        return [(int(day[0]), some)]
    order = np.argsort(day, kind="stable")
    # Pieces of one array: small ones of their own, among arrays that come and go, kept three times their room taken.
    day, some = day[order], some.take(order)
    edges = [0, *(np.flatnonzero(np.diff(day)) + 1).tolist(), len(day)]
    return [(int(day[low]), some.part(low, high)) for low, high in pairwise(edges)]
