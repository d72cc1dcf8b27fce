from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.campaigns import CampaignState
from service.domain.detection import PLACED_ANALYST, PLACED_DETECT, PLACED_LABEL, Standing
from service.linking.communities import compact
from service.linking.identity import Matched, match, regrouped
from service.linking.membership import SMALLEST
from tests.factories import NOON

SUSPECTED, DETECTED = CampaignState.SUSPECTED, CampaignState.DETECTED
CONFIRMED, REFUTED = CampaignState.CONFIRMED, CampaignState.REFUTED

PEOPLE = np.arange(1000, 1600, dtype=np.int64)  # hashes of 600 accounts


def people(*spans: tuple[int, int]) -> list[int]:
    """Hashes of accounts from place ``low`` until before ``high``."""
    return [int(PEOPLE[place]) for low, high in spans for place in range(low, high)]


def make_standing(
    campaigns: Mapping[str, tuple[CampaignState, Sequence[int]]],
    *,
    placed: Mapping[tuple[str, int], int] | None = None,
    barred: Iterable[tuple[str, int]] = (),
    origin: Mapping[str, str] | None = None,
    created: Mapping[str, int] | None = None,
) -> Standing:
    """Standing campaigns of name to (state, members); whoever ``placed`` leaves out was placed by a run."""
    names = sorted(campaigns)
    rows = [(at, member, name) for at, name in enumerate(names) for member in campaigns[name][1]]
    bars = [(names.index(name), account) for name, account in barred]
    return Standing(
        as_of=NOON,
        campaign_id=tuple(names),
        state=tuple(campaigns[name][0] for name in names),
        origin=tuple((origin or {}).get(name, "detect") for name in names),
        created_at=np.array([(created or {}).get(name, NOON) for name in names], np.int64),
        score=np.full(len(names), 0.99),
        member_campaign=np.array([row[0] for row in rows], np.int64),
        member_account=np.array([row[1] for row in rows], np.int64),
        member_joined=np.full(len(rows), NOON, np.int64),
        member_placed=np.array([(placed or {}).get((row[2], row[1]), PLACED_DETECT) for row in rows], np.int8),
        barred_campaign=np.array([bar[0] for bar in bars], np.int64),
        barred_account=np.array([bar[1] for bar in bars], np.int64),
    )


def make_groups(*groups: Sequence[int]) -> np.ndarray:
    """(n,) the found group of each of PEOPLE."""
    out = np.full(len(PEOPLE), -1, np.int64)
    for number, members in enumerate(groups):
        out[np.searchsorted(PEOPLE, members)] = number
    return out


def found(standing: Standing, *groups: Sequence[int], as_of: int = NOON, fraud: Sequence[int] = ()) -> list[Matched]:
    return match(make_groups(*groups), PEOPLE, standing, as_of, fraud=np.array(fraud, np.int64))


def members(matched: Sequence[Matched]) -> dict[str, list[int]]:
    return {each.campaign_id: each.accounts.tolist() for each in matched}


def by_id(matched: Sequence[Matched]) -> dict[str, Matched]:
    return {each.campaign_id: each for each in matched}


NOTHING = make_standing({})


def test_a_group_that_nobody_knew_gets_an_id_of_its_own_which_a_second_try_gives_again() -> None:
    first = found(NOTHING, people((0, 10)), people((20, 30)))
    again = found(NOTHING, people((20, 30)), people((0, 10)))
    later = found(NOTHING, people((0, 10)), people((20, 30)), as_of=NOON + 1)
    assert members(first) == members(again)
    assert len(first) == 2
    assert all(each.campaign_id.startswith("c-") and len(each.campaign_id) == 14 for each in first)
    assert not members(first).keys() & members(later).keys()


def test_a_campaign_keeps_its_id_as_it_grows() -> None:
    standing = make_standing({"old": (SUSPECTED, people((0, 10)))})
    [grown] = found(standing, people((0, 60)))
    assert (grown.campaign_id, grown.standing, grown.group) == ("old", 0, 0)
    assert grown.accounts.tolist() == people((0, 60))
    assert (grown.merged_from, grown.split_from) == ((), None)


