from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.facts import Float64s
from service.linking.families import FAMILIES, ORGANISED
from service.linking.judge import DETECTED, LOWERED, TERMS, Judge, calibrated, shipped
from service.linking.sightings import Bools
from service.linking.traits import Traits

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


# --- what speaks for a campaign and what against ---------------------------------------------------------------------

MORE_OF_IT_NEVER_LOWERS = ("split_median", "split_per_day", "split_per_life", "split_list", "busy")
MORE_OF_IT_NEVER_RAISES = ("organised", "volume_spread", "split_share")
plain = st.floats(0, 20)
made_traits = st.builds(
    lambda numbers, size, explained, unexplained: Traits(
        size=np.array([size]),
        explained=np.array([explained]),
        unexplained=np.array([unexplained]),
        **{name: np.array([value]) for name, value in numbers.items()},
    ),
    st.fixed_dictionaries(
        {
            field.name: plain
            for field in fields(Traits)
            if field.name not in ("size", "explained", "unexplained", "busy", "split_share")
        }
        | {"busy": st.floats(0, 1), "split_share": st.floats(0, 1)}
    ),
    st.integers(1, 5_000),
    st.lists(st.floats(0, 1), min_size=len(ORGANISED), max_size=len(ORGANISED)),
    st.lists(st.floats(0, 10), min_size=len(FAMILIES), max_size=len(FAMILIES)),
)


def log_odds(traits: Traits) -> float:
    return float(shipped().log_odds(traits)[0])


@given(made_traits, st.sampled_from(MORE_OF_IT_NEVER_LOWERS), plain)
def test_more_work_that_is_dealt_out_never_lowers_a_score(traits: Traits, name: str, more: float) -> None:
    raised = replace(traits, **{name: getattr(traits, name) + more})
    assert log_odds(raised) >= log_odds(traits) - 1e-9


@given(made_traits, st.sampled_from(FAMILIES), plain)
def test_more_sharing_that_nothing_explains_never_lowers_a_score(traits: Traits, family: str, more: float) -> None:
    unexplained = traits.unexplained.copy()
    unexplained[:, FAMILIES.index(family)] += more
    assert log_odds(replace(traits, unexplained=unexplained)) >= log_odds(traits) - 1e-9


@given(made_traits, st.sampled_from(MORE_OF_IT_NEVER_RAISES), plain)
def test_more_organisation_and_more_uneven_use_never_raise_a_score(traits: Traits, name: str, more: float) -> None:
    raised = replace(traits, **{name: getattr(traits, name) + more})
    assert log_odds(raised) <= log_odds(traits) + 1e-9


@given(made_traits, st.integers(1, 5_000))
def test_the_same_evidence_about_more_accounts_never_lowers_a_score(traits: Traits, more: int) -> None:
    assert log_odds(replace(traits, size=traits.size + more)) >= log_odds(traits) - 1e-9


@given(made_traits)
def test_a_score_is_a_probability_whatever_the_traits(traits: Traits) -> None:
    assert 0 < shipped().score(traits)[0] < 1


def test_no_weight_speaks_against_what_its_term_says() -> None:
    assert len(shipped().weights) == len(TERMS)
    assert min(shipped().weights) >= 0
