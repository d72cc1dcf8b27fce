"""`gatehouse import` of usage beside DuckDB aggregating the same files, and its memory (goal 6).

    python -m benchmarks.importing [--exchanges 2000000] [--rounds 5] [--full] [--database URL] [--out FILE]

Ours is the command, from its start to its end, into a database that has the world's accounts: every row checked, its
event id looked for, raw rows kept, link keys made, tiles written, all of it durable. The peer is one DuckDB query over
the same Parquet files with two threads, in a process of its own: the same sums, counts, minima, maxima and bit-ors by
account and hour, with DuckDB's own hash where ours is keyed, into a table of a file. It checks nothing, keeps nothing
else and never reads the event ids. Afterwards every number that both made is compared. A table tells what the parts
cost, and a second import of the same files, which has to find that nothing is new. ``--full`` also imports 28.8 million
exchanges in one go.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np

from benchmarks.aggregating import NUMBERS
from benchmarks.measured import Bound, Check, Measured, Row, Table, printed, progress, rounds, write
from benchmarks.processes import GATEHOUSE, Ran, ran
from service.domain.codes import hash64_many
from service.domain.time import micros, moment
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import open_store
from service.tiles.usage import USAGE_COLUMNS
from service.usecases.interchange.sources import sources

DAYS = 14
NOW = micros(moment(0).replace(year=2026, month=6))  # after the simulated world's end
GOAL = 0.3
LARGE = 28_800_000
MOST_MIB = 3 * 1024


def imported(directory: Path, database: str) -> tuple[int, Ran]:
    """One run of the command, and how many rows it took in. Raises RuntimeError where it refused any."""
    run = ran(*GATEHOUSE, "import", str(directory), "--database", database, "--json")
    files = json.loads(run.output.splitlines()[-1])["files"]
    if any(counts["bad"] for counts in files.values()):
        raise RuntimeError(f"rows of the simulated world were refused: {files}")
    return sum(counts["rows"] for counts in files.values()), run


def floor(directory: Path, door: Door | None) -> tuple[int, float]:
    """Rows, and seconds of a processor that reading them takes, with or without the door behind it."""
    rows, started = 0, time.process_time()
    for source in sources(directory):
        for chunk in source.chunks():
            rows += len(chunk)
            if door is not None:
                (door.usage_table if source.table.name == "usage" else door.signups_table)(chunk.batch, NOW)
    return rows, time.process_time() - started


def world(folder: Path, accounts: int, exchanges: int) -> tuple[Path, Path]:
    """Directories with only the accounts, and only the usage, of one simulated world of about so many exchanges."""
    rate = exchanges / accounts / DAYS / 0.132  # accounts begin during the days, and not each is in use every day
    size = ["--accounts", str(accounts), "--days", str(DAYS), "--exchanges-per-day", f"{rate:.2f}"]
    ran(*GATEHOUSE, "simulate", str(folder / "all"), *size, "--campaigns", "10", "--seed", "1")
    for name in ("accounts", "usage"):
        (folder / name).mkdir()
        for path in (folder / "all").glob(f"{name}*"):
            path.rename(folder / name / path.name)
    return folder / "accounts", folder / "usage"


def _tiles(database: str, segments: Path, accounts: np.ndarray) -> Iterator[np.ndarray]:
    """Our tiles as rows of (account, hour, the numbers that both made)."""
    places = [[column.name for column in USAGE_COLUMNS].index(name) for name in NUMBERS]
    store = open_store(database, segments=str(segments))
    for low in range(0, len(accounts), 2_000):
        tiles = store.history(accounts[low : low + 2_000], NOW).usage
        yield np.column_stack([tiles.account, tiles.time, tiles.values[:, places]])
    store.close()


def compared(database: str, segments: Path, peer: Path) -> Check:
    """Every number that ours and the peer's have of the same account and hour."""
    with duckdb.connect(str(peer), read_only=True) as connection:
        theirs = connection.execute(f"SELECT account_id, hour, {', '.join(NUMBERS)} FROM tiles").fetchnumpy()  # noqa: S608
    account = hash64_many(theirs["account_id"].tolist())
    columns = [np.asarray(theirs[name]).astype(np.int64) for name in ("hour", *NUMBERS)]
    expected = np.column_stack([account, *columns])
    found = np.concatenate(list(_tiles(database, segments, np.unique(account))))
    expected, found = (rows[np.lexsort((rows[:, 1], rows[:, 0]))] for rows in (expected, found))
    same_shape = expected.shape == found.shape
    differ = int((expected != found).sum()) if same_shape else max(expected.size, found.size)
    return Check("6", "every number of every tile that DuckDB made, too", expected.size, differ)