def test_a_confirmed_campaign_takes_in_a_larger_detected_and_an_older_suspected_one() -> None:
    standing = make_standing(
        {
            "detected": (DETECTED, people((0, 30))),
            "confirmed": (CONFIRMED, people((30, 40))),
            "suspected": (SUSPECTED, people((40, 80))),
        },
        created={"suspected": 1},
    )
    [one] = found(standing, people((0, 80)))
    assert (one.campaign_id, one.merged_from) == ("confirmed", ("detected", "suspected"))
    assert one.accounts.tolist() == people((0, 80))


def test_of_campaigns_with_the_same_verdict_the_one_with_more_members_there_goes_on_and_of_equal_ones_the_oldest() -> (
    None
):
    sizes = make_standing({"a": (DETECTED, people((0, 10))), "b": (DETECTED, people((10, 30)))})
    ages = make_standing(
        {"a": (DETECTED, people((0, 10))), "b": (DETECTED, people((10, 20)))}, created={"a": NOON, "b": NOON - 1}
    )
    assert [(each.campaign_id, each.merged_from) for each in found(sizes, people((0, 30)))] == [("b", ("a",))]
    assert [(each.campaign_id, each.merged_from) for each in found(ages, people((0, 20)))] == [("b", ("a",))]


def test_members_of_a_merged_detected_campaign_go_over_even_where_the_run_did_not_find_them() -> None:
    standing = make_standing({"a": (DETECTED, people((0, 10))), "b": (DETECTED, people((10, 30)))})
    [one] = found(standing, people((0, 8), (10, 30)))
    assert one.merged_from == ("a",)
    assert one.accounts.tolist() == people((0, 30))


def test_a_campaign_of_which_only_a_few_members_went_over_is_not_merged() -> None:
    standing = make_standing({"a": (DETECTED, people((0, 20))), "b": (CONFIRMED, people((20, 30)))})
    both = by_id(found(standing, people((0, 4), (20, 30))))
    assert both["b"].accounts.tolist() == people((0, 4), (20, 30))
    assert both["b"].merged_from == ()
    assert both["a"].accounts.tolist() == people((4, 20))
    assert both["a"].group == -1


def test_two_confirmed_campaigns_in_one_group_stay_two_and_newcomers_go_to_the_one_with_more() -> None:
    standing = make_standing({"a": (CONFIRMED, people((0, 10))), "b": (CONFIRMED, people((10, 30)))})
    [one] = found(standing, people((0, 40)))
    assert (one.campaign_id, one.merged_from) == ("b", ())
    assert one.accounts.tolist() == people((10, 40))  # "a" stands as it stood: nothing to say of it


def test_a_campaign_that_falls_apart_keeps_its_id_with_the_largest_part() -> None:
    standing = make_standing({"old": (DETECTED, people((0, 30)))})
    parts = found(standing, people((0, 12)), people((12, 30)))
    by = by_id(parts)
    assert by["old"].accounts.tolist() == people((12, 30))
    [new] = [each for each in parts if each.campaign_id != "old"]
    assert (new.split_from, new.standing) == ("old", -1)
    assert new.accounts.tolist() == people((0, 12))


def test_a_small_part_that_fell_off_stays_with_the_campaign_and_brings_its_newcomers() -> None:
    standing = make_standing({"old": (DETECTED, people((0, 30)))})
    [one] = found(standing, people((0, 24)), people((24, 30), (40, 43)))
    assert one.campaign_id == "old"
    assert one.accounts.tolist() == people((0, 30), (40, 43))


def test_a_few_members_who_now_belong_to_a_large_new_group_go_with_it_and_it_is_not_split_off() -> None:
    standing = make_standing({"old": (DETECTED, people((0, 30)))})
    parts = found(standing, people((0, 27)), people((27, 30), (40, 90)))
    by = by_id(parts)
    assert by["old"].accounts.tolist() == people((0, 27))
    [new] = [each for each in parts if each.campaign_id != "old"]
    assert new.split_from is None
    assert new.accounts.tolist() == people((27, 30), (40, 90))


def test_members_of_detected_and_confirmed_campaigns_stay_although_a_run_did_not_find_them() -> None:
    for state in (DETECTED, CONFIRMED):
        standing = make_standing({"old": (state, people((0, 30)))})
        [one] = found(standing, people((0, 12), (50, 55)))
        assert one.accounts.tolist() == people((0, 30), (50, 55)), state


