from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.features.columns import Column, Columns
from service.features.feature import MAIL, Feature
from training.fit import FitRows, Tried, _thinned, binned, fit, fit_booster, parameters_of, smallest_as_good


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
    return fit(rows, FEATURES, seed=seed, leaves=(4, 15), trees=(20, 60))


def test_the_same_rows_and_seed_give_the_same_bytes() -> None:
    rows = a_world()
    assert fitted(rows).text() == fitted(rows).text()  # type: ignore[attr-defined]


def test_another_seed_gives_another_model() -> None:
    rows = a_world()
    assert fitted(rows).text() != fitted(rows, seed=4).text()  # type: ignore[attr-defined]


def test_risk_never_falls_with_a_feature_that_can_only_raise_it() -> None:
    rows = a_world()
    noisy = replace(rows, fraud=rows.fraud ^ (rows.matrix[:, 0] > 1.5))  # the data say otherwise at the top
    booster = fit(noisy, FEATURES, seed=3, leaves=(15,), trees=(60,)).booster
    probe = np.repeat(rows.matrix[:50], 40, axis=0)
    probe[:, 0] = np.tile(np.linspace(-3, 3, 40, dtype=np.float32), 50)
    scores = np.asarray(booster.predict(probe, num_threads=1)).reshape(50, 40)
    assert (np.diff(scores, axis=1) >= -1e-12).all()
    free = tuple(replace(feature, monotone=0) for feature in FEATURES)
    unbound = fit(noisy, free, seed=3, leaves=(15,), trees=(60,)).booster
    assert (np.diff(np.asarray(unbound.predict(probe, num_threads=1)).reshape(50, 40), axis=1) < -1e-12).any()


def test_what_carries_the_signal_has_the_gain() -> None:
    rows = a_world()
    made = fit(rows, FEATURES, seed=3, leaves=(7,), trees=(60,))
    gain = made.gain(FEATURES)
    assert set(gain) == {feature.name for feature in FEATURES}
    assert gain["f 0 [x]"] > gain["f 3 [x]"]


def test_the_smallest_of_those_as_good_as_the_best_is_taken() -> None:
    tried = [Tried(7, 50, 0.60, 0.10, 0.02), Tried(15, 50, 0.69, 0.01, 0.02), Tried(31, 100, 0.70, 0.0, 0.0)]
    assert smallest_as_good(tried).leaves == 15
    assert smallest_as_good([replace(one, standard_error=0.001) for one in tried]).leaves == 31


def test_the_model_says_why_it_has_its_size_and_what_larger_ones_would_have_gained() -> None:
    made = fit(a_world(1_500), FEATURES, seed=3, leaves=(4,), trees=(10,))
    assert made.sizes() == []
    assert "too little fraud" in made.chosen_because()
    tried = (
        Tried(15, 50, 0.69, 0.01, 0.02),
        Tried(4, 10, 0.68, 0.02, 0.03),
        Tried(31, 100, 0.70, 0.0, 0.0),
        Tried(3, 10, 0.40, 0.3, 0.03),
    )
    chosen = replace(made, tried=tried)
    assert [(one["leaves"], one["chosen"]) for one in chosen.sizes()] == [
        (3, False), (4, True), (15, False), (31, False),
    ]  # fmt: skip
    assert chosen.chosen_because() == (
        "10 trees of 4 leaves: the smallest size within one standard error of the best; what larger ones would have "
        "added to its average precision of 0.6800: 50 trees of 15 leaves +0.0100, 100 trees of 31 leaves +0.0200 "
        "(standard error of its distance from the best 0.0300)"
    )
    best = replace(made, tried=(Tried(4, 10, 0.7, 0.0, 0.0), Tried(31, 100, 0.6, 0.1, 0.2)))
    assert best.chosen_because().startswith("10 trees of 4 leaves: the best size, and the smallest; what larger ones")
    assert "31 leaves -0.1000" in best.chosen_because()


def test_sizes_are_compared_on_campaigns_that_they_have_not_seen() -> None:
    rows = a_world()
    told = np.zeros((len(rows.fraud), 1), np.float32)  # a column that names the campaign: worth nothing on another
    told[:, 0] = rows.group + np.random.default_rng(1).normal(0, 0.01, len(rows.fraud))
    fraud = rows.group % 2 == 0
    one = replace(FEATURES[1], name="campaign")
    made = fit(FitRows(told, fraud, rows.weight, rows.group), (one,), seed=3, leaves=(4, 31), trees=(20, 80))
    assert len(made.tried) == 4
    assert all(size.average_precision < 0.8 for size in made.tried)


def test_with_fraud_in_one_fold_only_the_smallest_size_is_fitted_all_the_same() -> None:
    rows = a_world(800)
    alone = replace(rows, fraud=rows.fraud & (rows.group == 0))
    made = fit(alone, FEATURES, seed=3, leaves=(7, 15), trees=(30, 60))
    assert made.tried == ()
    assert (made.parameters["num_leaves"], made.trees) == (7, 30)


def test_sizes_are_compared_on_all_fraud_and_a_sample_of_the_rest_that_weighs_as_much() -> None:
    rows = a_world()
    rows = replace(rows, group=np.where(rows.fraud, rows.group, np.arange(len(rows.fraud)) + 1_000))
    few = _thinned(rows, seed=3, most=2_000)
    assert few.fraud.sum() == rows.fraud.sum()
    assert 1_850 < len(few.fraud) < 2_150
    assert abs(few.weight[~few.fraud].sum() / rows.weight[~rows.fraud].sum() - 1) < 0.08
    assert _thinned(rows, seed=3, most=4_000) is rows


def test_boosters_that_share_their_bins_are_those_that_do_not() -> None:
    rows = a_world()
    bins = binned(rows, FEATURES)
    for leaves in (7, 15, 7):
        parameters = parameters_of(FEATURES, leaves, 3)
        shared = fit_booster(bins, FEATURES, parameters, 20).model_to_string()
        assert shared == fit_booster(rows, FEATURES, parameters, 20).model_to_string()
