from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluate import (
    by_campaign,
    calibration_error,
    calibration_table,
    figures,
    highest_of,
    recall_at,
    too_good,
)

rows = st.lists(
    st.tuples(st.floats(0, 1).map(lambda x: round(x, 1)), st.booleans(), st.integers(1, 3)), min_size=2, max_size=40
)


@given(rows)
@settings(max_examples=200, deadline=None)
def test_figures_equal_their_textbook_definitions(world: list[tuple[float, bool, int]]) -> None:
    score, fraud, times = (np.array(part, float) for part in zip(*world, strict=True))
    made = figures(score, fraud, times)
    s, y = np.repeat(score, times.astype(int)), np.repeat(fraud, times.astype(int))
    if y.all() or not y.any():
        assert made["roc_auc"] is None
        return
    positive, negative = s[y == 1], s[y == 0]
    wins = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    assert made["roc_auc"] == pytest.approx(wins)
    precision = {t: y[s >= t].mean() for t in np.unique(s)}
    gained = {t: (positive >= t).mean() - (positive > t).mean() for t in np.unique(s)}
    assert made["average_precision"] == pytest.approx(sum(precision[t] * gained[t] for t in precision))
    assert made["brier"] == pytest.approx(((s - y) ** 2).mean())
    kept = [(positive >= t).mean() for t in np.unique(s) if (negative >= t).mean() <= 0.3]
    assert recall_at(score, fraud, times, 0.3) == pytest.approx(max(kept, default=0.0))


def test_a_row_that_is_half_fraud_counts_half_on_either_side() -> None:
    score = np.array([0.9, 0.5, 0.1])
    split = figures(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]), np.array([1, 0.5, 0.5, 1]))
    whole = figures(score, np.array([1.0, 0.5, 0.0]), np.ones(3))
    assert whole == pytest.approx(split)


def test_a_calibrated_score_has_no_calibration_error_and_a_boastful_one_has() -> None:
    rng = np.random.default_rng(4)
    chance = rng.random(200_000)
    fraud = (rng.random(200_000) < chance).astype(float)
    ones = np.ones(200_000)
    assert calibration_error(calibration_table(chance, fraud, ones)) < 0.01
    assert calibration_error(calibration_table(chance**0.2, fraud, ones)) > 0.2


def test_a_campaign_counts_by_the_highest_score_of_each_member() -> None:
    highest = highest_of(np.array([0.1, 0.9, 0.2, 0.3]), np.array([0, 0, 1, 2]), 4)
    assert highest.tolist() == [0.9, 0.2, 0.3, 0.0]
    assert by_campaign(highest, ["a", "a", None, None], 0.5) == {"a": {"members": 2.0, "recall": 0.5}}


def test_figures_that_are_too_good_are_named() -> None:
    perfect = figures(np.array([0.9, 0.1]), np.array([1.0, 0.0]), np.ones(2))
    assert any("roc_auc" in sentence and "look for a leak" in sentence for sentence in too_good(perfect))
    assert too_good({"roc_auc": 0.95, "average_precision": None}) == []
