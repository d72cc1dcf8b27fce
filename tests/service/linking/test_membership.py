from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.domain.facts import Int64s
from service.domain.time import DAY, HOUR
from service.linking import membership as room
from service.linking.accounts import Accounts
from service.linking.communities import compact
from service.linking.families import FAMILIES, FAMILY_CAP, PROMPT
from service.linking.membership import (
    CADENCE,
    JOIN,
    KEY_CAP,
    PROMPT_FLOOR,
    SMALLEST,
    assign,
    fits,
    group_keys,
    rejoin,
    sums,
)
from tests.factories import NOON
from tests.service.linking.worlds import CARD, IP, MAIL_DOMAIN, World, dealt, make_world, planted
from tests.service.linking.worlds import PROMPT as PROMPT_KIND

N = 2_000
RING = np.arange(1_000, 1_040)
KEY = 700_000  # numbers from here on are nobody's in a world of strangers


def among_strangers(*rows: Int64s, seed: int = 5) -> World:
    shown, country, _ = dealt(seed)
    return make_world(np.concatenate([shown, *rows]), country)


def work(members: Int64s, prompts: int = 60, each: int = 6, first: int = KEY, seed: int = 1) -> list[Int64s]:
    """A work list, each prompt of which a few of the members send."""
    rng = np.random.default_rng(seed)
    return [planted(rng.choice(members, each, replace=False), PROMPT_KIND, first + i) for i in range(prompts)]


def pools(members: Int64s, kind: int, size: int, first: int = KEY) -> list[Int64s]:
    """A key of ``kind`` for every ``size`` of the members."""
    return [planted(members[i : i + size], kind, first + i) for i in range(0, len(members), size)]


def group_of(*members: Int64s) -> Int64s:
    out = np.full(N, -1, np.int64)
    for number, each in enumerate(members):
        out[each] = number
    return out


def members_of(group: Int64s, some: Int64s = RING) -> Int64s:
    """Those in the group that most of ``some`` are in."""
    inside = group[some][group[some] >= 0]
    return np.flatnonzero(group == np.bincount(inside).argmax()) if len(inside) else inside


def test_members_stay_and_strangers_that_one_public_prompt_brought_in_go() -> None:
    strangers = np.arange(10)
    public = planted(np.concatenate([RING, strangers, np.arange(200, 260)]), PROMPT_KIND, KEY + 900)
    world = among_strangers(*work(RING), *pools(RING, IP, 5), public)
    after = assign(world.seen, world.surprise, group_of(np.concatenate([RING, strangers])))
    assert np.isin(RING, members_of(after)).mean() >= 0.95
    assert np.isin(members_of(after), RING).all()


def test_one_home_address_makes_nobody_a_member() -> None:
    """A campaign borrows the address of people who live there."""
    people = np.array([3, 4, 5])
    world = among_strangers(*work(RING), *pools(RING, CARD, 5), planted(np.append(RING[:6], people), IP, KEY + 800))
    assert (assign(world.seen, world.surprise, group_of(RING))[people] == -1).all()


def test_newcomers_with_several_keys_of_a_campaign_are_let_in() -> None:
    known, late = RING[:30], RING[30:]
    world = among_strangers(*work(RING), *pools(np.random.default_rng(2).permutation(RING), IP, 5))
    after = assign(world.seen, world.surprise, group_of(known))
    assert np.isin(late, members_of(after)).mean() >= 0.9
    assert np.isin(members_of(after), RING).all()


def test_who_has_no_keys_but_kinds_of_his_own_lets_newcomers_in_too() -> None:
    """Two kinds of one's own say two things: as one family they could never reach what it takes to join."""
    turned = [np.random.default_rng(seed).permutation(RING) for seed in range(4)]
    shown = [pools(some, kind, 8, KEY + 100 * i) for i, some in enumerate(turned) for kind in (IP, CARD)]
    world = among_strangers(*(rows for each in shown for rows in each))
    own = replace(world.seen, kinds=("mail_domain", "custom.line", "custom.wallet", "prompt", "custom.promo"))
    late = RING[30:]
    assert (assign(own, world.surprise, group_of(RING[:30]))[late] >= 0).mean() >= 0.7
    found = fits(own, world.surprise, group_of(RING[:30]))
    assert found.families[np.isin(found.account, late)][:, FAMILIES.index("custom")].max() > FAMILY_CAP