def test_a_suspicion_loses_whom_a_run_did_not_find_except_whom_analysts_placed() -> None:
    placed = {("old", people((29, 30))[0]): PLACED_ANALYST}
    standing = make_standing({"old": (SUSPECTED, people((0, 30)))}, placed=placed)
    [one] = found(standing, people((0, 12)))
    assert one.accounts.tolist() == people((0, 12), (29, 30))


def test_campaigns_that_no_group_touches_are_not_spoken_of() -> None:
    standing = make_standing({"d": (DETECTED, people((0, 10))), "s": (SUSPECTED, people((10, 20)))})
    assert found(standing) == []


def test_whom_analysts_placed_stays_where_they_are_although_they_look_like_another_campaign() -> None:
    strays = people((0, 2))
    placed = {("theirs", strays[0]): PLACED_ANALYST, ("theirs", strays[1]): PLACED_LABEL}
    standing = make_standing(
        {"theirs": (SUSPECTED, people((0, 10))), "other": (CONFIRMED, people((20, 60)))}, placed=placed
    )
    both = members(found(standing, people((2, 10)), people((0, 2), (20, 60))))
    assert both == {"theirs": people((0, 10)), "other": people((20, 60))}


def test_whom_analysts_took_out_of_a_campaign_never_comes_back_into_it() -> None:
    out = people((10, 12))
    standing = make_standing({"old": (CONFIRMED, people((0, 10)))}, barred=[("old", account) for account in out])
    [one] = found(standing, people((0, 20)))
    assert one.accounts.tolist() == people((0, 10), (12, 20))


def test_whom_analysts_took_out_of_a_campaign_does_not_come_in_by_way_of_its_merging() -> None:
    out = people((10, 12))
    standing = make_standing(
        {"old": (DETECTED, people((0, 10))), "big": (DETECTED, people((20, 60)))},
        barred=[("old", account) for account in out],
    )
    [one] = found(standing, people((0, 12), (20, 60)))
    assert (one.campaign_id, one.merged_from) == ("big", ("old",))
    assert one.accounts.tolist() == people((0, 10), (20, 60))


def test_whom_analysts_split_off_is_found_again_as_what_they_made_of_it() -> None:
    half = people((10, 20))
    standing = make_standing(
        {"old": (DETECTED, people((0, 10))), "cut": (SUSPECTED, half)},
        placed={("cut", account): PLACED_ANALYST for account in half},
        barred=[("old", account) for account in half],
        origin={"cut": "split"},
    )
    [one] = found(standing, people((0, 25)))
    assert one.campaign_id == "old"
    assert one.accounts.tolist() == people((0, 10), (20, 25))


def test_a_refuted_campaign_is_not_found_again_under_another_name_until_it_has_doubled() -> None:
    standing = make_standing({"no": (REFUTED, people((0, 40)))})
    assert found(standing, people((0, 40))) == []
    assert found(standing, people((0, 30))) == []
    assert found(standing, people((0, 79))) == []
    [doubled] = found(standing, people((0, 80)))
    assert doubled.campaign_id != "no"
    assert doubled.accounts.tolist() == people((0, 80))


def test_people_of_a_refuted_campaign_stay_out_of_a_group_that_is_mostly_others() -> None:
    standing = make_standing({"no": (REFUTED, people((0, 40)))})
    [one] = found(standing, people((30, 70)))
    assert one.accounts.tolist() == people((40, 70))


def test_a_confirmed_campaign_goes_on_without_the_refuted_people_beside_it() -> None:
    standing = make_standing({"no": (REFUTED, people((0, 40))), "yes": (CONFIRMED, people((40, 60)))})
    [one] = found(standing, people((0, 65)))
    assert one.campaign_id == "yes"
    assert one.accounts.tolist() == people((40, 65))


def test_members_that_analysts_took_out_one_by_one_make_no_new_campaign_of_their_own() -> None:
    out = people((10, 20))
    standing = make_standing({"old": (CONFIRMED, people((0, 10)))}, barred=[("old", account) for account in out])
    assert found(standing, people((10, 20))) == []


