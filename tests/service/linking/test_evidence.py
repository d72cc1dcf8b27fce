import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from service.domain.campaigns import CampaignEvidence
from service.domain.time import DAY, HOUR, WEEK
from service.linking.evidence import EDGES, LEAST, PICTURED, TYPICAL, Work, evidence, timeline
from service.linking.families import FAMILIES
from service.linking.pairs import Ties, candidates, ties
from tests.factories import NOON
from tests.service.linking.worlds import (
    CARD,
    IP,
    KINDS,
    MAIL_DOMAIN,
    PROMO,
    PROMPT,
    World,
    dealt,
    make_known,
    make_world,
    planted,
)

NO_WORK = Work(*(np.empty(0, np.int64) for _ in range(3)))
MONDAY = NOON - 12 * HOUR - 2 * DAY  # NOON is a Wednesday's


def groups_of(n: int, *members: np.ndarray) -> np.ndarray:
    out = np.full(n, -1, np.int64)
    for number, each in enumerate(members):
        out[each] = number
    return out


def said_of(world: World, *members: np.ndarray, which: int = 0, work: Work = NO_WORK, **known: Any) -> CampaignEvidence:
    group = groups_of(world.seen.n, *members)
    return evidence(world.ground, group, which, make_known(world, group, **known), work)


def against(world: World, members: np.ndarray, **known: Any) -> str:
    return " ".join(said_of(world, members, **known).counter_evidence)


# --- keys against chance --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 20, 100])
def test_in_at_most_one_of_twenty_groups_of_strangers_a_key_seems_to_be_more_than_luck(size: int) -> None:
    surprised = 0
    for seed in range(4):
        rows, country, week = dealt(seed)
        world, rng = make_world(rows, country, week=week), np.random.default_rng(seed + 100)
        order = rng.permutation(len(country))[: 25 * size] % len(country)
        groups = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
        group = groups_of(len(country), *groups)
        known = make_known(world, group)
        for which in range(len(groups)):
            said = evidence(world.ground, group, which, known, NO_WORK)
            assert said.keys, "strangers share something, too"
            surprised += said.keys[0].adjusted_chance < 0.05
    assert surprised <= 0.05 * 4 * len(groups)


def test_neither_does_it_among_strangers_of_one_country_and_week() -> None:
    surprised = total = 0
    for seed in range(4):
        rows, country, week = dealt(seed)
        world, rng = make_world(rows, country, week=week), np.random.default_rng(seed)
        pools = [np.flatnonzero((country == 0) & (week == each)) for each in range(8)]
        groups = [rng.choice(pool, 30, replace=False) for pool in pools]
        group = groups_of(len(country), *groups)
        known = make_known(world, group)
        for which in range(len(groups)):
            said = evidence(world.ground, group, which, known, NO_WORK)
            surprised, total = surprised + (said.keys[0].adjusted_chance < 0.05), total + 1
    assert surprised <= 0.05 * total + 1


def test_what_is_expected_of_strangers_is_what_they_show_on_average() -> None:
    n, rng = 2_000, np.random.default_rng(3)
    country = rng.integers(0, 3, n)
    domain = np.where(rng.random(n) < 0.6, country, rng.integers(3, 6, n))  # one of the country, or one of all
    world = make_world(np.stack([np.arange(n), np.full(n, MAIL_DOMAIN), domain], axis=1), country)
    shown, expected = np.zeros(6), np.zeros(6)
    for _ in range(60):
        abroad = rng.choice(np.flatnonzero(country != 0), 100, replace=False)
        for key in said_of(world, np.concatenate([abroad, rng.choice(np.flatnonzero(country == 0), 5)])).keys:
            shown[key.key % 10] += key.members
            expected[key.key % 10] += key.expected_members
    assert (expected / shown > 0.95).all()
    assert (expected[3:] / shown[3:] < 1.15).all()
    assert (expected[1:3] / shown[1:3] < 1.5).all()  # what is rare in a member's own country counts as it does anywhere


