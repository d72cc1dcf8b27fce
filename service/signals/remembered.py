"""Numbers worked out for values that come again and again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

from service.domain.facts import Int64s

LIMIT = 100_000  # values; with a text each some 20 MB
_Value = TypeVar("_Value", bound=Hashable)


class Remembered(Generic[_Value]):
    """What was worked out for a value, so that the next batch that holds it need not. Safe to share between threads.

    An import's batches have mostly the same addresses and prompts, and each takes a few keyed hashes. It lives in
    memory only and begins anew once it is full. ``about`` is what else the numbers depend on (which secrets are in
    use); where that has changed, it begins anew, too.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = Lock()
        self._about: Hashable = None
        self._places: dict[_Value, int] = {}
        self._rows = np.empty((0, 0), np.int64)

    def __contains__(self, value: object) -> bool:
        return value in self._places

    def rows(self, values: list[_Value], about: Hashable, width: int, work: Callable[[list[_Value]], Int64s]) -> Int64s:
        """``work`` of distinct ``values``, done for those that are new; shape (len(values), width)."""
        with self._lock:
            if about != self._about or len(self._places) + len(values) > self._limit:
                self._about, self._places, self._rows = about, {}, np.empty((0, width), np.int64)
            places = self._places
            new = [value for value in values if value not in places]
            if new:
                worked = work(new).reshape(len(new), width)
                first = len(places)
                self._make_room(first + len(new), width)
                self._rows[first : first + len(new)] = worked
                places.update(zip(new, range(first, first + len(new)), strict=True))
            found = np.fromiter(map(places.__getitem__, values), np.int64, len(values))
            rows: Int64s = self._rows[found]
            return rows

    def _make_room(self, needed: int, width: int) -> None:
        if needed > len(self._rows):
            grown = np.empty((max(needed, 2 * len(self._rows)), width), np.int64)
            grown[: len(self._rows)] = self._rows
            self._rows = grown
