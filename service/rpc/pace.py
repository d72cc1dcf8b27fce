"""How many accounts of a stream are scored together: as many as pay, as long as nobody waits for them.

Among 20,000 accounts one of a batch of 256 costs 188 us of a processor, of 1,024 133, of 4,096 101, without its
message: what is looked up lies the closer together, the more is. But beside a million accounts a server that may hold
400 MiB grew to 408 over a stream of 100,000 with batches of 2,048. And whoever asks about one account meanwhile
shares the interpreter with the batch, and is written after it. So a stream that has company goes on by small batches
for a while, and so does one whose batches take long, as they do where every answer has its reasons: a step of a call
may take no longer than the server's deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from service.domain.time import SECOND

_Args = ParamSpec("_Args")
_Asked = TypeVar("_Asked")

FEW, MANY = 256, 1_024  # accounts
GROWTH = 2  # times as large as the one before a batch may be ...
QUICK = SECOND  # microseconds; ... and as would take no longer than this, with what it waits for before it
CALM = 4  # batches; who has asked will ask again, and is no company only after so many without


@dataclass(slots=True)
class Asking:
    """All who ask for scores of one server. Of two who count at the same moment one may be missed, the next is not."""

    times: int = 0  # calls for one account, whoever answers them, and batches of streams

    def counted(self, ask: Callable[_Args, _Asked]) -> Callable[_Args, _Asked]:
        """``ask``, with each call of it counted."""

        def counting(*args: _Args.args, **kwargs: _Args.kwargs) -> _Asked:
            self.times += 1
            return ask(*args, **kwargs)

        return counting


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
            self._items = min(MANY, GROWTH * items, items * QUICK // max(1, micros))
