"""Partial aggregates per (account, time) and the one group-by that makes and merges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]


class Merge(Enum):
    """How two partials of one column become one; each is associative and commutative."""

    SUM = "sum"
    MIN = "min"
    MAX = "max"
    OR = "or"

    @property
    def ufunc(self) -> np.ufunc:
        """The numpy operation."""
        return _UFUNC[self]


_UFUNC = {Merge.SUM: np.add, Merge.MIN: np.minimum, Merge.MAX: np.maximum, Merge.OR: np.bitwise_or}


@dataclass(frozen=True, slots=True)
class TileColumn:
    """One integer column of a tile."""

    name: str
    merge: Merge
    dtype: str  # narrowest stored type that a tile's value fits: "<i4", "<i8"; computation is always int64
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Tiles:
    """Partials sorted by (account, time), each pair once. Shapes (n,), (n,), (n, number of columns)."""

    account: Int64s
    time: Int64s
    values: Int64s

    @classmethod
    def empty(cls, columns: Sequence[TileColumn]) -> Tiles:
        """No facts at all."""
        none = np.empty(0, np.int64)
        return cls(none, none, np.empty((0, len(columns)), np.int64))

    def __len__(self) -> int:
        return len(self.account)


def merge(columns: Sequence[TileColumn], account: Int64s, time: Int64s, values: Int64s) -> Tiles:
    """The tiles of rows in any order: rows of one (account, time) become one. ``values`` has shape (n, columns)."""
    if len(account) == 0:
        return Tiles.empty(columns)
    if _in_order(account, time):  # as storage has them where nothing came live: then there is nothing to merge, either
        return Tiles(account, time, np.ascontiguousarray(values))
    order = np.lexsort((time, account))
    account, time, values = account[order], time[order], values[order]
    new = np.empty(len(account), bool)
    new[0] = True
    np.not_equal(account[1:], account[:-1], out=new[1:])
    new[1:] |= time[1:] != time[:-1]
    starts = np.flatnonzero(new)
    if len(starts) == len(account):
        return Tiles(account, time, np.ascontiguousarray(values))
    merged = values[starts]
    counts = np.diff(np.append(starts, len(account)))
    several = np.flatnonzero(
        counts > 1
    )  # an import's batches mostly meet in the hour that one ends and the next begins
    together = values[np.repeat(counts > 1, counts)]
    starts_there = np.cumsum(counts[several]) - counts[several]
    for kind in Merge:
        which = [i for i, column in enumerate(columns) if column.merge is kind]
        if which:
            merged[several[:, None], which] = kind.ufunc.reduceat(together[:, which], starts_there, axis=0)
    return Tiles(account[starts], time[starts], merged)


def _in_order(account: Int64s, time: Int64s) -> bool:
    """Whether each (account, time) is above the one before it."""
    before, after = account[:-1], account[1:]
    return bool(((before < after) | ((before == after) & (time[:-1] < time[1:]))).all())


def union(columns: Sequence[TileColumn], parts: Sequence[Tiles]) -> Tiles:
    """The merge of several sets of tiles."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Tiles.empty(columns)
    return merge(
        columns,
        np.concatenate([part.account for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def storage_dtype(columns: Sequence[TileColumn]) -> np.dtype[np.void]:
    """The packed little-endian record of one tile: its time, then each column in its narrow type."""
    return np.dtype([("time", "<i8"), *((column.name, column.dtype) for column in columns)])


def pack(columns: Sequence[TileColumn], tiles: Tiles) -> NDArray[np.void]:
    """Tiles as records of ``storage_dtype``, without the account; values beyond a narrow type are clipped to it."""
    records = np.empty(len(tiles), storage_dtype(columns))
    records["time"] = tiles.time
    for i, column in enumerate(columns):
        dtype = np.dtype(column.dtype)
        limits = np.iinfo(dtype)
        values = tiles.values[:, i]
        records[column.name] = values if dtype == values.dtype else np.clip(values, limits.min, limits.max)
    return records


def unpack(columns: Sequence[TileColumn], account: Int64s, records: NDArray[np.void]) -> Tiles:
    """The inverse of ``pack``, merging records of the same (account, time); ``account`` has one element per record."""
    values = np.empty((len(records), len(columns)), np.int64)
    for i, column in enumerate(columns):
        values[:, i] = records[column.name]
    return merge(columns, account, records["time"].astype(np.int64), values)
