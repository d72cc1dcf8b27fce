from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from gatehouse.risk.v1 import campaigns_pb2, labels_pb2
from google.protobuf.message import Message

from service.domain.campaigns import (
    CampaignEvidence,
    CampaignMember,
    CampaignRecord,
    CampaignState,
    KeyEvidence,
    ReviewAction,
    ReviewAsked,
    ReviewRecord,
    ReviewState,
    TimelineSpan,
)
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.errors import CampaignChanged, CampaignMerged
from service.domain.time import HOUR
from service.rpc.convert.campaigns import campaign_to_wire, review_asked_from_wire
from service.usecases.campaigns import CampaignFile
from tests.factories import NOON
from tests.service.rpc.conftest import Memory, at, details_of, wrong_fields


def make_record(campaign_id: str = "ring", **more: Any) -> CampaignRecord:
    said = {
        "state": CampaignState.DETECTED,
        "origin": "detect",
        "score": 0.75,
        "members": 40,
        "confirmed_members": 3,
        "created_at": NOON,
        "detected_at": NOON + 1,
        "updated_at": NOON + 2,
        "first_signup_at": NOON - 2,
        "last_signup_at": NOON - 1,
        "exchanges": 5000,
        "input_tokens": 60_000,
        "output_tokens": 7000,
        "revision": 4,
    }
    return CampaignRecord(campaign_id, **{**said, **more})


def make_file(campaign_id: str = "ring", **more: Any) -> CampaignFile:
    return CampaignFile(make_record(campaign_id, **more), CampaignEvidence(), (), (), {})


def review_request(**more: Any) -> campaigns_pb2.ReviewCampaignRequest:
    said = {"campaign_id": "ring", "action": campaigns_pb2.REVIEW_ACTION_CONFIRM, "analyst": "ann", "reason": "cards"}
    return campaigns_pb2.ReviewCampaignRequest(**{**said, **more})


def refused(stub: Any, request: Message) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        stub(request, timeout=10)
    return caught.value


def test_a_campaign_says_on_the_wire_what_its_record_says() -> None:
    assert campaign_to_wire(make_record(merged_into="big", split_from="old")) == campaigns_pb2.Campaign(
        campaign_id="ring",
        state=campaigns_pb2.CAMPAIGN_STATE_DETECTED,
        score=0.75,
        members=40,
        confirmed_members=3,
        created_at=at(NOON),
        detected_at=at(NOON + 1),
        updated_at=at(NOON + 2),
        first_signup_at=at(NOON - 2),
        last_signup_at=at(NOON - 1),
        exchanges=5000,
        input_tokens=60_000,
        output_tokens=7000,
        merged_into_campaign_id="big",
        split_from_campaign_id="old",
        etag="4",
    )


def test_what_is_not_known_of_a_campaign_is_absent_and_not_zero() -> None:
    wire = campaign_to_wire(make_record(score=None, detected_at=None, first_signup_at=None, last_signup_at=None))

    absent = ("score", "detected_at", "first_signup_at", "last_signup_at", "merged_into_campaign_id")
    assert [name for name in (*absent, "split_from_campaign_id") if wire.HasField(name)] == []


def test_campaigns_are_listed_by_state_and_size_page_after_page(stubs: SimpleNamespace, memory: Memory) -> None:
    for number in range(5):
        memory.campaigns[f"c{number}"] = make_file(f"c{number}", members=number)
    memory.campaigns["none"] = make_file("none", members=9, state=CampaignState.REFUTED)
    seen, token = [], ""
    while True:
        page = stubs.campaigns.ListCampaigns(
            campaigns_pb2.ListCampaignsRequest(
                states=[campaigns_pb2.CAMPAIGN_STATE_DETECTED, campaigns_pb2.CAMPAIGN_STATE_CONFIRMED],
                min_members=1,
                page_size=2,
                page_token=token,
            ),
            timeout=10,
        )
        assert len(page.campaigns) <= 2
        seen += [campaign.campaign_id for campaign in page.campaigns]
        token = page.next_page_token
        if not token:
            break

    assert seen == ["c1", "c2", "c3", "c4"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (campaigns_pb2.ListCampaignsRequest(states=[0]), "states[0]"),
        (campaigns_pb2.ListCampaignsRequest(states=[77]), "states[0]"),
        (campaigns_pb2.ListCampaignsRequest(min_members=-1), "min_members"),
        (campaigns_pb2.ListCampaignsRequest(page_size=1001), "page_size"),
    ],
)
def test_a_bad_filter_is_named(stubs: SimpleNamespace, request_: Message, field: str) -> None:
    assert wrong_fields(refused(stubs.campaigns.ListCampaigns, request_)) == [field]


