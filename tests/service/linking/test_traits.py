from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from service.domain.facts import Int64s
from service.domain.time import DAY
from service.linking.accounts import Accounts
from service.linking.families import FAMILIES, ORGANISED
from service.linking.traits import Traits, traits
from tests.factories import NOON
from tests.service.linking.worlds import CARD, IP, MAIL_DOMAIN, PROMO, PROMPT, World, dealt, make_world, planted

N = 2_000
GROUP = np.arange(1_000, 1_040)
KEY = 700_000  # numbers from here on are nobody's in a world of strangers


def among_strangers(*rows: Int64s, seed: int = 5) -> World:
    shown, country, _ = dealt(seed)
    return make_world(np.concatenate([shown, *rows]), country)


def pools(kind: int, size: int, members: Int64s = GROUP) -> list[Int64s]:
    """A key of ``kind`` for every ``size`` of the members."""
    return [planted(members[i : i + size], kind, KEY + i) for i in range(0, len(members), size)]


def prompts(each: int, count: int = 60, members: Int64s = GROUP, seed: int = 1) -> list[Int64s]:
    """``count`` prompts, each sent by so many of the members."""
    rng = np.random.default_rng(seed)
    return [planted(rng.choice(members, each, replace=False), PROMPT, KEY + i) for i in range(count)]


def people(world: World, *, days: int = 10) -> Accounts:
    """Accounts that all signed up ten days ago and were there on ``days`` of them."""
    created = np.full(N, NOON - 10 * DAY)
    number = np.arange(N, dtype=np.int64)
    return Accounts(number, created, world.country, np.full(N, days), created, NOON)


def of_group(world: World, accounts: Accounts | None = None, members: Int64s = GROUP) -> Traits:
    group = np.full(N, -1, np.int64)
    group[members] = 0
    return traits(world.seen, world.surprise, group, accounts or people(world))


def left(found: Traits, family: str) -> float:
    return float(found.unexplained[0, FAMILIES.index(family)])


@pytest.mark.parametrize(
    ("kind", "family"), [(MAIL_DOMAIN, "mail"), (IP, "network"), (CARD, "payment"), (PROMO, "custom")]
)
def test_what_all_were_given_explains_their_sharing_and_what_rotates_does_not(kind: int, family: str) -> None:
    given = of_group(among_strangers(planted(GROUP, kind, KEY)))
    rotated = of_group(among_strangers(*pools(kind, 3)))
    explained = [float(each.explained[0, ORGANISED.index(family)]) for each in (given, rotated)]
    assert explained == [1.0, 0.0]
    assert given.organised[0] == pytest.approx(1.0)
    assert rotated.organised[0] == 0.0
    assert left(rotated, family) > left(given, family) + 0.5


def test_what_everybody_has_organises_nobody() -> None:
    """A provider that a third of the world uses is not the group's own."""
    found = of_group(among_strangers(planted(np.append(np.arange(700), GROUP), MAIL_DOMAIN, KEY)))
    assert found.organised[0] == 0.0


def test_a_hall_with_several_addresses_is_one_place_and_a_rotation_is_many() -> None:
    hall = of_group(among_strangers(*pools(IP, 10)))
    rotation = of_group(among_strangers(*pools(IP, 3)))
    place = ORGANISED.index("network")
    assert (hall.explained[0, place], rotation.explained[0, place]) == (1.0, 0.0)


def test_what_three_of_sixteen_have_in_common_organises_nobody_and_what_all_of_them_have_does() -> None:
    """A campaign's first accounts: three on one address are an accident, and no hall."""
    first = GROUP[:16]
    accident, hall = (of_group(among_strangers(planted(some, IP, KEY)), members=first) for some in (first[:3], first))
    assert accident.organised[0] == 0.0
    assert left(accident, "network") > 0.5
    assert hall.organised[0] == pytest.approx(1.0)


def test_one_domain_for_all_organises_more_than_two_for_a_half_each() -> None:
    one = of_group(among_strangers(planted(GROUP, MAIL_DOMAIN, KEY)))
    two = of_group(among_strangers(*pools(MAIL_DOMAIN, 20)))
    assert one.organised[0] == pytest.approx(1.0)
    assert two.organised[0] == pytest.approx(0.5)
    assert two.explained[0, ORGANISED.index("mail")] == 1.0


def test_members_who_signed_up_in_one_night_came_together_and_neighbours_over_weeks_did_not() -> None:
    world = among_strangers()
    created = NOON - np.random.default_rng(3).integers(0, 60 * DAY, N)
    apart = of_group(world, replace(people(world), created=created, begun=created))
    night = created.copy()
    night[GROUP] = NOON - 20 * DAY
    together = of_group(world, replace(people(world), created=night, begun=night))
    assert together.cadence[0] > 2.0
    assert abs(apart.cadence[0]) < 0.5


