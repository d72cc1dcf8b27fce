from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from service.domain.enums import Decision
from service.domain.time import DAY
from service.policy.friction import PARTS, conformal_threshold
from service.policy.policy import SEVERITY
from training.thresholds import (
    CONFIDENCE,
    OLDEST,
    Bound,
    Counted,
    Firsts,
    Lived,
    clustered_threshold,
    horizon,
    outlived,
    thresholds,
    upper_share,
)

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


def test_an_account_of_half_weight_counts_half() -> None:
    values = np.linspace(0, 1, 1_001)
    whole = conformal_threshold(values, np.ones(1_001), 0.05)
    halved = conformal_threshold(values, np.where(values > 0.9, 0.5, 1.0), 0.05)
    assert halved < whole


def at_signup(highest: np.ndarray) -> Lived:
    """Accounts of one age that scored this at signup, and never more."""
    n = len(highest)
    none = np.zeros(n, np.int64)
    return Lived.of(np.arange(n), none, highest, none, length=none + DAY, drawn=np.ones(n))


def honest(n: int, group: np.ndarray | None = None) -> Counted:
    return Counted(np.ones(n), np.ones(n), np.arange(n) if group is None else group, np.ones(n, bool))


def of_scores(highest: np.ndarray, group: np.ndarray | None = None, *, budget: float) -> Bound:
    firsts = at_signup(highest).at_level(Decision.CHALLENGE)
    return clustered_threshold(firsts, np.ones(len(firsts.value)), honest(len(highest), group), budget=budget)


@given(scores.filter(lambda some: len(some) > 10), st.floats(0.05, 0.6))
@settings(max_examples=200)
def test_with_nobody_in_groups_the_threshold_is_the_exact_binomial_one(highest: list[float], budget: float) -> None:
    values, n = np.asarray(highest), len(highest)
    found = of_scores(values, budget=budget).value

    def kept(candidate: float) -> bool:  # at the budget itself, so few above would be improbable
        return bool(binom.cdf(int((values > candidate).sum()), n, budget) <= 1 - CONFIDENCE + 1e-9)

    assert found == min((candidate for candidate in highest if kept(candidate)), default=math.inf)


def test_the_budget_holds_with_confidence_where_a_mean_would_exceed_it_in_every_other_world() -> None:
    rng = np.random.default_rng(8)
    n, budget, above = 2_000, 0.01, []
    for _ in range(400):
        held = rng.random(n)
        above.append([1 - of_scores(held, budget=budget).value, 1 - conformal_threshold(held, np.ones(n), budget)])
    exceeded = (np.array(above) > budget).mean(axis=0)
    assert exceeded[0] <= 1 - CONFIDENCE + 0.03
    assert exceeded[1] > 0.3
    assert np.mean(above, axis=0)[0] > 0.5 * budget  # it is careful, and of use


def test_accounts_that_are_touched_in_whole_groups_need_a_higher_threshold() -> None:
    rng = np.random.default_rng(3)
    group = np.concatenate([np.repeat(np.arange(100), 20), 100 + np.arange(4_000)])
    common = rng.random(4_100)[group]
    apart = of_scores(rng.permutation(common), group, budget=0.02)
    together = of_scores(common, group, budget=0.02)
    assert together.value > apart.value
    assert together.design_effect > 2 > apart.design_effect


def test_an_account_drawn_for_five_tells_no_more_than_one() -> None:
    highest = np.random.default_rng(5).random(2_000)
    alone = of_scores(highest, budget=0.02)
    firsts = at_signup(highest).at_level(Decision.CHALLENGE)
    five = clustered_threshold(firsts, np.ones(2_000), honest(2_000).times(np.full(2_000, 5.0)), budget=0.02)
    assert five.value == pytest.approx(alone.value, abs=1e-12)
    assert five.design_effect == pytest.approx(5 * alone.design_effect, rel=0.05)