def test_one_campaign_comes_with_its_evidence_and_reviews(stubs: SimpleNamespace, memory: Memory) -> None:
    ann, gone = hash64("ann"), hash64("gone")
    memory.campaigns["ring"] = CampaignFile(
        make_record(),
        CampaignEvidence(
            keys=(KeyEvidence("card", -2, 30, 1, 0.5, 1e-40, 2e-38),),
            keys_looked_at=200,
            timeline=(TimelineSpan(NOON, NOON + HOUR, 3, 2, 50, 700),),
            counter_evidence=("all share one verified company domain",),
            typical_accounts=(ann, gone),
            changed_assessments=6,
        ),
        (
            ReviewRecord(
                "v1", "ring", ReviewAction.CONFIRM, ReviewState.APPLIED, "ann", "bob", "one card", NOON, 40, "q"
            ),
        ),
        (),
        {ann: "acc-ann"},
    )

    told = stubs.campaigns.GetCampaign(campaigns_pb2.GetCampaignRequest(campaign_id="ring"), timeout=10)

    assert told.campaign == campaign_to_wire(make_record())
    assert told.evidence == campaigns_pb2.CampaignEvidence(
        keys=[
            campaigns_pb2.KeyEvidence(
                key_type="card",
                key_hash="fffffffffffffffe",
                members=30,
                others=1,
                expected_members=0.5,
                chance=1e-40,
                adjusted_chance=2e-38,
            )
        ],
        timeline=[
            campaigns_pb2.TimelineSpan(
                start_time=at(NOON),
                end_time=at(NOON + HOUR),
                signups=3,
                active_members=2,
                exchanges=50,
                tokens=700,
            )
        ],
        counter_evidence=["all share one verified company domain"],
        typical_account_ids=["acc-ann"],
        changed_assessments=6,
    )
    assert list(told.reviews) == [
        campaigns_pb2.CampaignReview(
            review_id="v1",
            action=campaigns_pb2.REVIEW_ACTION_CONFIRM,
            state=campaigns_pb2.REVIEW_STATE_APPLIED,
            analyst="ann",
            second_analyst="bob",
            reason="one card",
            reviewed_at=at(NOON),
            members=40,
        )
    ]


def test_a_campaign_that_nobody_knows_is_not_found_by_any_call(stubs: SimpleNamespace) -> None:
    calls = [
        (stubs.campaigns.GetCampaign, campaigns_pb2.GetCampaignRequest(campaign_id="no")),
        (stubs.campaigns.ListCampaignMembers, campaigns_pb2.ListCampaignMembersRequest(campaign_id="no")),
        (stubs.campaigns.ReviewCampaign, review_request(campaign_id="no")),
        (lambda request, timeout: list(stubs.campaigns.ExportIndicators(request, timeout=timeout)), None),
    ]
    for call, request in calls:
        error = refused(call, request or campaigns_pb2.ExportIndicatorsRequest(campaign_id="no"))
        assert error.code() is grpc.StatusCode.NOT_FOUND
        found = details_of(error)
        assert found["ErrorInfo"].reason == "UNKNOWN_CAMPAIGN"
        assert (found["ResourceInfo"].resource_type, found["ResourceInfo"].resource_name) == ("campaign", "no")


def test_members_say_how_surely_they_belong_and_absence_is_an_analysts_word(
    stubs: SimpleNamespace, memory: Memory
) -> None:
    memory.campaigns["ring"] = make_file()
    memory.members["ring"] = [
        CampaignMember(1, "a", NOON, 0.5, ("card", "device"), Verdict.FRAUD),
        CampaignMember(2, "b", NOON + 1, None, ()),
    ]
    request = campaigns_pb2.ListCampaignMembersRequest(campaign_id="ring", page_size=1)

    first = stubs.campaigns.ListCampaignMembers(request, timeout=10)
    request.page_token = first.next_page_token
    second = stubs.campaigns.ListCampaignMembers(request, timeout=10)

    assert [*first.members, *second.members] == [
        campaigns_pb2.CampaignMember(
            account_id="a",
            joined_at=at(NOON),
            membership=0.5,
            key_types=["card", "device"],
            verdict=labels_pb2.VERDICT_FRAUD,
        ),
        campaigns_pb2.CampaignMember(account_id="b", joined_at=at(NOON + 1)),
    ]
    assert not second.next_page_token


