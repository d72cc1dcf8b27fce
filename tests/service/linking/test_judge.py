from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.facts import Float64s
from service.linking.judge import DETECTED, LOWERED, TERMS, Judge, calibrated, shipped
from service.linking.sightings import Bools

THRESHOLD = float(np.log(DETECTED / (1 - DETECTED)))
ONE = Judge((1.0, *(0.0 for _ in TERMS[1:])), 0.0)  # its log-odds are its first term

verdicts = st.lists(st.tuples(st.floats(-12, 12), st.booleans()), min_size=1, max_size=40)


def columns(said: list[tuple[float, bool]]) -> tuple[Float64s, Bools]:
    return np.array([raw for raw, _ in said]), np.array([yes for _, yes in said])


def line(judge: Judge) -> tuple[float, float]:
    """Slope and shift that ONE was given."""
    return judge.weights[0], judge.bias


def test_without_verdicts_the_judge_stays_as_it_is() -> None:
    assert calibrated(shipped(), np.empty(0), np.empty(0, bool)) == shipped()


def test_one_verdict_hardly_moves_it() -> None:
    slope, shift = line(calibrated(ONE, np.array([4.0]), np.array([False])))
    assert 0.75 < slope < 1
    assert -0.3 < shift < 0


def test_refuted_campaigns_raise_what_it_takes_and_confirmed_ones_lower_it() -> None:
    raw = np.linspace(1.0, 4.0, 20)
    stricter, milder = (line(calibrated(ONE, raw, np.full(20, yes))) for yes in (False, True))
    assert (THRESHOLD - stricter[1]) / stricter[0] > THRESHOLD + 1
    assert (THRESHOLD - milder[1]) / milder[0] < THRESHOLD


@given(verdicts)
def test_no_verdicts_lower_the_threshold_by_more_than_is_allowed_or_let_groups_change_places(
    said: list[tuple[float, bool]],
) -> None:
    slope, shift = line(calibrated(ONE, *columns(said)))
    assert slope > 0
    assert (THRESHOLD - shift) / slope >= THRESHOLD - LOWERED - 1e-9


def test_many_confirmed_below_the_threshold_lower_it_as_far_as_is_allowed() -> None:
    slope, shift = line(calibrated(ONE, np.full(300, 0.2), np.ones(300, bool)))
    assert (THRESHOLD - shift) / slope == pytest.approx(THRESHOLD - LOWERED)


def test_the_line_goes_through_the_whole_judge() -> None:
    judge = calibrated(shipped(), np.linspace(1.0, 4.0, 20), np.zeros(20, bool))
    slope = judge.weights[0] / shipped().weights[0]
    assert judge.weights == pytest.approx(tuple(slope * weight for weight in shipped().weights))


def loss(log_odds: float, *, confirmed: bool) -> float:
    return float(np.logaddexp(0.0, -log_odds if confirmed else log_odds))


def gained(n: int, slope: float, shift: float) -> float:
    """Mean loss that calibration saves on a campaign left out, over installations with ``n`` judged campaigns each."""
    rng = np.random.default_rng(7)
    saved = []
    for _ in range(240 // n):
        raw = rng.normal(1.5, 2.0, n)
        confirmed = rng.random(n) < 1 / (1 + np.exp(-(slope * raw + shift)))
        for out in range(n):
            others = np.arange(n) != out
            a, b = line(calibrated(ONE, raw[others], confirmed[others]))
            yes = bool(confirmed[out])
            saved.append(loss(raw[out], confirmed=yes) - loss(a * raw[out] + b, confirmed=yes))
    return float(np.mean(saved))


@pytest.mark.parametrize(("n", "slope", "shift"), [(8, 1.0, -1.0), (20, 0.6, -1.2), (40, 1.4, 0.6)])
def test_a_campaign_left_out_is_judged_better_by_the_others_verdicts_where_the_judge_is_off(
    n: int, slope: float, shift: float
) -> None:
    assert gained(n, slope, shift) > 0


def test_a_campaign_left_out_loses_next_to_nothing_where_the_judge_is_right() -> None:
    assert gained(12, 1.0, 0.0) > -0.02
