"""Does the simulator give its own answers away? ``python -m benchmarks.simulator_leaks [--accounts N] [--seeds S]``.

Each raw column of the interchange tables is reduced to plain aggregates per account (the value, how many accounts
share it, how many values an account has, means, spreads, times) and a small LightGBM is fitted on that column alone,
and on all of them together, against the truth of other worlds; figures are for a world that the fit has not seen. A
single column above LIMIT is a leak of the simulator unless ALLOWED says why a real fraudster could not help it.
Labels are left out: they are answers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.raw_columns import Matrix, raw_columns
from training.simulate import simulate

LIMIT = 0.8
ALLOWED: dict[str, str] = {}  # "table.column": why a real fraudster could not help it
PARAMETERS = {
    "objective": "binary", "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 40, "feature_fraction": 0.7,
    "bagging_fraction": 0.8, "bagging_freq": 1, "num_threads": 2, "seed": 1, "deterministic": True, "verbose": -1,
}  # fmt: skip
Floats = NDArray[np.float64]


def auc(truth: NDArray[np.bool_], score: Floats) -> float:
    """Area under the ROC curve (Mann-Whitney), ties counted half; NaN scores rank lowest."""
    ranks = rankdata(np.nan_to_num(score, nan=-np.inf))
    positive = int(truth.sum())
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))


def recall_at(truth: NDArray[np.bool_], score: Floats, alarms: float) -> float:
    """Share of fraud above the score that ``alarms`` of the honest reach."""
    return float((score[truth] > np.quantile(score[~truth], 1 - alarms)).mean())


def held_out(worlds: list[Matrix], truths: list[NDArray[np.bool_]], names: list[str], rounds: int) -> list[Floats]:
    """Scores for each world by a model fitted on the other worlds with the named aggregates."""
    scores = []
    for left in range(len(worlds)):
        others = [w for w in range(len(worlds)) if w != left]
        inputs = np.vstack([np.column_stack([worlds[w][name] for name in names]) for w in others])
        data = lgb.Dataset(inputs, np.concatenate([truths[w] for w in others]).astype(np.float64))
        model = lgb.train(PARAMETERS, data, num_boost_round=rounds)
        scores.append(np.asarray(model.predict(np.column_stack([worlds[left][name] for name in names]), num_threads=2)))
    return scores


def main() -> int:
    """Print the table; 1 when an unexplained column separates too well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--campaigns", type=int, default=14)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    worlds: list[Matrix] = []
    truths: list[NDArray[np.bool_]] = []
    members: list[NDArray[np.str_]] = []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "world"
            made = simulate(out, accounts=options.accounts, days=options.days, campaigns=options.campaigns, seed=seed)
            worlds.append(raw_columns(out))
            truth = pq.read_table(out / "truth.parquet")
        kind = np.array(truth["kind"].to_pylist())
        members.append(kind)
        truths.append((kind == "campaign") | (kind == "stolen_card"))
        print(
            f"seed {seed}: {made.accounts} accounts, {made.exchanges} exchanges, {truths[-1].mean():.2%} fraud",
            file=sys.stderr,
        )
    names = sorted(set().union(*worlds))
    for world in worlds:  # a value that one world lacks is a share of nought there
        world.update({name: np.zeros(options.accounts) for name in names if name not in world})
    single = {name: np.mean([auc(t, w[name]) for w, t in zip(worlds, truths, strict=True)]) for name in names}
    by_column: dict[str, list[str]] = {}
    for name in names:
        by_column.setdefault(name.split(":")[0], []).append(name)
    rows: list[tuple[float, str, str, float]] = []
    for column, aggregates in by_column.items():
        scores = held_out(worlds, truths, aggregates, 60)
        value = float(np.mean([auc(t, s) for t, s in zip(truths, scores, strict=True)]))
        best = max(aggregates, key=lambda name: abs(single[name] - 0.5))
        rows.append((value, column, best, float(single[best])))
    print(f"\n{'column alone':<34}{'AUC':>7}   strongest aggregate (its own AUC)")
    for value, column, best, own in sorted(rows, reverse=True):
        note = f"   {ALLOWED[column]}" if column in ALLOWED else ""
        print(f"{column:<34}{value:7.3f}   {best.split(':')[1]} ({own:.3f}){note}")
    scores = held_out(worlds, truths, names, 200)
    print("\nall columns together, on a world not seen (mean and range over seeds)")
    for label, figures in (
        ("AUC", [auc(t, s) for t, s in zip(truths, scores, strict=True)]),
        ("recall at 1 % false alarms", [recall_at(t, s, 0.01) for t, s in zip(truths, scores, strict=True)]),
        ("recall at 0.1 % false alarms", [recall_at(t, s, 0.001) for t, s in zip(truths, scores, strict=True)]),
    ):
        print(f"  {label:<30}{np.mean(figures):.3f}  ({min(figures):.3f} to {max(figures):.3f})")
    print("\nshare of each honest kind above the score that 1 % of all honest accounts reach")
    kinds = np.concatenate(members)
    high = np.concatenate([s > np.quantile(s[~t], 0.99) for s, t in zip(scores, truths, strict=True)])
    for kind in sorted(set(kinds.tolist())):
        print(f"  {kind:<14}{high[kinds == kind].mean():7.2%}")
    leaks = [column for value, column, _, own in rows if max(value, own, 1 - own) > LIMIT and column not in ALLOWED]
    print(f"\nunexplained columns above {LIMIT}: {', '.join(leaks) or 'none'}")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