def test_whoever_sends_a_thousand_other_prompts_does_not_work_for_a_campaign() -> None:
    batch = 7
    own = [planted(np.array([batch, batch + 1 + i % 3]), PROMPT_KIND, KEY + 5_000 + i) for i in range(1_500)]
    borrowed = [planted(np.array([batch]), PROMPT_KIND, KEY + i) for i in range(4)]
    address = planted(np.append(RING[:5], batch), IP, KEY)
    busy, quiet = (among_strangers(*work(RING), *borrowed, address, *more) for more in (own, []))
    assert assign(busy.seen, busy.surprise, group_of(RING))[batch] == -1
    assert assign(quiet.seen, quiet.surprise, group_of(RING))[batch] >= 0


def test_a_newcomer_is_not_held_to_prompts_that_nobody_had_time_to_ask_again() -> None:
    """Half of what members sent is shared by now; of a first day's dozen prompts none is yet, nor could be."""
    newcomer, batch = 1_500, 1_501
    mine = [planted(np.array([newcomer, batch + 1 + i % 3]), PROMPT_KIND, KEY + 6_000 + i) for i in range(12)]
    many = [planted(np.array([batch, batch + 1 + i % 3]), PROMPT_KIND, KEY + 7_000 + i) for i in range(1_500)]
    world = among_strangers(*work(RING), *mine, *many, planted(np.append(RING[:6], (newcomer, batch)), IP, KEY))
    found = fits(world.seen, world.surprise, group_of(RING))
    said = dict(zip(found.account.tolist(), found.families[:, PROMPT].tolist(), strict=True))
    assert -4.0 < said[newcomer] < 0.0
    assert said[batch] == PROMPT_FLOOR


def accounts_that_came(created: Int64s, begun: Int64s | None = None) -> Accounts:
    used = np.zeros(N, np.int64) if begun is None else np.ones(N, np.int64)
    began = created if begun is None else begun
    return Accounts(np.arange(N), created, np.zeros(N, np.int64), used, began, NOON + 99 * DAY)


def over_weeks() -> Int64s:
    return NOON + np.random.default_rng(4).integers(0, 60 * DAY, N)


def test_who_came_with_a_crew_fits_it_better_than_who_came_at_another_time() -> None:
    created = over_weeks()
    created[RING] = NOON + 30 * DAY + np.arange(len(RING)) * HOUR // 4
    beside, apart = 1_500, 1_501
    created[[beside, apart]] = NOON + 30 * DAY, NOON + 3 * DAY
    world = among_strangers(*work(RING), planted(np.append(RING[:6], (beside, apart)), IP, KEY))
    found = fits(world.seen, world.surprise, group_of(RING), accounts_that_came(created))
    said = dict(zip(found.account.tolist(), found.cadence.tolist(), strict=True))
    assert said[beside] > 1.5
    assert said[apart] == CADENCE[0]
    assert min(said[member] for member in RING.tolist()) > 1.5


def test_accounts_bought_over_weeks_and_woken_in_one_night_came_together() -> None:
    created = over_weeks()
    begun = created + np.random.default_rng(5).integers(0, 20 * DAY, N)
    begun[RING] = NOON + 90 * DAY
    world = among_strangers(*work(RING))
    found = fits(world.seen, world.surprise, group_of(RING), accounts_that_came(created, begun))
    member = np.isin(found.account, RING)
    assert found.cadence[member].min() == CADENCE[1]


def test_when_nobody_knows_when_accounts_came_it_counts_for_nothing() -> None:
    world = among_strangers(*work(RING))
    for accounts in (None, accounts_that_came(np.full(N, -1)), accounts_that_came(np.full(N, NOON))):
        np.testing.assert_allclose(fits(world.seen, world.surprise, group_of(RING), accounts).cadence, 0.0, atol=1e-9)


