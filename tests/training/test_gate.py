from __future__ import annotations

import numpy as np
import pytest

from training.gate import Basis, Held, Ruling, rule

ENOUGH = Basis(fraud=200, groups=12)


def a_world(seed: int = 2, n: int = 6_000) -> tuple[Held, np.ndarray]:
    rng = np.random.default_rng(seed)
    fraud = (rng.random(n) < 0.08).astype(float)
    group = np.where(fraud > 0, rng.integers(0, 15, n), np.arange(n) + 1_000)
    return Held(fraud, np.ones(n), group), rng.normal(fraud * 2.5 - 2.4, 1.0)


def probability(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def judged(held: Held, challenger: np.ndarray, champion: np.ndarray | None, basis: Basis = ENOUGH) -> Ruling:
    return rule(basis, held, probability(challenger), None if champion is None else probability(champion), budget=0.001)


def test_the_same_model_again_passes() -> None:
    held, signal = a_world()
    assert judged(held, signal, signal).passes


def test_a_better_model_passes() -> None:
    held, signal = a_world()
    weak = signal + np.random.default_rng(5).normal(0, 2, len(signal))
    assert judged(held, signal, weak).passes


def test_a_worse_model_is_refused_with_both_figures() -> None:
    held, signal = a_world()
    weak = signal + np.random.default_rng(5).normal(0, 2, len(signal))
    ruling = judged(held, weak, signal)
    assert not ruling.passes
    assert "average precision 0." in ruling.why
    assert " against 0." in ruling.why


def test_a_model_that_ranks_alike_but_boasts_is_refused_for_its_calibration() -> None:
    held, signal = a_world()
    ruling = judged(held, signal + 2.0, signal)
    assert not ruling.passes
    assert "calibration" in ruling.why
    assert "average precision" not in ruling.why


def test_a_difference_within_noise_is_not_held_against_the_challenger() -> None:
    held, signal = a_world()
    jitter = signal + np.random.default_rng(5).normal(0, 0.02, len(signal))
    assert judged(held, jitter, signal).passes


@pytest.mark.parametrize("basis", [Basis(19, 12), Basis(200, 2)])
def test_too_little_fraud_is_refused_however_good_it_looks(basis: Basis) -> None:
    held, _ = a_world()
    ruling = judged(held, held.fraud * 8 - 4, None, basis)
    assert not ruling.passes
    assert "label more" in ruling.why


def test_a_first_model_passes_if_it_is_better_than_chance() -> None:
    held, signal = a_world()
    assert judged(held, signal, None).passes
    assert not judged(held, -signal, None).passes


def test_without_held_out_fraud_nothing_can_be_said() -> None:
    held, signal = a_world()
    none = Held(np.zeros(len(signal)), held.weight, held.group)
    assert "label more" in judged(none, signal, None).why
