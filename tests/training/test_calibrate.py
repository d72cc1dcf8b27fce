from __future__ import annotations

import numpy as np
import pytest

from training.calibrate import calibrate
from training.evaluate import calibration_error, calibration_table


def a_world(n: int, seed: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    raw = rng.normal(-1, 2, n)
    return raw, (rng.random(n) < 1 / (1 + np.exp(-(0.5 * raw - 1.5)))).astype(float)


@pytest.mark.parametrize(("accounts", "method"), [(50, "platt"), (5_000, "isotonic")])
def test_a_boastful_booster_is_brought_back_to_what_is_seen(accounts: int, method: str) -> None:
    raw, fraud = a_world(40_000)
    made = calibrate(raw, fraud, np.ones(len(raw)), fraud_accounts=accounts)
    assert made.method == method
    fresh, truth = a_world(40_000, seed=7)
    ones = np.ones(len(fresh))
    before = calibration_error(calibration_table(1 / (1 + np.exp(-fresh)), truth, ones))
    assert calibration_error(calibration_table(made.probability(fresh), truth, ones)) < 0.012 < before


@pytest.mark.parametrize("accounts", [10, 5_000])
def test_ranks_survive_calibration(accounts: int) -> None:
    raw, fraud = a_world(3_000)
    made = calibrate(raw, fraud, np.ones(len(raw)), fraud_accounts=accounts)
    order = np.sort(raw)
    assert (np.diff(made.probability(order)) > 0).all()


def test_a_perfect_separation_does_not_claim_certainty() -> None:
    raw, fraud = np.array([-3.0] * 20 + [3.0] * 5), np.array([0.0] * 20 + [1.0] * 5)
    made = calibrate(raw, fraud, np.ones(25), fraud_accounts=5)
    assert 0.7 < made.probability(np.array([3.0]))[0] < 0.95


def test_a_booster_that_ranks_backwards_is_flattened_and_not_turned_round() -> None:
    raw, fraud = a_world(2_000)
    made = calibrate(-raw, fraud, np.ones(len(raw)), fraud_accounts=100)
    low, high = made.probability(np.array([-2.0, 2.0]))
    assert 0 < high - low < 0.05


def test_weights_stand_for_rows() -> None:
    raw, fraud = a_world(500)
    twice = calibrate(np.tile(raw, 2), np.tile(fraud, 2), np.ones(1_000), fraud_accounts=9)
    weighted = calibrate(raw, fraud, np.full(500, 2.0), fraud_accounts=9)
    np.testing.assert_allclose(twice.calibrated, weighted.calibrated, atol=1e-4)
