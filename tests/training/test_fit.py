from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.features.columns import Column, Columns
from service.features.feature import MAIL, Feature
from training.fit import FitRows, Tried, fit, smallest_as_good


def nothing(columns: Columns) -> Column:
    return np.zeros(len(columns), np.float32)


FEATURES = tuple(
    Feature(f"f {i} [x]", "family", "Meaning.", "unit", "accounts", MAIL, 1 if i == 0 else 0, i == 5, nothing)
    for i in range(6)
)


def a_world(n: int = 4_000, seed: int = 1) -> FitRows:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 6)).astype(np.float32)
    matrix[:, 5] = rng.integers(0, 8, n)
    matrix[rng.random((n, 6)) < 0.1] = np.nan
    chance = 1 / (1 + np.exp(-(np.nan_to_num(matrix[:, 0]) * 2 + np.nan_to_num(matrix[:, 1]) ** 2 - 3)))
    return FitRows(matrix, rng.random(n) < chance, np.ones(n), rng.integers(0, 40, n))


def fitted(rows: FitRows, seed: int = 3) -> object:
    return fit(rows, rows.group >= 30, FEATURES, seed=seed, sizes=(4, 15), most_trees=60)


def test_the_same_rows_and_seed_give_the_same_bytes() -> None:
    rows = a_world()
    assert fitted(rows).text() == fitted(rows).text()  # type: ignore[attr-defined]


def test_another_seed_gives_another_model() -> None:
    rows = a_world()
    assert fitted(rows).text() != fitted(rows, seed=4).text()  # type: ignore[attr-defined]


def test_risk_never_falls_with_a_feature_that_can_only_raise_it() -> None:
    rows = a_world()
    noisy = replace(rows, fraud=rows.fraud ^ (rows.matrix[:, 0] > 1.5))  # the data say otherwise at the top
    booster = fit(noisy, rows.group >= 30, FEATURES, seed=3, sizes=(15,), most_trees=60).booster
    probe = np.repeat(rows.matrix[:50], 40, axis=0)
    probe[:, 0] = np.tile(np.linspace(-3, 3, 40, dtype=np.float32), 50)
    scores = np.asarray(booster.predict(probe, num_threads=1)).reshape(50, 40)
    assert (np.diff(scores, axis=1) >= -1e-12).all()
    free = tuple(replace(feature, monotone=0) for feature in FEATURES)
    unbound = fit(noisy, rows.group >= 30, free, seed=3, sizes=(15,), most_trees=60).booster
    assert (np.diff(np.asarray(unbound.predict(probe, num_threads=1)).reshape(50, 40), axis=1) < -1e-12).any()


def test_what_carries_the_signal_has_the_gain() -> None:
    rows = a_world()
    made = fit(rows, rows.group >= 30, FEATURES, seed=3, sizes=(7,), most_trees=60)
    gain = made.gain(FEATURES)
    assert set(gain) == {feature.name for feature in FEATURES}
    assert gain["f 0 [x]"] > gain["f 3 [x]"]


def test_the_smallest_of_those_as_good_as_the_best_is_taken() -> None:
    tried = [Tried(7, 50, 0.60, 0.02), Tried(15, 50, 0.69, 0.02), Tried(31, 100, 0.70, 0.02)]
    assert smallest_as_good(tried).leaves == 15
    assert smallest_as_good([replace(one, standard_error=0.001) for one in tried]).leaves == 31


def test_without_fraud_to_choose_by_a_small_model_is_fitted_all_the_same() -> None:
    rows = a_world(800)
    made = fit(rows, np.zeros(800, bool), FEATURES, seed=3, sizes=(7, 15), most_trees=30)
    assert made.tried == ()
    assert made.parameters["num_leaves"] == 7