def test_a_group_with_labelled_accounts_takes_the_analysts_id() -> None:
    labelled = people((0, 5))
    standing = make_standing(
        {"case-7": (CONFIRMED, labelled), "mine": (DETECTED, people((5, 300)))},
        placed={("case-7", account): PLACED_LABEL for account in labelled},
        origin={"case-7": "label"},
    )
    [one] = found(standing, people((0, 2), (5, 300)))
    assert (one.campaign_id, one.merged_from) == ("case-7", ("mine",))
    assert one.accounts.tolist() == people((0, 300))


def test_one_label_of_several_does_not_give_its_name_to_hundreds() -> None:
    labelled = people((0, 5))
    standing = make_standing(
        {"case-7": (CONFIRMED, labelled)},
        placed={("case-7", account): PLACED_LABEL for account in labelled},
        origin={"case-7": "label"},
    )
    [one] = found(standing, people((4, 300)))
    assert one.standing == -1
    assert one.accounts.tolist() == people((5, 300))


def test_accounts_under_a_fraud_verdict_stay_in_their_confirmed_campaign_when_it_falls_apart() -> None:
    standing = make_standing({"old": (CONFIRMED, people((0, 30)))})
    [one] = found(standing, people((0, 15)), people((15, 30), (40, 45)), fraud=people((0, 30)))
    assert one.accounts.tolist() == people((0, 30), (40, 45))
    assert one.campaign_id == "old"


def test_what_is_left_of_a_group_when_analysts_people_are_out_may_be_too_few_for_a_campaign() -> None:
    standing = make_standing({"no": (REFUTED, people((0, 40)))})
    assert found(standing, people((37, 43))) == []


def test_members_of_whom_a_past_run_knows_nothing_stay() -> None:
    later = [*people((0, 10)), 99_999]
    standing = make_standing({"old": (DETECTED, later)})
    [one] = found(standing, people((0, 20)))
    assert one.accounts.tolist() == [*people((0, 20)), 99_999]


def test_no_accounts_and_nothing_standing_is_no_campaign() -> None:
    none = np.empty(0, np.int64)
    assert match(none, none, NOTHING, NOON) == []
    gone = make_standing({"old": (DETECTED, [1, 2]), "no": (REFUTED, [3])}, barred=[("old", 4)])
    assert match(none, none, gone, NOON) == []


def test_members_of_a_detected_campaign_stay_where_what_they_were_found_as_is_not_worth_a_campaign() -> None:
    standing = make_standing({"old": (DETECTED, people((0, 30)))})
    group = make_groups(people((0, 18)), people((18, 30), (40, 90)))
    [one] = match(group, PEOPLE, standing, NOON, worth=np.array([False, False]))
    assert (one.campaign_id, one.accounts.tolist()) == ("old", people((0, 30)))
    assert len(match(group, PEOPLE, standing, NOON, worth=np.array([False, True]))) == 2


def test_every_account_has_one_place_among_the_campaigns() -> None:
    standing = make_standing({"a": (CONFIRMED, people((0, 10))), "b": (CONFIRMED, people((8, 30)))})
    matched = found(standing, people((0, 40)), people((100, 110)))
    place = regrouped(matched, PEOPLE)
    for at, each in enumerate(matched):
        assert PEOPLE[place == at].tolist() == each.accounts.tolist()


states = st.sampled_from([SUSPECTED, DETECTED, CONFIRMED, REFUTED])
some = st.lists(st.integers(0, 59), max_size=25, unique=True)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Standing, np.ndarray, list[tuple[str, int]]]:
    names = [f"k{i}" for i in range(draw(st.integers(0, 5)))]
    campaigns = {name: (draw(states), [int(PEOPLE[place]) for place in sorted(draw(some))]) for name in names}
    placed = {
        (name, member): draw(st.sampled_from([PLACED_DETECT, PLACED_DETECT, PLACED_ANALYST, PLACED_LABEL]))
        for name in names
        for member in campaigns[name][1]
    }
    barred = [
        (name, int(PEOPLE[place]))
        for name in names
        for place in draw(st.lists(st.integers(0, 59), max_size=4, unique=True))
        if int(PEOPLE[place]) not in campaigns[name][1]
    ]
    created = {name: draw(st.integers(0, 3)) for name in names}
    origin = {name: draw(st.sampled_from(["detect", "label", "split"])) for name in names}
    standing = make_standing(campaigns, placed=placed, barred=barred, created=created, origin=origin)
    group = np.full(len(PEOPLE), -1, np.int64)
    group[:60] = draw(st.lists(st.integers(-1, 4), min_size=60, max_size=60))
    return standing, compact(group, SMALLEST), barred


