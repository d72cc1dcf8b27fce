"""Labels place accounts in the campaigns that they name, whatever came first, until they are taken back."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.campaigns import CampaignState, ReviewAction, ReviewAsked
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.errors import InvalidPageToken, UnknownCampaign
from service.domain.raw import Label
from service.domain.time import DAY, HOUR
from service.storage.store import Store, open_store
from tests.service.storage.factories import START, found_campaign, ints
from tests.service.storage.test_detection import T, detect, members, people, states


def fraud(account: str, at: int = T, campaign: str = "ring", **more: object) -> Label:
    return Label(account, Verdict.FRAUD, at, "ann", campaign_id=campaign, **more)  # type: ignore[arg-type]


def cleared(account: str, at: int = T, campaign: str = "ring", **more: object) -> Label:
    return Label(account, Verdict.LEGITIMATE, at, "ann", campaign_id=campaign, **more)  # type: ignore[arg-type]


def spans(store: Store, account: str, campaign: str = "ring") -> list[tuple[int, int]]:
    rows = store.campaign_rows(ints(hash64(account)), ints())
    mine = rows.member_campaign == hash64(campaign)
    return sorted(zip(rows.member_start[mine].tolist(), rows.member_end[mine].tolist(), strict=True))


def everything(store: Store) -> dict[str, object]:
    """Campaigns with all their spans and states, in no order of arrival."""
    rows = store.campaign_rows()
    names = ("member_account", "member_campaign", "member_start", "member_end")
    page = store.list_campaigns(states=frozenset(CampaignState), page_size=100)
    return {
        "rows": sorted(zip(*(getattr(rows, name).tolist() for name in names), strict=True)),
        "states": {each.campaign_id: states(store, each.campaign_id) for each in page.items},
        "members": {each.campaign_id: (each.state, each.members, each.created_at) for each in page.items},
    }


def test_a_label_places_its_account_in_the_campaign_it_names(store: Store) -> None:
    people(store, ["a", "b"])
    store.record_labels([fraud("a"), fraud("b", T + HOUR), fraud("unknown", T + 2 * HOUR)])
    record = store.campaign("ring")
    assert (record.state, record.origin, record.score) == (CampaignState.CONFIRMED, "label", None)
    assert (record.members, record.confirmed_members) == (3, 3)
    assert (record.created_at, record.updated_at) == (T, T + 2 * HOUR)
    assert (record.first_signup_at, record.last_signup_at) == (START, START + HOUR)
    page = store.list_members("ring")
    assert [(each.account_id, each.joined_at) for each in page.items] == [
        ("a", T),
        ("b", T + HOUR),
        ("unknown", T + 2 * HOUR),
    ]
    assert {(each.membership, each.key_types, each.verdict) for each in page.items} == {(None, (), Verdict.FRAUD)}
    assert states(store, "ring") == [
        (T, "confirmed", 1),
        (T + HOUR, "confirmed", 2),
        (T + 2 * HOUR, "confirmed", 3),
    ]


def test_the_retraction_of_its_only_fraud_label_takes_an_account_out(store: Store) -> None:
    store.record_labels([fraud("a"), Label("a", Verdict.FRAUD, T + HOUR, "bob", campaign_id="ring"), fraud("b")])
    store.retract_label("a", "ann", T, T + 2 * HOUR, T + 2 * HOUR)
    assert members(store, "ring") == ["a", "b"]
    store.retract_label("a", "bob", T + HOUR, T + 3 * HOUR, T + 3 * HOUR)
    assert members(store, "ring") == ["b"]
    assert spans(store, "a") == [(T, T + 3 * HOUR)]
    assert store.campaign("ring").state is CampaignState.CONFIRMED
    store.record_labels([fraud("b", retracted_at=T + 4 * HOUR)])
    assert (store.campaign("ring").members, store.campaign("ring").state) == (0, CampaignState.SUSPECTED)
    assert states(store, "ring")[-1] == (T + 4 * HOUR, "suspected", 0)


def test_a_suspicion_that_labels_made_holds_the_cleared_until_one_is_called_fraud(store: Store) -> None:
    store.record_labels([cleared("a"), cleared("b")])
    assert (store.campaign("ring").state, members(store, "ring")) == (CampaignState.SUSPECTED, ["a", "b"])
    store.record_labels([fraud("c", T + HOUR)])
    assert (store.campaign("ring").state, members(store, "ring")) == (CampaignState.CONFIRMED, ["c"])
    assert spans(store, "a") == [(T, T + HOUR)]
    store.retract_label("c", "ann", T + HOUR, T + DAY, T + DAY)
    assert (store.campaign("ring").state, members(store, "ring")) == (CampaignState.SUSPECTED, ["a", "b"])


def test_a_cleared_account_is_put_in_no_campaign_that_a_run_found(store: Store) -> None:
    people(store, ["a", "b"])
    detect(store, found_campaign("c-1", ["a"]))
    store.record_labels([cleared("b", T + HOUR, "c-1")])
    assert members(store, "c-1") == ["a"]
    store.record_labels([fraud("b", T + 2 * HOUR, "c-1")])
    assert members(store, "c-1") == ["a", "b"]
    assert store.campaign("c-1").state is CampaignState.DETECTED  # a label confirms its account, not what was found


def test_a_label_that_names_a_merged_campaign_counts_for_the_one_it_is_part_of(store: Store) -> None:
    store.record_labels([fraud("a"), fraud("b", campaign="other"), fraud("c")])
    asked = ReviewAsked("ring", ReviewAction.MERGE, "ann", "why", merge_into="other")
    store.review(asked, at=T + HOUR, two_above=100)
    assert members(store, "other") == ["a", "b", "c"]
    store.record_labels([fraud("late", T + 2 * HOUR)])
    assert members(store, "other") == ["a", "b", "c", "late"]
    store.retract_label("a", "ann", T, T + 3 * HOUR, T + 3 * HOUR)
    assert members(store, "other") == ["b", "c", "late"]
    assert (spans(store, "a"), spans(store, "a", "other")) == ([(T, T + HOUR)], [(T + HOUR, T + 3 * HOUR)])


def test_an_account_that_an_analyst_took_out_is_not_put_back_by_older_labels(store: Store) -> None:
    store.record_labels([fraud("a"), fraud("b")])
    asked = ReviewAsked("ring", ReviewAction.REFUTE, "ann", "why", account_ids=("a",))
    store.review(asked, at=T + HOUR, two_above=100)
    store.record_labels([Label("a", Verdict.FRAUD, T - DAY, "bob", campaign_id="ring")])  # came late
    assert members(store, "ring") == ["b"]
    assert spans(store, "a") == [(T - DAY, T + HOUR)]


def test_verdicts_on_a_campaign_of_labels_are_undone_to_what_the_labels_say(store: Store) -> None:
    store.record_labels([fraud("a"), fraud("b")])
    before = everything(store)
    for i, action in enumerate((ReviewAction.REFUTE, ReviewAction.CONFIRM)):
        done = store.review(ReviewAsked("ring", action, "bob", "why"), at=T + (2 * i + 1) * HOUR, two_above=100)
        assert done.campaign.state.value == {"refute": "refuted", "confirm": "confirmed"}[action.value]
        undone = store.review(
            ReviewAsked("ring", ReviewAction.REOPEN, "bob", "why"), at=T + (2 * i + 2) * HOUR, two_above=100
        )
        assert undone.campaign.state is CampaignState.CONFIRMED
    after = everything(store)
    assert (after["rows"], after["members"]) == (before["rows"], before["members"])


@pytest.mark.parametrize("seed", range(4))
def test_the_order_in_which_labels_come_does_not_matter(store: Store, tmp_path: object, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels: dict[tuple[str, int], Label] = {}
    for _ in range(40):
        account, at = f"a{rng.integers(6)}", T + int(rng.integers(30)) * HOUR
        made = (fraud if rng.random() < 0.6 else cleared)(account, at, f"ring-{rng.integers(2)}")
        if rng.random() < 0.4:
            made = type(made)(
                made.account_id,
                made.verdict,
                made.decided_at,
                made.analyst,
                made.campaign_id,
                retracted_at=at + int(rng.integers(1, 20)) * HOUR,
            )
        labels.setdefault((account, at), made)
    in_order = open_store(f"sqlite:///{tmp_path}/in-order.db", upgrading=True)
    in_order.record_labels(sorted(labels.values(), key=lambda label: label.decided_at))
    said = list(labels.values())
    for i in rng.permutation(len(said)):
        first = said[i]
        if first.retracted_at is not None and rng.random() < 0.5:  # known first, retracted later
            store.record_labels(
                [type(first)(*(first.account_id, first.verdict, first.decided_at, first.analyst), first.campaign_id)]
            )
        store.record_labels([first])
    assert everything(store) == everything(in_order)
    in_order.close()


def test_campaigns_and_members_come_in_pages(store: Store) -> None:
    store.record_labels([fraud(f"a{i}", T + (i % 3) * HOUR, f"ring-{i % 5}") for i in range(17)])
    names, token = [], ""
    while True:
        page = store.list_campaigns(states=frozenset(), page_size=2, page_token=token)
        names += [(each.updated_at, each.campaign_id) for each in page.items]
        token = page.next_page_token
        if not token:
            break
    assert names == sorted(set(names), reverse=True)
    assert len(names) == 5
    seen, token = [], ""
    while True:
        some = store.list_members("ring-1", page_size=2, page_token=token)
        seen += [(each.joined_at, each.account) for each in some.items]
        token = some.next_page_token
        if not token:
            break
    assert seen == sorted(set(seen))
    assert len(seen) == 4
    confirmed = frozenset({CampaignState.CONFIRMED})
    assert len(store.list_campaigns(states=confirmed, min_members=4).items) == 2
    assert store.list_campaigns(states=frozenset({CampaignState.REFUTED})).items == ()
    first = store.list_campaigns(states=frozenset(), page_size=2)
    with pytest.raises(InvalidPageToken):
        store.list_campaigns(states=confirmed, page_size=2, page_token=first.next_page_token)
    with pytest.raises(InvalidPageToken):
        store.list_members("ring-1", page_token=first.next_page_token)


def test_a_campaign_that_is_not_there_is_unknown(store: Store) -> None:
    for read in (
        store.campaign,
        store.campaign_evidence,
        store.campaign_reviews,
        store.campaign_events,
        store.member_accounts,
        store.list_members,
    ):
        with pytest.raises(UnknownCampaign, match="campaign 'nothing' is not known"):
            read("nothing")
