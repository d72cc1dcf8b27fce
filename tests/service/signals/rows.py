"""Rows of all five tables as hypothesis draws them, and the same rows as an import reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from service.domain.enums import CardFunding, PaymentKind, PaymentMethod, UsageStatus
from service.domain.raw import Link, Payment, Signal, Signup, Usage
from service.domain.time import DAY, SECOND
from tests.service.signals.conftest import NOON

_TYPES: dict[str, Any] = {
    "created_at": pa.timestamp("us", "UTC"),
    "happened_at": pa.timestamp("us", "UTC"),
    "form_seconds": pa.float64(),
    "value": pa.float64(),
    "email_verified": pa.bool_(),
    "phone_verified": pa.bool_(),
    "amount_minor": pa.int64(),
    "input_tokens": pa.int64(),
    "output_tokens": pa.int64(),
    "prompt_prefix_hash": pa.uint64(),
    "prompt_simhash": pa.uint64(),
}

_ids = st.sampled_from([f"id-{n}" for n in range(30)] + ["", "x" * 201, "tab\t", "ünïcode"])
_moments = st.integers(0, 40 * 86_400).map(lambda s: NOON - s * SECOND + 123) | st.sampled_from([NOON + DAY, 5, NOON])
_addresses = st.sampled_from(["81.2.69.160", "2a01:4f8::1", "185.220.101.1", "2A01:4F8::1", "10.0.0.1", "1.2.3", ""])
_hashes = st.sampled_from([0, 1, 2**63, 2**64 - 1, 77])
_reals = st.sampled_from([0.0, -0.0, 0.1, 12.5, 1e300, -1.0, float("nan"), float("inf")])
_countries = st.sampled_from(["DE", "us", "GB", "XK", "UK", "", "DEU"])


def _maybe(drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | drawn


signups = st.builds(
    Signup,
    _ids,
    _moments,
    email=_maybe(st.sampled_from(["Anna.Meier@gmail.com", "a@b@c", "ü@почта.рф", "x@mailinator.com", "", "y" * 321])),
    full_name=_maybe(st.sampled_from(["Anna Meier", "anna", "田中太郎", "Jürgen O'Neill", "  ", "n" * 1001])),
    phone=_maybe(st.sampled_from(["+4915112345678", "015112345678", "nonsense", "+15550001234"])),
    country=_maybe(_countries),
    ip=_maybe(_addresses),
    user_agent=_maybe(st.sampled_from(["curl/8", "Mozilla/5.0 Firefox/121.0", "", "u" * 5000])),
    device_id=_maybe(st.sampled_from(["d1", "d2", "null"])),
    accept_language=_maybe(st.sampled_from(["de-DE,de;q=0.9", "en", "*"])),
    plan=_maybe(st.sampled_from(["free", "Pro"])),
    signup_source=_maybe(st.sampled_from(["web", ""])),
    form_seconds=_maybe(_reals),
    email_verified=_maybe(st.booleans()),
    phone_verified=_maybe(st.booleans()),
)

payments = st.builds(
    Payment,
    _ids,
    _ids,
    _moments,
    st.sampled_from(PaymentKind),
    st.sampled_from(PaymentMethod),
    card_fingerprint=_maybe(st.sampled_from(["c1", "c2", "  "])),
    card_bin=_maybe(st.sampled_from(["457173", "45717360", "1234", "12345x"])),
    card_country=_maybe(_countries),
    card_funding=_maybe(st.sampled_from(CardFunding)),
    amount_minor=_maybe(st.sampled_from([0, -5, 1999, 2**63 - 1, -(2**63)])),
    currency=_maybe(st.sampled_from(["EUR", "usd", "EURO", "€"])),
)

usages = st.builds(
    Usage,
    _ids,
    _ids,
    _moments,
    ip=_maybe(_addresses),
    client=_maybe(st.sampled_from(["python/1.0", "node"])),
    model=_maybe(st.sampled_from(["large", "small"])),
    input_tokens=_maybe(st.sampled_from([0, 17, -1, 2**31])),
    output_tokens=_maybe(st.sampled_from([0, 17, -1])),
    status=_maybe(st.sampled_from(UsageStatus)),
    prompt_prefix_hash=_maybe(_hashes),
    prompt_simhash=_maybe(_hashes),
)

links = st.builds(
    Link,
    _ids,
    _moments,
    st.sampled_from(["referral", "wallet", ""]),
    st.sampled_from(["r1", "r2", " ", "ü"]),
    event_id=_maybe(st.sampled_from(["e1", "e2", "e" * 300])),
)

signals = st.builds(
    Signal,
    _ids,
    _moments,
    st.sampled_from(["stars", "forks", "", "bell\a"]),
    _reals,
    event_id=_maybe(st.sampled_from(["e1", "e2"])),
)


def table(rows: Sequence[Any], kind: type[Any]) -> pa.Table:
    """Records as a file of them would be read: one column per field."""
    said = [asdict(row) for row in rows]
    return pa.table(
        {
            field.name: pa.array([_plain(row[field.name]) for row in said], _TYPES.get(field.name, pa.string()))
            for field in fields(kind)
        }
    )


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, PaymentKind | PaymentMethod | CardFunding | UsageStatus) else value