@settings(max_examples=300, deadline=None)
@given(scenes(), st.integers(0, 2**32 - 1))
def test_what_analysts_decided_holds_whatever_is_found_and_numbers_of_groups_mean_nothing(
    scene: tuple[Standing, np.ndarray, list[tuple[str, int]]], seed: int
) -> None:
    standing, group, barred = scene
    matched = match(group, PEOPLE, standing, NOON)
    state = dict(zip(standing.campaign_id, standing.state, strict=True))
    verdict = {name for name in state if state[name] in (CONFIRMED, REFUTED)}
    answered = members(matched)
    seats = [account for accounts in answered.values() for account in accounts]
    assert len(seats) == len(set(seats))
    assert not [pair for pair in barred if pair[1] in answered.get(pair[0], ())]
    assert not [name for name in answered if state.get(name) is REFUTED]
    gone = {name for each in matched for name in each.merged_from}
    assert not gone & verdict
    assert not gone & answered.keys()
    assert all(each.split_from is None or each.standing == -1 for each in matched)
    for at, name in enumerate(standing.campaign_id):
        if name in answered or name in gone or state[name] not in (DETECTED, CONFIRMED):
            continue
        mine = standing.member_account[(standing.member_campaign == at) & (standing.member_placed == PLACED_DETECT)]
        assert not set(mine.tolist()) & set(seats), "who leaves a campaign leaves it where it is told"
    order = np.random.default_rng(seed).permutation(int(group.max()) + 1)
    renumbered = np.append(order, -1)[group]
    assert members(match(renumbered, PEOPLE, standing, NOON)) == answered


@settings(max_examples=300, deadline=None)
@given(scenes())
def test_the_same_groups_found_again_and_again_soon_change_nothing(
    scene: tuple[Standing, np.ndarray, list[tuple[str, int]]],
) -> None:
    standing, group, _ = scene
    for _ in range(3):  # a suspicion may close first, and what it held apart comes together in the next run
        matched = match(group, PEOPLE, standing, NOON)
        standing = recorded(standing, matched)
    again = match(group, PEOPLE, standing, NOON)
    assert members(again) == {name: of for name, of in members(matched).items() if name in members(again)}
    assert not [each for each in again if each.merged_from or each.standing == -1]
    assert {each.campaign_id for each in matched if each.group >= 0} == {each.campaign_id for each in again}


def recorded(standing: Standing, matched: Sequence[Matched]) -> Standing:
    """What stands after a run: analysts' people stay, or go over with a merged campaign; the rest is as found."""
    state = dict(zip(standing.campaign_id, standing.state, strict=True))
    bars = zip(standing.barred_campaign.tolist(), standing.barred_account.tolist(), strict=True)
    barred = {(standing.campaign_id[of], account) for of, account in bars}
    into = {source: each.campaign_id for each in matched for source in each.merged_from}
    answered = members(matched)
    placed: dict[tuple[str, int], int] = {}
    for of, account, by in zip(
        standing.member_campaign.tolist(),
        standing.member_account.tolist(),
        standing.member_placed.tolist(),
        strict=True,
    ):
        name = standing.campaign_id[of]
        if by != PLACED_DETECT and (into.get(name, name), account) not in barred:
            placed[into.get(name, name), account] = PLACED_ANALYST
        elif name not in answered and name not in into and state[name] is not SUSPECTED:
            placed[name, account] = by
    for name, accounts in answered.items():
        for account in accounts:
            placed.setdefault((name, account), PLACED_DETECT)
    names = (state.keys() | answered.keys()) - into.keys()
    return make_standing(
        {name: (state.get(name, SUSPECTED), sorted(account for of, account in placed if of == name)) for name in names},
        placed=placed,
        barred=[
            (into.get(name, name), account) for name, account in barred if (into.get(name, name), account) not in placed
        ],
        origin=dict(zip(standing.campaign_id, standing.origin, strict=True)),
        created=dict(zip(standing.campaign_id, standing.created_at.tolist(), strict=True)),
    )
