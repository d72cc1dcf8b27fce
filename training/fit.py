"""Fitting: LightGBM, the same bytes for the same rows and seed, and the smallest model that is as good as the best.

Sizes are tried on an inner split of the training side, so that neither the number of trees nor the size has seen an
account that calibrates or tests. Of the sizes whose average precision is within one standard error of the best's
(bootstrap over campaigns), the smallest is taken (Breiman and others 1984), and fitted on the whole training side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float32s, Float64s, Int64s
from service.features.feature import Feature
from training.evaluate import figures

THREADS = 2  # part of the recipe, not of the machine: sums depend on how rows are dealt out to threads
MOST_TREES = 400
PATIENCE = 30  # rounds without a better average precision
RESAMPLES = 60

BASE: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.07,
    "min_data_in_leaf": 40,
    "min_sum_hessian_in_leaf": 1.0,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "min_data_per_group": 200,
    "cat_smooth": 50.0,
    "max_cat_threshold": 16,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": THREADS,
    "verbosity": -1,
}
SIZES: tuple[int, ...] = (7, 15, 31)  # leaves, smallest first


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
    """One size and how it did on the inner split."""

    leaves: int
    trees: int
    average_precision: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A booster and how it came about."""

    booster: lightgbm.Booster
    parameters: Mapping[str, object]
    trees: int
    tried: tuple[Tried, ...]

    def text(self) -> str:
        """The booster's file; features are called f0, f1 ... since LightGBM refuses some characters in names."""
        return str(self.booster.model_to_string(importance_type="gain"))

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


def fit_booster(
    rows: FitRows, features: Sequence[Feature], parameters: Mapping[str, Any], trees: int, check: FitRows | None = None
) -> lightgbm.Booster:
    """``trees`` trees, or as many as were best on ``check``."""
    categorical = [i for i, feature in enumerate(features) if feature.categorical]
    names = [f"f{i}" for i in range(len(features))]
    train = lightgbm.Dataset(
        rows.matrix,
        rows.fraud.astype(np.float32),
        weight=rows.weight,
        feature_name=names,
        categorical_feature=categorical,
        params={"max_bin": BASE["max_bin"], "verbosity": -1},
        free_raw_data=True,
    )
    if check is None:
        return lightgbm.train(dict(parameters), train, num_boost_round=trees)
    held = train.create_valid(check.matrix, check.fraud.astype(np.float32), weight=check.weight)
    return lightgbm.train(
        {**parameters, "metric": "average_precision"},
        train,
        num_boost_round=trees,
        valid_sets=[held],
        callbacks=[lightgbm.early_stopping(PATIENCE, first_metric_only=True, verbose=False)],
    )


def fit(
    rows: FitRows,
    inner: NDArray[np.bool_],
    features: Sequence[Feature],
    *,
    seed: int,
    sizes: Sequence[int] = SIZES,
    most_trees: int = MOST_TREES,
) -> Fitted:
    """The model of ``rows``; ``inner`` marks those that sizes are chosen by (none: the smallest size, 100 trees)."""
    learn, check = rows.part(~inner), rows.part(inner)
    if not check.fraud.any() or check.fraud.all() or not learn.fraud.any():
        parameters = parameters_of(features, min(sizes), seed)
        trees = min(100, most_trees)
        return Fitted(fit_booster(rows, features, parameters, trees), parameters, trees, ())
    tried = [
        _try(learn, check, features, parameters_of(features, leaves, seed), trees=most_trees)
        for leaves in sorted(sizes)
    ]
    chosen = smallest_as_good(tried)
    parameters = parameters_of(features, chosen.leaves, seed)
    return Fitted(fit_booster(rows, features, parameters, chosen.trees), parameters, chosen.trees, tuple(tried))


def smallest_as_good(tried: Sequence[Tried]) -> Tried:
    """The least leaves in all among those within one standard error of the best."""
    best = max(tried, key=lambda one: one.average_precision)
    good = [one for one in tried if one.average_precision >= best.average_precision - best.standard_error]
    return min(good, key=lambda one: one.leaves * one.trees)


def _try(
    learn: FitRows, check: FitRows, features: Sequence[Feature], parameters: Mapping[str, Any], *, trees: int
) -> Tried:
    booster = fit_booster(learn, features, parameters, trees, check)
    score = np.asarray(booster.predict(check.matrix, num_threads=THREADS), np.float64)
    fraud = check.fraud.astype(np.float64)
    whole = figures(score, fraud, check.weight)["average_precision"] or 0.0
    error = _standard_error(score, fraud, check, parameters["seed"])
    return Tried(parameters["num_leaves"], max(1, booster.best_iteration), whole, error)


def _standard_error(score: Float64s, fraud: Float64s, check: FitRows, seed: int) -> float:
    """Of average precision, over resampled campaigns and accounts."""
    rng = np.random.default_rng([seed, 1])
    _, place = np.unique(check.group, return_inverse=True)
    groups = int(place.max()) + 1
    values = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(0, groups, groups), minlength=groups)
        value = figures(score, fraud, check.weight * times[place])["average_precision"]
        if value is not None:
            values.append(value)
    return float(np.std(values)) if len(values) > 1 else 0.0
