"""Fitting: LightGBM, the same bytes for the same rows and seed, and the smallest model that is as good as the best.

Sizes are compared by cross-validation over whole campaigns of the training side, so that no size has seen an account
that calibrates or tests. Of the sizes whose average precision is within one standard error of the best's, the smallest
is taken (Breiman and others 1984). The standard error is that of the difference, resampled over campaigns: what one
lucky campaign adds to both sizes says nothing about which is better.

Parameters are fixed, and few sizes are compared. Against truth, on five simulated worlds of 8,000 accounts
(``benchmarks/learning.py``), average precision of held-out accounts falls from 0.251 with 7 leaves and 50 trees to
0.217 with 15 and 100 and 0.170 with 31 and 200 (paired standard errors below 0.01), and of nine sizes cross-validation
only ever chose the two smallest. A search over eight parameters (Optuna 5, TPE, 30 trials, seeded, by the same
cross-validation on one world) took three times as long as the whole training. On four other worlds what it found had an
average precision higher by 0.019 (standard error 0.009), as much found at 1 % false alarms (+0.006, 0.020) and no
higher ROC AUC (-0.008, 0.010): not worth its time and another dependency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from service.domain.codes import mix64
from service.domain.facts import Float32s, Float64s, Int64s
from service.features.feature import Feature
from training.evaluate import figures

THREADS = 1  # sums depend on how rows are dealt out to threads; and two that wait for each other took 8 times as long
# as one where something else wanted the cores, so what is parallel here is whole fits
WORKERS = 2
FOLDS = 3
RESAMPLES = 60
MOST_COMPARED = 120_000  # rows by which sizes are compared; the model itself is fitted on all

BASE: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.07,
    "min_data_in_leaf": 60,
    "min_sum_hessian_in_leaf": 1.0,
    "feature_fraction": 0.3,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "min_data_per_group": 200,
    "cat_smooth": 50.0,
    "max_cat_threshold": 16,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": THREADS,
    "verbosity": -1,
}
LEAVES: tuple[int, ...] = (7, 15)
TREES: tuple[int, ...] = (50, 100)


@dataclass(frozen=True, slots=True)
class FitRows:
    """Rows to learn from or to choose by; ``n`` of each."""

    matrix: Float32s  # (n, features)
    fraud: NDArray[np.bool_]
    weight: Float64s
    group: Int64s  # campaign, or a number of the account's own

    def part(self, rows: NDArray[np.bool_]) -> FitRows:
        """Some of the rows."""
        return FitRows(self.matrix[rows], self.fraud[rows], self.weight[rows], self.group[rows])


@dataclass(frozen=True, slots=True)
class Tried:
    """One size and how it did on campaigns that it had not seen."""

    leaves: int
    trees: int
    average_precision: float
    behind: float  # the best's average precision less this one's
    standard_error: float  # of ``behind``


@dataclass(frozen=True, slots=True)
class Fitted:
    """A booster and how it came about."""

    booster: lightgbm.Booster
    parameters: Mapping[str, object]
    trees: int
    tried: tuple[Tried, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Leaves of a tree, at most, and trees."""
        return int(str(self.parameters["num_leaves"])), self.trees

    def sizes(self) -> list[dict[str, object]]:
        """The sizes that were compared, the smallest first, as manifests and reports keep them."""
        return [
            {
                "leaves": one.leaves,
                "trees": one.trees,
                "average_precision": one.average_precision,
                "behind": one.behind,
                "standard_error": one.standard_error,
                "chosen": (one.leaves, one.trees) == self.size,
            }
            for one in sorted(self.tried, key=_smallness)
        ]

    def chosen_because(self) -> str:
        """Why it has this size, and what the larger ones would have gained, in words."""
        if not self.tried:
            return "the smallest size: there is too little fraud to compare sizes by"
        own = next(one for one in self.tried if (one.leaves, one.trees) == self.size)
        larger = [one for one in self.tried if _smallness(one) > _smallness(own)]
        words = f"{_words(own)}: the smallest size within one standard error of the best"
        if own.behind == 0:
            words = f"{_words(own)}: the best size, and no smaller one is within one standard error of it"
            if own == min(self.tried, key=_smallness):
                words = f"{_words(own)}: the best size, and the smallest"
        if not larger:
            return f"{words}; none is larger"
        gains = [f"{_words(one)} {own.behind - one.behind:+.4f}" for one in sorted(larger, key=_smallness)]
        return (
            f"{words}; what larger ones would have added to its average precision of {own.average_precision:.4f}: "
            f"{', '.join(gains)} (standard error of its distance from the best {own.standard_error:.4f})"
        )

    def text(self) -> str:
        """The booster's file; features are called f0, f1 ... since LightGBM refuses some characters in names."""
        return str(self.booster.model_to_string(importance_type="gain"))

    def used(self) -> NDArray[np.bool_]:
        """Which features it splits on."""
        out: NDArray[np.bool_] = self.booster.feature_importance("split") > 0
        return out

    def again(self, rows: FitRows, features: Sequence[Feature]) -> Fitted:
        """The same size on rows of other features."""
        parameters = parameters_of(features, int(str(self.parameters["num_leaves"])), int(str(self.parameters["seed"])))
        return replace(self, booster=fit_booster(rows, features, parameters, self.trees), parameters=parameters)

    def gain(self, features: Sequence[Feature]) -> dict[str, float]:
        """Total gain of each feature; 0 for one that was never split on."""
        gains = self.booster.feature_importance("gain")
        return {feature.name: float(gain) for feature, gain in zip(features, gains, strict=True)}


