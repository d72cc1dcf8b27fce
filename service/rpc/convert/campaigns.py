"""Campaigns, their evidence, their members, and verdicts on them."""

from __future__ import annotations

import re
from hashlib import blake2b

from gatehouse.risk.v1 import campaigns_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.campaigns import (
    CampaignMember,
    CampaignRecord,
    KeyEvidence,
    ReviewAsked,
    ReviewReceipt,
    ReviewRecord,
    TimelineSpan,
)
from service.domain.errors import FieldViolation, InvalidInput
from service.rpc.convert.words import (
    CAMPAIGN_STATES,
    REVIEW_ACTION_OF,
    REVIEW_ACTIONS,
    REVIEW_STATES,
    VERDICTS,
    micros_to_wire,
)
from service.usecases.campaigns import CampaignFile, key_hash

_REVISION = re.compile(r"[0-9]{1,18}", re.ASCII)


def campaign_to_wire(record: CampaignRecord) -> campaigns_pb2.Campaign:
    """A campaign as it stands."""
    return campaigns_pb2.Campaign(
        campaign_id=record.campaign_id,
        state=CAMPAIGN_STATES[record.state],
        score=record.score,
        members=record.members,
        confirmed_members=record.confirmed_members,
        created_at=micros_to_wire(record.created_at),
        detected_at=_moment(record.detected_at),
        updated_at=micros_to_wire(record.updated_at),
        first_signup_at=_moment(record.first_signup_at),
        last_signup_at=_moment(record.last_signup_at),
        exchanges=record.exchanges,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        merged_into_campaign_id=record.merged_into,
        split_from_campaign_id=record.split_from,
        etag=etag_to_wire(record.revision),
    )


def campaign_file_to_wire(file: CampaignFile) -> campaigns_pb2.GetCampaignResponse:
    """A campaign with what it rests on and what was said of it."""
    evidence = file.evidence
    return campaigns_pb2.GetCampaignResponse(
        campaign=campaign_to_wire(file.record),
        evidence=campaigns_pb2.CampaignEvidence(
            keys=[key_evidence_to_wire(key) for key in evidence.keys],
            timeline=[timeline_span_to_wire(span) for span in evidence.timeline],
            counter_evidence=evidence.counter_evidence,
            typical_account_ids=file.typical_account_ids(),
            changed_assessments=evidence.changed_assessments,
        ),
        reviews=[review_to_wire(review) for review in file.reviews],
    )


def key_evidence_to_wire(key: KeyEvidence) -> campaigns_pb2.KeyEvidence:
    """A linking key against chance."""
    return campaigns_pb2.KeyEvidence(
        key_type=key.key_type,
        key_hash=key_hash(key.key),
        members=key.members,
        others=key.others,
        expected_members=key.expected_members,
        chance=key.chance,
        adjusted_chance=key.adjusted_chance,
    )


def timeline_span_to_wire(span: TimelineSpan) -> campaigns_pb2.TimelineSpan:
    """What members did in one span."""
    return campaigns_pb2.TimelineSpan(
        start_time=micros_to_wire(span.start),
        end_time=micros_to_wire(span.end),
        signups=span.signups,
        active_members=span.active_members,
        exchanges=span.exchanges,
        tokens=span.tokens,
    )


def member_to_wire(member: CampaignMember) -> campaigns_pb2.CampaignMember:
    """An account's place in a campaign."""
    return campaigns_pb2.CampaignMember(
        account_id=member.account_id,
        joined_at=micros_to_wire(member.joined_at),
        membership=member.membership,
        key_types=member.key_types,
        verdict=VERDICTS[member.verdict] if member.verdict is not None else None,
    )


def review_to_wire(review: ReviewRecord) -> campaigns_pb2.CampaignReview:
    """A verdict as it was recorded."""
    return campaigns_pb2.CampaignReview(
        review_id=review.review_id,
        action=REVIEW_ACTIONS[review.action],
        state=REVIEW_STATES[review.state],
        analyst=review.analyst,
        second_analyst=review.second_analyst,
        reason=review.reason,
        reviewed_at=micros_to_wire(review.reviewed_at),
        members=review.members,
    )


def review_asked_from_wire(wire: campaigns_pb2.ReviewCampaignRequest) -> ReviewAsked:
    """A verdict as an analyst asks for it."""
    return ReviewAsked(
        campaign_id=wire.campaign_id,
        action=REVIEW_ACTION_OF[wire.action],
        analyst=wire.analyst,
        reason=wire.reason,
        account_ids=tuple(wire.account_ids),
        merge_into=wire.merge_into_campaign_id or None,
        revision=etag_from_wire(wire.etag),
        request_id=wire.request_id or None,
        content=_content(wire),
    )


def receipt_to_wire(receipt: ReviewReceipt) -> campaigns_pb2.ReviewCampaignResponse:
    """What became of a verdict."""
    return campaigns_pb2.ReviewCampaignResponse(
        state=REVIEW_STATES[receipt.review.state],
        review=review_to_wire(receipt.review),
        campaign=campaign_to_wire(receipt.campaign),
        labels_recorded=receipt.labels_recorded,
    )


def etag_to_wire(revision: int) -> str:
    """The revision, as text."""
    return str(revision)


def etag_from_wire(etag: str) -> int | None:
    """The revision that an etag stands for; None: empty. Raises InvalidInput for what we never gave."""
    if not etag:
        return None
    if not _REVISION.fullmatch(etag):
        raise InvalidInput(FieldViolation("etag", "was not returned by this service; give back a campaign's own etag"))
    return int(etag)


def _content(wire: campaigns_pb2.ReviewCampaignRequest) -> int:
    """Hash of what is asked."""
    said = campaigns_pb2.ReviewCampaignRequest()
    said.CopyFrom(wire)
    said.ClearField("request_id")
    digest = blake2b(said.SerializeToString(deterministic=True), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _moment(at: int | None) -> Timestamp | None:
    return micros_to_wire(at) if at is not None else None
