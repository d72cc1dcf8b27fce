"""Token lengths and days follow the real traces that were fitted."""

from __future__ import annotations

import numpy as np
import pytest

from training.simulate.fit_traces import LEVELS
from training.simulate.rng import generator, mix
from training.simulate.traces import from_quantiles, hour_table, traces

# Medians of the published trace's 28,185 requests: conversation and code, input and output tokens.
MEDIANS = np.array([[1020.0, 129.0], [1469.0, 13.0]])


def test_median_token_lengths_are_the_traces() -> None:
    u = generator(1, "test").random(40_000)
    drawn = [[np.median(from_quantiles(traces().tokens[work, side], u)) for side in range(2)] for work in range(2)]
    assert np.allclose(drawn, MEDIANS, rtol=0.05)


def test_quantile_tables_rise_and_stand_at_the_levels_that_were_fitted() -> None:
    assert np.allclose(traces().levels, LEVELS)
    assert (np.diff(traces().tokens, axis=2) >= 0).all()


@pytest.mark.parametrize("steepness", [0.0, 1.0, 4.0])
def test_a_days_shares_add_up_to_one(steepness: float) -> None:
    table = hour_table(steepness)
    assert table.shape == (25,)
    assert table[0] == 0
    assert table[-1] == pytest.approx(1)
    assert (np.diff(table) > 0).all()


def test_people_are_awake_in_the_afternoon() -> None:
    shares = np.diff(hour_table(1.0))
    assert shares[14:18].sum() > 1.3 * shares[2:6].sum()


def test_distinct_counters_stay_distinct() -> None:
    words = mix(np.arange(200_000), 12345)
    assert len(np.unique(words)) == 200_000