def test_what_an_account_shows_itself_does_not_speak_for_its_own_membership() -> None:
    """A member with keys of its own, and a stranger put beside it: nothing of theirs is anybody else's."""
    hermit = 1_500
    alone = [planted(np.array([hermit, 1_600 + i]), CARD, KEY + 50 + i) for i in range(20)]
    world = among_strangers(*work(RING), *alone)
    found = fits(world.seen, world.surprise, group_of(np.append(RING, hermit)))
    mine = (found.account == hermit) & (found.group == 0)
    assert found.nats[mine].sum() <= 1.0
    assert assign(world.seen, world.surprise, group_of(np.append(RING, hermit)))[hermit] == -1


@pytest.mark.parametrize("least", [-5.0, 0.0, 3.0, JOIN, 40.0])
def test_leaving_out_rows_that_cannot_reach_enough_changes_nothing_of_the_others(least: float) -> None:
    world = among_strangers(*work(RING), *pools(RING, IP, 5), planted(np.arange(0, 900, 2), PROMPT_KIND, KEY))
    group = group_of(RING[:20], RING[20:])
    accounts = accounts_that_came(over_weeks())
    every = fits(world.seen, world.surprise, group, accounts)
    whole = np.arange(N) % 7 == 0
    some = fits(world.seen, world.surprise, group, accounts, least=least, whole=whole)
    code = every.account * 2 + every.group
    at = np.searchsorted(code, some.account * 2 + some.group)
    for name in ("account", "group", "families", "kinds", "cadence"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[at])
    must = (every.nats >= least) | whole[every.account]
    assert np.isin(code[must], code[at]).all()
    if least > CADENCE[1]:
        assert len(some.account) < len(every.account)


