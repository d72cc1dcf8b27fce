from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.time import DAY, HOUR
from training.maturity import LOWEST_SHARE, hidden_fraud, labelled_share, verdict_delays


def test_delays_seen_too_early_do_not_make_verdicts_look_quicker_than_they_are() -> None:
    rng = np.random.default_rng(1)
    created = rng.integers(0, 60 * DAY, 40_000)
    delay = (rng.exponential(10.0, 40_000) * DAY).astype(np.int64)
    as_of = 60 * DAY
    seen = created + delay <= as_of
    delays = verdict_delays(created[seen], (created + delay)[seen], as_of)
    truth = [float((delay <= days * DAY).mean()) for days in (2, 5, 10, 20)]
    estimated = delays.reported(np.array([days * DAY for days in (2, 5, 10, 20)]))
    naive = [float((delay[seen] <= days * DAY).mean()) for days in (2, 5, 10, 20)]
    np.testing.assert_allclose(estimated, truth, atol=0.02)
    assert abs(naive[1] - truth[1]) > 0.03  # counting what was seen would have been off


def test_nothing_is_reported_before_the_first_delay_and_everything_after_the_last() -> None:
    delays = verdict_delays(np.zeros(3, np.int64), np.array([HOUR, 2 * HOUR, 3 * HOUR]), 10 * DAY)
    np.testing.assert_allclose(delays.reported(np.array([HOUR - 1, HOUR, 3 * HOUR, DAY])), [0, 1 / 3, 1, 1])
    assert delays.quantile(0.9) == 3 * HOUR


def test_without_verdicts_nothing_is_reported() -> None:
    none = np.empty(0, np.int64)
    delays = verdict_delays(none, none, DAY)
    assert delays.reported(np.array([DAY])).tolist() == [0.0]
    assert delays.quantile(0.9) == 0


def test_where_analysts_find_every_fraud_at_once_silence_means_innocence() -> None:
    hidden = hidden_fraud(np.array([0.0, 0.5, 0.99]), 1.0, np.ones(3))
    np.testing.assert_allclose(hidden, 0.0, atol=1e-9)


def test_where_nothing_can_have_been_reported_yet_silence_says_nothing() -> None:
    pilot = np.array([0.0, 0.1, 0.4])
    np.testing.assert_allclose(hidden_fraud(pilot, 0.8, np.zeros(3)), pilot / 0.8, atol=1e-9)


def test_half_of_the_frauds_labelled_is_recovered_from_a_perfect_pilot() -> None:
    # one kind of row, of which 40 % are fraud and half of those labelled: the pilot says 0.2
    np.testing.assert_allclose(hidden_fraud(np.array([0.2]), 0.5, np.ones(1)), [0.2 / 0.8], atol=1e-9)


def test_the_labelled_share_is_never_taken_below_its_floor() -> None:
    assert labelled_share(np.array([0.01, 0.02])) == LOWEST_SHARE
    assert labelled_share(np.array([0.7, 0.9])) == pytest.approx(0.89)
    assert labelled_share(np.empty(0)) == 1.0


def test_the_labelled_share_is_found_where_many_frauds_look_like_honest_accounts() -> None:
    rng = np.random.default_rng(1)
    fraud = rng.beta(0.5, 1.0, 50_000)  # the chance that a row is fraud; the pilot knows it, times the share
    labelled = rng.random(50_000) < 0.8 * fraud
    assert labelled_share(0.8 * fraud[labelled]) == pytest.approx(0.8, abs=0.03)
    assert np.mean(0.8 * fraud[labelled]) < 0.5


@given(st.floats(0, 1), st.floats(0.3, 1), st.floats(0, 1), st.floats(0, 1))
def test_an_older_silence_is_never_more_suspect_than_a_younger_one(
    pilot: float, ever: float, one: float, other: float
) -> None:
    young, old = sorted((one, other))
    hidden = hidden_fraud(np.full(2, pilot), ever, np.array([young, old]))
    assert 0.0 <= hidden[1] <= hidden[0] + 1e-9 <= 1.0 + 2e-9