def measured(folder: Path, options: argparse.Namespace) -> Measured:
    """The figures."""
    accounts, usage = world(folder, options.accounts, options.exchanges)
    turn = count()
    known = folder / "known"  # a database with the accounts, of which each round gets a copy
    known.mkdir()
    of_accounts = imported(accounts, options.database or f"sqlite:///{known / 'gatehouse.db'}")
    spent: dict[str, list[Ran]] = {"ours": [], "duckdb": []}
    rows, home, peer = 0, known, folder / "peer"

    def ours() -> float:
        nonlocal rows, home
        home = folder / f"round-{next(turn)}"
        shutil.copytree(known, home)
        rows, run = imported(usage, options.database or f"sqlite:///{home / 'gatehouse.db'}")
        spent["ours"].append(run)
        return rows / run.seconds

    def duckdb_() -> float:
        nonlocal peer
        peer = folder / f"peer-{next(turn)}.duckdb"
        run = ran("-m", "benchmarks.aggregating", str(usage), str(peer))
        spent["duckdb"].append(run)
        return rows / run.seconds

    found = rounds(1 if options.database else options.rounds, ours=ours, duckdb=duckdb_)
    database = options.database or f"sqlite:///{home / 'gatehouse.db'}"
    again = imported(usage, database)[1]
    cost = {name: statistics.median(run.cpu_seconds for run in runs) / rows * 1e6 for name, runs in spent.items()}
    door = Door(Keyring.generated(0), AddressTables())
    costs = [
        ("read", floor(usage, None)[1] / rows * 1e6, float("nan")),
        ("read, through the door", floor(usage, door)[1] / rows * 1e6, float("nan")),
        ("import", cost["ours"], rows / statistics.median(run.seconds for run in spent["ours"])),
        ("import again", again.cpu_seconds / rows * 1e6, rows / again.seconds),
        ("DuckDB", cost["duckdb"], statistics.median(found["duckdb"])),
        (
            "import of accounts",
            of_accounts[1].cpu_seconds / of_accounts[0] * 1e6,
            of_accounts[0] / of_accounts[1].seconds,
        ),
    ]
    checks = () if options.database else (compared(database, home / "gatehouse.segments", peer),)
    peak = max(run.peak_mib for run in spent["ours"])
    return Measured(
        rows=(
            Row(
                number="6a",
                what=f"import of {rows / 1e6:.1f} M exchanges",
                unit="exchanges/s",
                ours=found["ours"],
                goal=GOAL,
                bound=Bound.AT_LEAST,
                peer_name="DuckDB, 2 threads, into a table",
                peer=found["duckdb"],
                note=f"of a processor an exchange takes ours {cost['ours']:.2f} us and DuckDB {cost['duckdb']:.2f}: "
                f"{cost['duckdb'] / cost['ours']:.2f} of it",
            ),
            Row(
                number="6b",
                what=f"peak memory of that import ({rows / 1e6:.1f} M exchanges)",
                unit="MiB",
                ours=tuple(run.peak_mib for run in spent["ours"]),
                goal=MOST_MIB,
                bound=Bound.AT_MOST,
                note="" if peak < MOST_MIB else "not bounded",
            ),
        ),
        checks=checks,
        tables=(
            Table(
                "what a row costs",
                ("", "us of a processor", "rows/s"),
                tuple((name, us, "-" if rate != rate else rate) for name, us, rate in costs),  # noqa: PLR0124
            ),
        ),
    )


def large(folder: Path, exchanges: int) -> Measured:
    """One import of so many exchanges, for its memory."""
    accounts, usage = world(folder, exchanges // 200, exchanges)
    database = f"sqlite:///{folder / 'large.db'}"
    imported(accounts, database)
    rows, run = imported(usage, database)
    progress(f"{rows:,} exchanges: {run.seconds:.0f} s, {run.cpu_seconds:.0f} s of processors, {run.peak_mib:.0f} MiB")
    return Measured(
        (
            Row(
                number="6b2",
                what=f"peak memory of an import of {rows / 1e6:.1f} M exchanges in one go",
                unit="MiB",
                ours=(run.peak_mib,),
                goal=MOST_MIB,
                bound=Bound.AT_MOST,
                note=f"in {run.seconds:.0f} s, {run.cpu_seconds / rows * 1e6:.2f} us of a processor an exchange",
            ),
        )
    )


def main() -> None:
    """Prints the figures, and writes them where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing")
    parser.add_argument("--accounts", type=int, default=40_000)
    parser.add_argument("--exchanges", type=int, default=2_000_000, help="about so many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", help="an empty database's URL [default: new SQLite files]; one round")
    parser.add_argument("--large", type=int, metavar="N", help="also so many exchanges in one go, for their memory")
    parser.add_argument(
        "--full", action="store_true", help="100,000 accounts, 5 million exchanges, and --large 28800000"
    )
    parser.add_argument("--out", type=Path, help="also as JSON")
    options = parser.parse_args()
    if options.full:
        options.accounts, options.exchanges, options.large = 100_000, 5_000_000, options.large or LARGE
    with TemporaryDirectory() as name:
        found = measured(Path(name), options)
    if options.large:
        with TemporaryDirectory() as name:
            found += large(Path(name), options.large)
    print(printed(found))
    if options.out:
        write(options.out, found)


if __name__ == "__main__":
    main()
