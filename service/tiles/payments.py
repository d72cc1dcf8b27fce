"""The payment tile: payments are few, so their partials are kept to the microsecond they were learned in."""

from __future__ import annotations

from service.domain.facts import Int64s, PaymentFacts
from service.tiles.rows import Merge, TileColumn, Tiles, merge

NO_COUNTRY_MIN = 2**15  # neutral element of the smallest country code; real codes are 1 to 676


def _flag(name: str, meaning: str) -> TileColumn:
    return TileColumn(name, Merge.SUM, "<i4", "payments", meaning)


PAYMENT_COLUMNS: tuple[TileColumn, ...] = (
    _flag("events", "Payment events of any kind"),
    _flag("method_added", "Payment methods added"),
    _flag("charge_succeeded", "Charges that succeeded"),
    _flag("charge_declined", "Charges declined"),
    _flag("refund", "Refunds"),
    _flag("chargeback", "Chargebacks"),
    _flag("by_card", "Events by card"),
    _flag("by_wallet", "Events by wallet"),
    _flag("by_bank", "Events by bank transfer"),
    _flag("by_invoice", "Events by invoice"),
    _flag("by_prepaid", "Events by prepaid balance or voucher"),
    _flag("funding_credit", "Events on a credit card"),
    _flag("funding_debit", "Events on a debit card"),
    _flag("funding_prepaid", "Events on a prepaid card"),
    _flag("country_known", "Events with a known card country"),
    TileColumn("country_min", Merge.MIN, "<i4", "country code", "Smallest card country code; 32768: none known"),
    TileColumn("country_max", Merge.MAX, "<i4", "country code", "Largest card country code; 0: none known"),
    TileColumn("cards_0", Merge.OR, "<i8", "bits", "Distinct card fingerprints, a bitmap"),
    TileColumn("bins_0", Merge.OR, "<i8", "bits", "Distinct card BINs, a bitmap"),
    TileColumn("currencies_0", Merge.OR, "<i8", "bits", "Distinct currencies, a bitmap"),
    _flag("charged", "Successful charges with a known amount"),
    TileColumn("amount_log", Merge.SUM, "<i8", "1/1024", "Sum of log2(1 + minor units) of successful charges"),
    TileColumn("amount_log_sq", Merge.SUM, "<i8", "1/1024 squared", "Sum of squares of the same"),
    TileColumn("amount_log_max", Merge.MAX, "<i8", "1/1024", "Largest of the same"),
    TileColumn("first_at", Merge.MIN, "<i8", "microseconds", "Earliest moment a payment event happened"),
    TileColumn("first_charge_at", Merge.MIN, "<i8", "microseconds", "Earliest success; 2**62: none"),
)

NO_CHARGE = 2**62  # neutral element of first_charge_at


def payment_tiles(facts: PaymentFacts, learned: Int64s, rows: Int64s | None = None) -> Tiles:
    """Partials of ``facts`` (of its ``rows``, if given) by (account, ``learned``); ``learned`` has shape (n,)."""
    if rows is None:
        return merge(PAYMENT_COLUMNS, facts.account, learned, facts.values)
    return merge(PAYMENT_COLUMNS, facts.account[rows], learned[rows], facts.values[rows])
