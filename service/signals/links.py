"""Link facts of a batch: which account showed which keys when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from service.domain.codes import code32
from service.domain.facts import Int64s, LinkFacts
from service.signals.pseudonymise import Pseudonymiser

KeyFunction = Callable[[Any], str | None]


class LinkCollector:
    """Gathers the links of a batch whose rows each have one account and one moment."""

    def __init__(self, pseudonymiser: Pseudonymiser, now: int) -> None:
        self._pseudonymiser = pseudonymiser
        self._now = now
        self._rows: list[int] = []
        self._kinds: list[int] = []
        self._keys: list[int] = []

    def add(self, functions: Sequence[KeyFunction], parsed: Sequence[Any], codes: Sequence[int]) -> None:
        """Row i shows ``parsed[codes[i]]`` and nothing where the code is -1; None among ``parsed`` has no keys."""
        for function in functions:
            self.add_kind(function.__name__, [None if value is None else function(value) for value in parsed], codes)

    def add_kind(self, kind: str, canonical: Sequence[str | None], codes: Sequence[int]) -> None:
        """The same for one kind whose values are already strings."""
        there = [place for place, value in enumerate(canonical) if value is not None]
        if not there:
            return
        number = code32(kind)
        values = [canonical[place] or "" for place in there]
        for hashed in self._pseudonymiser.link_keys(kind, values, self._now):
            if there == codes:  # a call's values: all said, all different
                self._rows += there
                self._keys += hashed
            else:
                key_of = dict(zip(there, hashed, strict=True))
                shown = [(row, key_of[code]) for row, code in enumerate(codes) if code in key_of]
                self._rows += [row for row, _ in shown]
                self._keys += [key for _, key in shown]
            self._kinds += [number] * (len(self._rows) - len(self._kinds))

    def facts(self, account: Int64s, happened: Int64s) -> LinkFacts:
        """All links; ``account`` and ``happened`` are the rows', shape (n,)."""
        rows = np.array(self._rows, np.int64)
        return LinkFacts(account[rows], np.array(self._kinds, np.int32), np.array(self._keys, np.int64), happened[rows])


def small_hash(text: str, size: int) -> float:
    """A small category of a text, whatever its case."""
    return float(code32(text.strip().casefold()) % size)
