from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from service.domain.facts import Int64s
from service.domain.time import DAY
from service.linking.accounts import Accounts
from service.linking.find import TIED, Found, find
from service.linking.judge import DETECTED, SUSPECTED, shipped
from tests.factories import NOON
from tests.service.linking.worlds import (
    CARD,
    IP,
    MAIL_DOMAIN,
    PROMO,
    PROMPT,
    TEMPLATE,
    World,
    dealt,
    make_world,
    planted,
)

N = 2_000
KEY = 700_000  # numbers from here on are nobody's in a world of strangers
RINGS = tuple(np.arange(first, first + 40) for first in (1_000, 1_100, 1_200, 1_300))
OFFICE = np.arange(1_500, 1_560)


def ring(members: Int64s, number: int) -> list[Int64s]:
    """A campaign: a work list, and pools of cards and addresses that go round; a few of the members show each."""
    rng = np.random.default_rng(number)
    first = KEY + 1_000 * number
    rows = [planted(rng.choice(members, 8, replace=False), PROMPT, first + i) for i in range(150)]
    for kind in (IP, CARD):
        rows += [planted(rng.choice(members, 5, replace=False), kind, first + i) for i in range(16)]
    return rows


def office(members: Int64s) -> list[Int64s]:
    """One domain, one address, one card, one code, and the same ten exercises for all."""
    rows = [planted(members, kind, KEY + 90_000) for kind in (MAIL_DOMAIN, IP, CARD, PROMO)]
    return [*rows, *(planted(members, PROMPT, KEY + 90_000 + i) for i in range(10))]


def rows_of(*groups: list[Int64s]) -> Int64s:
    """Keys of these groups among those of strangers, who had been dealt none of either's."""
    shown, _, _ = dealt(5)
    return np.concatenate([shown, *(rows for group in groups for rows in group)])


def world_of(*groups: list[Int64s]) -> World:
    return make_world(rows_of(*groups), dealt(5)[1])


def accounts_of(world: World) -> Accounts:
    """Accounts that signed up over twenty days."""
    n = world.seen.n
    created = NOON + np.random.default_rng(1).integers(0, 20 * DAY, n)
    return Accounts(np.arange(n) * 3 + 7, created, world.country, np.full(n, 6), created, NOON + 30 * DAY)


def found_in(world: World, standing: Int64s | None = None, *, seed: int = 1) -> Found:
    nobody = np.full(world.seen.n, -1, np.int64)
    return find(world.seen, accounts_of(world), nobody if standing is None else standing, shipped(), seed)


def parts(found: Found) -> set[frozenset[int]]:
    """The groups without their numbers."""
    return {frozenset(np.flatnonzero(found.group == i).tolist()) for i in range(len(found.score))}


@pytest.fixture(scope="module")
def world() -> World:
    """Four campaigns and an office among strangers."""
    return world_of(*(ring(members, i) for i, members in enumerate(RINGS)), office(OFFICE))


@pytest.fixture(scope="module")
def found(world: World) -> Found:
    return found_in(world)


def test_every_campaign_is_found_apart_from_the_others_and_without_strangers(found: Found) -> None:
    for members in RINGS:
        inside = found.group[members]
        most = int(np.bincount(inside[inside >= 0]).argmax())
        assert (inside == most).mean() >= 0.95
        assert np.isin(np.flatnonzero(found.group == most), members).all()
        assert found.score[most] >= DETECTED


def test_an_office_that_shares_all_there_is_scores_below_a_campaign(found: Found) -> None:
    groups = np.unique(found.group[OFFICE][found.group[OFFICE] >= 0])
    assert found.score[groups].max(initial=0.0) < SUSPECTED


def test_strangers_are_in_no_group_that_is_worth_a_word(found: Found) -> None:
    strangers = np.setdiff1d(np.arange(N), np.concatenate([*RINGS, OFFICE]))
    worth = np.append(found.score >= SUSPECTED, False)
    assert not worth[found.group[strangers]].any()


def test_the_same_sightings_give_the_same_groups(world: World, found: Found) -> None:
    again = found_in(world)
    np.testing.assert_array_equal(again.group, found.group)
    np.testing.assert_array_equal(again.score, found.score)


def test_the_order_of_rows_does_not_matter(world: World, found: Found) -> None:
    rows = rows_of(*(ring(members, i) for i, members in enumerate(RINGS)), office(OFFICE))
    mixed = make_world(np.random.default_rng(1).permutation(rows), world.country)
    assert parts(found_in(mixed)) == parts(found)


def test_another_seed_finds_the_same_campaigns(world: World, found: Found) -> None:
    other = found_in(world, seed=2)
    for members in RINGS:
        assert ((found.group[members] >= 0) == (other.group[members] >= 0)).mean() >= 0.95


