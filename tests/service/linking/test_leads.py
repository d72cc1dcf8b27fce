import numpy as np
import pytest

from service.domain.codes import code32
from service.domain.detection import CampaignKeys
from service.linking.families import FAMILIES, apart
from service.linking.leads import MOST, at_the_door, leads
from service.linking.membership import ENRICHED, JOIN, KEY_CAP
from tests.service.linking.worlds import CARD, IP, KINDS, MAIL_DOMAIN, PROMO, PROMPT, World, dealt, make_world, planted

RING = np.arange(300, 340)


def group_of(n: int, members: np.ndarray, which: int = 0) -> np.ndarray:
    out = np.full(n, -1, np.int64)
    out[members] = which
    return out


def leads_of(world: World, members: np.ndarray = RING) -> CampaignKeys:
    return leads(world.seen, world.surprise, group_of(world.seen.n, members), 0)


def among_strangers(*rows: np.ndarray) -> World:
    """Keys planted in a world of strangers."""
    dealt_rows, country, week = dealt(11)
    return make_world(np.concatenate([dealt_rows, *rows]), country, week=week)


def weight_of(found: CampaignKeys, key: int) -> float:
    return float(found.weight[found.key == key].sum())


def test_keys_of_a_campaign_are_found_the_heaviest_first_with_their_kinds_and_families() -> None:
    world = among_strangers(planted(RING[:20], CARD, 999_999), planted(RING[5:12], IP, 777_777))
    found = leads_of(world)
    card, address = world.key(CARD, 999_999), world.key(IP, 777_777)
    assert found.key[0] == card
    assert address in found.key
    assert (np.diff(found.weight) <= 0).all()
    assert len(np.unique(found.key)) == len(found.key)
    at = found.key.tolist().index(address)
    assert (found.kind[0], found.kind[at]) == (code32("card"), code32("ip"))
    assert (FAMILIES[found.family[0]], FAMILIES[found.family[at]]) == ("payment", "network")


def test_what_a_key_says_is_at_most_a_cap_and_at_least_something() -> None:
    found = leads_of(among_strangers(planted(RING, CARD, 999_999)))
    assert found.weight.max() == KEY_CAP
    assert found.weight.min() >= ENRICHED


def test_prompts_are_no_leads_since_the_door_knows_of_no_prompt() -> None:
    world = among_strangers(*(planted(RING, PROMPT, 900_000 + number) for number in range(50)))
    found = leads_of(world)
    assert code32("prompt") not in found.kind
    assert world.key(PROMPT, 900_000) not in found.key


def test_a_customers_own_kind_is_a_lead() -> None:
    others = np.arange(600, 900)
    world = among_strangers(planted(RING, PROMO, 1), planted(others, PROMO, 2))
    found = leads_of(world)
    assert weight_of(found, world.key(PROMO, 1)) > 3.0
    assert set(found.family[found.kind == code32("custom.promo")].tolist()).isdisjoint(range(len(FAMILIES)))


def test_two_kinds_of_a_customers_own_are_two_cues() -> None:
    first, second, other = apart(("custom.device_print", "custom.tenant", "ip_net"))
    assert len({first, second, other}) == 3
    assert other == FAMILIES.index("network")


def test_a_provider_that_half_of_the_world_uses_is_no_lead() -> None:
    world = among_strangers()
    assert world.key(MAIL_DOMAIN, 1) not in leads_of(world).key


@pytest.mark.parametrize(
    ("members", "others", "private"),
    [(3, 0, True), (2, 0, False), (3, 2, True), (3, 3, False), (40, 2, True), (40, 3, False)],
)
def test_a_private_key_is_one_that_three_members_have_and_hardly_anybody_else(
    members: int, others: int, private: bool
) -> None:
    ring, strangers = planted(RING[:members], CARD, 999_999), planted(np.arange(others), CARD, 999_999)
    found = leads_of(among_strangers(ring, strangers))
    assert found.private[found.key == CARD * 10_000_000 + 999_999].tolist() == [private]


