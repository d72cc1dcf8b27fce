"""Payments through the door."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.domain.codes import hash64_many, mix64
from service.domain.enums import CardFunding, PaymentKind, PaymentMethod
from service.domain.facts import Int64s, PaymentFacts
from service.domain.profile import country_number
from service.keys import payment as payment_keys
from service.signals.batch import Batch, Numbers, Texts
from service.signals.checks import Checks, Rejection
from service.signals.links import KeyFunction, LinkCollector
from service.signals.place import Countries
from service.signals.pseudonymise import ContentHasher, Pseudonymiser
from service.tiles.payments import NO_CHARGE, NO_COUNTRY_MIN, PAYMENT_COLUMNS
from service.tiles.usage import FIXED_POINT

_LONGEST_CARD = 1000


@dataclass(frozen=True, slots=True, repr=False)
class _Columns:
    """The sound rows of a batch, by column."""

    event_id: Texts
    account_id: Texts
    happened_at: Numbers
    kind: Texts
    method: Texts
    card_fingerprint: Texts
    card_bin: Texts
    card_country: Texts
    card_funding: Texts
    amount_minor: Numbers
    currency: Texts


class PaymentDoor:
    """Reads payment events; see ``Door``."""

    def __init__(self, pseudonymiser: Pseudonymiser, content: ContentHasher, countries: Countries) -> None:
        self._pseudonymiser = pseudonymiser
        self._content = content
        self._countries = countries

    def read(self, batch: Batch, now: int) -> tuple[PaymentFacts, list[Rejection]]:
        """Facts of the sound rows, in their order, and what is wrong with the others."""
        check = Checks(batch, now)
        said = _Columns(
            check.unique_ids("event_id"),
            check.ids("account_id"),
            check.moments("happened_at"),
            check.words("kind", list(PaymentKind), required=True),
            check.words("method", list(PaymentMethod), required=True),
            check.texts("card_fingerprint", _LONGEST_CARD),
            check.parsed("card_bin", 8, _bin_problem),
            check.parsed("card_country", 2, self._countries.problem),
            check.words("card_funding", list(CardFunding)),
            check.integers("amount_minor"),
            check.parsed("currency", 3, _currency_problem),
        )
        sound, rejections = check.close()
        rows = _Columns(*(getattr(said, field).keep(sound) for field in said.__slots__)) if rejections else said
        account = hash64_many(rows.account_id.values)[rows.account_id.codes]
        happened = rows.happened_at.values
        links = LinkCollector(self._pseudonymiser, now)
        links.add(payment_keys.CARD_KEYS, rows.card_fingerprint.values, rows.card_fingerprint.codes.tolist())
        links.add(payment_keys.BIN_KEYS, rows.card_bin.values, rows.card_bin.codes.tolist())
        facts = PaymentFacts(
            rows.event_id.rows(),
            hash64_many(rows.event_id.values)[rows.event_id.codes],
            account,
            happened,
            self._values(rows, now),
            self._content.columns("payments", [getattr(rows, field) for field in rows.__slots__[1:]]),
            links.facts(account, happened),
        )
        return facts, rejections

    def _values(self, rows: _Columns, now: int) -> Int64s:
        """One row of ``PAYMENT_COLUMNS`` per event, shape (n, columns)."""
        n, happened = len(rows.happened_at.values), rows.happened_at.values
        numbers = np.array([country_number(text.upper()) for text in rows.card_country.values], np.int64)
        country = rows.card_country.spread(numbers, 0)
        charge = _is(rows.kind, "charge_succeeded")
        known = (charge == 1) & rows.amount_minor.said
        amount = np.where(known, np.maximum(rows.amount_minor.values, 0), 0).astype(np.float64)
        amount_log = np.rint(np.log2(1.0 + amount) * FIXED_POINT).astype(np.int64)
        source: dict[str, Int64s] = {
            "events": np.ones(n, np.int64),
            "country_known": (country > 0).astype(np.int64),
            "country_min": np.where(country > 0, country, NO_COUNTRY_MIN),
            "country_max": country,
            "cards_0": self._bit(payment_keys.card, rows.card_fingerprint, now),
            "bins_0": self._bit(payment_keys.card_bin, rows.card_bin, now),
            "currencies_0": _one_bit(rows.currency.spread(hash64_many([c.upper() for c in rows.currency.values]), 0)),
            "charged": known.astype(np.int64),
            "amount_log": amount_log,
            "amount_log_sq": amount_log * amount_log,
            "amount_log_max": amount_log,
            "first_at": happened,
            "first_charge_at": np.where(charge == 1, happened, NO_CHARGE),
        }
        source |= {kind: _is(rows.kind, kind) for kind in PaymentKind}
        source |= {f"by_{method}": _is(rows.method, method) for method in PaymentMethod}
        source |= {f"funding_{funding}": _is(rows.card_funding, funding) for funding in CardFunding}
        values = np.empty((n, len(PAYMENT_COLUMNS)), np.int64)
        for place, column in enumerate(PAYMENT_COLUMNS):
            values[:, place] = source[column.name]
        return values

    def _bit(self, function: KeyFunction, column: Texts, now: int) -> Int64s:
        """A bit of each row's link key under the current secret."""
        values = [function(value) for value in column.values]
        keys = self._pseudonymiser.link_key_arrays(function.__name__, [value or "" for value in values], now)[0]
        keys[[value is None for value in values]] = 0
        return _one_bit(column.spread(keys, 0))


def _is(column: Texts, word: str) -> Int64s:
    flags = np.array([value == word for value in column.values], np.int64)
    spread: Int64s = column.spread(flags, 0)
    return spread


def _one_bit(hashes: Int64s) -> Int64s:
    """One of 64 bits per row, as the tiles' bitmaps of one word have it; 0 where the hash is."""
    bit = np.left_shift(np.uint64(1), mix64(hashes) & np.uint64(63)).view(np.int64)
    return np.where(hashes != 0, bit, np.int64(0))


def _bin_problem(text: str) -> str | None:
    if 6 <= len(text) <= 8 and text.isascii() and text.isdigit():
        return None
    return "must be 6 to 8 digits"


def _currency_problem(text: str) -> str | None:
    if len(text) == 3 and text.isascii() and text.isalpha():
        return None
    return "must be an ISO 4217 code of three letters"
