"""What a size of model gains and what it costs: average precision on campaigns not seen, and microseconds a row.

    python -m benchmarks.model_size [--accounts 12000] [--home DIR] [--out FILE]

The sizes that ``gatehouse train`` compares and others, smaller and larger, on the rows of one simulated world, by the
cross-validation and the rule that training chooses by (``training/fit.py``). Some are then fitted on all those rows,
cut down to the features that they split on, as training does, and timed on one thread: rows in a batch and a row alone,
scored and with exact contributions (what reasons are made of).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightgbm
import numpy as np

from benchmarks.measured import Measured, Table, hand_over, progress
from benchmarks.processes import GATEHOUSE, ran
from service.app import App
from service.domain.facts import Float32s
from service.domain.time import DAY, micros
from service.features.feature import Feature
from service.settings import Settings
from training.dataset import FRAUD, build
from training.deciding import membership
from training.fit import FitRows, fit, fit_booster, parameters_of
from training.silence import campaign_share, learning_weight, weigh_silence
from training.simulate import DEFAULT_START
from training.splits import TRAIN, split

DAYS, SEED = 45, 2
END = micros(DEFAULT_START) + DAYS * DAY
LEAVES, TREES = (4, 7, 15, 31), (25, 50, 100, 200)
TIMED = ((4, 50), (7, 50), (7, 100), (15, 100), (31, 200), (63, 500))
ROUNDS, ROWS = 9, 256


def timed(work: Callable[[], object], rows: int) -> float:
    """Microseconds of this thread's processor a row, the median of ``ROUNDS``."""
    took = []
    for _ in range(ROUNDS + 1):
        started = time.thread_time_ns()
        work()
        took.append((time.thread_time_ns() - started) / 1_000 / rows)
    return statistics.median(took[1:])


def learned_from(home: Path, accounts: int, exchanges_per_day: float) -> tuple[FitRows, tuple[Feature, ...]]:
    """The train side of a simulated world, weighed as training weighs it."""
    home.mkdir(parents=True, exist_ok=True)
    database = f"sqlite:///{home / 'g.db'}"
    if not (home / "g.db").exists():
        size = ["--accounts", str(accounts), "--days", str(DAYS), "--campaigns", str(max(6, accounts // 1_000))]
        rate = ["--exchanges-per-day", str(exchanges_per_day), "--seed", str(SEED)]
        ran(*GATEHOUSE, "simulate", str(home / "world"), *size, *rate)
        ran(*GATEHOUSE, "import", str(home / "world"), "--database", database)
    with App.open(Settings(database_url=database, data_dir=home), upgrade=True) as app:
        dataset = build(app.store, tuple(app.store.labels_at(END)), as_of=END, seed=SEED)
    of = dataset.accounts
    share = campaign_share(of.group, of.stands_for)
    sides = split(of.created_at, of.group, np.where(of.verdict == FRAUD, share, 0.0), seed=SEED)
    silence = weigh_silence(dataset, sides, share, SEED)
    weight = learning_weight(dataset, sides, silence, share, membership(dataset))
    rows = FitRows(dataset.matrix, of.verdict[dataset.row] == FRAUD, weight, of.group[dataset.row])
    return rows.part(sides.side[dataset.row] == TRAIN), dataset.features


def _costs(booster: lightgbm.Booster, rows: Float32s) -> tuple[float, float, float, float]:
    """A row of many and a row alone, scored; and the same with contributions."""
    loaded = lightgbm.Booster(model_str=booster.model_to_string())
    alone = rows[:1].copy()
    one, two, three, four = (
        timed(partial(loaded.predict, part, num_threads=1, **asked), len(part))
        for asked in ({"raw_score": True}, {"pred_contrib": True})
        for part in (rows, alone)
    )
    return one, two, three, four


def main() -> int:
    """Prints both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_size")
    parser.add_argument("--accounts", type=int, default=12_000)
    parser.add_argument("--exchanges-per-day", type=float, default=8.0)
    parser.add_argument("--home", type=Path, help="keep the database here, or use the one that is here")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        rows, features = learned_from(home, options.accounts, options.exchanges_per_day)
    made = fit(rows, features, seed=SEED, leaves=LEAVES, trees=TREES)
    progress(made.chosen_because())
    compared = tuple(
        (
            one.leaves,
            one.trees,
            one.average_precision,
            one.behind,
            one.standard_error,
            "chosen" if (one.leaves, one.trees) == made.size else "",
        )
        for one in made.tried
    )
    costs = []
    for leaves, trees in TIMED:
        first = fit_booster(rows, features, parameters_of(features, leaves, SEED), trees)
        used = first.feature_importance("split") > 0
        some = tuple(one for one, keep in zip(features, used, strict=True) if keep)
        cut = FitRows(np.ascontiguousarray(rows.matrix[:, used]), rows.fraud, rows.weight, rows.group)
        booster = fit_booster(cut, some, parameters_of(some, leaves, SEED), trees)
        costs.append((leaves, trees, len(some), *_costs(booster, cut.matrix[:ROWS])))
        progress(f"{trees} trees of {leaves} leaves: {costs[-1]}")
    head = ("leaves", "trees", "features", "a row of many, us", "alone", "contributions of many", "alone ")
    found = Measured(
        tables=(
            Table(
                f"Compared over campaigns, {len(rows.fraud):,} rows with {int(rows.fraud.sum()):,} of fraud",
                ("leaves", "trees", "average precision", "behind the best", "standard error", ""),
                compared,
            ),
            Table("Processor time of a row", head, tuple(costs)),
        )
    )
    hand_over(found, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
