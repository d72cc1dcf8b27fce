"""A whole installation of one size: import, detect, train and rescore, each by the real command in its own process.

    python -m benchmarks.headline [--full] [--accounts 3000 10000 30000] [--exchanges-per-day 35] [--worlds DIR]

For each size one simulated world is written (kept and used again where ``--worlds`` names a folder), imported into a
new SQLite file, and looked at as of its end: ``detect``, ``train --promote always`` (what is measured is the training
of a model, not what the gate says of it) and ``rescore --all``. Seconds are of a clock, processor seconds of the
process and its children; memory is the highest mark of each of a step's processes, added. The defaults give some 165
exchanges an account, so that 300,000 accounts (``--full``) have fifty million. Growth is told from each size to the
next: the power of the number of accounts with which processor seconds rise; 1 is linear.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from benchmarks.measured import Bound, Measured, Row, Table, printed, progress, write
from benchmarks.processes import GATEHOUSE, ran
from service.domain.time import DAY, micros, rfc3339
from training.simulate import DEFAULT_START

DAYS = 45
SEED = 1
ACCOUNTS_A_CAMPAIGN = 2_000
QUICK, FULL = (3_000, 10_000, 30_000), (30_000, 100_000, 300_000)
GOAL_MIN, GOAL_GIB = 20, 6
_MOST = Bound.AT_MOST
END = micros(DEFAULT_START) + DAYS * DAY


@dataclass(frozen=True, slots=True)
class Step:
    """What one command took."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    share: float = 0.0  # of the seconds of all steps


@dataclass(frozen=True, slots=True)
class Run:
    """One size."""

    accounts: int
    exchanges: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    steps: tuple[Step, ...]


def command(name: str, *arguments: str) -> Step:
    """Runs a command to its end; RuntimeError where it fails, with its last words."""
    run = ran(*GATEHOUSE, name, *arguments)
    return Step(name, run.seconds, run.cpu_seconds, run.peak_mib)


def world(folder: Path, accounts: int, exchanges_per_day: float) -> Path:
    """The simulated world of that size below ``folder``, made where it is not there yet."""
    out = folder / f"world-{accounts}-{exchanges_per_day:g}"
    if not (out / "truth.parquet").exists():
        campaigns = max(3, accounts // ACCOUNTS_A_CAMPAIGN)
        asked = {"accounts": accounts, "days": DAYS, "campaigns": campaigns, "seed": SEED}
        options = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
        step = command("simulate", str(out), *options, "--exchanges-per-day", str(exchanges_per_day))
        progress(f"a world of {accounts:,} accounts in {step.seconds:.0f} s")
    return out


def measured(directory: Path, folder: Path, accounts: int) -> Run:
    """All steps on one world; the database is made below ``folder``."""
    where = ("--database", f"sqlite:///{folder / 'gatehouse.db'}")
    moment = ("--as-of", rfc3339(END))
    steps: list[Step] = []
    for words in (
        ("import", str(directory)),
        ("detect", *moment),
        ("train", *moment, "--promote", "always"),
        ("rescore", "--all", *moment),
    ):
        steps.append(command(*words, *where))
        last = steps[-1]
        progress(f"{accounts:,}: {last.name} {last.seconds:.1f} s, of processors {last.cpu_seconds:.1f} s")
    seconds = sum(one.seconds for one in steps)
    return Run(
        accounts=accounts,
        exchanges=_rows(directory),
        seconds=seconds,
        cpu_seconds=sum(one.cpu_seconds for one in steps),
        peak_mib=max(one.peak_mib for one in steps),
        steps=tuple(replace(one, share=one.seconds / seconds) for one in steps),
    )


def _rows(directory: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in (directory / "usage").glob("*.parquet"))


def growth(runs: Sequence[Run]) -> dict[str, list[float]]:
    """For each step, and in all, the power with which its processor seconds rise from one size to the next."""
    out: dict[str, list[float]] = {}
    for small, large in pairwise(runs):
        by = math.log(large.accounts / small.accounts)
        for before, after in zip(small.steps, large.steps, strict=True):
            out.setdefault(before.name, []).append(math.log(after.cpu_seconds / before.cpu_seconds) / by)
        out.setdefault("all", []).append(math.log(large.cpu_seconds / small.cpu_seconds) / by)
    return out


def told(runs: Sequence[Run]) -> Measured:
    """Goals, of the largest size, and tables of all."""
    last = runs[-1]
    size = f"{last.accounts:,} accounts, {last.exchanges:,} exchanges"
    share = last.accounts / FULL[-1]
    words = f"{last.cpu_seconds / 60:.1f} min of processors; the rest is waiting for disks and for them"
    if share < 1:
        words += f"; {share:.0%} of the goal's accounts, and of its minutes"
    rows = (
        Row(
            "9",
            f"import, detect, train, rescore: {size}",
            "min",
            (last.seconds / 60,),
            GOAL_MIN * share,
            _MOST,
            note=words,
        ),
        Row("9b", f"memory of any step: {size}", "GiB", (last.peak_mib / 1024,), GOAL_GIB, _MOST),
    )
    steps: tuple[tuple[str | float, ...], ...] = tuple(
        (run.accounts, run.exchanges, one.name, one.seconds, f"{one.share:.0%}", one.cpu_seconds, one.peak_mib / 1024)
        for run in runs
        for one in run.steps
    )
    head = ("accounts", "exchanges", "step", "seconds", "share", "processors, s", "GiB")
    powers: tuple[tuple[str | float, ...], ...] = tuple((step, *values) for step, values in growth(runs).items())
    sizes = tuple(f"{small.accounts:,} to {large.accounts:,}" for small, large in pairwise(runs))
    return Measured(rows, (), (Table("Steps", head, steps), Table("Growth, 1: linear", ("step", *sizes), powers)))


def main() -> int:
    """Prints all sizes, and how each step grows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.headline")
    parser.add_argument("--accounts", type=int, nargs="+", help=f"sizes, ascending [default: {QUICK}]")
    parser.add_argument("--full", action="store_true", help=f"the goal's size, and two smaller ones: {FULL}")
    parser.add_argument("--exchanges-per-day", type=float, default=35.0, help="on a day on which an account is used")
    parser.add_argument("--worlds", type=Path, help="keep the worlds here, and use those that are here already")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    runs: list[Run] = []
    with TemporaryDirectory() as name:
        worlds = options.worlds or Path(name)
        for accounts in options.accounts or (FULL if options.full else QUICK):
            directory = world(worlds, accounts, options.exchanges_per_day)
            folder = Path(name) / str(accounts)
            folder.mkdir()
            runs.append(measured(directory, folder, accounts))
            shutil.rmtree(folder)
            if options.out is not None:
                write(options.out, told(runs))  # after each size: the last one takes as long as all before
    print(printed(told(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
