from __future__ import annotations

import math

import numpy as np
import pytest

from service.domain.enums import Decision
from service.policy.friction import PARTS, guarded, population_threshold
from service.policy.policy import GRADED, SEVERITY, Policy

BUDGET = 0.01
NOBODY = np.zeros(0, np.int64)


@pytest.mark.parametrize("fraud", [0.0, 0.02, 0.1])
def test_honest_friction_is_bounded_whatever_the_model_and_the_share_of_fraud(fraud: float) -> None:
    rng = np.random.default_rng(4)
    for useful in (True, False):  # a model that is right and one that is worse than chance
        frauds = np.arange(20_000) < fraud * 20_000
        highest = rng.beta(1, 6, 20_000) + np.where(frauds == useful, 0.3, 0.0)
        above = highest > population_threshold(highest, BUDGET)
        assert above.sum() > 0
        assert above[~frauds].mean() <= BUDGET


def test_accounts_of_one_score_are_all_touched_or_none() -> None:
    highest = np.concatenate([np.full(500, 0.9), np.zeros(9_500)])
    assert population_threshold(highest, BUDGET) == 0.9


def test_a_population_of_a_few_accounts_is_left_alone() -> None:
    assert math.isinf(population_threshold(np.linspace(0, 1, 1_000), 0.001))
    assert math.isfinite(population_threshold(np.linspace(0, 1, 1_200), 0.001))
    assert math.isinf(population_threshold(np.empty(0), 0.001))


def test_accounts_known_to_be_fraud_do_not_use_the_budget() -> None:
    highest = np.concatenate([np.linspace(0.9, 1.0, 300), np.linspace(0, 0.8, 9_700)])
    known = np.where(np.arange(10_000) < 300, 0.0, 1.0)
    assert population_threshold(highest, BUDGET) > 0.9
    assert population_threshold(highest, BUDGET, legitimate=known) < 0.8


def test_over_many_looks_no_more_than_the_budget_is_ever_touched() -> None:
    """Scores move at each look, accounts come in groups that score alike, and the policy they meet touches everyone."""
    rng = np.random.default_rng(11)
    policy = Policy(BUDGET, (0.0, 0.0, 0.0, 0.0))
    group = np.sort(rng.integers(0, 600, 12_000))
    base = (rng.normal(0, 1, 600)[group] + rng.normal(0, 1, 12_000)) / 2 - 2
    highest, worst = np.zeros(0), np.zeros(0, np.int64)
    for look in range(60):
        known = 200 * (look + 1)
        highest = np.concatenate([highest, np.zeros(known - len(highest))])
        worst = np.concatenate([worst, np.zeros(known - len(worst), np.int64)])
        now = 1 / (1 + np.exp(-base[:known] - rng.normal(0, 0.5, known)))
        highest = np.maximum(highest, now)
        at = guarded(policy, highest, worst)
        worst = np.maximum(worst, np.searchsorted(np.asarray(at.thresholds), now, "left"))
        for decision in GRADED:
            assert (worst >= SEVERITY[decision]).mean() <= BUDGET * PARTS[decision]
    assert (worst > 0).sum() >= 0.5 * BUDGET * len(worst)  # it is used, not only kept


def test_a_policy_that_knows_its_population_stays_as_it_is() -> None:
    policy = Policy(BUDGET, (0.95, 0.96, 0.97, 0.99))
    assert guarded(policy, np.linspace(0, 0.9, 20_000), np.zeros(20_000, np.int64)) == policy


def test_with_nobody_known_only_rules_decide() -> None:
    assert guarded(Policy(BUDGET, (0.1, 0.2, 0.3, 0.4)), np.zeros(0), NOBODY).thresholds == (math.inf,) * 4


def test_members_of_a_campaign_that_rules_touched_use_no_budget_once_it_is_told_that_they_are_fraud() -> None:
    policy, highest = Policy(BUDGET, (0.0,) * 4), np.linspace(0, 0.5, 10_000)
    worst = np.where(np.arange(10_000) < 400, SEVERITY[Decision.CHALLENGE], 0)
    assert math.isinf(guarded(policy, highest, worst).thresholds[0])
    told = np.where(worst > 0, 0.01, 1.0)
    assert math.isfinite(guarded(policy, highest, worst, legitimate=told).thresholds[0])