def test_whoever_was_touched_late_stands_for_the_young_who_were_not_there_yet() -> None:
    length = np.arange(1, 101) * DAY
    times = outlived(length, np.ones(100), np.array([0, 10, 50, 99]) * DAY)
    assert times[:3].tolist() == pytest.approx([1.0, 100 / 91, 100 / 51])
    assert times[3] == 1 / OLDEST
    assert horizon(length, np.ones(100)) == 76 * DAY


def test_counting_the_touched_for_the_young_finds_the_share_of_whole_lives() -> None:
    rng = np.random.default_rng(6)
    n, first = 40_000, rng.exponential(100, 40_000)  # days until an account first passes 0.5
    length = rng.random(n) * 40
    seen = np.flatnonzero(first <= length)
    rows = np.concatenate([np.arange(n), seen])
    age = np.concatenate([np.zeros(n), first[seen]]) * DAY
    score = np.concatenate([np.full(n, 0.1), np.full(len(seen), 0.9)])
    lived = Lived.of(
        rows,
        age.astype(np.int64),
        score,
        np.zeros(len(rows), np.int64),
        length=(length * DAY).astype(np.int64),
        drawn=np.ones(n),
    )
    until = horizon(lived.length, np.ones(n)) / DAY
    truth = float((first <= until).mean())
    firsts = lived.at_level(Decision.CHALLENGE)
    times = outlived(lived.length, np.ones(n), firsts.age)
    early = firsts.age <= until * DAY
    assert float(times[early & (firsts.value > 0.5)].sum() / n) == pytest.approx(truth, rel=0.03)
    assert float((firsts.highest(n) > 0.5).mean()) < 0.75 * truth


def test_only_looks_beyond_all_before_are_kept() -> None:
    account = np.array([1, 0, 0, 0, 1])
    age = np.array([0, 2, 0, 1, 5])
    score, rule = np.array([0.2, 0.3, 0.4, 0.5, 0.1]), np.array([0, 0, 0, 0, 3])
    lived = Lived.of(account, age, score, rule, length=np.full(2, 9), drawn=np.ones(2))
    assert list(zip(lived.account.tolist(), lived.score.tolist(), strict=True)) == [
        (0, 0.4),
        (0, 0.5),
        (1, 0.2),
        (1, 0.1),
    ]
    review, block = lived.at_level(Decision.REVIEW), lived.at_level(Decision.BLOCK)
    assert review.highest(2).tolist() == [0.5, math.inf]
    assert review.age[review.value == math.inf].tolist() == [5]
    assert block.highest(2).tolist() == [0.5, 0.2]


def test_an_account_that_scored_higher_when_old_counts_as_young_where_it_was_touched_young() -> None:
    n = 1_000
    account = np.concatenate([np.arange(n), np.arange(5)])
    age = np.concatenate([np.zeros(n), np.full(5, 9 * DAY)]).astype(np.int64)
    score = np.concatenate([np.linspace(0.9, 0.1, n), np.full(5, 0.99)])
    length = np.linspace(0, 10 * DAY, n).astype(np.int64)
    length[:5] = 10 * DAY
    lived = Lived.of(account, age, score, np.zeros(n + 5, np.int64), length=length, drawn=np.ones(n))
    firsts = lived.at_level(Decision.CHALLENGE)
    times = outlived(length, np.ones(n), firsts.age)
    low = clustered_threshold(firsts, times, honest(n), budget=0.05)
    assert low.value < 0.9
    assert low.share == pytest.approx(round(low.share * n) / n)  # whole accounts: late ones count once again


def test_thresholds_do_not_fall_with_severity_and_say_what_they_rest_on() -> None:
    rng = np.random.default_rng(2)
    highest, labelled = rng.beta(1, 8, 30_000), rng.random(30_000) < 0.5
    counted = Counted(np.ones(30_000), np.ones(30_000), np.arange(30_000), labelled)
    made = thresholds(at_signup(highest), counted, budget=0.01)
    values = [one.value for one in made]
    assert values == sorted(values)
    assert all(math.isfinite(value) for value in values)
    assert made[0].by_labelled == conformal_threshold(highest[labelled], np.ones(int(labelled.sum())), 0.01)
    told = made[0].to_json()
    assert told["decision"] == "challenge"
    assert 0 < float(str(told["share"])) < float(str(told["upper"])) <= 0.01


