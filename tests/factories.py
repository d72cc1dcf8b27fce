"""Facts for tests: each factory states only what matters and fills in the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.domain.codes import code32, hash64
from service.domain.facts import LinkFacts, OwnLinkFacts, PaymentFacts, SignalFacts, SignupFacts, UsageFacts
from service.domain.profile import PROFILE, PROFILE_INDEX
from service.domain.time import micros, moment
from service.tiles.payments import NO_CHARGE, NO_COUNTRY_MIN, PAYMENT_COLUMNS

NOON = micros(moment(0).replace(year=2026, month=4, day=22, hour=12))


def ints(values: Sequence[int]) -> np.ndarray:
    """A column of integers."""
    return np.array(list(values), np.int64)


def make_links(rows: Sequence[tuple[str, str, int, int]]) -> LinkFacts:
    """Link facts of (account_id, kind, key, happened)."""
    return LinkFacts(
        ints([hash64(account) for account, _, _, _ in rows]),
        np.array([code32(kind) for _, kind, _, _ in rows], np.int32),
        ints([key for _, _, key, _ in rows]),
        ints([happened for _, _, _, happened in rows]),
    )


def make_signups(
    accounts: Sequence[tuple[str, int]],
    links: Sequence[tuple[str, str, int, int]] = (),
    profile: dict[str, float] | None = None,
) -> SignupFacts:
    """Signups of (account_id, created_at); ``profile`` holds for all of them, other facts are unknown."""
    facts = np.full((len(accounts), len(PROFILE)), np.nan, np.float32)
    for name, value in (profile or {}).items():
        facts[:, PROFILE_INDEX[name]] = value
    ids = [account for account, _ in accounts]
    return SignupFacts(
        ids,
        ints([hash64(account) for account in ids]),
        ints([created for _, created in accounts]),
        facts,
        ints([hash64(f"{account}/{created}") for account, created in accounts]),
        make_links(links),
    )


def make_payments(rows: Sequence[dict[str, Any]], links: Sequence[tuple[str, str, int, int]] = ()) -> PaymentFacts:
    """Payments; each row has ``event``, ``account``, ``at`` and any payment column by name."""
    neutral = {"country_min": NO_COUNTRY_MIN, "first_charge_at": NO_CHARGE, "events": 1}
    values = ints([]).reshape(0, len(PAYMENT_COLUMNS))
    if rows:
        said = [{**neutral, "first_at": row["at"], **row} for row in rows]
        values = np.array([[row.get(c.name, 0) for c in PAYMENT_COLUMNS] for row in said], np.int64)
    return PaymentFacts(
        [row["event"] for row in rows],
        ints([hash64(row["event"]) for row in rows]),
        ints([hash64(row["account"]) for row in rows]),
        ints([row["at"] for row in rows]),
        values,
        ints([hash64(repr(sorted(row.items()))) for row in rows]),
        make_links(links),
    )


_USAGE_DEFAULTS = {
    "ip": 0,
    "ip_net": 0,
    "hosted": 0,
    "client": 0,
    "model": 0,
    "input_tokens": -1,
    "output_tokens": -1,
    "status": 0,
    "template": 0,
    "simhash": 0,
}


def make_usage(rows: Sequence[dict[str, Any]], links: Sequence[tuple[str, str, int, int]] = ()) -> UsageFacts:
    """Exchanges; each row has ``event``, ``account``, ``at`` and any of the other columns."""
    return UsageFacts(
        event=ints([hash64(row["event"]) for row in rows]),
        account_id=[row["account"] for row in rows],
        account=ints([hash64(row["account"]) for row in rows]),
        happened=ints([row["at"] for row in rows]),
        **{name: ints([row.get(name, default) for row in rows]) for name, default in _USAGE_DEFAULTS.items()},
        content=ints([hash64(repr(sorted(row.items()))) for row in rows]),
        links=make_links(links),
    )


def make_signals(rows: Sequence[tuple[str, str, int, float]]) -> SignalFacts:
    """Signals of (account_id, name, happened, value)."""
    identity = [hash64(f"{account}/{name}/{at}") for account, name, at, _ in rows]
    return SignalFacts(
        ints(identity),
        ints([hash64(account) for account, _, _, _ in rows]),
        ints([at for _, _, at, _ in rows]),
        np.array([code32(name) for _, name, _, _ in rows], np.int32),
        np.array([value for _, _, _, value in rows], np.float64),
        ints([hash64(repr(row)) for row in rows]),
        tuple(sorted({name for _, name, _, _ in rows})),
    )


def make_own_links(rows: Sequence[tuple[str, str, int, int]]) -> OwnLinkFacts:
    """The customer's own links of (account_id, kind, key, happened)."""
    return OwnLinkFacts(
        ints([hash64(repr(row)) for row in rows]),
        ints([hash64(repr(row)) for row in rows]),
        make_links(rows),
        tuple(sorted({kind for _, kind, _, _ in rows})),
    )