def test_a_planted_key_is_found_before_all_others() -> None:
    rows, country, week = dealt(1)
    ring = np.arange(40, 60)
    both = np.concatenate([rows, planted(ring[:12], CARD, 999_999), planted(np.array([1_500]), CARD, 999_999)])
    said = said_of(make_world(both, country, week=week), ring)
    first = said.keys[0]
    assert (first.key_type, first.key) == ("card", CARD * 10_000_000 + 999_999)
    assert (first.members, first.others) == (12, 1)
    assert first.expected_members < 0.1
    assert first.chance <= first.adjusted_chance < 1e-10
    assert said.as_of == NOON + 1


def test_of_unstratified_accounts_with_one_key_each_the_chance_is_that_of_the_exact_test_of_two_rates() -> None:
    n, ring = 1_000, np.arange(50)
    held = np.concatenate([ring[:6], np.arange(500, 520)])
    rows = np.concatenate([planted(held, CARD, 1), planted(np.setdiff1d(np.arange(n), held), CARD, 2)])
    said = said_of(make_world(rows, np.zeros(n, np.int64)), ring)
    [key] = [key for key in said.keys if key.key == CARD * 10_000_000 + 1]
    assert key.expected_members == pytest.approx(50 * 21 / 950)
    assert key.chance == pytest.approx(binom.sf(5, 26, 50 / 1_000))


def test_a_key_that_all_of_a_week_were_given_speaks_for_nobody_of_that_week_and_for_others_it_does() -> None:
    n = 2_000
    week = np.arange(n) % 10
    plan = np.arange(n) // 10 % 2
    given_to = np.flatnonzero((week == 3) & (plan == 1))
    strangers = np.flatnonzero((week == 5) & (plan == 1))[:10]
    everyone = np.arange(n)
    rows = np.concatenate(
        [
            planted(everyone, MAIL_DOMAIN, 1),
            planted(given_to, PROMO, 1),
            planted(strangers, PROMO, 1),
            planted(np.setdiff1d(everyone, np.union1d(given_to, strangers)), PROMO, 2),
        ]
    )
    world = make_world(rows, np.zeros(n, np.int64), plan=plan, week=week)
    for members, improbable in ((given_to[:30], False), (strangers, True)):
        [promo] = [key for key in said_of(world, members).keys if key.key_type == "custom.promo"]
        assert promo.members == len(members)
        assert (promo.adjusted_chance < 1e-6) == improbable


def test_a_key_of_a_kind_that_nobody_else_shows_at_all_says_nothing() -> None:
    n, ring = 500, np.arange(20)
    rows = np.concatenate([planted(np.arange(n), MAIL_DOMAIN, 1), planted(ring, PROMO, 1)])
    said = said_of(make_world(rows, np.zeros(n, np.int64)), ring)
    [promo] = [key for key in said.keys if key.key_type == "custom.promo"]
    assert promo.expected_members == len(ring)
    assert promo.adjusted_chance > 0.2


def test_all_keys_that_any_member_showed_are_looked_at_also_those_that_one_account_alone_has() -> None:
    n = 100
    rows = np.concatenate(
        [
            planted(np.arange(n), MAIL_DOMAIN, 1),
            np.stack([np.arange(n), np.full(n, CARD), np.arange(n)], axis=1),  # a card of one's own
            planted(np.array([0, 1, 50]), IP, 7),
            planted(np.array([2, 60]), IP, 8),
        ]
    )
    said = said_of(make_world(rows, np.zeros(n, np.int64)), np.arange(10))
    assert said.keys_looked_at == 1 + 10 + 2
    assert {(key.key_type, key.members) for key in said.keys} == {("mail_domain", 10), ("ip", 2)}