def parameters_of(features: Sequence[Feature], leaves: int, seed: int) -> dict[str, Any]:
    """LightGBM's parameters for one size. Categories take no direction, as LightGBM demands."""
    return {
        **BASE,
        "num_leaves": leaves,
        "seed": seed,
        "monotone_constraints": [0 if feature.categorical else feature.monotone for feature in features],
    }


def binned(rows: FitRows, features: Sequence[Feature]) -> lightgbm.Dataset:
    """Rows in LightGBM's bins, for as many boosters as are to learn from them; a byte a feature and row."""
    return lightgbm.Dataset(
        rows.matrix,
        rows.fraud.astype(np.float32),
        weight=rows.weight,
        feature_name=[f"f{i}" for i in range(len(features))],
        categorical_feature=[i for i, feature in enumerate(features) if feature.categorical],
        params={name: BASE[name] for name in ("max_bin", "min_data_in_leaf", "num_threads", "verbosity")},
    )


def fit_booster(
    rows: FitRows | lightgbm.Dataset, features: Sequence[Feature], parameters: Mapping[str, Any], trees: int
) -> lightgbm.Booster:
    """``trees`` trees on all of ``rows``, as they are or ``binned``."""
    train = binned(rows, features) if isinstance(rows, FitRows) else rows
    return lightgbm.train(dict(parameters), train, num_boost_round=trees)


def folds_of(group: Int64s, folds: int, seed: int) -> Int64s:
    """A fold for each row, the same for all of one group; shape (n,)."""
    out: Int64s = (mix64(group ^ np.int64(seed)) % np.uint64(folds)).astype(np.int64)
    return out


