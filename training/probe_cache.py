"""Rows of probes kept from one training to the next in the same process, for whoever trains many times.

A row of a past moment is the same whenever it is computed, unless a fact of then comes late or an account is erased.
That is asked of the store before any row is used again (``Store.past``), whoever wrote to it; where the past is another
one, or there are other features, nothing is used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from service.domain.codes import mix64
from service.domain.facts import Float32s, Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """``n`` computed probes; 1.1 kB each with 250 features."""

    account: Int64s
    age: Int64s  # microseconds after signup, as asked for
    at: Int64s  # the moment that the row is of: later where the signup came live and late
    matrix: Float32s  # (n, features)
    ruled: Float32s


class Pasts(Protocol):
    """What the cache reads of the store."""

    def past(self, as_of: int) -> tuple[int, str]:
        """A moment up to ``as_of``, and a text that is the same as long as nothing of the time before it changed."""
        ...


class ProbeCache:
    """Rows of one store that this process has computed, for ``dataset.build``. Not for several threads at once.

    It holds on to the arrays of the latest dataset built with it, which become read-only, and to nothing else.
    """

    def __init__(self, store: Pasts) -> None:
        self._store = store
        self._names: tuple[str, ...] = ()
        self._until, self._past = 0, ""
        self._forget()
        self.reused = 0  # rows, by the latest build
        self.computed = 0

    def _forget(self) -> None:
        self._rows: Rows | None = None
        self._order = self._keys = np.empty(0, np.int64)  # of the rows that are settled: by key, and the keys

    def begin(self, as_of: int, names: tuple[str, ...]) -> None:
        """A build as of ``as_of`` of the features called ``names`` begins; nothing was read for it yet.

        Forgets everything where the past is not what it was, or features are others.
        """
        if self._rows is not None and (names != self._names or self._store.past(self._until)[1] != self._past):
            self._forget()
        self._names = names
        # before anything is read: where facts come late meanwhile, the next build finds another text
        self._until, self._past = self._store.past(as_of)

    def fill(self, asked: Rows) -> Int64s:
        """Fills in the rows that are kept; returns the places of the others, ascending."""
        missing = np.arange(len(asked.at))
        if self._rows is not None and len(self._keys):
            place = np.minimum(np.searchsorted(self._keys, _key(asked.account, asked.age)), len(self._keys) - 1)
            kept = self._order[place]
            there = (self._rows.account[kept] == asked.account) & (self._rows.age[kept] == asked.age)
            kept, missing = kept[there], missing[~there]
            asked.at[there] = self._rows.at[kept]
            asked.matrix[there], asked.ruled[there] = self._rows.matrix[kept], self._rows.ruled[kept]
        self.reused, self.computed = len(asked.at) - len(missing), len(missing)
        return missing

    def keep(self, rows: Rows) -> None:
        """Keeps, of the rows of the build that began, those of moments that are settled."""
        for array in (rows.matrix, rows.ruled):
            array.flags.writeable = False
        settled = np.flatnonzero(rows.at < self._until)
        keys = _key(rows.account[settled], rows.age[settled])
        by = np.argsort(keys, kind="stable")
        self._rows, self._order, self._keys = rows, settled[by], keys[by]


def _key(account: Int64s, age: Int64s) -> Int64s:
    """One number a probe; two that share it by chance are told apart by what they are, and one is computed anew."""
    out: Int64s = (mix64(account) ^ mix64(age ^ np.int64(0x5A17))).view(np.int64)
    return out