def test_a_verdict_reaches_the_deed_as_it_was_asked_for(stubs: SimpleNamespace, memory: Memory) -> None:
    memory.campaigns["ring"] = make_file()
    request = review_request(
        action=campaigns_pb2.REVIEW_ACTION_MERGE, merge_into_campaign_id="big", etag="4", request_id="q1"
    )

    told = stubs.campaigns.ReviewCampaign(request, timeout=10)

    content = review_asked_from_wire(request).content
    assert memory.asked == [
        ReviewAsked("ring", ReviewAction.MERGE, "ann", "cards", (), "big", 4, "q1", content),
    ]
    assert told.state == told.review.state == campaigns_pb2.REVIEW_STATE_PENDING_SECOND_ANALYST
    assert not told.review.HasField("second_analyst")
    assert told.campaign.campaign_id == "ring"
    assert told.labels_recorded == 0


def test_the_same_verdict_under_another_request_id_says_the_same_and_any_other_word_does_not() -> None:
    first = review_asked_from_wire(review_request(request_id="q1"))

    assert review_asked_from_wire(review_request(request_id="q2")).content == first.content
    for change in ({"analyst": "bob"}, {"account_ids": ["a"]}, {"etag": "1"}, {"reason": "other"}):
        assert review_asked_from_wire(review_request(**change)).content != first.content


def test_an_empty_etag_is_none_and_one_that_we_never_gave_is_named(stubs: SimpleNamespace, memory: Memory) -> None:
    assert review_asked_from_wire(review_request(etag="")).revision is None
    for etag in ("x", "-1", "1.0", "²", "9" * 30):
        assert wrong_fields(refused(stubs.campaigns.ReviewCampaign, review_request(etag=etag))) == ["etag"]
    assert memory.asked == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"campaign_id": ""}, "campaign_id"),
        ({"action": 0}, "action"),
        ({"action": 9}, "action"),
        ({"analyst": ""}, "analyst"),
        ({"reason": ""}, "reason"),
        ({"account_ids": ["a", "a"]}, "account_ids"),
        ({"account_ids": ["a", ""]}, "account_ids[1]"),
        ({"account_ids": [str(i) for i in range(50_001)]}, "account_ids"),
        ({"action": campaigns_pb2.REVIEW_ACTION_SPLIT}, "account_ids"),
        ({"merge_into_campaign_id": "big"}, "merge_into_campaign_id"),
    ],
)
def test_a_verdict_that_lacks_something_is_refused_and_the_field_is_named(
    stubs: SimpleNamespace, memory: Memory, more: dict[str, Any], field: str
) -> None:
    assert wrong_fields(refused(stubs.campaigns.ReviewCampaign, review_request(**more))) == [field]
    assert memory.asked == []


def test_a_verdict_on_a_merged_campaign_is_told_where_its_members_are(stubs: SimpleNamespace, memory: Memory) -> None:
    memory.failures = [CampaignMerged("ring", "big")]

    error = refused(stubs.campaigns.ReviewCampaign, review_request())

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "big" in error.details()
    info = details_of(error)["ErrorInfo"]
    assert (info.reason, dict(info.metadata)) == ("CAMPAIGN_MERGED", {"merged_into": "big"})
    assert details_of(error)["ResourceInfo"].resource_name == "ring"


def test_the_second_of_two_analysts_is_told_to_look_again(stubs: SimpleNamespace, memory: Memory) -> None:
    memory.failures = [CampaignChanged("ring")]

    error = refused(stubs.campaigns.ReviewCampaign, review_request(etag="3"))

    assert error.code() is grpc.StatusCode.ABORTED
    assert "changed since you looked" in error.details()
    assert details_of(error)["ErrorInfo"].reason == "CAMPAIGN_CHANGED"


def test_an_export_comes_in_pieces_that_make_one_document_and_the_first_says_what_it_is(
    stubs: SimpleNamespace, memory: Memory
) -> None:
    memory.campaigns["ring"] = make_file()

    pieces = list(
        stubs.campaigns.ExportIndicators(campaigns_pb2.ExportIndicatorsRequest(campaign_id="ring"), timeout=10)
    )

    assert [piece.content_type for piece in pieces] == ["application/stix+json;version=2.1", "", ""]
    assert len(json.loads(b"".join(piece.data for piece in pieces))["x"]) == 150_000