def fit(
    rows: FitRows,
    features: Sequence[Feature],
    *,
    seed: int,
    leaves: Sequence[int] = LEAVES,
    trees: Sequence[int] = TREES,
) -> Fitted:
    """The model of ``rows``, of the smallest of the sizes that is as good as the best.

    Where a fold has no fraud to learn from or none to be tried on, sizes cannot be compared and the smallest is taken.
    """
    fold = folds_of(rows.group, FOLDS, seed)
    fraud_in = [int(rows.fraud[fold == out].sum()) for out in range(FOLDS)]
    sizes = [(leaf, tree) for leaf in sorted(leaves) for tree in sorted(trees)]
    tried: list[Tried] = []
    chosen = sizes[0]
    if len(sizes) > 1 and min(fraud_in) > 0:
        few = _thinned(rows, seed)
        scores = _out_of_fold(few, folds_of(few.group, FOLDS, seed), features, sizes, seed)
        tried = _tried(few, sizes, scores, seed)
        smallest = smallest_as_good(tried)
        chosen = smallest.leaves, smallest.trees
    parameters = parameters_of(features, chosen[0], seed)
    return Fitted(fit_booster(rows, features, parameters, chosen[1]), parameters, chosen[1], tuple(tried))


def _thinned(rows: FitRows, seed: int, most: int = MOST_COMPARED) -> FitRows:
    """All fraud, and of the other groups as many as make about ``most`` rows; each then weighs for those left out."""
    if len(rows.fraud) <= most:
        return rows
    share = max(0.05, (most - float(rows.fraud.sum())) / float((~rows.fraud).sum()))
    drawn = mix64(rows.group ^ np.int64(seed + 7)) / 2.0**64 < share
    kept = rows.part(rows.fraud | drawn)
    return FitRows(kept.matrix, kept.fraud, np.where(kept.fraud, kept.weight, kept.weight / share), kept.group)


def smallest_as_good(tried: Sequence[Tried]) -> Tried:
    """The least leaves in all among those within one standard error of the best."""
    good = [one for one in tried if one.behind <= one.standard_error]
    return min(good, key=_smallness)


def _smallness(one: Tried) -> tuple[int, int]:
    return one.leaves * one.trees, one.leaves


def _words(one: Tried) -> str:
    return f"{one.trees} trees of {one.leaves} leaves"


def _out_of_fold(
    rows: FitRows, fold: Int64s, features: Sequence[Feature], sizes: Sequence[tuple[int, int]], seed: int
) -> list[Float64s]:
    """For each size, the score of each row by a model that has not seen its campaign."""
    out = [np.zeros(len(rows.fraud)) for _ in sizes]
    most = max(trees for _, trees in sizes)

    def try_fold(held: int) -> None:
        asked = fold == held
        bins = binned(rows.part(~asked), features)
        for of_leaves in sorted({leaves for leaves, _ in sizes}):
            booster = fit_booster(bins, features, parameters_of(features, of_leaves, seed), most)
            for scores, (leaves, trees) in zip(out, sizes, strict=True):
                if leaves == of_leaves:
                    scores[asked] = booster.predict(rows.matrix[asked], num_iteration=trees, num_threads=THREADS)

    with ThreadPoolExecutor(WORKERS) as workers:
        each = [workers.submit(try_fold, held) for held in range(FOLDS)]
        for done in each:
            done.result()
    return out


def _tried(rows: FitRows, sizes: Sequence[tuple[int, int]], scores: Sequence[Float64s], seed: int) -> list[Tried]:
    fraud = rows.fraud.astype(np.float64)
    whole = [_average_precision(one, fraud, rows.weight) for one in scores]
    best = int(np.argmax(whole))
    rng = np.random.default_rng([seed, 1])
    _, place = np.unique(rows.group, return_inverse=True)
    groups = int(place.max()) + 1
    behind = np.empty((RESAMPLES, len(sizes)))
    for draw in range(RESAMPLES):
        mass = rows.weight * np.bincount(rng.integers(0, groups, groups), minlength=groups)[place]
        drawn = [_average_precision(one, fraud, mass) for one in scores]
        behind[draw] = drawn[best] - np.asarray(drawn)
    error = behind.std(axis=0)
    return [
        Tried(leaves, trees, whole[i], whole[best] - whole[i], float(error[i]))
        for i, (leaves, trees) in enumerate(sizes)
    ]


def _average_precision(score: Float64s, fraud: Float64s, weight: Float64s) -> float:
    return figures(score, fraud, weight)["average_precision"] or 0.0
