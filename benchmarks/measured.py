"""What a benchmark hands over: figures beside their peer and their goal, round by round, as one JSON file.

Timings on a shared machine say little by themselves, so every goal is a ratio: ours and the peer are measured in turns
within one run (``rounds``), each round gives one ratio, and what counts is their median, shown with least and most.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

ROUNDS = 5  # the fewest that a median is taken of


class Bound(StrEnum):
    """Which side of its goal a ratio has to be on."""

    AT_LEAST = "at least"  # rates
    AT_MOST = "at most"  # times, memory


@dataclass(frozen=True, slots=True)
class Row:
    """One goal and what was measured for it.

    With a peer, ``ours[i]`` and ``peer[i]`` are of the same round, in ``unit``, and the goal is of ours / peer.
    Without one, the goal is of ours itself, in ``unit``. Nothing measured at all is a row, too: ``note`` says why.
    """

    number: str  # the goal's number, with a letter where it has several rows: "3", "3b"
    what: str  # with the size that was measured: "import of 5 M exchanges"
    unit: str  # of ours and peer: "answers/s", "ms p99", "MiB"
    ours: tuple[float, ...]  # by round; empty: could not be measured
    goal: float
    bound: Bound
    peer_name: str = ""  # empty: there is no peer
    peer: tuple[float, ...] = ()
    note: str = ""  # what bounds it, what differs from the goal's own words, or why nothing was measured

    def __post_init__(self) -> None:
        if self.peer_name and len(self.peer) != len(self.ours):
            raise ValueError(
                f"{self.number} {self.what}: {len(self.ours)} rounds of ours, {len(self.peer)} of the peer"
            )
        if self.peer and not self.peer_name:
            raise ValueError(f"{self.number} {self.what}: the peer has no name")
        if not self.ours and not self.note:
            raise ValueError(f"{self.number} {self.what}: nothing measured, and no note says why")

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours over the peer, by round; ours alone where there is no peer."""
        if not self.peer_name:
            return self.ours
        return tuple(mine / other for mine, other in zip(self.ours, self.peer, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios; NaN where nothing was measured."""
        return statistics.median(self.ratios) if self.ours else math.nan

    @property
    def met(self) -> bool:
        """Whether the median is on the goal's side; what was not measured is not met."""
        return self.ratio >= self.goal if self.bound is Bound.AT_LEAST else self.ratio <= self.goal


@dataclass(frozen=True, slots=True)
class Check:
    """Something that has to be true of every single answer, counted over all of them."""

    number: str
    what: str  # "64 clients at once, every answer compared with the batch answer"
    compared: int
    differences: int
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether there was something to compare and nothing differed."""
        return self.compared > 0 and self.differences == 0


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that have no goal of their own: a curve, a profile by room, shares of steps."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """All that one benchmark found."""

    rows: tuple[Row, ...] = ()
    checks: tuple[Check, ...] = ()
    tables: tuple[Table, ...] = ()

    def __add__(self, other: Measured) -> Measured:
        return Measured(self.rows + other.rows, self.checks + other.checks, self.tables + other.tables)


def write(path: Path, found: Measured) -> None:
    """Writes figures as JSON, with six digits each; NaN and infinity are no figures and are refused."""
    path.write_text(json.dumps(as_json(found), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def hand_over(found: Measured, out: Path | None) -> None:
    """Prints what was measured and, where ``out`` is named, writes it there for the table."""
    print(printed(found))
    if out is not None:
        write(out, found)


def as_json(found: Measured) -> dict[str, object]:
    """As ``write`` writes it."""
    shortened: dict[str, object] = _short(asdict(found))
    return shortened


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_short(inner) for inner in value]
    return value


def read(path: Path) -> Measured:
    """Figures as ``write`` wrote them; ValueError for anything else."""
    return from_json(json.loads(path.read_text(encoding="utf-8")))


def from_json(found: dict[str, Any]) -> Measured:
    """The other way round; keys that are none of ours (the machine, the date) are left alone."""
    return Measured(
        tuple(Row(**{**_tuples(row), "bound": Bound(row["bound"])}) for row in found["rows"]),
        tuple(Check(**check) for check in found["checks"]),
        tuple(Table(**_tuples(table)) for table in found["tables"]),
    )


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuple(value) for key, value in values.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(one) for one in value) if isinstance(value, list) else value


def rounds(count: int, **runs: Callable[[], float]) -> dict[str, tuple[float, ...]]:
    """Measures each of ``runs`` once a round, in turns: every second round backwards, so that a drift is nobody's gain.

    A run returns its figure in its unit (calls a second, seconds of work). What each needs to be warm is its own to do.
    """
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(count):
        for name in list(runs) if turn % 2 == 0 else list(runs)[::-1]:
            figures[name].append(runs[name]())
        progress(f"round {turn + 1} of {count}: " + ", ".join(f"{name} {f[-1]:.4g}" for name, f in figures.items()))
    return {name: tuple(values) for name, values in figures.items()}


def seconds(work: Callable[[], object]) -> Callable[[], float]:
    """A run for ``rounds`` that answers how long ``work`` took by the wall's clock."""

    def timed() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return timed


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least ``share`` of all are not above; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))] if ordered else math.nan


def progress(line: str) -> None:
    """Says on standard error how far a benchmark is; standard output is for figures."""
    print(f"  {line}", file=sys.stderr, flush=True)


def printed(found: Measured) -> str:
    """All of it as text: one line a goal, then the checks, then the tables."""
    lines = []
    if found.rows:
        lines += _aligned(
            ("#", "what", "ours", "peer", "ratio", "goal", "", "spread"), [_cells(row) for row in found.rows]
        )
    for check in found.checks:
        verdict = "met" if check.met else "NOT MET"
        lines.append(
            f"{check.number}  {check.what}: {check.compared:,} compared, {check.differences:,} differ ({verdict})"
        )
    noted: list[Row | Check] = [*found.rows, *found.checks]
    lines += [f"({one.number}) {one.note}" for one in noted if one.note]
    for table in found.tables:
        lines += ["", table.title, *_aligned(table.head, [tuple(figure(cell) for cell in row) for row in table.rows])]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    goal = f"{'>=' if row.bound is Bound.AT_LEAST else '<='} {row.goal:g}"
    if not row.ours:
        return row.number, row.what, "-", row.peer_name or "-", "-", goal, "not measured", "-"
    return (
        row.number,
        row.what,
        f"{figure(statistics.median(row.ours))} {row.unit}",
        f"{row.peer_name} {figure(statistics.median(row.peer))}" if row.peer_name else "-",
        figure(row.ratio) if row.peer_name else "-",
        goal,
        "met" if row.met else "NOT MET",
        f"{figure(min(row.ratios))} to {figure(max(row.ratios))}" if len(row.ours) > 1 else "one run",
    )


def figure(value: str | float) -> str:
    """Three digits that count, with commas from a thousand on: 0.0123, 4.56, 12,300."""
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}" if digits else f"{int(float(f'{value:.4g}')):,}"


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *rows)
    ]
