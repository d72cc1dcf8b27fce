"""What storage reads and the engine folds: every fact that bears on some accounts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.domain.detection import CampaignRows
from service.domain.facts import Float32s, Float64s, Int32s, Int64s
from service.tiles.payments import PAYMENT_COLUMNS
from service.tiles.rows import Tiles, union
from service.tiles.usage import USAGE_COLUMNS

SHARING_CAP = 256  # a key's other accounts are counted up to here: beyond it "many" is all a scorer needs to know
OWN_KEYS_CAP = 16  # of one kind, an account's latest keys are looked at

FRAUD, LEGITIMATE = 1, 2


def places_among(ascending: Int64s, values: Int64s) -> Int64s:
    """Where each value is, or would be, among ``ascending``; shape (n,).

    A hundred thousand in no order, which each miss the caches, are sorted first: that takes half the time.
    """
    if len(values) < 4_096:
        return np.searchsorted(ascending, values)
    by = np.argsort(values)
    out = np.empty(len(values), np.int64)
    out[by] = np.searchsorted(ascending, values[by])
    return out


@dataclass(frozen=True, slots=True)
class OwnLinks:
    """Keys that the history's accounts showed, each (account, key) once at its first sight; any order."""

    account: Int64s
    kind: Int32s
    key: Int64s
    learned: Int64s


@dataclass(frozen=True, slots=True)
class KeyRows:
    """Accounts seen on keys, each (key, account) once at its first sight; any order."""

    key: Int64s
    account: Int64s
    learned: Int64s


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """How many accounts were first seen on each key in each window before one moment, counted to ``SHARING_CAP + 1``.

    It is all that a fold at that very moment needs of ``KeyRows``, and five numbers of a key instead of 257 rows.
    """

    key: Int64s  # ascending, each once; one that only one account has shown may be missing
    count: Int64s  # (keys, windows of WINDOWS); an account that was seen in a window counts itself there
    at: int

    def shown(self, keys: Int64s) -> KeyCounts:
        """The same after one more account was seen, at the moment, on each of ``keys``; all must be there."""
        count = self.count.copy()
        np.add.at(count, np.searchsorted(self.key, keys), 1)
        return KeyCounts(self.key, count, self.at)

    def of(self, keys: Int64s) -> Int64s:
        """Counts of ``keys`` (n,), shape (n, windows); 0 for a key that is not there."""
        out = np.zeros((len(keys), self.count.shape[1]), np.int64)
        if len(self.key):
            place = np.minimum(places_among(self.key, keys), len(self.key) - 1)
            there = np.flatnonzero(self.key[place] == keys)
            out[there] = self.count[place[there]]
        return out


@dataclass(frozen=True, slots=True)
class VerdictSpans:
    """``account[i]`` stood under ``verdict[i]`` (FRAUD or LEGITIMATE) from ``start[i]`` until before ``end[i]``."""

    account: Int64s
    verdict: Int64s
    start: Int64s
    end: Int64s  # 2**62: still


@dataclass(frozen=True, slots=True)
class SignalRows:
    """The customer's own numbers, any order."""

    account: Int64s
    name: Int32s
    happened: Int64s
    learned: Int64s
    value: Float64s


@dataclass(frozen=True, slots=True, eq=False)
class CampaignFacts:
    """Campaigns that the history's accounts belonged to or that one of their keys speaks for; others may be there.

    For a history made for one moment, only what held at that moment of campaigns that were live then may be there.
    """

    rows: CampaignRows
    names: Mapping[int, str]  # campaign_id of each campaign among the rows, by its number

    def __len__(self) -> int:
        """Rows in all."""
        return len(self.rows.member_account) + len(self.rows.key)


def _no_campaigns() -> CampaignFacts:
    none = np.empty(0, np.int64)
    types = {"membership": np.float64, "key_kind": np.int32, "key_weight": np.float64, "key_private": np.bool_}
    types |= {"key_family": np.int8, "state": np.int8, "state_score": np.float64}
    return CampaignFacts(
        CampaignRows(**{f.name: none.astype(types.get(f.name, np.int64)) for f in fields(CampaignRows)}), {}
    )


NO_CAMPAIGNS = _no_campaigns()


@dataclass(frozen=True, slots=True)
class History:
    """All facts about ``account`` (shape (n,), distinct, ascending). Facts later than a probe's as_of may be there."""

    account: Int64s
    known: NDArray[np.bool_]  # False: no signup; created_at and learned_at are then 0 and the profile NaN
    created_at: Int64s
    learned_at: Int64s  # when the signup was learned: its own time where it was imported, else its arrival
    profile: Float32s  # (n, facts)
    usage: Tiles
    payments: Tiles
    signals: SignalRows
    own: OwnLinks
    sharing: KeyRows | KeyCounts  # of any key of ``own``, those of the accounts themselves too; counts: for one moment
    marked: KeyRows  # rows on those keys whose account has a verdict span
    spans: VerdictSpans  # of the accounts themselves and of those in ``marked``
    campaigns: CampaignFacts = NO_CAMPAIGNS


_Rows = TypeVar("_Rows", OwnLinks, KeyRows, VerdictSpans, SignalRows)


def no_signals() -> SignalRows:
    """No signals."""
    none = np.empty(0, np.int64)
    return SignalRows(none, none.astype(np.int32), none, none, none.astype(np.float64))


def concat_rows(parts: Sequence[_Rows]) -> _Rows:
    """All rows of several sets of the same type; at least one."""
    names = type(parts[0]).__dataclass_fields__
    return type(parts[0])(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def union_usage(parts: Sequence[Tiles]) -> Tiles:
    """Usage tiles merged."""
    return union(USAGE_COLUMNS, parts)


def union_payments(parts: Sequence[Tiles]) -> Tiles:
    """Payment tiles merged."""
    return union(PAYMENT_COLUMNS, parts)


def verdict_spans(
    account: Int64s, fraud: NDArray[np.bool_], decided: Int64s, learned: Int64s, retracted: Int64s
) -> VerdictSpans:
    """Spans of the verdict in force, from labels in any order.

    A label counts from ``learned`` until ``retracted`` (2**62: never); of those that count at a moment the one decided
    last is in force (ties: learned last, then fraud). One element per label.
    """
    rows: list[tuple[int, int, int, int]] = []
    order = np.lexsort((fraud, learned, decided, account))
    labels = [(int(account[i]), FRAUD if fraud[i] else LEGITIMATE, int(learned[i]), int(retracted[i])) for i in order]
    i = 0
    while i < len(labels):
        j = i
        while j < len(labels) and labels[j][0] == labels[i][0]:
            j += 1
        of_account = labels[i:j]
        moments = sorted({at for _, _, start, end in of_account for at in (start, end)})
        for start, end in itertools.pairwise(moments):
            in_force = [verdict for _, verdict, since, until in of_account if since <= start < until]
            if in_force:
                rows.append((of_account[0][0], in_force[-1], start, end))
        i = j
    table = np.array(rows, np.int64).reshape(-1, 4)
    return VerdictSpans(table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy(), table[:, 3].copy())
