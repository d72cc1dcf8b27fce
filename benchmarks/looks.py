"""What one look for campaigns costs in an instance that remembers, as a backtest or a scheduler holds it.

    python -m benchmarks.looks [--accounts 50000] [--each 180] [--days 45] [--from-day 0] [--step-hours 6]

A world of ``benchmarks.worlds`` is imported into a new SQLite database by the real command; then one ``Detect`` looks
at it every six hours from its first day to its last. Each line is a day. A fresh instance looks at the last moment,
too: what it takes more is what remembering saves; what both find is the same to the last bit, which a test of the use
case compares. Processor time is what to compare on a busy machine; two threads share a part of the work, so on an idle
one the wall is shorter.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.detection import filled
from benchmarks.worlds.world import START
from service.app import App
from service.domain.time import DAY, HOUR
from service.settings import Settings
from service.usecases.detect import Detect

AIM_S = 4.0  # a look at 50,000 accounts and 9 million exchanges, the median of a replay of 45 days


@dataclass(frozen=True, slots=True)
class Look:
    """One look."""

    at: int
    wall: float
    busy: float  # seconds of processors
    exchanges: int
    accounts: int


def look(detect: Detect, at: int) -> Look:
    """Looks, and says what it took."""
    wall, busy = time.perf_counter(), time.process_time()
    report = detect(as_of=at, holder=__name__, clock=lambda: at)
    return Look(at, time.perf_counter() - wall, time.process_time() - busy, report.exchanges, report.accounts)


def line(label: str, looks: list[Look]) -> str:
    """As the table shows several looks: medians."""
    wall, busy = (float(np.median([getattr(each, name) for each in looks])) for name in ("wall", "busy"))
    return f"{label:20}{looks[-1].accounts:>10,}{looks[-1].exchanges:>13,}{wall:>9.2f}{busy:>9.2f}{_peak():>10,.0f}"


def _peak() -> float:
    """The highest resident memory since ``_forget_peak``, in MiB; NaN where the kernel keeps no such mark."""
    status = Path("/proc/self/status")
    marks = [each.split()[1] for each in status.read_text().splitlines() if each.startswith("VmHWM")]
    return float(marks[0]) / 1024 if marks else float("nan")


def _forget_peak() -> None:
    """Making the world took more than looking at it."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.looks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=50_000)
    parser.add_argument("--each", type=int, default=180, help="exchanges of an account, on average")
    parser.add_argument("--days", type=int, default=45, help="of the world's 45, the last that is looked at")
    parser.add_argument("--from-day", type=int, default=0)
    parser.add_argument("--step-hours", type=int, default=6)
    parser.add_argument("--folder", type=Path, help="where the database is written; 2 GB for 50,000 accounts")
    options = parser.parse_args()
    print(f"{'':20}{'accounts':>10}{'exchanges':>13}{'wall s':>9}{'busy s':>9}{'peak MiB':>10}")
    with filled(options.folder, options.accounts, options.each) as database:
        _forget_peak()
        with App.open(Settings(database_url=database), upgrade=True) as app:
            looks: list[Look] = []
            for day in range(options.from_day, options.days):
                first = START + day * DAY
                today = [
                    look(app.detect, at)
                    for at in range(first + options.step_hours * HOUR, first + DAY + 1, options.step_hours * HOUR)
                ]
                looks += today
                print(line(f"day {day + 1}", today), flush=True)
            print(line("all looks", looks))
            print(f"{'in all':43}{sum(each.wall for each in looks):>9.1f}{sum(each.busy for each in looks):>9.1f}")
            print(line("one that is new", [look(Detect(app.store, app.detect.judge), looks[-1].at)]))
    print(f"aim with 50,000 accounts and 9 million exchanges: a median of {AIM_S:g} s")


if __name__ == "__main__":
    main()
