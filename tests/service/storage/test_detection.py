"""What a run finds becomes campaigns: once, by one run at a time, and never over an analyst's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from service.domain.campaigns import CampaignEvidence, CampaignState, KeyEvidence, ReviewAction, ReviewAsked
from service.domain.codes import code32, hash64
from service.domain.detection import PLACED_ANALYST, PLACED_DETECT, PLACED_LABEL, STATE_CODES, FoundCampaign
from service.domain.enums import Verdict
from service.domain.errors import DetectionRunning, UnknownCampaign
from service.domain.raw import Label
from service.domain.time import DAY, HOUR, MINUTE, SECOND
from service.storage import detection
from service.storage.database import writing as transaction
from service.storage.sql import Values, insert, run
from service.storage.store import Store
from service.storage.tables import linking_cache
from tests.service.storage.factories import START, arrival, found_campaign, ints, signup

T = START + 2 * DAY
RING = ("a", "b", "c", "d")


def detect(store: Store, *found: FoundCampaign, at: int = T) -> Any:
    number = store.begin_detection(at, "host-1", at)
    outcome = store.record_detection(found, run=number, as_of=at)
    store.finish_detection(number, at, "{}")
    return outcome


def people(store: Store, names: Sequence[str]) -> None:
    store.write([arrival(None, signups=signup(name, START + i * HOUR)) for i, name in enumerate(names)])


def members(store: Store, campaign_id: str) -> list[str]:
    return sorted(store.member_accounts(campaign_id)[1])


def states(store: Store, campaign_id: str) -> list[tuple[int, str, int]]:
    """(at, state, members) as they were, in order."""
    rows = store.campaign_rows()
    mine = rows.state_campaign == hash64(campaign_id)
    order = np.argsort(rows.state_at[mine])
    by_code = {code: state.value for state, code in STATE_CODES.items()}
    table = zip(
        rows.state_at[mine][order].tolist(),
        rows.state[mine][order].tolist(),
        rows.state_members[mine][order].tolist(),
        strict=True,
    )
    return [(at, by_code[code], count) for at, code, count in table]


def key_spans(store: Store, name: str) -> list[tuple[int, int, float]]:
    rows = store.campaign_rows(keys=ints(hash64(name)))
    return sorted(zip(rows.key_start.tolist(), rows.key_end.tolist(), rows.key_weight.tolist(), strict=True))


def whats(store: Store, campaign_id: str) -> list[str]:
    return [what for _, what, _ in store.campaign_events(campaign_id)]


@pytest.fixture
def ring(store: Store) -> Store:
    people(store, [*RING, "e", "f"])
    detect(store, found_campaign("c-1", RING, keys={"card-1": 5.0}, exchanges=7, input_tokens=8, output_tokens=9))
    return store


def test_what_was_found_can_be_read(ring: Store) -> None:
    record = ring.campaign("c-1")
    assert (record.state, record.origin, record.score) == (CampaignState.DETECTED, "detect", 0.97)
    assert (record.members, record.confirmed_members) == (4, 0)
    assert (record.created_at, record.detected_at, record.updated_at) == (T, T, T)
    assert (record.first_signup_at, record.last_signup_at) == (START, START + 3 * HOUR)
    assert (record.exchanges, record.input_tokens, record.output_tokens) == (7, 8, 9)
    page = ring.list_members("c-1")
    assert {each.account_id for each in page.items} == set(RING)
    assert {each.key_types for each in page.items} == {("card", "device")}
    assert {round(each.membership or 0, 3) for each in page.items} == {0.9}
    assert states(ring, "c-1") == [(T, "detected", 4)]
    assert key_spans(ring, "card-1") == [(T, 2**62, 5.0)]
    assert whats(ring, "c-1") == ["created", "detected"]


def test_the_same_detection_again_changes_nothing(ring: Store) -> None:
    before = ring.campaign("c-1")
    again = found_campaign(
        "c-1", RING, keys={"card-1": 5.2}, score=0.972, exchanges=7, input_tokens=8, output_tokens=9, surely=0.93
    )
    outcome = detect(ring, again, at=T + HOUR)
    assert (outcome.created, outcome.changed, outcome.closed) == ((), (), ())
    assert ring.campaign("c-1") == before
    assert states(ring, "c-1") == [(T, "detected", 4)]
    assert key_spans(ring, "card-1") == [(T, 2**62, 5.0)]
    assert whats(ring, "c-1") == ["created", "detected"]


def test_what_was_known_before_is_not_rewritten_by_what_a_later_run_finds(ring: Store) -> None:
    later = T + 6 * HOUR
    detect(ring, found_campaign("c-1", ["a", "b", "e"], keys={"card-1": 6.0, "card-2": 1.0}, surely=0.5), at=later)
    assert members(ring, "c-1") == ["a", "b", "e"]
    assert states(ring, "c-1") == [(T, "detected", 4), (later, "detected", 3)]
    rows = ring.campaign_rows(ints(hash64("a")), ints())
    spans = sorted(zip(rows.member_start.tolist(), rows.member_end.tolist(), rows.membership.tolist(), strict=True))
    assert spans == [(T, later, pytest.approx(0.9)), (later, 2**62, pytest.approx(0.5))]
    assert {each.account_id: each.joined_at for each in ring.list_members("c-1").items} == {"a": T, "b": T, "e": later}
    gone = ring.campaign_rows(ints(hash64("c")), ints())
    assert (gone.member_start.tolist(), gone.member_end.tolist()) == ([T], [later])
    assert key_spans(ring, "card-1") == [(T, later, 5.0), (later, 2**62, 6.0)]
    assert whats(ring, "c-1") == ["created", "detected", "grew", "shrank"]
    then = ring.campaign_rows(ints(hash64("a")), ints(hash64("card-1"), hash64("card-2")), as_of=later - 1)
    assert (then.member_start.tolist(), then.key_weight.tolist(), then.state_members.tolist()) == ([T], [5.0], [4])


def test_keys_and_states_come_with_what_scoring_needs(ring: Store) -> None:
    rows = ring.campaign_rows(ints(), ints(hash64("card-1")))
    assert rows.key_campaign.tolist() == [hash64("c-1")]
    assert (rows.key_private.tolist(), rows.key_family.tolist()) == ([True], [2])
    assert rows.key_kind.tolist() == [code32("card")]
    assert rows.state.tolist() == [STATE_CODES[CampaignState.DETECTED]]
    assert rows.state_score.tolist() == [0.97]
    nobody = ring.campaign_rows(ints(hash64("f")), ints(7))
    assert (len(nobody.member_account), len(nobody.key), len(nobody.state)) == (0, 0, 0)


def test_a_detected_campaign_does_not_vanish_and_a_suspicion_does(ring: Store) -> None:
    weak = found_campaign("c-2", ["e", "f"], state=CampaignState.SUSPECTED, score=0.2, keys={"ip-1": 1.0})
    detect(ring, found_campaign("c-1", RING), weak, at=T + HOUR)
    outcome = detect(ring, at=T + 2 * HOUR)
    assert outcome.closed == ("c-2",)
    assert (ring.campaign("c-1").members, ring.campaign("c-1").state) == (4, CampaignState.DETECTED)
    assert (ring.campaign("c-2").members, ring.campaign("c-2").state) == (0, CampaignState.SUSPECTED)
    assert key_spans(ring, "ip-1") == [(T + HOUR, T + 2 * HOUR, 1.0)]
    assert detect(ring, at=T + 3 * HOUR).closed == ()
    detect(ring, weak, at=T + 4 * HOUR)
    assert members(ring, "c-2") == ["e", "f"]
    assert whats(ring, "c-2")[-1] == "revived"


def test_a_suspicion_becomes_detected_once(store: Store) -> None:
    people(store, RING)
    detect(store, found_campaign("c-1", RING, state=CampaignState.SUSPECTED, score=0.3))
    assert store.campaign("c-1").detected_at is None
    detect(store, found_campaign("c-1", RING), at=T + HOUR)
    detect(store, found_campaign("c-1", RING, state=CampaignState.SUSPECTED, score=0.3), at=T + 2 * HOUR)
    detect(store, found_campaign("c-1", RING), at=T + 3 * HOUR)
    assert store.campaign("c-1").detected_at == T + HOUR
    assert [state for _, state, _ in states(store, "c-1")] == ["suspected", "detected", "suspected", "detected"]
    assert whats(store, "c-1") == ["created", "detected"]


def test_merges_and_splits_are_recorded(ring: Store) -> None:
    detect(ring, found_campaign("c-1", RING), found_campaign("c-2", ["e", "f"]), at=T + HOUR)
    outcome = detect(ring, found_campaign("c-1", [*RING, "e"], merged_from=("c-2", "never-heard-of")), at=T + 2 * HOUR)
    assert outcome.merged == ("c-2",)
    assert (ring.campaign("c-2").state, ring.campaign("c-2").merged_into) == (CampaignState.MERGED, "c-1")
    assert (members(ring, "c-1"), members(ring, "c-2")) == ([*RING, "e"], [])
    assert whats(ring, "c-2")[-1] == "merged"
    detect(
        ring, found_campaign("c-1", ["a", "b"]), found_campaign("c-3", ["c", "d"], split_from="c-1"), at=T + 3 * HOUR
    )
    assert ring.campaign("c-3").split_from == "c-1"
    assert "split" in whats(ring, "c-1")
    skipped = detect(ring, found_campaign("c-2", ["e"]), at=T + 4 * HOUR)
    assert (skipped.skipped, members(ring, "c-2")) == (("c-2",), [])


def test_a_run_leaves_analysts_verdicts_and_placements_alone(ring: Store) -> None:
    for action in (ReviewAction.CONFIRM, ReviewAction.REFUTE):
        ring.review(ReviewAsked("c-1", action, "ann", "why"), at=T + HOUR, two_above=100)
        verdict = ring.campaign("c-1").state
        detect(ring, found_campaign("c-1", RING, state=CampaignState.SUSPECTED, score=0.1), at=T + 2 * HOUR)
        outcome = detect(ring, found_campaign("c-2", ["e"], merged_from=("c-1",)), at=T + 3 * HOUR)
        assert (ring.campaign("c-1").state, outcome.merged) == (verdict, ())
    taken = ReviewAsked("c-1", ReviewAction.REFUTE, "ann", "why", account_ids=("a",))
    ring.review(taken, at=T + 4 * HOUR, two_above=100)
    ring.record_labels([Label("f", Verdict.FRAUD, T + 5 * HOUR, "bob", campaign_id="c-1")])
    detect(ring, found_campaign("c-1", RING), at=T + 6 * HOUR)
    assert members(ring, "c-1") == ["b", "c", "d", "f"]
    standing = ring.standing(T + 6 * HOUR)
    assert standing.campaign_id == ("c-1", "c-2")
    assert standing.barred_account.tolist() == [hash64("a")]
    placed = dict(zip(standing.member_account.tolist(), standing.member_placed.tolist(), strict=True))
    assert (placed[hash64("f")], placed[hash64("b")], placed[hash64("e")]) == (
        PLACED_LABEL,
        PLACED_DETECT,
        PLACED_DETECT,
    )


def test_a_member_that_a_run_drops_stays_where_an_analyst_called_it_fraud(ring: Store) -> None:
    ring.record_labels([Label("a", Verdict.FRAUD, T + HOUR, "ann", campaign_id="c-1")])
    detect(ring, found_campaign("c-1", ["b", "c"]), at=T + 2 * HOUR)
    assert members(ring, "c-1") == ["a", "b", "c"]
    ring.retract_label("a", "ann", T + HOUR, T + 3 * HOUR, T + 3 * HOUR)
    assert members(ring, "c-1") == ["b", "c"]


def test_what_is_placed_by_a_split_stays_there(ring: Store) -> None:
    asked = ReviewAsked("c-1", ReviewAction.SPLIT, "ann", "why", account_ids=("a", "b"))
    part = ring.review(asked, at=T + HOUR, two_above=100).campaign.campaign_id
    detect(ring, found_campaign("c-1", RING), found_campaign(part, ["c"]), at=T + 2 * HOUR)
    assert (members(ring, "c-1"), members(ring, part)) == (["c", "d"], ["a", "b", "c"])
    standing = ring.standing(T)
    placed = dict(zip(standing.member_account.tolist(), standing.member_placed.tolist(), strict=True))
    assert placed[hash64("a")] == PLACED_ANALYST


def test_campaigns_can_be_read_as_they_stood_at_a_moment(ring: Store) -> None:
    detect(ring, found_campaign("c-1", ["a", "b", "e"]), found_campaign("c-2", ["f"]), at=T + HOUR)
    taken = ReviewAsked("c-1", ReviewAction.REFUTE, "ann", "why", account_ids=("a",))
    ring.review(taken, at=T + 2 * HOUR, two_above=100)
    ring.review(ReviewAsked("c-1", ReviewAction.CONFIRM, "ann", "why"), at=T + 3 * HOUR, two_above=100)
    merged = ReviewAsked("c-2", ReviewAction.MERGE, "ann", "why", merge_into="c-1")
    ring.review(merged, at=T + 4 * HOUR, two_above=100)

    def stood(at: int) -> dict[str, tuple[CampaignState, int]]:
        then = ring.standing(T, at)
        sizes = np.bincount(then.member_campaign, minlength=len(then.campaign_id))
        columns = zip(then.campaign_id, then.state, sizes.tolist(), strict=True)
        return {name: (state, size) for name, state, size in columns}

    detected, confirmed = CampaignState.DETECTED, CampaignState.CONFIRMED
    assert stood(T) == {}  # what a look at a moment makes stands after it
    assert stood(T + 1) == stood(T + HOUR) == {"c-1": (detected, 4)}
    assert stood(T + HOUR + 1) == {"c-1": (detected, 3), "c-2": (detected, 1)}
    assert stood(T + 2 * HOUR) == {"c-1": (detected, 2), "c-2": (detected, 1)}
    assert stood(T + 3 * HOUR) == {"c-1": (confirmed, 2), "c-2": (detected, 1)}
    assert stood(T + 4 * HOUR) == {"c-1": (confirmed, 3)}
    assert ring.standing(T, T + HOUR).barred_account.tolist() == []
    assert ring.standing(T, T + 2 * HOUR).barred_account.tolist() == [hash64("a")]
    now, last = ring.standing(T), ring.standing(T, T + 4 * HOUR)
    for each in fields(now):
        np.testing.assert_array_equal(getattr(now, each.name), getattr(last, each.name))


def test_a_run_that_began_before_a_verdict_writes_after_it(ring: Store) -> None:
    ring.review(ReviewAsked("c-1", ReviewAction.CONFIRM, "ann", "why"), at=T + HOUR, two_above=100)
    detect(ring, found_campaign("c-1", ["a", "e"]), at=T + MINUTE)
    assert ring.campaign("c-1").state is CampaignState.CONFIRMED
    assert [(at, state) for at, state, _ in states(ring, "c-1")] == [(T, "detected"), (T + HOUR, "confirmed")]
    rows = ring.campaign_rows()
    assert (rows.member_start <= rows.member_end).all()
    assert {each.account_id: each.joined_at for each in ring.list_members("c-1").items}["e"] == T + HOUR


def test_a_campaign_of_one_and_one_of_nobody(store: Store) -> None:
    people(store, ["a", "b"])
    outcome = detect(store, found_campaign("c-1", ["a"]), found_campaign("c-0", []))
    assert (outcome.created, store.campaign("c-1").members) == (("c-1",), 1)
    with pytest.raises(UnknownCampaign):
        store.campaign("c-0")
    detect(store, found_campaign("c-1", []), at=T + HOUR)
    assert store.campaign("c-1").members == 0


def test_evidence_comes_back_as_it_was(store: Store) -> None:
    people(store, RING)
    assert detect(store, found_campaign("c-1", RING)).created == ("c-1",)
    assert store.campaign_evidence("c-1") == CampaignEvidence(as_of=START)
    evidence = CampaignEvidence(
        keys=(KeyEvidence("card", -(2**63), 4, 1, 0.01, 1e-300, 1e-290),),
        keys_looked_at=12,
        families=(("payment", 3.25),),
        counter_evidence=("all of one office",),
        typical_accounts=(hash64("a"), hash64("b")),
        edges=((hash64("a"), hash64("c"), 4.5, "card"),),
        as_of=T,
    )
    before = store.campaign("c-1")
    detect(store, found_campaign("c-1", RING, evidence=evidence), at=T + HOUR)
    assert store.campaign_evidence("c-1") == evidence
    assert store.campaign("c-1").revision == before.revision  # an analyst who looks at it need not look again


# --- one run at a time -----------------------------------------------------------------------------------------------


def test_of_two_runs_one_goes_on_and_the_other_is_told_who_is_at_it(store: Store) -> None:
    first = store.begin_detection(T, "host-1", T)
    with pytest.raises(DetectionRunning, match="host-1 has been detecting") as caught:
        store.begin_detection(T, "host-2", T + 59 * SECOND)
    assert (caught.value.holder, caught.value.since) == ("host-1", T)
    store.heartbeat(first, T + 50 * SECOND)
    with pytest.raises(DetectionRunning):
        store.begin_detection(T, "host-2", T + 100 * SECOND)
    store.finish_detection(first, T + 101 * SECOND, '{"found": 0}')
    store.finish_detection(first, T + 101 * SECOND, '{"found": 0}')
    assert store.begin_detection(T, "host-2", T + 102 * SECOND) > first
    assert store.last_detection() == (T, '{"found": 0}')


def test_a_run_that_fell_silent_is_taken_over_and_can_write_no_more(store: Store) -> None:
    people(store, RING)
    dead = store.begin_detection(T, "host-1", T)
    assert store.begin_detection(T, "host-2", T + MINUTE) > dead
    for late in (
        lambda: store.heartbeat(dead, T + MINUTE),
        lambda: store.record_detection([found_campaign("c-1", RING)], run=dead, as_of=T),
        lambda: store.finish_detection(dead, T + MINUTE, "{}"),
    ):
        with pytest.raises(DetectionRunning) as caught:
            late()
        assert caught.value.holder == "host-2"
    assert store.last_detection() is None
    assert store.list_campaigns(states=frozenset()).items == ()


def test_a_run_that_was_broken_off_is_out_of_the_way_at_once_and_never_counts(store: Store) -> None:
    people(store, RING)
    first = store.begin_detection(T, "host-1", T)
    store.finish_detection(first, T, '{"found": 0}')
    broken = store.begin_detection(T + HOUR, "host-1", T + HOUR)
    store.abandon_detection(broken)
    store.abandon_detection(broken)
    assert store.last_detection() == (T, '{"found": 0}')
    for late in (
        lambda: store.heartbeat(broken, T + HOUR),
        lambda: store.record_detection([found_campaign("c-1", RING)], run=broken, as_of=T),
        lambda: store.finish_detection(broken, T + HOUR, "{}"),
    ):
        with pytest.raises(DetectionRunning):
            late()
    assert store.list_campaigns(states=frozenset()).items == ()
    after = store.begin_detection(T + HOUR, "host-2", T + HOUR)
    assert after > broken


def test_nobody_breaks_off_a_run_that_ended_or_that_took_their_place(store: Store) -> None:
    dead = store.begin_detection(T, "host-1", T)
    alive = store.begin_detection(T, "host-2", T + MINUTE)
    store.abandon_detection(dead)
    store.heartbeat(alive, T + MINUTE)
    store.finish_detection(alive, T + MINUTE, "{}")
    store.abandon_detection(alive)
    assert store.last_detection() == (T, "{}")


def test_a_heartbeat_of_a_clock_that_ran_back_makes_nobody_seem_dead(store: Store) -> None:
    number = store.begin_detection(T, "host-1", T)
    store.heartbeat(number, T - HOUR)
    with pytest.raises(DetectionRunning):
        store.begin_detection(T, "host-2", T + 30 * SECOND)


def test_what_a_run_left_is_there_for_the_next_one(store: Store) -> None:
    assert store.linking_cache("pairs") is None
    store.put_linking_cache("pairs", b"\0\1", T)
    store.put_linking_cache("pairs", b"\2", T + 1)
    assert store.linking_cache("pairs") == (T + 1, b"\2")
    store.put_linking_cache("pairs", b"", T + 2)
    assert store.linking_cache("pairs") == (T + 2, b"")


def test_what_a_run_left_may_be_larger_than_a_row_and_smaller_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "PIECE", 3)
    for content in (bytes(range(40)), bytes(range(9)), bytes(range(7))):
        store.put_linking_cache("prompts", content, T)
        store.put_linking_cache("prompt", b"another's", T)
        assert store.linking_cache("prompts") == (T, content)
    with transaction(store.engine) as connection:
        assert run(connection, "SELECT count(*) FROM linking_cache WHERE name LIKE 'prompts%'") == [(3,)]


def test_what_an_earlier_version_left_in_one_row_is_read_and_replaced(store: Store) -> None:
    for _ in range(2):  # the second time it ran in between
        with transaction(store.engine) as connection:
            row: dict[str, Values] = {"name": ["prompts"], "as_of": [T], "content": [b"whole"]}
            insert(connection, linking_cache, row)
        assert store.linking_cache("prompts") == (T, b"whole")
        store.put_linking_cache("prompts", b"anew", T + 1)
        assert store.linking_cache("prompts") == (T + 1, b"anew")
