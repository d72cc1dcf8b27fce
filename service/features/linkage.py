"""Linkage: with how many other accounts each kind of link key is shared, and what is known of those.

One function a kind of key would say the same thing eleven times, so the family is the product of kinds and measures.
Counts are of accounts first seen on the key in the window, to the second, on the most shared of the account's keys of
that kind, up to 256. Confirmed accounts count whenever they were first seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.features.arithmetic import known_where, ratio
from service.features.columns import Column, Columns
from service.features.feature import CONFIRMED_LINK, CUSTOMER_LINK, SHARED_KEY, Block, Feature

KINDS = {
    "mailbox": "mailbox (canonical form)",
    "mail_domain": "mail domain",
    "mail_shape": "mailbox-name shape and domain",
    "phone": "phone number",
    "device": "device",
    "ip": "address",
    "ip_net": "/24 or /48 network",
    "full_name": "full name",
    "card": "card",
    "card_bin": "card BIN",
    "template": "prompt template",
}


def _others(c: Columns, wanted: Sequence[tuple[str, str]]) -> Column:
    """Of (kind, measure): NaN where the account has no key of the kind."""
    has_key = c.shared_by([(kind, "keys") for kind, _ in wanted]) > 0
    return known_where(has_key, c.shared_by(wanted))


def _counts(c: Columns, wanted: Sequence[tuple[str, str]]) -> Column:
    return c.shared_by(wanted).astype(np.float32)


def _fraud_shares(c: Columns, kinds: Sequence[str]) -> Column:
    fraud = c.shared_by([(kind, "fraud") for kind in kinds]).astype(np.float64)
    return ratio(fraud, fraud + c.shared_by([(kind, "legitimate") for kind in kinds]))


def _recent_shares(c: Columns, kinds: Sequence[str]) -> Column:
    recent = c.shared_by([(kind, "others_24h") for kind in kinds]).astype(np.float64)
    return ratio(recent, c.shared_by([(kind, "others_life") for kind in kinds]).astype(np.float64))


_OTHERS, _COUNTS = Block(_others), Block(_counts)
_FRAUD_SHARES, _RECENT_SHARES = Block(_fraud_shares), Block(_recent_shares)


def linkage_of(kind: str, text: str, *, prefix: str, source: str, shared_reason: str) -> tuple[Feature, ...]:
    """The features of one kind of link key; ``prefix`` starts their names."""

    def make(
        name: str, meaning: str, unit: str, block: Block, argument: object, reason: str, monotone: int = 0
    ) -> Feature:
        compute = block.of(argument)
        return Feature(
            f"{prefix}_{name}", "linkage", meaning, unit, source, reason, monotone, False, compute, block, argument
        )

    windows = {"1h": "the last hour", "24h": "the last 24 hours", "7d": "the last 7 days", "life": "its life"}
    return (
        *(
            make(
                f"others_{window}",
                f"Other accounts first seen on the same {text} in {within}; NaN: no such key.",
                "accounts",
                _OTHERS,
                (kind, f"others_{window}"),
                shared_reason,
            )
            for window, within in windows.items()
        ),
        make(
            "recent_share",
            f"Share of the other accounts on the same {text} that came within 24 hours; NaN: none.",
            "share",
            _RECENT_SHARES,
            kind,
            shared_reason,
        ),
        make(
            "fraud",
            f"Other accounts on the same {text} confirmed as fraud.",
            "accounts",
            _COUNTS,
            (kind, "fraud"),
            CONFIRMED_LINK,
            1,
        ),
        make(
            "legitimate",
            f"Other accounts on the same {text} confirmed as legitimate.",
            "accounts",
            _COUNTS,
            (kind, "legitimate"),
            shared_reason,
        ),
        make(
            "fraud_share",
            f"Share of fraud among the confirmed accounts on the same {text}; NaN: none confirmed.",
            "share",
            _FRAUD_SHARES,
            kind,
            CONFIRMED_LINK,
        ),
        make(
            "keys",
            f"How many different keys of this kind the account showed ({text}), up to 16.",
            "keys",
            _COUNTS,
            (kind, "keys"),
            shared_reason,
        ),
    )


_SOURCE = {"card": "payments", "card_bin": "payments", "template": "usage", "ip": "accounts, usage"}

# Carried nothing over five simulated worlds (``benchmarks/feature_gain.py``).
_CARRIES_NOTHING = frozenset(
    {
        *("mailbox_others_1h", "mailbox_others_24h", "mailbox_others_7d", "mailbox_recent_share"),
        *("mailbox_legitimate", "mailbox_fraud_share", "mailbox_keys", "mail_domain_keys", "mail_shape_keys"),
        *("phone_recent_share", "phone_legitimate", "phone_fraud_share", "phone_keys"),
        *("device_legitimate", "device_fraud_share", "ip_net_others_1h", "full_name_fraud"),
        *("card_others_1h", "card_others_24h", "card_legitimate", "card_keys"),
        *("card_bin_others_1h", "card_bin_legitimate", "card_bin_keys"),
    }
)

FEATURES: tuple[Feature, ...] = tuple(
    made
    for kind, text in KINDS.items()
    for made in linkage_of(
        kind,
        text,
        prefix=kind,
        source=_SOURCE.get(kind, "accounts, usage" if kind == "ip_net" else "accounts"),
        shared_reason=SHARED_KEY,
    )
    if made.name not in _CARRIES_NOTHING
)


def custom_link_features(kind: str) -> tuple[Feature, ...]:
    """Features of a customer's own link kind (``custom.<key_type>``), by configuration and without code."""
    key_type = kind.removeprefix("custom.")
    return linkage_of(
        kind, f"own key {key_type!r}", prefix=f"link.{key_type}", source="links", shared_reason=CUSTOMER_LINK
    )
