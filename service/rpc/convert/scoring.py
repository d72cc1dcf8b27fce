"""Score requests and assessments."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from gatehouse.risk.v1 import scoring_pb2

from service.domain.raw import Link, Signal
from service.domain.records import Assessment, LinkSummary, Reason
from service.domain.requests import ScoreRequest
from service.rpc.convert.facts import payment_from_wire, signup_from_wire
from service.rpc.convert.words import DECISIONS, PURPOSE_OF, PURPOSES, micros_from_wire, micros_to_wire

ScoreMessage = scoring_pb2.ScoreAccountRequest | scoring_pb2.ScoreAccountsRequest


def score_request_from_wire(wire: ScoreMessage) -> ScoreRequest:
    """One account to score."""
    account_id = wire.account_id
    return ScoreRequest(
        request_id=wire.request_id,
        account_id=account_id,
        purpose=PURPOSE_OF[wire.purpose],
        explain=wire.explain,
        signup=signup_from_wire(account_id, wire.signup) if wire.HasField("signup") else None,
        payments=tuple(
            payment_from_wire(account_id, p.event_id, micros_from_wire(p.happened_at, f"payments[{i}].happened_at"), p)
            for i, p in enumerate(wire.payments)
        )
        if wire.payments
        else (),
        links=tuple(
            Link(account_id, micros_from_wire(k.happened_at, f"links[{i}].happened_at"), k.key_type, k.key_value)
            for i, k in enumerate(wire.links)
        )
        if wire.links
        else (),
        signals=tuple(
            Signal(account_id, micros_from_wire(s.happened_at, f"signals[{i}].happened_at"), s.name, s.value)
            for i, s in enumerate(wire.signals)
        )
        if wire.signals
        else (),
        content=_content(wire),
    )


def _content(wire: ScoreMessage) -> int:
    """Hash of what is asked; the unary call and the stream share their field numbers, so both hash alike."""
    said = type(wire)()
    said.CopyFrom(wire)  # type: ignore[arg-type]  # the same type on both sides
    said.ClearField("request_id")
    said.ClearField("explain")  # how much to answer, not what about
    digest = blake2b(said.SerializeToString(deterministic=True), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def assessment_to_wire(record: Assessment) -> scoring_pb2.Assessment:
    """An assessment as a caller sees it: without the stored feature row."""
    said = scoring_pb2.Assessment()
    say_assessment(record, said)
    return said


def say_assessment(record: Assessment, said: scoring_pb2.Assessment) -> None:
    """``assessment_to_wire`` into an empty message.

    Written where it is wanted, field by field, it costs 3.5 us; given to constructors, which copy it, 8.
    """
    said.assessment_id = record.assessment_id
    said.account_id = record.account_id
    said.assessed_at.CopyFrom(_moment(record.assessed_at))
    said.score = record.score
    said.decision = DECISIONS[record.decision]
    if record.recommended_limit is not None:
        said.recommended_limit = record.recommended_limit
    if record.reasons:
        said.reasons.extend(map(reason_to_wire, record.reasons))
    if record.links:
        said.links.extend(map(_link, record.links))
    if record.campaign_id is not None:
        said.campaign_id = record.campaign_id
    said.model_version = record.model_version
    said.policy_version = record.policy_version
    said.feature_fingerprint = record.feature_fingerprint
    if record.degraded:
        said.degraded = True
        said.degraded_sources.extend(record.degraded)
    said.purpose = PURPOSES[record.purpose]
    if record.request_id is not None:
        said.request_id = record.request_id
    if record.rules:
        said.rules.extend(record.rules)
    if record.explored_from is not None:
        said.explored_from = DECISIONS[record.explored_from]
    if record.propensity is not None:
        said.propensity = record.propensity


def reason_to_wire(reason: Reason) -> scoring_pb2.Reason:
    """A reason; its direction is the sign of its contribution."""
    raises = reason.contribution >= 0
    return scoring_pb2.Reason(
        code=reason.code,
        analyst_text=reason.analyst_text,
        customer_text=reason.customer_text,
        direction=scoring_pb2.DIRECTION_RAISES_RISK if raises else scoring_pb2.DIRECTION_LOWERS_RISK,
        contribution=reason.contribution,
    )


def link_summary_to_wire(link: LinkSummary) -> scoring_pb2.LinkSummary:
    """Ties through one type of key."""
    return scoring_pb2.LinkSummary(
        key_type=link.key_type,
        linked_accounts=link.linked,
        confirmed_accounts=link.confirmed,
        campaign_id=link.campaign_id,
    )


# A batch has one moment, and of links few differ. What comes from here is copied by whoever gets it, never changed.
_moment = lru_cache(maxsize=1_024)(micros_to_wire)
_link = lru_cache(maxsize=16_384)(link_summary_to_wire)
