from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.policy.friction import conformal_threshold
from training.thresholds import thresholds

scores = st.lists(st.floats(0, 1).map(lambda x: round(x, 2)), min_size=1, max_size=60)


@given(scores, st.floats(0.01, 0.5))
@settings(max_examples=300)
def test_no_more_than_the_budget_lies_above_and_no_lower_threshold_would_do(
    highest: list[float], budget: float
) -> None:
    values = np.asarray(highest)
    threshold = conformal_threshold(values, np.ones(len(values)), budget)
    allowed = budget * (len(values) + 1)

    def fits(candidate: float) -> bool:
        return bool((values > candidate).sum() + 1 <= allowed + 1e-9)

    assert math.isinf(threshold) or fits(threshold)
    assert not any(fits(candidate) for candidate in highest if candidate < threshold)


@pytest.mark.parametrize(("accounts", "finite"), [(998, False), (999, True), (5_000, True)])
def test_a_budget_of_one_in_a_thousand_needs_999_legitimate_accounts(accounts: int, finite: bool) -> None:
    values = np.linspace(0, 0.5, accounts)
    assert math.isfinite(conformal_threshold(values, np.ones(accounts), 0.001)) is finite


def test_the_budget_holds_on_new_accounts_on_average() -> None:
    rng = np.random.default_rng(8)
    touched = []
    for _ in range(400):
        held, new = rng.beta(1, 6, 400), rng.beta(1, 6, 2_000)
        touched.append((new > conformal_threshold(held, np.ones(400), 0.02)).mean())
    assert 0.015 < np.mean(touched) < 0.0205


def test_an_account_of_half_weight_counts_half() -> None:
    values = np.linspace(0, 1, 1_001)
    whole = conformal_threshold(values, np.ones(1_001), 0.05)
    halved = conformal_threshold(values, np.where(values > 0.9, 0.5, 1.0), 0.05)
    assert halved < whole


def test_thresholds_do_not_fall_with_severity_and_say_what_they_rest_on() -> None:
    rng = np.random.default_rng(2)
    highest, labelled = rng.beta(1, 8, 3_000), (rng.random(3_000) < 0.5).astype(float)
    made = thresholds(highest, labelled, np.ones(3_000), budget=0.01)
    values = [one.value for one in made]
    assert values == sorted(values)
    assert math.isfinite(values[0])
    assert made[0].by_labelled == conformal_threshold(highest[labelled > 0], np.ones(int(labelled.sum())), 0.01)
    assert made[0].to_json()["decision"] == "challenge"


def test_too_few_legitimate_accounts_give_no_threshold_at_all() -> None:
    made = thresholds(np.linspace(0, 1, 50), np.ones(50), np.ones(50), budget=0.001)
    assert all(math.isinf(one.value) for one in made)
    assert all(one.to_json()["value"] is None for one in made)


def test_a_few_pardoned_frauds_among_the_labelled_do_not_set_the_threshold_for_everyone() -> None:
    rng = np.random.default_rng(2)
    highest = np.concatenate([rng.beta(1, 8, 20_000), np.full(15, 0.99)])
    labelled = np.concatenate([np.arange(20_000) < 1_500, np.ones(15, bool)]).astype(float)
    made = thresholds(highest, labelled, np.ones(len(highest)), budget=0.001)
    assert made[0].value < 0.9 < made[0].by_labelled
