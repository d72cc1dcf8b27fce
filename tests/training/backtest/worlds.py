"""A small simulated world, and the same one as it would have been written earlier."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from click.testing import CliRunner, Result

from training.backtest.command import backtest_command

TIMES = {"accounts": "created_at", "labels": "decided_at"}


def at(day: int, hour: int = 0) -> datetime:
    """A moment of May 2026."""
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def cut(world: Path, out: Path, until: datetime) -> Path:
    """``world`` as it was at ``until``: no later fact, and no retraction of a label that was still to come."""
    moment = pa.scalar(until, pa.timestamp("us", tz="UTC"))
    for path in sorted(world.rglob("*.parquet")):
        name = path.relative_to(world).parts[0].removesuffix(".parquet")
        if name == "truth":
            continue
        table = pq.read_table(path)
        table = table.filter(pc.less_equal(table[TIMES.get(name, "happened_at")], moment))
        if name == "labels":
            later = pc.greater(table["retracted_at"], moment)
            kept = pc.if_else(
                pc.fill_null(later, False), pa.scalar(None, table["retracted_at"].type), table["retracted_at"]
            )
            table = table.set_column(table.column_names.index("retracted_at"), "retracted_at", kept)
        target = out / path.relative_to(world)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, target)
    return out


def backtest(world: Path, out: Path, *words: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(backtest_command, [str(world), "--out", str(out), *words], catch_exceptions=False)


def answer(done: Result) -> dict[str, Any]:
    """What ``--json`` printed."""
    assert done.exit_code == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def decisions(out: Path) -> list[dict[str, Any]]:
    """The rows of decisions.parquet."""
    return pq.read_table(out / "decisions.parquet").to_pylist()
