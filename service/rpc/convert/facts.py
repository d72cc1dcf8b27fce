"""Facts that callers bring, and what became of them."""

from __future__ import annotations

from gatehouse.risk.v1 import facts_pb2, signals_pb2
from google.rpc import code_pb2

from service.domain.errors import FieldViolation, InvalidInput
from service.domain.raw import Link, Payment, Signal, Signup, Usage
from service.domain.records import ErasureRecord
from service.domain.requests import Event, EventRejection
from service.rpc.convert.words import (
    CARD_FUNDING_OF,
    PAYMENT_KIND_OF,
    PAYMENT_METHOD_OF,
    USAGE_STATUS_OF,
    micros_from_wire,
    micros_to_wire,
)


def signup_from_wire(account_id: str, wire: facts_pb2.Signup, path: str = "signup") -> Signup:
    """A signup; absent and empty are the same."""
    return Signup(
        account_id=account_id,
        created_at=micros_from_wire(wire.created_at, f"{path}.created_at"),
        email=wire.email or None,
        full_name=wire.full_name or None,
        phone=wire.phone or None,
        country=wire.country or None,
        ip=wire.ip or None,
        user_agent=wire.user_agent or None,
        device_id=wire.device_id or None,
        accept_language=wire.accept_language or None,
        plan=wire.plan or None,
        signup_source=wire.signup_source or None,
        form_seconds=wire.form_seconds if wire.HasField("form_seconds") else None,
        email_verified=wire.email_verified if wire.HasField("email_verified") else None,
        phone_verified=wire.phone_verified if wire.HasField("phone_verified") else None,
    )


def payment_from_wire(account_id: str, event_id: str, happened_at: int, wire: facts_pb2.Payment) -> Payment:
    """A payment of the account; id and time come from the event that it stands in."""
    return Payment(
        event_id=event_id,
        account_id=account_id,
        happened_at=happened_at,
        kind=PAYMENT_KIND_OF[wire.kind],
        method=PAYMENT_METHOD_OF[wire.method],
        card_fingerprint=wire.card_fingerprint or None,
        card_bin=wire.card_bin or None,
        card_country=wire.card_country or None,
        card_funding=CARD_FUNDING_OF.get(wire.card_funding),
        amount_minor=wire.amount_minor if wire.HasField("amount_minor") else None,
        currency=wire.currency or None,
    )


def usage_from_wire(account_id: str, event_id: str, happened_at: int, wire: facts_pb2.Usage) -> Usage:
    """One exchange of the account."""
    return Usage(
        event_id=event_id,
        account_id=account_id,
        happened_at=happened_at,
        ip=wire.ip or None,
        client=wire.client or None,
        model=wire.model or None,
        input_tokens=wire.input_tokens if wire.HasField("input_tokens") else None,
        output_tokens=wire.output_tokens if wire.HasField("output_tokens") else None,
        status=USAGE_STATUS_OF.get(wire.status),
        prompt_prefix_hash=wire.prompt_prefix_hash if wire.HasField("prompt_prefix_hash") else None,
        prompt_simhash=wire.prompt_simhash if wire.HasField("prompt_simhash") else None,
    )


def event_from_wire(wire: signals_pb2.RecordSignalsRequest) -> Event:
    """One event of a stream."""
    happened_at = micros_from_wire(wire.happened_at, "happened_at")
    match wire.WhichOneof("fact"):
        case "payment":
            return payment_from_wire(wire.account_id, wire.event_id, happened_at, wire.payment)
        case "usage":
            return usage_from_wire(wire.account_id, wire.event_id, happened_at, wire.usage)
        case "link":
            return Link(wire.account_id, happened_at, wire.link.key_type, wire.link.key_value, wire.event_id)
        case "signal":
            return Signal(wire.account_id, happened_at, wire.signal.name, wire.signal.value, wire.event_id)
        case _:
            raise InvalidInput(FieldViolation("fact", "one of payment, usage, link, signal is required"))


def rejection_to_wire(rejection: EventRejection) -> signals_pb2.Rejection:
    """An event that was not recorded."""
    return signals_pb2.Rejection(
        event_id=rejection.event_id,
        reason=rejection.reason,
        field=rejection.field,
        code=code_pb2.ALREADY_EXISTS if rejection.conflict else code_pb2.INVALID_ARGUMENT,
        position=rejection.position,
    )


def erasure_to_wire(record: ErasureRecord) -> signals_pb2.EraseAccountResponse:
    """What was erased, by kind."""
    kinds = ("signups", "link_keys", "payments", "signals", "usage_events")
    return signals_pb2.EraseAccountResponse(
        erased_at=micros_to_wire(record.erased_at),
        erased=[signals_pb2.ErasedItem(kind=kind, count=getattr(record, kind)) for kind in kinds],
    )
