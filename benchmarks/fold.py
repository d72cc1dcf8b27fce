"""The fold of usage tiles over windows, beside the same windows as a range join on DuckDB.

Why the product folds in numpy: one definition for one probe and for millions, and at least as fast. DuckDB computes the
plain sums, minima and maxima of the same columns over the same windows from the same tiles, with the same two threads
that this machine has; our fold uses one. Integers are compared and must be identical.
"""

from __future__ import annotations

import statistics
import time
from itertools import product

import duckdb
import numpy as np
import pyarrow as pa

from service.domain.time import DAY, HOUR
from service.tiles.fold import ABSENT_MAX, ABSENT_MIN, WINDOWS, fold_usage
from service.tiles.rows import Merge, Tiles
from service.tiles.usage import USAGE_COLUMNS

ACCOUNTS = 5_000
TILES_PER_ACCOUNT = 100
PROBES_PER_ACCOUNT = 6
ROUNDS = 5
START = 1_776_816_000_000_000  # 2026-04-22


def made_tiles(rng: np.random.Generator) -> Tiles:
    """Tiles of accounts over 45 days, at random hours."""
    account = np.repeat(np.arange(ACCOUNTS, dtype=np.int64), TILES_PER_ACCOUNT)
    hour = np.concatenate(
        [np.sort(rng.choice(45 * 24, TILES_PER_ACCOUNT, replace=False)) for _ in range(ACCOUNTS)]
    ).astype(np.int64)
    values = rng.integers(0, 1_000, (len(account), len(USAGE_COLUMNS)), dtype=np.int64)
    return Tiles(account, START + hour * HOUR, values)


def query() -> str:
    """The same windows as one range join and a group-by."""
    operation = {Merge.SUM: "sum", Merge.MIN: "min", Merge.MAX: "max", Merge.OR: "bit_or"}
    select: list[str] = []
    for window, width in WINDOWS.items():
        inside = f"t.time > p.stop - {width}"
        select.extend(
            f'{operation[c.merge]}(t."{c.name}") filter ({inside}) as "{c.name}_{window}"' for c in USAGE_COLUMNS
        )
    return f"""
        select p.probe, {", ".join(select)}
        from probes p left join tiles t on t.account = p.account and t.time <= p.stop
        group by p.probe order by p.probe
    """  # noqa: S608  names are ours


def main() -> int:
    """Prints the ratio; 1 if a single integer differs."""
    rng = np.random.default_rng(7)
    tiles = made_tiles(rng)
    account = np.repeat(np.arange(ACCOUNTS, dtype=np.int64), PROBES_PER_ACCOUNT)
    as_of = START + rng.integers(0, 45 * DAY, len(account))
    stop = as_of - as_of % HOUR - HOUR
    columns = {column.name: tiles.values[:, i] for i, column in enumerate(USAGE_COLUMNS)}
    connection = duckdb.connect()
    connection.register("tiles", pa.table({"account": tiles.account, "time": tiles.time, **columns}))
    connection.register("probes", pa.table({"probe": np.arange(len(account)), "account": account, "stop": stop}))
    text = query()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        at = time.perf_counter()
        folded = fold_usage(tiles, account, as_of)
        for name, window in product(folded.plan.index, WINDOWS):  # of many probes a column is folded when asked for
            folded.column(name, window)
        ours.append(time.perf_counter() - at)
        at = time.perf_counter()
        answer = connection.sql(text).to_arrow_table()
        theirs.append(time.perf_counter() - at)
    differ = [
        f"{column.name}_{window}"
        for window in WINDOWS
        for column in USAGE_COLUMNS
        if not np.array_equal(
            folded.column(column.name, window),
            np.array(
                answer[f"{column.name}_{window}"].fill_null(
                    {Merge.MIN: ABSENT_MIN, Merge.MAX: ABSENT_MAX}.get(column.merge, 0)
                ),
                dtype=np.int64,
            ),
        )
    ]
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{len(tiles):,} tiles, {len(account):,} probes, {len(USAGE_COLUMNS)} columns x {len(WINDOWS)} windows")
    print(f"numpy fold, one thread (with {len(folded.plan.index)} columns)  {mine:8.2f} s")
    print(f"DuckDB range join, all threads                   {other:8.2f} s")
    print(f"ratio of rates                                   {other / mine:8.2f} (medians of {ROUNDS})")
    print(f"integers that differ: {', '.join(differ) or 'none'}")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
