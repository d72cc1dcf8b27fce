"""Records as a caller says them, before the door. They may hold personal data and are never stored.

Field names are the interchange columns. Moments are UTC microseconds. ``None`` always means that the caller did not
say, never "no" or zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.enums import CardFunding, PaymentKind, PaymentMethod, UsageStatus, Verdict


@dataclass(frozen=True, slots=True)
class Signup:
    """One account as it signed up."""

    account_id: str
    created_at: int
    email: str | None = None
    full_name: str | None = None
    phone: str | None = None  # E.164, or national with ``country``
    country: str | None = None  # ISO 3166-1 alpha-2
    ip: str | None = None
    user_agent: str | None = None
    device_id: str | None = None
    accept_language: str | None = None
    plan: str | None = None
    signup_source: str | None = None
    form_seconds: float | None = None
    email_verified: bool | None = None  # as known at signup; a later verification is a signal
    phone_verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment event."""

    event_id: str
    account_id: str
    happened_at: int
    kind: PaymentKind
    method: PaymentMethod
    card_fingerprint: str | None = None
    card_bin: str | None = None  # 6 to 8 digits
    card_country: str | None = None
    card_funding: CardFunding | None = None
    amount_minor: int | None = None  # in the currency's minor unit
    currency: str | None = None  # ISO 4217


@dataclass(frozen=True, slots=True)
class Usage:
    """One exchange with the model."""

    event_id: str
    account_id: str
    happened_at: int
    ip: str | None = None
    client: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    status: UsageStatus | None = None
    prompt_prefix_hash: int | None = None  # unsigned 64-bit
    prompt_simhash: int | None = None  # unsigned 64-bit


@dataclass(frozen=True, slots=True)
class Link:
    """A customer's own linking key; ``event_id`` is given by live calls only."""

    account_id: str
    happened_at: int
    key_type: str
    key_value: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A customer's own number; ``event_id`` is given by live calls only."""

    account_id: str
    happened_at: int
    name: str
    value: float
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """An analyst's verdict on one account, keyed by (account_id, analyst, decided_at)."""

    account_id: str
    verdict: Verdict
    decided_at: int
    analyst: str
    campaign_id: str | None = None
    evidence: str | None = None
    retracted_at: int | None = None  # None: it stands