def test_work_that_is_dealt_out_is_told_from_exercises_that_all_are_given() -> None:
    dealt_out = of_group(among_strangers(*prompts(4)))
    exercises = of_group(among_strangers(*prompts(30)))
    assert dealt_out.split_mean[0] == pytest.approx(60 * 4 / 40, rel=0.1)
    assert dealt_out.exercises[0] == 0
    assert exercises.split_mean[0] < 0.5
    assert exercises.exercises[0] > 40
    assert dealt_out.split_list[0] == pytest.approx(60 / 40, rel=0.1)


def test_public_prompts_are_no_work_that_is_dealt_out() -> None:
    public = [planted(np.append(np.arange(900), GROUP[:4]), PROMPT, KEY + i) for i in range(60)]
    assert of_group(among_strangers(*public)).split_mean[0] < 0.5


def test_work_is_seen_by_day_and_by_life_and_activity_by_life() -> None:
    world = among_strangers(*prompts(4))
    ten, two = of_group(world), of_group(world, people(world, days=2))
    assert ten.split_per_day[0] == pytest.approx(ten.split_mean[0] / 10)
    assert two.split_per_day[0] == pytest.approx(ten.split_mean[0] / 2)
    assert ten.split_per_life[0] == two.split_per_life[0] == pytest.approx(ten.split_mean[0] / 10)
    assert (ten.busy[0], two.busy[0]) == (pytest.approx(1.0), pytest.approx(0.2))


def test_accounts_from_after_the_moment_have_no_life_that_is_negative() -> None:
    """Clocks that run backwards: signed up, and used, later than now."""
    world = among_strangers(*prompts(4))
    late = np.full(N, NOON + DAY)
    found = of_group(world, replace(people(world), created=late, begun=late))
    for field in fields(found):
        assert np.isfinite(getattr(found, field.name)).all(), field.name
    assert found.busy[0] <= 1.0


def test_even_volumes_are_told_from_uneven_ones() -> None:
    lone = np.stack([np.repeat(GROUP, 20), np.full(800, PROMPT), KEY + 10_000 + np.arange(800)], axis=1)
    some = np.repeat(GROUP, np.geomspace(1, 400, len(GROUP)).astype(np.int64))
    uneven = np.stack([some, np.full(len(some), PROMPT), KEY + 10_000 + np.arange(len(some))], axis=1)
    quiet = np.zeros(N, np.int64)
    spreads = [float(of_group(make_world(rows, quiet)).volume_spread[0]) for rows in (lone, uneven)]
    assert spreads[0] == pytest.approx(0.0, abs=1e-9)
    assert spreads[1] > 1.5


def test_the_span_is_that_of_the_middle_eight_tenths() -> None:
    world = among_strangers()
    accounts = people(world)
    created = accounts.created.copy()
    created[GROUP] += np.arange(len(GROUP)) * DAY
    created[GROUP[0]], created[GROUP[-1]] = 0, NOON
    found = of_group(world, replace(accounts, created=created))
    assert found.span_days[0] == pytest.approx(32, abs=1)
    assert found.size.tolist() == [len(GROUP)]


def test_neither_the_order_of_rows_nor_other_groups_matter() -> None:
    shown, country, _ = dealt(5)
    rows = np.concatenate([shown, *prompts(4), *pools(IP, 3), planted(GROUP, MAIL_DOMAIN, KEY)])
    one, mixed = (make_world(each, country) for each in (rows, np.random.default_rng(2).permutation(rows)))
    alone = of_group(one)
    group = np.full(N, -1, np.int64)
    group[np.arange(100)], group[GROUP], group[np.arange(200, 260)] = 0, 1, 2
    among = traits(mixed.seen, mixed.surprise, group, people(mixed))
    for field in fields(alone):
        np.testing.assert_allclose(getattr(among, field.name)[1], getattr(alone, field.name)[0], err_msg=field.name)


def test_no_groups_have_no_traits() -> None:
    world = among_strangers()
    found = traits(world.seen, world.surprise, np.full(N, -1, np.int64), people(world))
    assert {len(getattr(found, field.name)) for field in fields(found)} == {0}
    assert found.unexplained.shape == (0, len(FAMILIES))


def test_a_group_that_shares_nothing_has_plain_numbers() -> None:
    lone = np.stack([np.arange(N), np.full(N, CARD), np.arange(N)], axis=1)
    found = of_group(make_world(lone, np.zeros(N, np.int64)))
    for field in fields(found):
        assert np.isfinite(getattr(found, field.name)).all(), field.name
    assert found.unexplained.sum() == found.organised.sum() == found.split_mean.sum() == 0
