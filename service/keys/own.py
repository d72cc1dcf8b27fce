"""Customers' own link keys, such as a wallet's counterparty or a referral code."""

from __future__ import annotations

from service.domain.codes import code32

PREFIX = "custom."


def custom(key_value: str) -> str | None:
    """The customer's value as said, without spaces around it; None where nothing is left.

    Honest sharing: the customer's to know. The weights learn it from how many accounts share a value.
    """
    return key_value.strip() or None


def custom_kind(key_type: str) -> str:
    """Name of the kind of the customer's keys of ``key_type``."""
    return PREFIX + key_type


def custom_code(key_type: str) -> int:
    """``code32`` of the kind of the customer's keys of ``key_type``."""
    return code32(custom_kind(key_type))