def test_the_least_likely_are_kept_and_a_thousand_prompts_do_not_hide_the_one_address() -> None:
    rows, country, week = dealt(2)
    ring = np.arange(300, 340)
    prompts = [planted(ring[start % 30 : start % 30 + 8], PROMPT, 900_000 + start) for start in range(1_000)]
    both = np.concatenate([rows, *prompts, planted(ring[:4], IP, 777_777)])
    said = said_of(make_world(both, country, week=week), ring)
    assert len(said.keys) == 200
    assert IP * 10_000_000 + 777_777 in [key.key for key in said.keys]
    adjusted = [key.adjusted_chance for key in said.keys]
    assert adjusted == sorted(adjusted)
    assert all(key.chance <= key.adjusted_chance <= 1.0 for key in said.keys)
    assert all(key.members >= 2 for key in said.keys)


def test_a_chance_too_small_for_a_number_is_said_as_the_least_one_and_the_largest_comes_first() -> None:
    n, ring = 20_000, np.arange(400)
    rows = np.concatenate(
        [
            np.stack([np.arange(n), np.full(n, CARD), np.arange(n)], axis=1),
            planted(ring[:300], CARD, 500_000),
            planted(ring, CARD, 500_001),
        ]
    )
    said = said_of(make_world(rows, np.zeros(n, np.int64)), ring)
    assert [(key.members, key.chance, key.adjusted_chance) for key in said.keys] == [
        (400, LEAST, LEAST),
        (300, LEAST, LEAST),
    ]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_ties_and_exchanges_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, country, week = dealt(3, n=300)
    ring = np.arange(40, 70)
    rows = np.concatenate([rows, planted(ring, IP, 777_777), planted(ring[:9], CARD, 999_999)])
    world, shuffled = make_world(rows, country, week=week), make_world(rows, country, week=week)
    order = np.lexsort((rng.random(len(world.seen.account)), world.seen.key))
    shuffled = dataclasses.replace(shuffled, seen=dataclasses.replace(world.seen, account=world.seen.account[order]))
    tied = ties(world.seen, world.surprise, *candidates(world.seen, world.surprise, seed=1))
    other = rng.permutation(len(tied.left))
    work = Work(rng.integers(0, 300, 500), NOON + rng.integers(0, 5 * DAY, 500), rng.integers(0, 2_000, 500))
    moved = rng.permutation(500)
    assert said_of(world, ring, ties=tied, work=work) == said_of(
        shuffled,
        ring,
        ties=Ties(tied.left[other], tied.right[other], tied.families[other]),
        work=Work(work.account[moved], work.happened[moved], work.tokens[moved]),
    )


def test_a_group_of_nobody_has_no_evidence() -> None:
    rows, country, week = dealt(4, n=200)
    said = said_of(make_world(rows, country, week=week), np.arange(5), which=3, explained={})
    assert (said.keys, said.keys_looked_at, said.timeline, said.typical_accounts, said.edges) == ((), 0, (), (), ())


def test_families_are_what_is_left_after_what_an_organisation_explains() -> None:
    rows, country, week = dealt(5)
    ring = np.arange(100, 130)
    pairs = [planted(ring[at : at + 2], IP, 777_000 + at) for at in range(0, 30, 2)]
    world = make_world(np.concatenate([rows, *pairs]), country, week=week)
    known = make_known(world, groups_of(len(country), ring))
    said = dict(said_of(world, ring).families)
    assert said.keys() <= set(FAMILIES)
    assert said["network"] == known.traits.unexplained[0, FAMILIES.index("network")] > 1.0
    assert all(nats > 0 for nats in said.values())


# --- what members did when ------------------------------------------------------------------------------------------


def moments(*at: int) -> np.ndarray:
    return np.array(at, np.int64)


def test_a_campaign_of_two_days_is_told_by_the_hour_one_of_weeks_by_the_day_and_a_long_one_by_weeks_from_monday() -> (
    None
):
    for lasted, unit in ((2 * DAY, HOUR), (3 * DAY, DAY), (90 * DAY, DAY), (91 * DAY, WEEK)):
        spans = timeline(moments(NOON + 1, NOON + 1 + lasted), NO_WORK)
        assert {span.end - span.start for span in spans} == {unit}
        assert all(span.start % min(unit, DAY) == 0 for span in spans)
        assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert (spans[0].start - MONDAY) % WEEK == 0


