from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from service.domain.facts import Float32s
from service.domain.time import DAY, HOUR
from service.linking.accounts import Accounts
from service.linking.families import FAMILIES
from service.linking.find import TIED, find, tied_from
from service.linking.judge import shipped
from service.linking.pair_model import COLUMNS, SIGNS, SPARED, PairModel, columns
from service.linking.pairs import Ties, candidates, ties
from tests.factories import NOON
from tests.service.linking.worlds import CARD, PROMPT, World, dealt, make_world, planted

CREATED = NOON - 30 * DAY


@dataclass(frozen=True, slots=True)
class Weighs:
    """A booster that weighs columns by hand."""

    weights: dict[str, float]

    def predict(self, data: Float32s, *, raw_score: bool, num_threads: int) -> Any:
        assert raw_score
        assert num_threads == 1
        return data.astype(np.float64) @ np.array([self.weights.get(name, 0.0) for name in COLUMNS])


def people(n: int, created: list[int] | None = None, country: list[int] | None = None) -> Accounts:
    return Accounts(
        account=np.arange(n, dtype=np.int64),
        created=np.full(n, CREATED) if created is None else np.array(created, np.int64),
        country=np.ones(n, np.int64) if country is None else np.array(country, np.int64),
        active_days=np.ones(n, np.int64),
        begun=np.full(n, CREATED),
        as_of=NOON,
    )


def pair(left: int = 0, right: int = 1, **nats: float) -> Ties:
    row = np.array([[nats.get(name, 0.0) for name in FAMILIES]])
    return Ties(np.array([left]), np.array([right]), row)


def told(tied: Ties, accounts: Accounts) -> dict[str, float]:
    return dict(zip(COLUMNS, columns(tied, accounts)[0].tolist(), strict=True))


def test_a_pair_is_told_by_its_families_and_a_few_traits() -> None:
    said = told(pair(mail=3.0, prompt=7.5, habit=0.25), people(2, [CREATED, CREATED + 7 * HOUR]))
    assert (said["mail"], said["prompt"], said["device"]) == (3.0, 7.5, 0.0)
    assert said["nats"] == 10.75
    assert said["families"] == 2  # a quarter of a nat is no tie
    assert said["log_hours_apart"] == pytest.approx(np.log(8))
    assert (said["same_country"], said["both_new"]) == (1, 0)


@pytest.mark.parametrize(("country", "same"), [([3, 3], 1), ([3, 4], 0), ([0, 0], 0)])
def test_two_unknown_countries_are_not_one(country: list[int], same: int) -> None:
    assert told(pair(mail=1.0), people(2, country=country))["same_country"] == same


def test_a_pair_is_new_where_both_accounts_are() -> None:
    new, old = NOON - DAY, NOON - 8 * DAY
    assert told(pair(), people(2, [new, new]))["both_new"] == 1
    assert told(pair(), people(2, [new, old]))["both_new"] == 0


def test_every_family_speaks_for_a_pair_and_distance_in_time_against() -> None:
    signs = dict(zip(COLUMNS, SIGNS, strict=True))
    assert {signs[name] for name in FAMILIES} == {1}
    assert [name for name, sign in signs.items() if sign < 0] == ["log_hours_apart"]


def test_the_log_odds_from_which_a_pair_is_tied_become_the_threshold_and_a_unit_of_them_a_nat() -> None:
    model = PairModel(Weighs({"prompt": 0.5}), tied_at=-2.0)
    two = Ties(
        np.array([0, 0]), np.array([1, 2]), np.concatenate([pair(prompt=-4.0).families, pair(prompt=2.0).families])
    )
    assert model.strength(two, people(3), 14.0).tolist() == [14.0, 17.0]
    assert model.probability(two, people(3)).tolist() == pytest.approx([1 / (1 + np.e**2), 1 / (1 + np.e**-1)])


def test_a_pair_has_the_same_strength_alone_and_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(*dealt(3)[:2])
    one, other = candidates(world.seen, world.surprise, 1)
    tied = ties(world.seen, world.surprise, one, other)
    accounts = replace(people(world.seen.n), country=world.country)
    model = PairModel(Weighs({"nats": 1.3, "families": 0.1, "log_hours_apart": -0.2}))
    whole = model.strength(tied, accounts, TIED)
    monkeypatch.setattr("service.linking.pair_model._AT_ONCE", 7)
    assert (model.strength(tied, accounts, TIED) == whole).all()


def ringed() -> World:
    """Honest people, and thirty who share prompts and a few cards."""
    shown, country, _ = dealt(5)
    ring = np.arange(100, 130)
    parts = [shown]
    parts += [planted(ring[number % 5 :: 5], PROMPT, 500_000 + number) for number in range(40)]
    parts += [planted(ring[number::3], CARD, 700_000 + number) for number in range(3)]
    return make_world(np.concatenate(parts), country)


def test_without_a_model_the_sum_of_surprise_ties_and_a_model_that_says_the_sum_changes_nothing() -> None:
    world = ringed()
    accounts = replace(people(world.seen.n), country=world.country)
    nobody = np.full(world.seen.n, -1)
    plain = find(world.seen, accounts, nobody, shipped(), 1)
    same = find(
        world.seen, accounts, nobody, shipped(), 1, PairModel(Weighs({"nats": 1.0}), tied_at=tied_from(world.seen.n))
    )
    assert len(plain.ties.left) > 20
    assert (plain.ties.left.tolist(), plain.ties.right.tolist()) == (same.ties.left.tolist(), same.ties.right.tolist())
    assert plain.group.tolist() == same.group.tolist()


def test_a_model_decides_which_pairs_are_tied_but_not_against_much_surprise() -> None:
    world = ringed()
    accounts = replace(people(world.seen.n), country=world.country)
    nobody = np.full(world.seen.n, -1)
    plain = find(world.seen, accounts, nobody, shipped(), 1).ties
    cards = find(world.seen, accounts, nobody, shipped(), 1, PairModel(Weighs({"payment": 1.0}), tied_at=3.0)).ties
    paid = cards.families[:, FAMILIES.index("payment")] >= 3.0
    assert (paid | (cards.strength >= tied_from(world.seen.n) + SPARED)).all()
    assert (cards.strength[paid] < tied_from(world.seen.n)).any()
    none = find(world.seen, accounts, nobody, shipped(), 1, PairModel(Weighs({}), tied_at=1.0)).ties
    assert len(none.left) == (plain.strength >= tied_from(world.seen.n) + SPARED).sum()
    assert 0 < len(none.left) < len(plain.left)
