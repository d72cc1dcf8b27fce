"""The last measured figures of speed: one file for all benchmarks, with what they were measured on, and as a table.

Each benchmark's part says when and at which commit it was measured, so that one can be measured again without the rest.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measured import Bound, Check, Measured, Row, as_json, figure, from_json
from benchmarks.processes import ROOT

FOLDER = ROOT / "benchmarks" / "results"
FILE, PICTURE = "speed.json", "speed.svg"
LIBRARIES = ("grpcio", "protobuf", "lightgbm", "numpy", "pyarrow", "duckdb", "sqlalchemy", "psycopg")


@dataclass(frozen=True, slots=True)
class Part:
    """What one benchmark found, and when."""

    found: Measured
    measured_at: str  # RFC 3339
    commit: str  # with ``+`` where files differed from it
    machine: str
    versions: dict[str, str]
    others: float  # cores that the machine gave to anything else meanwhile: how far a figure in seconds can be trusted
    seconds: float  # that it took
    full: bool  # at the goals' own sizes, or at smaller ones


@dataclass(frozen=True, slots=True)
class Results:
    """All parts, by the benchmark's name, in the table's order."""

    parts: dict[str, Part] = field(default_factory=dict)

    def all(self) -> Measured:
        """Everything that was found, in order of the goals' numbers."""
        whole = sum((part.found for part in self.parts.values()), Measured())
        return Measured(
            tuple(sorted(whole.rows, key=_in_order)), tuple(sorted(whole.checks, key=_in_order)), whole.tables
        )


def _in_order(one: Row | Check) -> tuple[int, str]:
    digits = re.match(r"\d+", one.number)
    return (int(digits[0]) if digits else 1_000, one.number)


def part_of(found: Measured, *, others: float, seconds: float, full: bool) -> Part:
    """What was found, with the moment, the commit and the machine."""
    return Part(
        found, datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"), commit(), machine(), versions(), others, seconds, full
    )


def save(results: Results, path: Path) -> None:
    """Writes the file."""
    parts = {
        name: {
            **{key: value for key, value in asdict(part).items() if key != "found"},
            "others": round(part.others, 2),
            "seconds": round(part.seconds),
            **as_json(part.found),
        }
        for name, part in results.parts.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(parts, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load(path: Path) -> Results:
    """The file as it was saved; empty where there is none."""
    if not path.exists():
        return Results()
    parts: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    facts = ("measured_at", "commit", "machine", "versions", "others", "seconds", "full")
    return Results({name: Part(from_json(part), **{key: part[key] for key in facts}) for name, part in parts.items()})


class Meanwhile:
    """How many cores anything but this process and its children kept busy since it was made."""

    def __init__(self) -> None:
        self._started, self._busy, self._own = time.monotonic(), _busy(), _own()

    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._started

    def others(self) -> float:
        """In cores, on average; children count once they have ended."""
        return max(0.0, (_busy() - self._busy) - (_own() - self._own)) / max(self.seconds(), 1e-3)


def _busy() -> float:
    spent = psutil.cpu_times()
    return float(spent.user + spent.nice + spent.system + spent.irq + spent.softirq)


def _own() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def machine() -> str:
    """The kind of machine: cores, processor, memory, system; nothing that says whose it is."""
    name = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists() and (found := re.search(r"model name\s*: (.+)", cpu.read_text(encoding="ascii", errors="replace"))):
        name = found[1].strip()
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores ({name}), {memory:.0f} GiB, {platform.system()}"


def versions() -> dict[str, str]:
    """Python's, the measured libraries', and SQLite's version."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "sqlite": sqlite3.sqlite_version,
    }


def commit() -> str:
    """The commit that is measured; ``unknown`` outside a repository."""
    try:
        asked = (
            ("rev-parse", "--short", "HEAD"),
            ("status", "--porcelain", "--untracked-files=no", "service", "training"),
        )
        head, changed = (
            subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607 - whichever git is installed
            for words in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def markdown(results: Results) -> str:
    """The goals as the README's table, then checks, notes and what it was measured on."""
    found = results.all()
    lines = ["| # | what | ours | peer | ratio | goal | | least to most |", "|---|---|---|---|---|---|---|---|"]
    for row in found.rows:
        goal = f"{'≥' if row.bound is Bound.AT_LEAST else '≤'} {row.goal:g}"
        if not row.ours:
            lines.append(f"| {row.number} | {row.what} | | {row.peer_name} | | {goal} | not measured | |")
            continue
        ours, least, most = statistics.median(row.ours), min(row.ratios), max(row.ratios)
        peer = f"{row.peer_name} {figure(statistics.median(row.peer))}" if row.peer_name else ""
        lines.append(
            f"| {row.number} | {row.what} | {figure(ours)} {row.unit} | {peer} "
            f"| {figure(row.ratio) if row.peer_name else ''} | {goal} | {'met' if row.met else '**not met**'} "
            f"| {f'{figure(least)} to {figure(most)}' if len(row.ours) > 1 else 'one run'} |"
        )
    lines.append("")
    lines += [f"- {one.what}: {one.compared:,} compared, differences: {one.differences:,}." for one in found.checks]
    noted: list[Row | Check] = [*found.rows, *found.checks]
    lines += [f"- ({one.number}) {one.note}" for one in noted if one.note]
    return "\n".join([*lines, "", f"Measured on {measured_on(results)}."])


def measured_on(results: Results) -> str:
    """The machine, the day and how busy others kept it; empty without results."""
    parts = list(results.parts.values())
    if not parts:
        return ""
    days = sorted({part.measured_at[:10] for part in parts})
    commits = ", ".join(dict.fromkeys(part.commit for part in sorted(parts, key=lambda part: part.measured_at)))
    others = sorted(part.others for part in parts)
    taken = " to ".join(dict.fromkeys(f"{each:.1f}" for each in (others[0], others[-1])))
    return (
        f"{parts[0].machine}, Python {parts[0].versions['python']}, {' to '.join(dict.fromkeys((days[0], days[-1])))}, "
        f"at {commits}, while other work took {taken} cores"
    )