def test_a_campaign_that_is_known_grows_and_keeps_no_stranger(world: World) -> None:
    standing = np.full(N, -1, np.int64)
    standing[RINGS[0][:15]] = 0
    standing[[3, 4, 5]] = 0
    found = found_in(world, standing)
    inside = found.group[RINGS[0]]
    assert len(np.unique(inside[inside >= 0])) == 1
    assert (inside >= 0).mean() >= 0.95
    assert (found.group[[3, 4, 5]] == -1).all()


def templates_of_their_own() -> list[Int64s]:
    """Two for everybody."""
    everyone = np.arange(N)
    return [np.stack([everyone, np.full(N, TEMPLATE), 1 + everyone + i * N], axis=1) for i in range(2)]


def test_a_crew_that_no_ties_hold_is_found_by_its_own_template() -> None:
    """One template of its own, mail at two domains, woken in one night: too little to tie any two members."""
    members = np.arange(1_600, 1_630)
    rows = [planted(members, TEMPLATE, KEY + 50_000)]
    rows += [planted(members[i::2], MAIL_DOMAIN, KEY + 50_000 + i) for i in range(2)]
    world = world_of([*rows, *templates_of_their_own()])
    accounts = accounts_of(world)
    accounts.begun[members] = accounts.as_of - 3 * DAY
    found = find(world.seen, accounts, np.full(N, -1, np.int64), shipped(), 1)
    inside = found.group[members]
    assert inside[0] >= 0
    np.testing.assert_array_equal(np.flatnonzero(found.group == inside[0]), members)


def test_users_of_a_template_that_half_of_all_have_are_no_crew() -> None:
    many = np.arange(0, N, 2)
    found = found_in(world_of([planted(many, TEMPLATE, KEY), *templates_of_their_own()]))
    assert len(found.score) == 0 or found.score.max() < SUSPECTED


def test_a_campaign_that_is_the_only_one_is_found() -> None:
    found = found_in(world_of(ring(RINGS[0], 0)))
    assert (found.group[RINGS[0]] >= 0).mean() >= 0.95


def test_the_more_accounts_there_are_to_be_mistaken_for_the_more_it_takes_to_tie_two() -> None:
    """Chance must tie about as many strangers in a small installation as in one of a million, not a hundredth."""
    ties = []
    for n in (2_000, 20_000):
        shown, country, _ = dealt(5, n)
        left = np.arange(200, 260, 2)
        pairs = [planted(np.array([i, i + 1]), kind, KEY + i) for i in left.tolist() for kind in (IP, MAIL_DOMAIN)]
        world = make_world(np.concatenate([shown, *pairs]), country)
        found = found_in(world)
        ties.append(found.ties.strength.min())
    assert ties[0] < ties[1] < TIED


def test_every_account_on_one_key_is_no_campaign_and_no_great_work() -> None:
    everyone = np.arange(5_000)
    world = make_world(planted(everyone, CARD, 1), np.zeros(5_000, np.int64))
    began = time.process_time()
    found = found_in(world)
    assert time.process_time() - began < 5
    assert (found.group == -1).all()
    assert len(found.score) == len(found.ties.left) == 0


def test_every_account_on_one_key_hides_no_campaign(found: Found) -> None:
    groups = [*(ring(members, i) for i, members in enumerate(RINGS)), office(OFFICE)]
    with_hub = found_in(world_of(*groups, [planted(np.arange(N), PROMO, 5)]))
    for members in RINGS:
        assert ((with_hub.group[members] >= 0) == (found.group[members] >= 0)).mean() >= 0.95


def test_no_keys_and_no_accounts_give_no_groups() -> None:
    for n in (0, 9):
        lone = np.stack([np.arange(n), np.full(n, CARD), np.arange(n)], axis=1).astype(np.int64)
        found = found_in(make_world(lone, np.zeros(n, np.int64)))
        assert found.group.tolist() == [-1] * n
        assert len(found.score) == 0


def test_a_known_campaign_of_which_nothing_is_left_to_see_dissolves() -> None:
    world = world_of()
    standing = np.full(N, -1, np.int64)
    standing[[10, 20, 30, 40, 50]] = 0
    assert (found_in(world, standing).group[[10, 20, 30, 40, 50]] == -1).all()


def test_clocks_that_run_backwards_change_nothing_about_who_is_linked(world: World, found: Found) -> None:
    late = replace(accounts_of(world), created=np.full(N, NOON + 99 * DAY), begun=np.full(N, NOON + 99 * DAY))
    again = find(world.seen, late, np.full(N, -1, np.int64), shipped(), 1)
    assert parts(again) == parts(found)
    assert np.isfinite(again.score).all()
