"""Payment: how the account pays, what failed, what came back. Windows count to the second."""

from __future__ import annotations

import numpy as np

from service.domain.time import HOUR
from service.features.arithmetic import FIXED_POINT, distinct, known_where, ratio, share, spread
from service.features.columns import Column, Columns, Int64s
from service.features.feature import PAYMENT_INSTRUMENT, PAYMENT_TROUBLE, Feature, feature, windowed

NO_CHARGE = 2**62


def _count(c: Columns, name: str, window: str = "life") -> Int64s:
    return c.payments.column(name, window)


@windowed("24h", "7d", "life", unit="methods", source="payments", reason=PAYMENT_INSTRUMENT)
def methods_added(c: Columns, window: str) -> Column:
    """Payment methods added"""
    return _count(c, "method_added", window).astype(np.float32)


@windowed("7d", "life", unit="charges", source="payments", reason=PAYMENT_TROUBLE)
def declines(c: Columns, window: str) -> Column:
    """Charges declined"""
    return _count(c, "charge_declined", window).astype(np.float32)


@windowed("life", unit="charges", source="payments", reason=PAYMENT_INSTRUMENT)
def charges(c: Columns, window: str) -> Column:
    """Charges that succeeded"""
    return _count(c, "charge_succeeded", window).astype(np.float32)


@windowed("life", unit="refunds", source="payments", reason=PAYMENT_TROUBLE)
def refunds(c: Columns, window: str) -> Column:
    """Refunds"""
    return _count(c, "refund", window).astype(np.float32)


@windowed("life", unit="chargebacks", source="payments", reason=PAYMENT_TROUBLE, monotone=1)
def chargebacks(c: Columns, window: str) -> Column:
    """Chargebacks"""
    return _count(c, "chargeback", window).astype(np.float32)


@feature(unit="share", source="payments", reason=PAYMENT_TROUBLE)
def decline_share(c: Columns) -> Column:
    """Declined charges over all charges tried; NaN: none tried."""
    declined = _count(c, "charge_declined")
    return share(declined, declined + _count(c, "charge_succeeded"))


@feature(unit="0 or 1", source="payments", reason=PAYMENT_INSTRUMENT)
def has_paid(c: Columns) -> Column:
    """Whether a charge ever succeeded."""
    return (_count(c, "charge_succeeded") > 0).astype(np.float32)


@feature(unit="share", source="payments", reason=PAYMENT_INSTRUMENT)
def card_share(c: Columns) -> Column:
    """Share of payment events by card; NaN: no events."""
    return share(_count(c, "by_card"), _count(c, "events"))


@feature(unit="share", source="payments", reason=PAYMENT_INSTRUMENT)
def invoice_share(c: Columns) -> Column:
    """Share of payment events by invoice; NaN: no events."""
    return share(_count(c, "by_invoice"), _count(c, "events"))


@feature(unit="share", source="payments", reason=PAYMENT_INSTRUMENT)
def prepaid_share(c: Columns) -> Column:
    """Share of payment events by prepaid card, balance or voucher; NaN: no events."""
    return share(_count(c, "by_prepaid") + _count(c, "funding_prepaid"), _count(c, "events"))


@feature(unit="share", source="payments", reason=PAYMENT_INSTRUMENT)
def credit_share(c: Columns) -> Column:
    """Share of card events on credit cards; NaN: no card events with known funding."""
    known = _count(c, "funding_credit") + _count(c, "funding_debit") + _count(c, "funding_prepaid")
    return share(_count(c, "funding_credit"), known)


@feature(unit="0 or 1", source="payments, accounts", reason=PAYMENT_INSTRUMENT)
def card_issued_abroad(c: Columns) -> Column:
    """Whether any card was issued outside the account's country; NaN: either country unknown."""
    home = c.profile("country")
    known = np.isfinite(home) & (_count(c, "country_known") > 0)
    same = (_count(c, "country_min") == home) & (_count(c, "country_max") == home)
    return known_where(known, ~same)


@feature(unit="0 or 1", source="payments", reason=PAYMENT_INSTRUMENT)
def card_countries_differ(c: Columns) -> Column:
    """Whether the cards come from more than one country; NaN: none known."""
    return known_where(_count(c, "country_known") > 0, _count(c, "country_min") != _count(c, "country_max"))


@feature(unit="cards", source="payments", reason=PAYMENT_INSTRUMENT)
def cards(c: Columns) -> Column:
    """Distinct cards (estimate)."""
    return distinct([_count(c, "cards_0")])


@feature(unit="log2 minor units", source="payments", reason=PAYMENT_INSTRUMENT)
def amount(c: Columns) -> Column:
    """Mean of log2(1 + amount) of successful charges; NaN: none with an amount."""
    return ratio(_count(c, "amount_log") / FIXED_POINT, _count(c, "charged").astype(np.float64))


@feature(unit="log2 minor units", source="payments", reason=PAYMENT_INSTRUMENT)
def amount_spread(c: Columns) -> Column:
    """Standard deviation of log2(1 + amount); NaN below two charges."""
    return spread(_count(c, "amount_log"), _count(c, "amount_log_sq"), _count(c, "charged"))


@feature(unit="hours", source="payments, accounts", reason=PAYMENT_INSTRUMENT)
def time_to_first_payment(c: Columns) -> Column:
    """From signup to the first payment event; NaN: none yet."""
    some = (_count(c, "events") > 0) & c.known
    return known_where(some, (np.where(some, _count(c, "first_at"), 0) - c.created_at) / HOUR)


@feature(unit="hours", source="payments, accounts", reason=PAYMENT_INSTRUMENT)
def time_to_first_charge(c: Columns) -> Column:
    """From signup to the first successful charge; NaN: none yet."""
    some = (_count(c, "charge_succeeded") > 0) & (_count(c, "first_charge_at") < NO_CHARGE) & c.known
    return known_where(some, (np.where(some, _count(c, "first_charge_at"), 0) - c.created_at) / HOUR)


FEATURES: tuple[Feature, ...] = (
    *methods_added,
    *declines,
    *charges,
    *refunds,
    *chargebacks,
    decline_share,
    has_paid,
    card_share,
    invoice_share,
    prepaid_share,
    credit_share,
    card_issued_abroad,
    card_countries_differ,
    cards,
    amount,
    amount_spread,
    time_to_first_payment,
    time_to_first_charge,
)
