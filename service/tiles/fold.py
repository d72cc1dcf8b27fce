"""The fold of tiles over windows: one definition for one probe and for ten million.

It reads declarations and knows no feature. Tiles of one account are consecutive and in time order, so a window is a
range of rows: sums are differences of running totals, the rest a ``reduceat`` over the range. The house's plan had this
fold twice, as small reads and as one relational expression; integers in numpy serve both, so "many equals one" is a
property of one function instead of a promise between two (``benchmarks/fold.py`` has it beside the same windows as
a range join on DuckDB).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.domain.time import DAY, HOUR
from service.tiles.payments import PAYMENT_COLUMNS
from service.tiles.rows import Int64s, Merge, TileColumn, Tiles
from service.tiles.usage import USAGE_COLUMNS

WINDOWS: dict[str, int] = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "life": 2**61}
LONGEST_WINDOW = 30 * DAY

FEW = 512  # probes

ABSENT_MIN = np.iinfo(np.int64).max  # the minimum over a window without tiles
ABSENT_MAX = np.iinfo(np.int64).min  # the maximum over one


_NEUTRAL = {Merge.SUM: 0, Merge.MIN: ABSENT_MIN, Merge.MAX: ABSENT_MAX, Merge.OR: 0}


@dataclass(frozen=True, slots=True)
class FoldColumn:
    """One integer per (probe, window): ``of`` maps tiles to one value a row, ``merge`` folds those of the window."""

    name: str
    merge: Merge
    of: Callable[[Tiles], Int64s]


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """Fold columns grouped by operation, so that each window costs one operation a group and not one a column."""

    groups: tuple[tuple[Merge, tuple[FoldColumn, ...]], ...]
    columns: dict[Merge, tuple[FoldColumn, ...]]  # the same
    index: dict[str, tuple[Merge, int]]

    @classmethod
    def of(cls, columns: Sequence[FoldColumn]) -> FoldPlan:
        """The plan of ``columns``; their names must be distinct."""
        groups = tuple((kind, tuple(c for c in columns if c.merge is kind)) for kind in Merge)
        index = {column.name: (kind, i) for kind, group in groups for i, column in enumerate(group)}
        if len(index) != len(columns):
            raise ValueError("two fold columns share a name")
        return cls(tuple((kind, group) for kind, group in groups if group), dict(groups), index)


@dataclass(frozen=True, slots=True)
class Folded:
    """``values[window][merge]`` has shape (probes, columns of that merge)."""

    plan: FoldPlan
    values: dict[str, dict[Merge, Int64s]]
    empty: bool = False  # there were no tiles at all

    def column(self, name: str, window: str) -> Int64s:
        """Shape (probes,)."""
        kind, i = self.plan.index[name]
        return np.ascontiguousarray(self.values[window][kind][:, i])


@dataclass(frozen=True, slots=True, eq=False)
class FoldedWhenAsked:
    """The same of very many probes: a column is folded over a window when somebody asks for it.

    A model reads some 60 of 280 columns and windows. A few probes are folded at once, in as few operations as can be.
    """

    plan: FoldPlan
    tiles: Tiles
    begin: dict[str, Int64s]  # of each window, each probe's first tile
    stop: Int64s  # behind each probe's last
    empty: bool = False
    _some: dict[str, Int64s] = field(default_factory=dict)  # probes with a tile in the window, which most have none in
    _rows: dict[str, Int64s] = field(default_factory=dict)  # a column of all tiles; running totals of it, from 0 on

    def column(self, name: str, window: str) -> Int64s:
        """Shape (probes,)."""
        kind, i = self.plan.index[name]
        if name not in self._rows:
            rows = self.plan.columns[kind][i].of(self.tiles)
            self._rows[name] = np.concatenate([[0], np.cumsum(rows)]) if kind is Merge.SUM else rows
        if window not in self._some:
            self._some[window] = np.flatnonzero(self.begin[window] < self.stop)
        rows, some, low = self._rows[name], self._some[window], self.begin[window]
        if kind is not Merge.SUM:
            return _reduce(kind, rows, low, self.stop, some)
        out = np.zeros(len(low), np.int64)
        out[some] = rows[self.stop[some]] - rows[low[some]]
        return out


def search(values: Int64s, low: Int64s, high: Int64s, target: Int64s) -> Int64s:
    """For each probe the first index in [low, high) whose value is greater than its target, else high.

    ``values`` ascends within each [low, high). Both ends are looked at first, between which two in three targets of a
    window are not. Then vectorised bisection; a probe takes part for as many rounds as its own range has bits, so that
    the few on a key that thousands share do not cost all others as many.
    """
    out = low.copy()
    open_ = np.flatnonzero(low < high)
    low, high, target = low[open_], high[open_], target[open_]
    beyond = values[high - 1] <= target
    out[open_[beyond]] = high[beyond]
    within = ~beyond & (values[low] <= target)
    open_, low, high, target = open_[within], low[within] + 1, high[within] - 1, target[within]
    settled = low >= high
    out[open_[settled]] = low[settled]
    open_, low, high, target = open_[~settled], low[~settled], high[~settled], target[~settled]
    while len(open_):
        middle = (low + high) >> 1
        right = values[middle] <= target
        low = np.where(right, middle + 1, low)
        high = np.where(right, high, middle)
        going = low < high
        if not going.all():
            done = ~going
            out[open_[done]] = low[done]
            open_, low, high, target = open_[going], low[going], high[going], target[going]
    return out


def expand(low: NDArray[np.intp], high: NDArray[np.intp]) -> tuple[Int64s, Int64s]:
    """All (i, j) with low[i] <= j < high[i], i ascending."""
    count = high - low
    i = np.repeat(np.arange(len(low), dtype=np.int64), count)
    offset = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
    return i, np.repeat(low, count) + offset


def fold(
    plan: FoldPlan, tiles: Tiles, account: Int64s, start: dict[str, Int64s], end: Int64s
) -> Folded | FoldedWhenAsked:
    """Folds, for each probe i and window w, the tiles of ``account[i]`` with ``start[w][i] < time <= end[i]``.

    Windows are in order of length, the shortest first.
    """
    if len(tiles) == 0:  # every new signup: nothing to search, and twenty small operations saved
        nothing = {kind: np.full((len(account), len(group)), _NEUTRAL[kind], np.int64) for kind, group in plan.groups}
        return Folded(plan, dict.fromkeys(start, nothing), empty=True)
    first = np.searchsorted(tiles.account, account, "left")
    after = np.searchsorted(tiles.account, account, "right")
    stop = search(tiles.time, first, after, end)
    begin, low = {}, first
    for window, at in reversed(start.items()):  # a window begins no earlier than the next longer one
        low = begin[window] = search(tiles.time, low, stop, at)
    if len(account) > FEW:
        return FoldedWhenAsked(plan, tiles, begin, stop)
    values: dict[str, dict[Merge, Int64s]] = {window: {} for window in start}
    some = {window: np.flatnonzero(low < stop) for window, low in begin.items()}  # most accounts rest in most windows
    for kind, group in plan.groups:
        rows = np.empty((len(tiles), len(group)), np.int64)
        for i, column in enumerate(group):
            rows[:, i] = column.of(tiles)
        if kind is Merge.SUM:
            running = np.zeros((len(tiles) + 1, len(group)), np.int64)
            np.cumsum(rows, axis=0, out=running[1:])
            for window, low in begin.items():
                there = some[window]
                values[window][kind] = out = np.zeros((len(account), len(group)), np.int64)
                out[there] = running[stop[there]] - running[low[there]]
        else:
            for window, low in begin.items():
                values[window][kind] = _reduce(kind, rows, low, stop, some[window])
    return Folded(plan, values)


def _reduce(kind: Merge, rows: Int64s, low: Int64s, stop: Int64s, some: Int64s) -> Int64s:
    neutral = _NEUTRAL[kind]
    out = np.full((len(low), *rows.shape[1:]), neutral, np.int64)
    if len(some):
        padded = np.concatenate([rows, np.full((1, *rows.shape[1:]), neutral, np.int64)])
        bounds = np.empty(2 * len(some), np.intp)
        bounds[0::2], bounds[1::2] = low[some], stop[some]
        out[some] = kind.ufunc.reduceat(padded, bounds, axis=0)[0::2]
    return out


def _tile(columns: Sequence[TileColumn], name: str) -> Callable[[Tiles], Int64s]:
    i = [column.name for column in columns].index(name)
    return lambda tiles: tiles.values[:, i]


def _as_declared(columns: Sequence[TileColumn]) -> list[FoldColumn]:
    return [FoldColumn(column.name, column.merge, _tile(columns, column.name)) for column in columns]


_requests = _tile(USAGE_COLUMNS, "requests")


def _in_hour_of_day(hour: int) -> Callable[[Tiles], Int64s]:
    return lambda tiles: np.where((tiles.time // HOUR) % 24 == hour, _requests(tiles), 0)


def _ones(tiles: Tiles) -> NDArray[np.int64]:
    return np.ones(len(tiles), np.int64)


USAGE_FOLD = FoldPlan.of(
    [
        *_as_declared(USAGE_COLUMNS),
        FoldColumn("active_hours", Merge.SUM, _ones),
        FoldColumn("requests_sq", Merge.SUM, lambda tiles: _requests(tiles) ** 2),
        FoldColumn("requests_max", Merge.MAX, _requests),
        FoldColumn("first_hour", Merge.MIN, lambda tiles: tiles.time),
        FoldColumn("last_hour", Merge.MAX, lambda tiles: tiles.time),
        *(FoldColumn(f"hour_{hour:02d}", Merge.SUM, _in_hour_of_day(hour)) for hour in range(24)),
    ]
)
PAYMENT_FOLD = FoldPlan.of(_as_declared(PAYMENT_COLUMNS))


def fold_usage(tiles: Tiles, account: Int64s, as_of: Int64s) -> Folded | FoldedWhenAsked:
    """Usage windows: they end at the last closed hour before ``as_of``, whose tile starts an hour earlier."""
    end = as_of - as_of % HOUR - HOUR  # the last closed hour's tile time
    return fold(USAGE_FOLD, tiles, account, {name: end - width for name, width in WINDOWS.items()}, end)


def fold_payments(tiles: Tiles, account: Int64s, as_of: Int64s) -> Folded | FoldedWhenAsked:
    """Payment windows: to the microsecond, ``as_of - width < learned <= as_of``."""
    return fold(PAYMENT_FOLD, tiles, account, {name: as_of - width for name, width in WINDOWS.items()}, as_of)
