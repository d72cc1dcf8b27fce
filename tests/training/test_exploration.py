"""Accounts let through count for all those like them that were refused."""

from __future__ import annotations

import numpy as np
import pytest

from service.storage.assessments import Chances
from training.exploration import Outcomes, explored, inverse_propensity, share

RATE = 0.05


def test_accounts_count_once_or_for_those_refused_or_not_at_all() -> None:
    chances = Chances(np.array([2, 5]), np.array([True, False]), np.array([0.005, 0.005]))
    assert inverse_propensity(np.array([1, 2, 5, 9]), chances).tolist() == [1.0, 200.0, 0.0, 1.0]
    none = Chances(np.empty(0, np.int64), np.empty(0, bool), np.empty(0))
    assert inverse_propensity(np.array([1, 2]), none).tolist() == [1.0, 1.0]


def test_a_share_of_a_few_heavy_accounts_is_known_as_badly_as_of_a_few_accounts() -> None:
    heavy = share(np.array([1.0, 0.0, 0.0, 0.0]), np.full(4, 200.0))
    assert heavy == share(np.array([1.0, 0.0, 0.0, 0.0]), np.ones(4))
    assert (heavy.value, heavy.effective) == (0.25, 4.0)
    assert (heavy.low, heavy.high) == pytest.approx((0.0456, 0.6994), abs=1e-4)  # Wilson's of 1 in 4
    assert share(np.ones(3), np.zeros(3)).value is None
    all_of_them = share(np.ones(3), np.ones(3))
    assert all_of_them.value == all_of_them.high == 1.0
    assert all_of_them.low < 0.5


def world(seed: int) -> tuple[Outcomes, Chances, float, float]:
    """Accounts, half of them refused; whoever is refused is called legitimate whatever it is.

    Also the true recall and friction of a threshold, had nobody been refused.
    """
    rng = np.random.default_rng(seed)
    n = 40_000
    account = np.arange(n)
    risk = rng.random(n)
    fraud = rng.random(n) < 0.4 * risk
    refused_kind = risk > 0.5
    lucky = refused_kind & (rng.random(n) < RATE)
    seen_fraud = fraud & (~refused_kind | lucky)
    touched = risk > 0.8
    of = Outcomes(account, seen_fraud, ~seen_fraud, np.ones(n, bool), touched, np.ones(n))
    chances = Chances(account[refused_kind], lucky[refused_kind], np.full(int(refused_kind.sum()), RATE))
    return of, chances, float(touched[fraud].mean()), float(touched[~fraud].mean())


def test_figures_of_those_let_through_tell_what_refusing_hid() -> None:
    naive, told, inside, frictions = [], [], 0, []
    worlds = 40
    for seed in range(worlds):
        of, chances, recall, friction = world(seed)
        found = explored(of, chances)["held_out"]
        assert isinstance(found, dict)
        naive.append(float(of.touched[of.fraud].mean()) - recall)
        told.append(found["recall"]["value"] - recall)
        frictions.append(found["friction"]["value"] - friction)
        inside += found["recall"]["low"] <= recall <= found["recall"]["high"]
    assert np.mean(naive) < -0.2  # refused frauds are missing from the labels
    assert abs(np.mean(told)) < 0.01
    assert abs(np.mean(frictions)) < 0.01
    assert inside >= 0.85 * worlds


def test_the_fraud_share_is_of_all_that_would_have_been_refused() -> None:
    of, chances, _, _ = world(1)
    found = explored(of, chances)
    assert found["accounts"] == int(chances.let_through.sum())
    assert found["refused"] == int((~chances.let_through).sum())
    assert found["weight"] == pytest.approx(len(chances.account), rel=0.1)  # they stand for all of them
    share_of = found["fraud_share"]
    assert isinstance(share_of, dict)
    assert share_of["low"] < 0.3 < share_of["high"]  # 0.4 x the mean risk of 0.75


def test_where_nobody_let_through_stands_for_those_refused_there_is_no_figure() -> None:
    of, chances, _, _ = world(2)
    nobody = Chances(chances.account, np.zeros(len(chances.account), bool), 1 - chances.rate)
    found = explored(of, nobody)
    assert isinstance(found["held_out"], dict)
    assert found["held_out"]["recall"]["value"] is None
    assert found["fraud_share"] == {"value": None, "low": 0.0, "high": 1.0, "effective_accounts": 0.0}
