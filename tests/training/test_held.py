from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.domain.profile import PROFILE, PROFILE_INDEX, country_number
from service.domain.time import DAY, HOUR
from tests.training.gate_worlds import PLACE, World
from training.compare import Ranked
from training.held import Held, columns_of, hold_out, with_countries


def held() -> Held:
    """The accounts from 2,500 on of a world, all labelled."""
    dataset = World().dataset()
    rows = np.flatnonzero(dataset.row >= 2_500)
    fraud = (dataset.accounts.verdict[dataset.row] == 1).astype(float)
    innocent = np.ones(len(dataset.accounts))
    return hold_out(dataset, rows, fraud=fraud, weight=np.ones(len(fraud)), innocent=innocent)


def test_an_account_labelled_fraud_is_no_honest_one_whatever_its_chance() -> None:
    of = held()
    assert of.innocent[of.frauds].sum() == 0
    assert of.innocent[~of.frauds].all()


def test_no_more_than_the_budget_of_honest_accounts_lies_above_the_threshold_and_ties_are_left_alone() -> None:
    of = held()
    score = np.round(np.random.default_rng(2).random(len(of.account)), 1)
    ranked = Ranked(of, score)
    for budget in (0.001, 0.05, 0.3, 0.95):
        at = ranked.threshold(np.ones(len(of)), budget)
        touched = float(of.innocent[ranked.highest > at].sum() / of.innocent.sum())
        assert touched <= budget
        lower = max((one for one in np.unique(ranked.highest).tolist() if one < at), default=None)
        if lower is not None:
            assert float(of.innocent[ranked.highest > lower].sum() / of.innocent.sum()) > budget


def test_exchanges_are_counted_until_the_first_probe_above_the_threshold_and_all_where_there_is_none() -> None:
    of = held()
    assert of.spent is not None
    caught_at_an_hour = np.where(of.age == HOUR, 0.9, 0.1)
    before, known = Ranked(of, caught_at_an_hour).let_through(0.5)
    assert np.array_equal(before, of.spent[of.age == HOUR])
    assert np.array_equal(known, of.spent[of.age == 7 * DAY])
    before, known = Ranked(of, caught_at_an_hour).let_through(0.95)
    assert np.array_equal(before, known)


def test_what_is_used_after_seven_days_is_not_told_by_the_last_week_alone() -> None:
    dataset = World(n=800, frauds_in=4).dataset()
    old = replace(dataset, age=np.where(dataset.age == HOUR, 7 * DAY, np.where(dataset.age == 7 * DAY, 30 * DAY, 0)))
    rows = np.arange(len(old.row))
    one = np.ones(len(rows))
    of = hold_out(old, rows, fraud=one, weight=one, innocent=np.ones(len(old.accounts)))
    assert of.spent is not None
    assert np.array_equal(of.spent[old.age == 30 * DAY], of.spent[old.age == 7 * DAY])


def test_a_country_is_read_from_the_signup_and_unknown_where_there_is_none() -> None:
    of = held()
    number = of.number[:3]
    profile = np.full((3, len(PROFILE)), np.nan, np.float32)
    profile[:2, PROFILE_INDEX["country"]] = country_number("DE"), country_number("ZZ")
    told = with_countries(of, number, profile).segments["country"]
    assert told[:4].tolist() == ["DE", "ZZ", "", ""]
    assert "country" not in with_countries(of, number[:0], profile[:0]).segments


def test_a_feature_that_the_dataset_lacks_is_unknown_to_the_model_that_has_it() -> None:
    dataset = World(n=800, frauds_in=4).dataset()
    lacking = dataset.only(np.array([one.name != "signal.odd" for one in dataset.features]))
    got = columns_of(lacking, np.arange(6), dataset.features)
    assert np.isnan(got[:, PLACE["odd"]]).all()
    assert np.array_equal(got[:, PLACE["good"]], dataset.matrix[:6, PLACE["good"]])