def test_the_timeline_counts_every_signup_exchange_and_token_once_and_each_member_once_a_span() -> None:
    work = Work(moments(4, 4, 9, 4), moments(NOON, NOON + 1, NOON + 2, NOON + 4 * DAY), moments(10, 20, 30, 40))
    spans = timeline(moments(NOON, NOON - DAY), work)
    assert [(span.signups, span.active_members, span.exchanges, span.tokens) for span in spans] == [
        (1, 0, 0, 0),
        (1, 2, 3, 60),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (0, 1, 1, 40),
    ]


def test_a_clock_that_stood_at_1970_does_not_make_thousands_of_spans() -> None:
    spans = timeline(moments(0, NOON), Work(moments(1), moments(-DAY), moments(5)))
    assert len(spans) <= 521
    assert (sum(span.signups for span in spans), sum(span.tokens for span in spans)) == (2, 5)


def test_exchanges_of_others_are_left_out() -> None:
    rows, country, week = dealt(6, n=200)
    work = Work(moments(3, 150), moments(NOON, NOON + 80 * DAY), moments(1, 1_000))
    said = said_of(make_world(rows, country, week=week), np.arange(10), work=work)
    assert sum(span.tokens for span in said.timeline) == 1
    assert len(said.timeline) == 1


# --- the picture ----------------------------------------------------------------------------------------------------


def full_ties(members: np.ndarray) -> Ties:
    """Every pair of members, the more strongly tied the nearer to the first, by addresses."""
    left, right = np.triu_indices(len(members), 1)
    families = np.zeros((len(left), len(FAMILIES)))
    families[:, FAMILIES.index("network")] = 40.0 - 0.1 * left
    families[:, FAMILIES.index("mail")] = 2.0
    return Ties(members[left], members[right], families)


def test_the_picture_shows_the_strongest_ties_of_some_members_and_no_outsider() -> None:
    rows, country, week = dealt(6, n=400)
    ring = np.arange(200)
    said = said_of(make_world(rows, country, week=week), ring, ties=full_ties(np.arange(260)))
    ends = {account for one, other, _, _ in said.edges for account in (one, other)}
    assert len(said.edges) == EDGES
    assert len(ends) <= PICTURED
    assert ends <= set((ring * 3 + 7).tolist())
    assert [nats for _, _, nats, _ in said.edges] == sorted((nats for _, _, nats, _ in said.edges), reverse=True)
    assert {kind for *_, kind in said.edges} == {"network"}
    assert said.edges[0][2] == pytest.approx(42.0)


