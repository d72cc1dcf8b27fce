"""How long `gatehouse detect` takes, how much memory it needs, and how both grow.

    python -m benchmarks.detection [--accounts 10000 50000 250000] [--each 180] [--hub 200000] [--folder DIR]

For each size a world of ``benchmarks.worlds`` is imported into a new SQLite database by the real command, and every run
of `gatehouse detect` is a process of its own. *First* looks at the moment by which 99 % of the accounts had signed up
and nothing was known of campaigns; *later* half a day on, when one per cent of the accounts are new; *again* is the
same moment once more, which must change nothing. In the largest world a key of the customer's own is then shown by
HUB accounts, and the same moment is looked at again: what that takes more is the price of a hub.

Processor time is what to compare on a busy machine. Peaks are the processes' resident memory. Growth is the slope of
the logarithm of seconds over that of exchanges, from each size to the next one; n log n has the slope that stands
beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.importing import imported
from benchmarks.worlds.world import make_world
from service.domain.time import rfc3339
from service.storage.store import open_store

SEED = 31
CAMPAIGNS = 5
NEW = 0.01  # of the accounts come between the first run and the later one
FULL_S, FULL_MIB, LATER_S = 180, 3 * 1024, 15  # what is aimed at with 50,000 accounts and 9 million exchanges
_EVER = 2**62


@dataclass(frozen=True, slots=True)
class Figure:
    """One run of the command."""

    wall: float
    busy: float  # seconds of processors
    peak_mib: float
    exchanges: int
    campaigns: list[dict[str, object]]
    changed: int

    def __str__(self) -> str:
        """As a line of the table shows it."""
        return (
            f"{self.exchanges:>12,} {self.wall:>8.1f} {self.busy:>8.1f} {self.peak_mib:>9,.0f} "
            f"{len(self.campaigns):>10,} {self.changed:>8,}"
        )


def detected(database: str, as_of: int) -> Figure:
    """One run of the command, in a process of its own."""
    command = [sys.executable, "-m", "service.cli", "detect", "--as-of", rfc3339(as_of), "--database", database]
    before = _busy()
    started = time.perf_counter()
    with TemporaryFile("w+") as out:  # a pipe holds 64 KB, and hundreds of campaigns are told in more
        process = subprocess.Popen([*command, "--json"], stdout=out, stderr=subprocess.DEVNULL)
        peak = _peak(process)
        wall = time.perf_counter() - started
        out.seek(0)
        said = out.read()
    if process.wait() != 0:
        raise SystemExit(f"the detection ended with exit code {process.returncode}")
    told = json.loads(said.splitlines()[-1])
    outcome = sum(len(told[name]) for name in ("created", "changed", "merged", "closed"))
    return Figure(wall, _busy() - before, peak, told["exchanges"], told["campaigns"], outcome)


def _busy() -> float:
    """Processor seconds of the processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak(process: subprocess.Popen[bytes]) -> float:
    """The highest resident memory of a process until it ends, in MiB; NaN where the kernel keeps no such mark."""
    status = Path(f"/proc/{process.pid}/status")
    highest = float("nan")
    while process.poll() is None and status.exists():
        marks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        highest = float(marks[0]) / 1024 if marks else highest
        time.sleep(0.02)
    return highest


@contextmanager
def filled(folder: Path, accounts: int, each: int) -> Iterator[str]:
    """A database with a new world in it; its files go at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="gatehouse-") as name:
        home = Path(name)
        make_world(
            home / "world",
            seed=SEED,
            tactics="reported",
            accounts=accounts,
            exchanges=accounts * each,
            campaigns=CAMPAIGNS if accounts > 20_000 else 3,
        )
        database = f"sqlite:///{home / 'gatehouse.db'}"
        print(
            f"{f'{accounts:,} accounts, imported':34}{imported(home / 'world', database)[1].seconds:>21.1f}", flush=True
        )
        for path in (home / "world" / "usage").iterdir():
            path.unlink()
        yield database


def moments(database: str) -> tuple[int, int]:
    """When all accounts but the newest per cent had signed up, and the end."""
    store = open_store(database)
    try:
        _, created = store.signups_between(-_EVER, _EVER)
        end = store.newest_fact()
        assert end is not None
        return int(np.quantile(created, 1 - NEW, method="lower")), end
    finally:
        store.close()


def show_hub(database: str, folder: Path, size: int) -> None:
    """Lets the first ``size`` accounts that signed up show one key of the customer's own, each at its signup."""
    world = pq.read_table(folder / "world" / "accounts.parquet", columns=["account_id", "created_at"])
    first = world.sort_by("created_at").slice(0, size)
    columns = {
        "account_id": first["account_id"],
        "happened_at": first["created_at"],
        "key_type": pa.array(["hub"] * len(first)),
        "key_value": pa.array(["one"] * len(first)),
    }
    (folder / "hub").mkdir()
    pq.write_table(pa.table(columns), folder / "hub" / "links.parquet")
    imported(folder / "hub", database)


def measure(folder: Path, accounts: int, each: int, hub: int) -> Figure:
    """Prints the figures of one size; gives those of the first run. ``hub``: so many share one key; 0: none."""
    with filled(folder, accounts, each) as database:
        before, end = moments(database)
        first = detected(database, before)
        print(f"{'  first':34}{first}", flush=True)
        print(f"{'  later, 1 % of accounts new':34}{detected(database, end)}", flush=True)
        again = detected(database, end)
        print(f"{'  again, nothing new':34}{again}", flush=True)
        if hub:
            show_hub(database, Path(database.removeprefix("sqlite:///")).parent, hub)
            shared = detected(database, end)
            print(f"{f'  again, {hub:,} share a key':34}{shared}")
            ratio = f"{shared.wall / again.wall:>8.2f} {shared.busy / again.busy:>8.2f}"
            print(f"{'  with the hub / without':34}{'':13}{ratio}", flush=True)
        return first


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detection", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 50_000, 250_000])
    parser.add_argument("--each", type=int, default=180, help="exchanges of an account, on average")
    parser.add_argument("--hub", type=int, default=200_000, help="accounts that share one key in the largest world")
    parser.add_argument("--folder", type=Path, help="where databases are written; 5 GB for 250,000 accounts")
    options = parser.parse_args()
    sizes = sorted(options.accounts)
    print(f"{'':34}{'exchanges':>12} {'wall s':>8} {'busy s':>8} {'peak MiB':>9} {'campaigns':>10} {'changed':>8}")
    found = [
        measure(options.folder, accounts, options.each, min(options.hub, accounts) if accounts == sizes[-1] else 0)
        for accounts in sizes
    ]
    for low, high in pairwise(found):
        ratio = math.log(high.exchanges / low.exchanges)
        slope = math.log(high.busy / low.busy) / ratio
        n_log_n = 1 + math.log(math.log(high.exchanges) / math.log(low.exchanges)) / ratio
        grown = math.log(high.peak_mib / low.peak_mib) / ratio
        print(
            f"from {low.exchanges:,} to {high.exchanges:,} exchanges: busy seconds grow with exponent {slope:.2f} "
            f"(n log n: {n_log_n:.2f}), the peak with {grown:.2f}"
        )
    print(f"aims with 50,000 accounts and 9 million exchanges: first {FULL_S} s, {FULL_MIB:,} MiB; later {LATER_S} s")


if __name__ == "__main__":
    main()
