"""On how many accounts link keys were seen at one moment, counted by the database: all that are shared, or some."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from typing import Protocol

import numpy as np
from sqlalchemy import Connection

from service.domain.facts import Int64s
from service.storage.wide import integers
from service.tiles.fold import WINDOWS
from service.tiles.history import SHARING_CAP, KeyCounts

_LIFE = "life"
_WITHIN = {name: width for name, width in WINDOWS.items() if name != _LIFE}
_WIDTH = 2 + len(_WITHIN)
_ORDER = [2 + list(_WITHIN).index(name) if name in _WITHIN else 1 for name in WINDOWS]
_COUNTED = (
    "SELECT key, count(*), "
    + ", ".join(f"count(*) FILTER (WHERE learned_at > :as_of - {width})" for width in _WITHIN.values())
    + " FROM links WHERE learned_at <= :as_of{which} GROUP BY key HAVING count(*) > 1 ORDER BY key"
)


class Counts(Protocol):
    """The link table at one moment, to be asked by key."""

    def of(self, keys: Int64s) -> KeyCounts:
        """Of these keys, ascending and distinct, those that more than one account had shown."""
        ...


def count_keys(connection: Connection, as_of: int, *, every: bool) -> Counts:
    """Counts as of a moment; ``every``: of the whole table at once, else of the keys asked for when they are."""
    return _All(connection, as_of) if every else _Asked(connection, as_of)


def _counts(as_of: int, rows: Int64s) -> KeyCounts:
    return KeyCounts(np.ascontiguousarray(rows[:, 0]), np.minimum(rows[:, _ORDER], SHARING_CAP + 1), as_of)


def _among(key: Int64s, keys: Int64s) -> Int64s:
    """Places in ``key`` of those of ``keys`` that are there; both ascending."""
    if not len(key):
        return np.empty(0, np.int64)
    place = np.minimum(np.searchsorted(key, keys), len(key) - 1)
    out: Int64s = place[key[place] == keys]
    return out


class _All:
    """Counts of all shared keys in memory, 18 bytes each."""

    def __init__(self, connection: Connection, as_of: int) -> None:
        counts = _counts(as_of, integers(connection, _COUNTED.format(which=""), _WIDTH, as_of=as_of))
        self._as_of, self._key, self._count = as_of, counts.key, counts.count.astype(np.int16)

    def of(self, keys: Int64s) -> KeyCounts:
        mine = _among(self._key, keys)
        return KeyCounts(self._key[mine], self._count[mine].astype(np.int64), self._as_of)


class _Asked:
    """Counts of keys as they are asked for; a hub, which every part of a job asks for, is counted once."""

    def __init__(self, connection: Connection, as_of: int) -> None:
        self._connection, self._as_of = connection, as_of
        self._known = np.empty(0, np.int64)
        self._counts = _counts(as_of, np.empty((0, _WIDTH), np.int64))

    def of(self, keys: Int64s) -> KeyCounts:
        fresh = np.setdiff1d(keys, self._known, assume_unique=True)
        sql = _COUNTED.format(which=" AND key IN @keys")
        parts = [
            integers(self._connection, sql, _WIDTH, as_of=self._as_of, keys=fresh[i : i + 20_000])
            for i in range(0, len(fresh), 20_000)
        ]
        made = [self._counts, *(_counts(self._as_of, rows) for rows in parts)]
        key = np.concatenate([each.key for each in made])
        order = np.argsort(key)
        count = np.concatenate([each.count for each in made])
        self._counts = KeyCounts(key[order], count[order], self._as_of)
        self._known = np.union1d(self._known, fresh)
        mine = _among(self._counts.key, keys)
        return KeyCounts(self._counts.key[mine], self._counts.count[mine], self._as_of)
