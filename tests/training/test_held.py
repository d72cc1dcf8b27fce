from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.domain.codes import hash64_many
from service.domain.profile import country_number
from service.domain.time import DAY, HOUR
from service.storage.arrivals import Arrival
from service.storage.store import open_store
from tests.factories import NOON, make_signups
from tests.training.gate_worlds import PLACE, World
from training.compare import Ranked
from training.held import Held, columns_of, hold_out, surrounded


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


def test_segments_and_honest_groups_are_what_the_store_knew_by_then(sqlite_url: str) -> None:
    store = open_store(sqlite_url, upgrading=True)
    names = [f"a{i}" for i in range(6)]
    on_one_device = [(name, "device", 77, NOON) for name in names[:3]]
    signups = make_signups([(name, NOON) for name in names], on_one_device, {"country": country_number("DE")})
    store.write([Arrival(None, signups=signups)])
    whole = held()
    number = np.sort(hash64_many(names))
    of = replace(whole, number=np.concatenate([number, whole.number[6:] + 2**62]))
    device = np.isin(of.number, hash64_many(names[:3]))
    told = surrounded(of, store, NOON + DAY)
    assert set(told.segments["country"][:6].tolist()) == {"DE"}
    assert set(told.segments["country"][6:].tolist()) == {""}
    honest = ~told.frauds
    assert len(np.unique(told.units[device & honest])) == 1
    assert len(np.unique(told.units[honest])) == int(honest.sum()) - int((device & honest).sum()) + 1
    assert surrounded(of, store, NOON - DAY) is of
    store.close()


def test_a_feature_that_the_dataset_lacks_is_unknown_to_the_model_that_has_it() -> None:
    dataset = World(n=800, frauds_in=4).dataset()
    lacking = dataset.only(np.array([one.name != "signal.odd" for one in dataset.features]))
    got = columns_of(lacking, np.arange(6), dataset.features)
    assert np.isnan(got[:, PLACE["odd"]]).all()
    assert np.array_equal(got[:, PLACE["good"]], dataset.matrix[:6, PLACE["good"]])