def test_the_members_that_stand_for_the_others_are_those_who_belong_most_surely_then_those_tied_most() -> None:
    rows, country, week = dealt(6, n=400)
    ring = np.arange(30)
    membership = np.full(400, 0.9)
    membership[[20, 25]] = 1.0
    membership[3] = np.nan  # placed by an analyst
    said = said_of(make_world(rows, country, week=week), ring, ties=full_ties(ring), membership=membership)
    typical = [(account - 7) // 3 for account in said.typical_accounts]
    assert len(typical) == TYPICAL
    assert typical[:3] == [20, 25, 0]
    assert 3 not in typical


# --- what speaks against --------------------------------------------------------------------------------------------


def organisation(*, others: int, having: int = 100) -> tuple[World, np.ndarray]:
    """A hundred accounts of which ``having`` share a mail domain, as do ``others``; the rest has one of twenty."""
    n, ring = 1_000, np.arange(100)
    who = np.arange(n)
    number = 100 + who % 20
    number[ring[:having]] = 7
    number[500 : 500 + others] = 7
    return make_world(np.stack([who, np.full(n, MAIL_DOMAIN), number], axis=1), np.zeros(n, np.int64)), ring


def test_a_domain_of_their_own_speaks_against() -> None:
    world, ring = organisation(others=3, having=91)
    sentence = "91 % of the members share one mail domain, which hardly anybody else has: they may be one organisation."
    assert said_of(world, ring).counter_evidence == (sentence,)


@pytest.mark.parametrize(
    ("others", "whose"),
    [(0, "which nobody else has"), (1, "hardly anybody"), (40, "which 40 other accounts have, too")],
)
def test_how_many_others_have_the_organisations_key_is_said(others: int, whose: str) -> None:
    world, ring = organisation(others=others)
    assert whose in against(world, ring)


def test_what_explains_less_than_half_of_the_members_is_not_said() -> None:
    world, ring = organisation(others=3, having=45)
    assert "organisation" not in against(world, ring)


def test_a_few_organisations_are_named_as_a_few() -> None:
    world, ring = organisation(others=0, having=40)
    assert "they may be a few organisations" in against(world, ring, explained={"mail": 0.8})


@pytest.mark.parametrize(("hours", "countries", "says"), [(9, 1, True), (24, 1, False), (9, 4, False)])
def test_one_country_and_office_hours_speak_against(hours: int, countries: int, says: bool) -> None:
    rng = np.random.default_rng(1)
    world, ring = organisation(others=0)
    world = dataclasses.replace(world, country=1 + np.arange(world.seen.n) % countries)
    day = MONDAY + rng.integers(0, 8, 2_000) * WEEK + rng.integers(0, 5, 2_000) * DAY
    happened = day + 21 * HOUR + rng.integers(0, hours * HOUR, 2_000)  # an office whose clock is far from ours
    work = Work(rng.integers(0, 100, 2_000), happened, np.ones(2_000, np.int64))
    assert ("at work" in against(world, ring, work=work)) == says


def test_hardly_any_exchanges_show_no_office_hours() -> None:
    world, ring = organisation(others=0)
    world = dataclasses.replace(world, country=np.ones(world.seen.n, np.int64))
    work = Work(np.arange(20), np.full(20, NOON), np.ones(20, np.int64))
    assert "at work" not in against(world, ring, work=work)


def test_few_members_doubted_members_and_members_found_honest_speak_against() -> None:
    world, ring = organisation(others=0)
    membership = np.ones(world.seen.n)
    membership[:30] = 0.4
    membership[30:50] = np.nan  # an analyst's word is no doubt
    assert "There are only 5 members" in against(world, ring[:5])
    assert "only" not in against(world, ring)
    assert "38 % of the members belong less surely than not" in against(world, ring, membership=membership)
    assert "less surely" not in against(world, ring)
    honest = np.array([1, 5, 7, 900])
    assert "Analysts found 3 of the 100 members honest." in against(world, ring, honest=honest)
    assert "honest" not in against(world, ring, honest=np.array([900]))


def test_keys_that_others_have_more_often_speak_against() -> None:
    n, ring = 1_000, np.arange(20)
    rows = np.concatenate(
        [planted(np.arange(n), MAIL_DOMAIN, 1), planted(ring, IP, 5), planted(np.arange(40, 400), IP, 6)]
    )
    world = make_world(rows, np.zeros(n, np.int64))
    common = "50 % of the keys that members share are with more others than members; the commonest, one mail domain, "
    assert common + "980 other accounts have." in against(world, ring)


def test_keys_that_may_be_luck_are_called_so_and_others_are_not() -> None:
    rows, country, week = dealt(8)
    strangers, ring = np.arange(900, 930), np.arange(300, 340)
    world = make_world(np.concatenate([rows, planted(ring, IP, 777_777)]), country, week=week)
    assert "Chance alone may explain" in against(world, strangers)
    assert "Chance alone" not in against(world, ring)


def test_the_kinds_of_these_worlds_are_real_ones() -> None:
    from service.linking.leads import shown_at_the_door

    assert [kind for kind in KINDS if not shown_at_the_door(kind)] == ["prompt"]
