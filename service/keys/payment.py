"""Keys of a payment."""

from __future__ import annotations

_BIN_DIGITS = 6  # providers give 6 to 8 digits; the first 6 are what all of them have in common


def card(fingerprint: str) -> str | None:
    """The card, as the payment provider's fingerprint of its number.

    Honest sharing: an agency or a company with one card, a family. Virtual cards are one per account, which is why
    this key alone finds only the careless.
    """
    return fingerprint.strip() or None


def card_bin(digits: str) -> str | None:
    """The issuer and product of the card (its first six digits).

    Honest sharing: everyone with that bank. Many new accounts of one week on a BIN that is rare among honest
    customers are the trace of virtual or stolen cards bought in one lot.
    """
    return digits[:_BIN_DIGITS]


CARD_KEYS = (card,)
BIN_KEYS = (card_bin,)
