"""Score requests and assessments."""

from __future__ import annotations

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
        ),
        links=tuple(
            Link(account_id, micros_from_wire(k.happened_at, f"links[{i}].happened_at"), k.key_type, k.key_value)
            for i, k in enumerate(wire.links)
        ),
        signals=tuple(
            Signal(account_id, micros_from_wire(s.happened_at, f"signals[{i}].happened_at"), s.name, s.value)
            for i, s in enumerate(wire.signals)
        ),
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
    return scoring_pb2.Assessment(
        assessment_id=record.assessment_id,
        account_id=record.account_id,
        assessed_at=micros_to_wire(record.assessed_at),
        score=record.score,
        decision=DECISIONS[record.decision],
        recommended_limit=record.recommended_limit,
        reasons=[reason_to_wire(reason) for reason in record.reasons],
        links=[link_summary_to_wire(link) for link in record.links],
        campaign_id=record.campaign_id,
        model_version=record.model_version,
        policy_version=record.policy_version,
        feature_fingerprint=record.feature_fingerprint,
        degraded=bool(record.degraded),
        degraded_sources=record.degraded,
        purpose=PURPOSES[record.purpose],
        request_id=record.request_id,
        rules=record.rules,
        explored_from=DECISIONS[record.explored_from] if record.explored_from is not None else None,
        propensity=record.propensity,
    )


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