@pytest.mark.parametrize("least", [-np.inf, JOIN])
def test_accounts_weighed_some_after_the_others_fit_as_all_at_once(
    least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = among_strangers(*work(RING), *pools(RING, IP, 5), planted(np.arange(0, 900, 2), PROMPT_KIND, KEY))
    group = group_of(RING[:20], RING[20:])
    whole = np.arange(N) % 7 == 0
    at_once = fits(world.seen, world.surprise, group, accounts_that_came(over_weeks()), least=least, whole=whole)
    monkeypatch.setattr(room, "TOGETHER", 50)
    monkeypatch.setattr(room, "AT_ONCE", 300)
    by_parts = fits(world.seen, world.surprise, group, accounts_that_came(over_weeks()), least=least, whole=whole)
    assert len(at_once.account) > 4 * 50 / 3
    for name in ("account", "group", "families", "kinds", "cadence", "size", "nats", "raw"):
        np.testing.assert_array_equal(getattr(by_parts, name), getattr(at_once, name))
    in_all = sums(world.seen, world.surprise, group, accounts_that_came(over_weeks()), least=least, whole=whole)
    for name in ("account", "group", "nats", "raw", "size"):
        np.testing.assert_array_equal(getattr(in_all, name), getattr(at_once, name))


def test_a_key_of_one_member_alone_is_no_key_of_the_group() -> None:
    world = among_strangers(planted(np.array([RING[0], 3]), CARD, KEY), planted(RING[:2], IP, KEY))
    keys = group_keys(world.seen, world.surprise, group_of(RING))
    found = world.seen.hashes[keys.key]
    assert world.key(IP, KEY) in found
    assert world.key(CARD, KEY) not in found
    assert keys.size.tolist() == [len(RING)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_strangers_thrown_together_dissolve(seed: int) -> None:
    world = among_strangers(seed=seed + 20)
    thrown = np.random.default_rng(seed).integers(-1, 40, N)
    assert (assign(world.seen, world.surprise, compact(thrown, 1)) >= 0).mean() < 0.005


def test_a_group_that_is_too_small_dissolves() -> None:
    few = RING[: SMALLEST - 1]
    world = among_strangers(*work(few, each=3), *pools(few, IP, 3), *pools(few, CARD, 3))
    assert (assign(world.seen, world.surprise, group_of(few)) == -1).all()


@pytest.mark.parametrize("seed", [6, 7])
def test_no_key_and_no_family_says_more_than_its_cap(seed: int) -> None:
    world = among_strangers(*work(RING, prompts=300), *pools(RING, IP, 4), seed=seed)
    group = np.random.default_rng(seed).integers(-1, 30, N)
    group[RING] = 30
    found = fits(world.seen, world.surprise, group)
    assert found.families.max() <= FAMILY_CAP
    assert found.families.min() >= PROMPT_FLOOR
    assert (np.delete(found.families, PROMPT, axis=1) >= 0).all()
    assert found.families.shape == (len(found.account), len(FAMILIES))
    code = found.account * 31 + found.group
    assert (np.diff(code) > 0).all()
    keys_of_kind = np.stack([np.bincount(world.seen.kind, minlength=found.kinds.shape[1])])
    assert (found.kinds <= KEY_CAP * keys_of_kind).all()
    np.testing.assert_allclose(found.raw, found.kinds.sum(axis=1))


def test_the_order_of_rows_and_the_numbers_of_groups_do_not_matter() -> None:
    shown, country, _ = dealt(5)
    rows = np.concatenate([shown, *work(RING), *pools(RING, IP, 5)])
    group = group_of(RING[:20], RING[20:], np.arange(50, 90))
    one, mixed = (make_world(each, country) for each in (rows, np.random.default_rng(1).permutation(rows)))
    turned = np.array([2, 0, 1, -1])[group]
    first, second = (fits(each.seen, each.surprise, group) for each in (one, mixed))
    np.testing.assert_array_equal(first.account, second.account)
    np.testing.assert_allclose(first.families, second.families)
    np.testing.assert_array_equal(
        np.array([2, 0, 1, -1])[compact_free(assign(one.seen, one.surprise, group), group)],
        compact_free(assign(one.seen, one.surprise, turned), turned),
    )


def compact_free(after: Int64s, before: Int64s) -> Int64s:
    """``after`` with each group's number that most of its members had before."""
    out = np.full(len(after), -1, np.int64)
    for number in range(after.max(initial=-1) + 1):
        members = after == number
        had = before[members]
        out[members] = np.bincount(had[had >= 0]).argmax()
    return out


def test_two_halves_of_one_campaign_are_joined_again_and_two_campaigns_are_not() -> None:
    other = np.arange(1_200, 1_240)
    mixed = np.random.default_rng(3).permutation(RING)
    world = among_strangers(
        *work(RING, each=8), *pools(mixed, IP, 5), *work(other, each=8, first=KEY + 2_000), *pools(other, CARD, 5)
    )
    joined = rejoin(world.seen, world.surprise, group_of(RING[:25], other, RING[25:]))
    assert len(np.unique(joined[RING])) == 1
    assert len(np.unique(joined[other])) == 1
    assert joined[RING[0]] != joined[other[0]]


def test_a_campaign_stays_what_it_is_when_asked_again() -> None:
    world = among_strangers(*work(RING), *pools(RING, IP, 5))
    once = assign(world.seen, world.surprise, group_of(RING))
    again = assign(world.seen, world.surprise, once)
    assert (again != once).sum() <= 2
    np.testing.assert_array_equal(rejoin(world.seen, world.surprise, again), again)


def test_nobody_belongs_to_no_group() -> None:
    world = among_strangers()
    assert (assign(world.seen, world.surprise, np.full(N, -1, np.int64)) == -1).all()
    assert len(fits(world.seen, world.surprise, np.full(N, -1, np.int64)).account) == 0


def test_a_harder_test_lets_fewer_in() -> None:
    world = among_strangers(*work(RING), *pools(RING, MAIL_DOMAIN, 8))
    sizes = [
        int((assign(world.seen, world.surprise, group_of(RING), join=join) >= 0).sum())
        for join in (JOIN / 3, JOIN, 1e9)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0
