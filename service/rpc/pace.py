"""How many accounts of a stream are scored together: as many as pay, as long as nobody waits for them.

A batch of 1,024 costs an account a fifth less than one of 256. But whoever asks about one account meanwhile waits for
the batch before it: beside a stream that sent as fast as it could one in ten waited 520 ms instead of 330. So a stream
that has company goes on by small batches for a while, and so does one whose batches take long, as they
do where every answer has its reasons: a step of a call may take no longer than the server's deadline.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.time import SECOND

FEW, MANY = 256, 1_024  # accounts
QUICK = SECOND  # microseconds; a batch that took no longer may be followed by one twice as large
CALM = 4  # batches; who has asked will ask again, and is no company only after so many without


@dataclass(slots=True)
class Asking:
    """All who ask for scores of one server. Of two who count at the same moment one may be missed, the next is not."""

    times: int = 0  # calls for one account, and batches of streams


class Pace:
    """Of one stream; the threads that work on it may tell of their batches in any order."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._mine, self._others = 0, asking.times
        self._items, self._calm = FEW, CALM

    def most(self) -> int:
        """Accounts in the next batch."""
        before, self._others = self._others, self._asking.times - self._mine
        if self._others != before:
            self._items, self._calm = FEW, 0
        return self._items

    def begins(self) -> None:
        """A batch is begun."""
        self._asking.times += 1
        self._mine += 1

    def took(self, items: int, micros: int) -> None:
        """A batch of so many was answered in that time."""
        self._calm += 1
        if micros > QUICK:
            self._items = max(FEW, self._items // 2)
        elif items >= self._items and self._calm > CALM:
            self._items = min(MANY, 2 * items)
