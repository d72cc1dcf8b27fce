from __future__ import annotations

import numpy as np
import pytest

from service.domain.facts import Float64s, Int64s
from service.linking.surprise import surprise
from tests.service.linking.worlds import CARD, IP, MAIL_DOMAIN, PROMPT, World, dealt, make_world, planted

KEY = 888_888


def among_strangers(*rows: Int64s, seed: int = 3) -> World:
    shown, country, _ = dealt(seed)
    return make_world(np.concatenate([shown, *rows]), country)


def nats(world: World, kind: int, number: int = KEY) -> Float64s:
    """What a key says for each account that showed it."""
    says: Float64s = world.surprise[world.seen.hashes[world.seen.key] == world.key(kind, number)]
    return says


def test_the_more_accounts_show_a_key_the_less_it_says() -> None:
    says = [float(nats(among_strangers(planted(np.arange(few), CARD, KEY)), CARD).mean()) for few in (2, 20, 200, 2000)]
    assert says == sorted(says, reverse=True)
    assert says[0] > 5
    assert says[-1] < 1


def test_what_half_of_a_country_shows_says_little_there_and_more_about_others() -> None:
    shown, country, _ = dealt(3)
    third = np.flatnonzero(country == 2)
    stranger = int(np.flatnonzero(country == 0)[0])
    world = make_world(np.concatenate([shown, planted(np.append(third[::2], stranger), MAIL_DOMAIN, KEY)]), country)
    who = world.seen.account[world.seen.hashes[world.seen.key] == world.key(MAIL_DOMAIN, KEY)]
    says = nats(world, MAIL_DOMAIN)
    assert says[who == stranger].item() > says[who != stranger].max() + 1


def test_a_key_says_little_about_an_account_that_shows_thousands_of_its_kind() -> None:
    busy = np.stack([np.zeros(3_000), np.full(3_000, PROMPT), 500_000 + np.arange(3_000)], axis=1).astype(np.int64)
    world = among_strangers(busy, planted(np.array([0, 1]), PROMPT, KEY))
    who = world.seen.account[world.seen.hashes[world.seen.key] == world.key(PROMPT, KEY)]
    says = nats(world, PROMPT)
    assert says[who == 0].item() < says[who == 1].item() - 2


def test_nothing_that_was_seen_is_impossible_or_more_than_certain() -> None:
    world = among_strangers(planted(np.arange(2_000), IP, KEY))
    assert np.isfinite(world.surprise).all()
    assert world.surprise.min() >= 0
    assert world.surprise.max() <= -np.log(1e-12) + 1e-9


def test_names_of_countries_and_the_order_of_rows_do_not_matter() -> None:
    world = among_strangers()
    other = np.array([900, -4, 17, 3])[world.country]
    np.testing.assert_array_equal(surprise(world.seen, other), world.surprise)
    shown, country, _ = dealt(3)
    mixed = make_world(np.random.default_rng(1).permutation(shown), country)
    np.testing.assert_array_equal(mixed.surprise, world.surprise)


def test_without_any_shared_key_there_is_nothing_to_say() -> None:
    lone = np.stack([np.arange(9), np.full(9, CARD), np.arange(9)], axis=1)
    assert len(make_world(lone, np.zeros(9, np.int64)).surprise) == 0


@pytest.mark.parametrize("seed", [4, 5])
def test_a_rare_key_says_more_than_a_common_one_of_the_same_kind(seed: int) -> None:
    world = among_strangers(seed=seed)
    mean = np.bincount(world.seen.key, weights=world.surprise) / world.seen.degree
    for kind in range(4):
        mine = world.seen.kind == kind
        rare, common = mine & (world.seen.degree <= 3), mine & (world.seen.degree >= 100)
        if rare.any() and common.any():
            assert np.median(mean[rare]) > np.median(mean[common]) + 1
