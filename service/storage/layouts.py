"""What the packed columns (profiles, payment facts, tiles) held when they were written.

A later version has more fields. It reads old rows by their fields' names, and gives what they lack the value that
means nothing: NaN in a profile, the neutral element of its merge in a tile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import hash64
from service.domain.profile import PROFILE
from service.storage.sql import Int64s, Runs, Values, insert, run
from service.storage.tables import layouts
from service.tiles.payments import PAYMENT_COLUMNS
from service.tiles.rows import Merge, TileColumn, storage_dtype
from service.tiles.usage import USAGE_COLUMNS

Fields = tuple[tuple[str, str], ...]

PROFILE_FIELDS: Fields = tuple((fact.name, "<f4") for fact in PROFILE)
PAYMENT_FIELDS: Fields = tuple((column.name, "<i8") for column in PAYMENT_COLUMNS)
USAGE_FIELDS: Fields = (("time", "<i8"), *((column.name, column.dtype) for column in USAGE_COLUMNS))
USAGE_DTYPE = storage_dtype(USAGE_COLUMNS)

_NEUTRAL = {Merge.SUM: 0, Merge.OR: 0, Merge.MIN: np.iinfo(np.int64).max, Merge.MAX: np.iinfo(np.int64).min}


@lru_cache(maxsize=64)
def number(fields: Fields) -> int:
    """The layout's number, the same on every server."""
    return hash64(json.dumps(fields))


def known(connection: Runs) -> dict[int, Fields]:
    """Every layout that rows may have."""
    return {
        layout: tuple((name, kind) for name, kind in json.loads(fields))
        for layout, fields in run(connection, "SELECT layout, fields FROM layouts")
    }


def declare(connection: Runs) -> None:
    """Records this code's layouts, if they are new."""
    ours = (PROFILE_FIELDS, PAYMENT_FIELDS, USAGE_FIELDS)
    rows: dict[str, Values] = {
        "layout": [number(fields) for fields in ours],
        "fields": [json.dumps(fields) for fields in ours],
    }
    insert(connection, layouts, rows, "ON CONFLICT DO NOTHING")


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A packed column of n rows, its values one after another."""

    layout: Int64s  # (n,)
    size: Int64s  # (n,) bytes of each
    joined: bytes

    @classmethod
    def of(cls, layout: Sequence[int], values: Sequence[bytes]) -> Packed:
        """From rows; their values need not be of one layout."""
        return cls(np.array(layout, np.int64), np.array([len(value) for value in values], np.int64), b"".join(values))

    def __len__(self) -> int:
        return len(self.layout)

    def used(self) -> set[int]:
        """Its layouts."""
        return set(_distinct(self.layout).tolist())

    def take(self, rows: NDArray[np.intp]) -> Packed:
        """These rows, in this order."""
        if len(rows) == len(self.layout) and (rows[1:] > rows[:-1]).all():
            return self
        return Packed(self.layout[rows], self.size[rows], self._joined(rows))

    def _joined(self, rows: NDArray[np.intp]) -> bytes:
        end = np.cumsum(self.size)[rows]
        bounds = zip((end - self.size[rows]).tolist(), end.tolist(), strict=True)
        return b"".join([self.joined[low:high] for low, high in bounds])

    def by_layout(self) -> Iterator[tuple[int, NDArray[np.intp], bytes]]:
        """Of each layout its rows, ascending, and their values joined."""
        distinct = _distinct(self.layout)
        if len(distinct) == 1:
            yield int(distinct[0]), np.arange(len(self.layout)), self.joined
            return
        for each in distinct.tolist():
            rows = np.flatnonzero(self.layout == each)
            yield each, rows, self._joined(rows)


def _distinct(layout: Int64s) -> Int64s:
    """Ascending; nearly always it is one."""
    return layout[:1] if len(layout) and (layout == layout[0]).all() else np.unique(layout)


def profiles(packed: Packed, of: dict[int, Fields]) -> NDArray[np.float32]:
    """Profiles in this code's order, shape (n, facts)."""
    out = np.full((len(packed), len(PROFILE_FIELDS)), np.nan, np.float32)
    for each, rows, joined in packed.by_layout():
        there = of[each]
        table = np.frombuffer(joined, "<f4").reshape(len(rows), len(there))
        if there == PROFILE_FIELDS:
            out[rows] = table
        else:
            ours, theirs = _common(there)
            out[rows[:, None], ours] = table[:, theirs]
    return out


@lru_cache(maxsize=64)
def _common(there: Fields) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the facts that this code and an older layout share stand in either; looked up once, not at each read."""
    place = {name: i for i, (name, _) in enumerate(there)}
    both = [(ours, place[name]) for ours, (name, _) in enumerate(PROFILE_FIELDS) if name in place]
    found = np.array(both, np.intp).reshape(-1, 2)
    return found[:, 0].copy(), found[:, 1].copy()


def payment_values(packed: Packed, of: dict[int, Fields]) -> Int64s:
    """Payment facts in this code's order, shape (n, columns)."""
    return _values(PAYMENT_COLUMNS, packed, of)


def _values(columns: Sequence[TileColumn], packed: Packed, of: dict[int, Fields]) -> Int64s:
    out = np.empty((len(packed), len(columns)), np.int64)
    for each, rows, joined in packed.by_layout():
        records = np.frombuffer(joined, np.dtype(list(of[each])))
        for i, column in enumerate(columns):
            there = column.name in (records.dtype.names or ())
            out[rows, i] = records[column.name] if there else _NEUTRAL[column.merge]
    return out


def usage_records(account: Int64s, packed: Packed, of: dict[int, Fields]) -> tuple[Int64s, NDArray[np.void]]:
    """Packed tiles as (account of each record, records in this code's layout), in the order of the rows of a layout."""
    who: list[Int64s] = []
    parts: list[NDArray[np.void]] = []
    for each, rows, joined in packed.by_layout():
        dtype = np.dtype(list(of[each]))
        records = np.frombuffer(joined, dtype)
        who.append(np.repeat(account[rows], packed.size[rows] // dtype.itemsize))
        parts.append(records if dtype == USAGE_DTYPE else _converted(records))
    if not parts:
        return np.empty(0, np.int64), np.empty(0, USAGE_DTYPE)
    return (who[0], parts[0]) if len(parts) == 1 else (np.concatenate(who), np.concatenate(parts))


def _converted(records: NDArray[np.void]) -> NDArray[np.void]:
    out = np.empty(len(records), USAGE_DTYPE)
    out["time"] = records["time"]
    for column in USAGE_COLUMNS:
        if column.name in (records.dtype.names or ()):
            out[column.name] = records[column.name]
        else:
            limits = np.iinfo(np.dtype(column.dtype))
            out[column.name] = np.clip(_NEUTRAL[column.merge], limits.min, limits.max)
    return out
