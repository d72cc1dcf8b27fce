"""Link facts of a batch: which account showed which keys when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from service.domain.codes import code32
from service.domain.facts import Int64s, LinkFacts
from service.signals.batch import Texts
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
            key_of = dict(zip(there, hashed, strict=True))
            for row, code in enumerate(codes):
                key = key_of.get(code)
                if key is not None:
                    self._rows.append(row)
                    self._kinds.append(number)
                    self._keys.append(key)

    def facts(self, account: Int64s, happened: Int64s) -> LinkFacts:
        """All links; ``account`` and ``happened`` are the rows', shape (n,)."""
        rows = np.array(self._rows, np.int64)
        return LinkFacts(account[rows], np.array(self._kinds, np.int32), np.array(self._keys, np.int64), happened[rows])


def first_links(
    function: KeyFunction, parsed: Sequence[Any], codes: Int64s, account: Texts, happened: Int64s
) -> tuple[list[str], Int64s, Int64s, Int64s, Int64s]:
    """Each (account, key) pair of a large batch once, at its first moment.

    Returns the distinct canonical values; for each row (n,) the place of its value among them or -1; and for each pair
    the place of its value, of its account among ``account.values``, and its first moment.
    """
    places: dict[str, int] = {}
    of_parsed = [
        -1 if value is None else places.setdefault(value, len(places))
        for value in (None if each is None else function(each) for each in parsed)
    ]
    place = np.array([*of_parsed, -1], np.int64)[codes]
    said = np.flatnonzero(place >= 0)
    pair = account.codes[said] * max(len(places), 1) + place[said]
    order = np.argsort(pair, kind="stable")
    ordered = pair[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    first = np.minimum.reduceat(happened[said][order], starts) if len(starts) else np.empty(0, np.int64)
    of_account, of_value = np.divmod(ordered[starts], max(len(places), 1))
    return list(places), place, of_value, of_account, first


def small_hash(text: str, size: int) -> float:
    """A small category of a text, whatever its case."""
    return float(code32(text.strip().casefold()) % size)
