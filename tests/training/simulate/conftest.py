"""One simulated world, written once, that the promises are checked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.simulate import SimulationSummary, simulate

START = datetime(2026, 4, 22, tzinfo=UTC)
DAYS = 21


@dataclass(frozen=True, slots=True)
class Written:
    """A world on disk."""

    folder: Path
    summary: SimulationSummary
    start: datetime
    end: datetime

    def table(self, name: str) -> pa.Table:
        path = self.folder / f"{name}.parquet"
        return pq.read_table(path if path.exists() else self.folder / name)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("simulated") / "world"
    summary = simulate(folder, accounts=3000, days=DAYS, campaigns=6, seed=7, start=START)
    return Written(folder, summary, START, START + timedelta(days=DAYS))


@pytest.fixture
def small() -> Callable[..., SimulationSummary]:
    def write(out: Path, *, accounts: int = 500, days: int = 5, campaigns: int = 2, seed: int = 3) -> SimulationSummary:
        return simulate(out, accounts=accounts, days=days, campaigns=campaigns, seed=seed, start=START)

    return write