def test_a_rule_uses_the_budget_of_its_own_decision_and_milder_ones_only() -> None:
    n = 20_000
    lived = at_signup(np.linspace(0, 0.5, n))
    ruled = lived.rule.copy()
    ruled[:60] = SEVERITY[Decision.CHALLENGE]
    of = Lived(lived.account, lived.age, lived.score, ruled, lived.length, lived.drawn)
    with_rule, without = (thresholds(one, honest(n), budget=0.01) for one in (of, lived))
    assert with_rule[0].value > without[0].value
    assert with_rule[3].by_account.value == without[3].by_account.value
    used = thresholds(of, honest(n), budget=0.002)
    assert math.isinf(used[0].value)
    assert used[0].by_account.share == pytest.approx(60 / n)


def test_too_few_legitimate_accounts_give_no_threshold_at_all() -> None:
    made = thresholds(at_signup(np.linspace(0, 1, 50)), honest(50), budget=0.001)
    assert all(math.isinf(one.value) for one in made)
    assert all(one.to_json()["value"] is None for one in made)


def test_nobody_held_out_gives_no_threshold_either() -> None:
    made = thresholds(at_signup(np.zeros(0)), honest(0), budget=0.01)
    assert all(math.isinf(one.value) and one.by_account.upper == 1.0 for one in made)


def test_a_few_pardoned_frauds_among_the_labelled_do_not_set_the_threshold_for_everyone() -> None:
    rng = np.random.default_rng(2)
    highest = np.concatenate([rng.beta(1, 8, 40_000), np.full(15, 0.99)])
    labelled = np.concatenate([np.arange(40_000) < 1_500, np.ones(15, bool)])
    counted = Counted(np.ones(len(highest)), np.ones(len(highest)), np.arange(len(highest)), labelled)
    made = thresholds(at_signup(highest), counted, budget=0.001)
    assert made[0].value < 0.9 < made[0].by_labelled


def test_parts_of_the_budget_fall_with_severity() -> None:
    assert list(PARTS.values()) == sorted(PARTS.values(), reverse=True)


def test_an_upper_bound_of_a_share_is_the_binomials() -> None:
    bound = upper_share(np.array([3.0]), 500.0, np.array([1.0]), 0.9)[0]
    assert binom.cdf(3, 500, bound) == pytest.approx(0.1)
    assert upper_share(np.array([0.0]), 0.0, np.array([1.0]), 0.9)[0] == 1.0


def test_accounts_of_groups_are_told_apart_from_single_ones() -> None:
    """One whole group above: a stranger's chance is small, the accounts' share is not."""
    group = np.concatenate([np.zeros(150, np.int64), 1 + np.arange(9_850)])
    highest = np.concatenate([np.full(150, 0.9), np.linspace(0, 0.8, 9_850)])
    made = thresholds(at_signup(highest), honest(10_000, group), budget=0.01)[0]
    assert made.by_group.value < 0.9 <= made.by_account.value
    assert made.value == made.by_account.value


def test_firsts_of_some_accounts_are_numbered_anew() -> None:
    firsts = Firsts(np.array([0, 1, 1, 2]), np.array([0.1, 0.2, 0.3, 0.4]), np.zeros(4, np.int64))
    some = firsts.part(np.array([False, True, True]))
    assert some.account.tolist() == [0, 0, 1]
    assert some.highest(3).tolist() == [0.3, 0.4, -math.inf]


def test_whom_a_rule_touched_is_touched_where_no_threshold_is_set_too() -> None:
    firsts = Firsts(np.array([0, 1, 2]), np.array([0.9, math.inf, 0.2]), np.zeros(3, np.int64))
    assert firsts.touched(3, math.inf).tolist() == [False, True, False]
    assert firsts.touched(3, 0.5).tolist() == [True, True, False]
