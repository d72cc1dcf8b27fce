"""Rows to train on, beside one plain DuckDB statement over the same imported facts.

    python -m benchmarks.training_rows [--accounts 18000] [--exchanges-per-day 35] [--home DIR] [--out FILE]

A simulated world is imported by the real command. Ours is the whole path of ``gatehouse train`` up to its rows, for
every account of the database at the moments that training asks about (six ages, and before confirmations): histories
read from the database, folded, made into all features, 250 a row. DuckDB, with two threads, reads the usage segments of
the same database (Parquet), joins the same probes to the exchanges of their account that were learned within 30 days
before, and gives the sums and counts that our fold has of usage, over the same four windows: exchanges, errors,
refusals, tokens, logarithms of tokens and their squares ... It computes no distinct counts, no minima, no linkage, no
payments and no features. The plain statement is one join and one group-by; beside it stands the quickest that we found,
which sums twice. What both compute is compared, integer by integer.

180,000 accounts with the other defaults are a million rows over thirty million exchanges.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.measured import Bound, Check, Measured, Row, Table, hand_over, rounds, seconds
from benchmarks.processes import GATEHOUSE, ran
from service.app import App
from service.domain.facts import Int64s
from service.domain.time import DAY, HOUR, micros
from service.settings import Settings
from service.tiles.fold import WINDOWS, fold_usage
from service.tiles.usage import FIXED_POINT
from training.dataset import Dataset, build
from training.simulate import DEFAULT_START

DAYS = 45
END = micros(DEFAULT_START) + DAYS * DAY
SEED = 2
FULL = 180_000  # accounts
EVERYBODY = 10**9  # of each verdict: no sample is drawn
THREADS = 2
COMPARED = 2_000  # accounts
ASKED = {name: width for name, width in WINDOWS.items() if name != "life"}

_BOTH = "input_tokens >= 0 and output_tokens >= 0"
_LOG = f"case when {_BOTH} then cast(round_even(log2(1.0 + {{}}) * {FIXED_POINT}, 0) as bigint) else 0 end"
# name of our column: what an exchange adds to it
SUMS: dict[str, str] = {
    "requests": "1",
    "errors": "case when status = 1 then 1 else 0 end",
    "rate_limited": "case when status = 2 then 1 else 0 end",
    "hosted": "hosted",
    "sized": f"case when {_BOTH} then 1 else 0 end",
    "prompted": "case when simhash <> 0 then 1 else 0 end",
    "input_tokens": "greatest(input_tokens, 0)",
    "output_tokens": "greatest(output_tokens, 0)",
    "input_log": _LOG.format("input_tokens"),
    "output_log": _LOG.format("output_tokens"),
}
SQUARES = {"input_log_sq": "input_log", "output_log_sq": "output_log"}
NAMES = (*SUMS, *SQUARES)


@dataclass(frozen=True, slots=True)
class World:
    """A database and what it is asked about."""

    database: str
    segments: str  # a pattern that DuckDB reads
    exchanges: int


def prepared(home: Path, accounts: int, exchanges_per_day: float) -> World:
    """The world below ``home``, simulated and imported where it is not there yet."""
    database = f"sqlite:///{home / 'g.db'}"
    if not (home / "g.db").exists():
        size = ["--accounts", str(accounts), "--days", str(DAYS), "--campaigns", str(max(3, accounts // 2_000))]
        rate = ["--exchanges-per-day", str(exchanges_per_day), "--seed", str(SEED)]
        ran(*GATEHOUSE, "simulate", str(home / "world"), *size, *rate)
        ran(*GATEHOUSE, "import", str(home / "world"), "--database", database)
    segments = str(home / "g.segments" / "usage" / "*.parquet")
    counted = duckdb.connect().execute("select count(*) from read_parquet(?)", [segments]).fetchone()
    assert counted is not None
    return World(database, segments, int(counted[0]))


def _exchanges(segments: str) -> str:
    """What each exchange adds to the sums."""
    sums = ", ".join(f'{what} as "{name}"' for name, what in SUMS.items())
    squares = ", ".join(f'"{of}" * "{of}" as "{name}"' for name, of in SQUARES.items())
    read = f"select account, learned, {sums} from read_parquet('{segments}')"  # noqa: S608  names are ours
    return f"select *, {squares} from ({read})"  # noqa: S608


_JOINED = "probes p join u on u.account = p.account and u.learned < p.stop and u.learned >= p.stop - {longest}"


def plain(segments: str) -> str:
    """One join, one group-by, and each sum with the window that it is of."""
    sums = ", ".join(
        f'sum(u."{name}") filter (u.learned >= p.stop - {width}) as "{name}_{window}"'
        for window, width in ASKED.items()
        for name in NAMES
    )
    joined = _JOINED.format(longest=max(ASKED.values()))
    return f"with u as ({_exchanges(segments)}) select p.probe, {sums} from {joined} group by p.probe"  # noqa: S608


def quickest(segments: str) -> str:
    """The quickest found: exchanges are summed by probe and by the shortest window that has them, then added."""
    once = ", ".join(f'sum(u."{name}") as "{name}"' for name in NAMES)
    within = " ".join(f"when u.learned >= p.stop - {width} then {i}" for i, width in enumerate(ASKED.values()))
    parts = f"select p.probe, case {within} end as part, {once} from {_JOINED} group by p.probe, part"  # noqa: S608
    sums = ", ".join(
        f'sum("{name}") filter (part <= {i}) as "{name}_{window}"' for i, window in enumerate(ASKED) for name in NAMES
    )
    parts = parts.format(longest=max(ASKED.values()))
    return f"with u as ({_exchanges(segments)}) select probe, {sums} from ({parts}) group by probe"  # noqa: S608


STATEMENTS: dict[str, Callable[[str], str]] = {"plain": plain, "quickest": quickest}


class Sides:
    """Both ways to the same rows."""

    def __init__(self, app: App, world: World) -> None:
        self._app, self._world = app, world
        self._labels = tuple(app.store.labels_at(END))
        self.rows = self.ours()
        of = self.rows.accounts
        self.account: Int64s = of.account[self.rows.row]
        self.at: Int64s = of.created_at[self.rows.row] + self.rows.age
        self._duckdb = duckdb.connect(config={"threads": THREADS})
        probes = {"probe": np.arange(len(self.at)), "account": self.account, "stop": self.at - self.at % HOUR}
        self._duckdb.register("probes", pa.table(probes))
        self.processors: dict[str, list[float]] = {name: [] for name in ("ours", *STATEMENTS)}

    def ours(self) -> Dataset:
        """As ``gatehouse train`` makes them, of everybody."""
        return build(
            self._app.store, self._labels, as_of=END, seed=1, most_unlabelled=EVERYBODY, most_labelled=EVERYBODY
        )

    def theirs(self, name: str) -> pa.Table:
        """As DuckDB makes them by one of ``STATEMENTS``; probes without an exchange in 30 days have no row."""
        return self._duckdb.sql(STATEMENTS[name](self._world.segments)).to_arrow_table()

    def differences(self) -> tuple[int, int]:
        """(integers compared, those that differ), of a part of the accounts."""
        some = np.unique(self.account)[:: max(1, len(self.rows.accounts) // COMPARED)]
        of = np.flatnonzero(np.isin(self.account, some))
        folded: dict[str, Int64s] = {}
        for history in self._app.store.histories(rows=10**9, accounts=some):
            mine = of[np.isin(self.account[of], history.account)]
            usage = fold_usage(history.usage, self.account[mine], self.at[mine])
            for window in ASKED:
                for name in NAMES:
                    whole = folded.setdefault(f"{name}_{window}", np.zeros(len(self.at), np.int64))
                    whole[mine] = usage.column(name, window)
        compared = differ = 0
        for statement in STATEMENTS:
            answer = self.theirs(statement)
            place = answer["probe"].to_numpy()
            for name, own in folded.items():
                theirs = np.zeros(len(self.at), np.int64)
                theirs[place] = answer[name].fill_null(0).cast(pa.int64()).to_numpy()
                compared += len(of)
                differ += int((own[of] != theirs[of]).sum())
        return compared, differ

    def timed(self, name: str) -> float:
        """Seconds of the clock that a side takes; those of processors are kept."""
        busy = time.process_time()
        took = seconds(self.ours if name == "ours" else lambda: self.theirs(name))()
        self.processors[name].append(time.process_time() - busy)
        return took


def main() -> int:
    """Prints the ratio; 1 if a single integer differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_rows")
    parser.add_argument("--accounts", type=int, default=18_000)
    parser.add_argument("--exchanges-per-day", type=float, default=35.0, help="on a day on which an account is used")
    parser.add_argument("--full", action="store_true", help="180,000 accounts: the goal's size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path, help="keep the database here, or use the one that is here")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        world = prepared(home, FULL if options.full else options.accounts, options.exchanges_per_day)
        with App.open(Settings(database_url=world.database, data_dir=home), upgrade=True) as app:
            sides = Sides(app, world)
            compared, differ = sides.differences()
            took = rounds(options.rounds, **{name: partial(sides.timed, name) for name in sides.processors})
    found = _told(sides, world, took, compared, differ)
    hand_over(found, options.out)
    return 1 if differ else 0


def _told(sides: Sides, world: World, took: dict[str, tuple[float, ...]], compared: int, differ: int) -> Measured:
    size = f"{len(sides.at):,} rows over {world.exchanges:,} exchanges"
    features = len(sides.rows.features)
    rows = tuple(
        Row(
            number=number,
            what=f"rows for training, {size}",
            unit="s",
            ours=took["ours"],
            goal=2.0,
            bound=Bound.AT_MOST,
            peer_name=f"DuckDB, {THREADS} threads, {words}: {len(NAMES) * len(ASKED)} sums and counts of usage",
            peer=took[name],
            note=f"ours reads the database and makes all {features} features",
        )
        for number, name, words in (
            ("7", "plain", "one join, one group-by"),
            ("7b", "quickest", "the quickest statement found"),
        )
    )
    check = Check("7", "sums and counts beside DuckDB's", compared, differ)
    by_side = tuple(
        (name, sum(took[name]) / len(took[name]), sum(busy) / len(busy)) for name, busy in sides.processors.items()
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    means = Table(f"Means; all of it in one process of {peak:.1f} GiB", ("", "seconds", "processors, s"), by_side)
    return Measured(rows, (check,), (means,))


if __name__ == "__main__":
    sys.exit(main())
