"""The promise of ``training/thresholds.py`` in a few worlds; ``python -m benchmarks.guarantee`` counts it in 200."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.guarantee import WAYS, law, shares
from training.thresholds import CONFIDENCE

BUDGET = 0.005
WORLDS = 12


@pytest.mark.parametrize("alike", [0.0, 0.6])
def test_the_budget_is_rarely_exceeded_over_whole_lives_and_in_groups_as_six_probes_always_do(alike: float) -> None:
    rng = np.random.default_rng([21, int(10 * alike)])
    found = np.array([shares(law(rng, alike), 4_000, BUDGET, rng, many=12_000) for _ in range(WORLDS)])
    exceeded = dict(zip(WAYS, (found > BUDGET).mean(axis=0), strict=True))
    assert exceeded["by groups, with confidence"] <= 2 * (1 - CONFIDENCE)
    assert exceeded["six probes"] >= 0.9
    assert exceeded["all looks"] > exceeded["by groups, with confidence"]
    shipped = found[:, WAYS.index("by groups, with confidence")]
    assert np.isfinite(shipped).mean() >= 0.7
    assert np.nanmean(shipped) > 0.2 * BUDGET