@pytest.mark.parametrize(
    ("members", "others", "private"), [(3, 0, True), (12, 1, False), (20, 1, True), (20, 2, False)]
)
def test_an_address_where_somebody_else_lives_is_not_the_campaigns_own(
    members: int, others: int, private: bool
) -> None:
    ring, lodgers = planted(RING[:members], IP, 777_777), planted(np.arange(others), IP, 777_777)
    world = among_strangers(ring, lodgers)
    found = leads_of(world)
    assert found.private[found.key == world.key(IP, 777_777)].tolist() == [private]


def test_of_a_large_campaign_one_in_twenty_may_be_others() -> None:
    ring = np.arange(300, 500)
    for others, private in ((10, True), (11, False)):
        world = among_strangers(planted(ring, CARD, 999_999), planted(np.arange(others), CARD, 999_999))
        found = leads_of(world, ring)
        assert found.private[found.key == world.key(CARD, 999_999)].tolist() == [private]


def test_a_member_with_forty_addresses_makes_none_of_them_typical() -> None:
    few = among_strangers(planted(RING[:4], IP, 777_777))
    many = among_strangers(
        planted(RING[:4], IP, 777_777), *(planted(RING, IP, 800_000 + number) for number in range(40))
    )
    assert weight_of(leads_of(many), many.key(IP, 777_777)) < weight_of(leads_of(few), few.key(IP, 777_777))


def test_the_more_others_have_a_key_the_less_it_says() -> None:
    weights = []
    for others in (0, 5, 50, 250):
        world = among_strangers(planted(RING[:4], IP, 777_777), planted(np.arange(others), IP, 777_777))
        weights.append(weight_of(leads_of(world), world.key(IP, 777_777)))
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] < weights[0] - 2.0


def test_a_stranger_with_some_keys_does_not_reach_the_threshold_and_a_newcomer_with_the_campaigns_keys_does() -> None:
    world = among_strangers(
        planted(RING[:15], CARD, 999_999), planted(RING[10:20], IP, 777_777), planted(RING, MAIL_DOMAIN, 555)
    )
    found = leads_of(world)
    weight = dict(zip(found.key.tolist(), found.weight.tolist(), strict=True))
    family = dict(zip(found.key.tolist(), found.family.tolist(), strict=True))

    def nats(keys: list[int]) -> float:
        best: dict[int, float] = {}
        for key in keys:
            if key in weight:
                best[family[key]] = max(best.get(family[key], 0.0), weight[key])
        return sum(best.values())

    strangers = np.setdiff1d(np.arange(world.seen.n), RING)
    reached = [nats(world.seen.hashes[world.seen.key[world.seen.account == who]].tolist()) for who in strangers]
    assert np.mean(np.array(reached) >= JOIN) < 0.001
    assert nats([world.key(CARD, 999_999), world.key(IP, 777_777), world.key(MAIL_DOMAIN, 555)]) > JOIN
    assert nats([]) == 0.0


def test_the_rows_of_the_door_alone_give_the_same_leads() -> None:
    world = among_strangers(planted(RING[:20], CARD, 999_999), planted(RING, PROMPT, 900_000))
    seen, surprise = at_the_door(world.seen, world.surprise)
    door = leads(seen, surprise, group_of(seen.n, RING), 0)
    for name in ("key", "kind", "weight", "private", "family"):
        np.testing.assert_array_equal(getattr(door, name), getattr(leads_of(world), name))
    assert KINDS.index("prompt") not in seen.kind
    assert (np.diff(seen.first) == seen.degree).all()
    assert seen.first[-1] == len(seen.key)


def test_of_very_many_keys_the_heaviest_are_kept() -> None:
    pools = [planted(RING[number % 30 : number % 30 + 3], IP, 800_000 + number) for number in range(2_500)]
    world = among_strangers(*pools, planted(RING, CARD, 999_999))
    found = leads_of(world)
    assert len(found.key) == MOST
    assert world.key(CARD, 999_999) in found.key
    assert found.weight.min() > 1.0


def test_a_group_of_nobody_has_no_leads() -> None:
    world = among_strangers()
    found = leads(world.seen, world.surprise, group_of(world.seen.n, RING), 4)
    assert [len(getattr(found, name)) for name in ("key", "kind", "weight", "private", "family")] == [0] * 5
