"""Rows to learn from: (account, as_of) probes, each with what was known at its own moment, and a label as known at T.

Features come through the one fold that serves, so nothing learned after a probe's moment can be in its row. A verdict
counts from when it was learned until its retraction was; a fraud's probes end when its verdict is known, since nobody
asks about an account that is judged, and a model that met its own confirmation would only learn to repeat it.
Legitimate and unlabelled accounts stay in use, and so do their probes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import hash64, mix64
from service.domain.enums import Verdict
from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.records import LabelRecord
from service.domain.time import DAY, HOUR
from service.engine.embedded import columns
from service.features.catalogue import RULED, features_for, matrix
from service.features.custom import PREFIX as SIGNAL
from service.features.feature import Feature
from service.features.linkage import KINDS
from service.tiles.history import History

AGES: dict[str, int] = {"signup": 0, "1h": HOUR, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY, "30d": 30 * DAY}
MOST_UNLABELLED = 45_000  # accounts; more are sampled by a hash of their number, and each then stands for several
ROWS_AT_ONCE = 500_000
LINK = "link."  # names of features of the customer's own link kinds begin so

FRAUD, LEGITIMATE, UNLABELLED = 1, 0, -1


class Source(Protocol):
    """What training reads of the store."""

    def histories(self, *, rows: int, accounts: Int64s | None = None) -> Iterator[History]:
        """All facts, a bounded number of rows at a time; every account once."""
        ...

    def signups_between(self, start: int, end: int) -> tuple[Int64s, Int64s]:
        """Accounts created in [start, end) and when, in any order."""
        ...

    def names(self, kind: str) -> dict[int, str]:
        """Names of the customer's signals (``signal``) or link kinds (``kind``) that were ever seen."""
        ...


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a dataset, by ascending number; shape (n,) each."""

    account: Int64s
    created_at: Int64s
    verdict: NDArray[np.int8]  # FRAUD, LEGITIMATE or UNLABELLED, as known at T
    learned_at: Int64s  # of the verdict in force; 0 where unlabelled
    group: Int64s  # code of the campaign; a number of the account's own where it has none
    campaign: tuple[str | None, ...]
    stands_for: Float64s  # how many accounts a sampled one stands for; 1 where nothing was sampled

    def __len__(self) -> int:
        return len(self.account)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Probes in order of (account, as_of); shape (n,) each, and (n, features)."""

    as_of: int
    features: tuple[Feature, ...]
    accounts: Accounts
    row: Int64s  # place of the probe's account in ``accounts``
    age: Int64s  # microseconds after signup
    matrix: Float32s
    ruled: Float32s  # (n, RULED): what rules read and no model learns from
    overturned: int  # frauds that an analyst once called legitimate: how much that word is worth

    def only(self, kept: NDArray[np.bool_]) -> Dataset:
        """The same rows with some of the features."""
        features = tuple(feature for feature, keep in zip(self.features, kept, strict=True) if keep)
        return replace(self, features=features, matrix=np.ascontiguousarray(self.matrix[:, kept]))

    def column(self, name: str) -> Float64s:
        """A feature's values, shape (n,); ValueError where it is not among ``features``."""
        return self.matrix[:, [feature.name for feature in self.features].index(name)].astype(np.float64)

    @property
    def fingerprint(self) -> str:
        """A short hash of everything that is learned from."""
        digest = sha256()
        of = self.accounts
        for part in (of.account, of.created_at, of.verdict, of.group, self.row, self.age, self.matrix, self.ruled):
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(",".join(feature.name for feature in self.features).encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Known:
    """The verdict in force on one account."""

    fraud: bool
    learned_at: int
    campaign: str | None
    overturned: bool  # fraud now, and at some time called legitimate


def verdicts(labels: Iterable[LabelRecord], as_of: int) -> dict[int, Known]:
    """Verdicts in force at ``as_of`` by account: of the labels that stand then, the one decided last.

    Ties go to the one learned last, then to fraud. A campaign named by any standing fraud label counts.
    """
    standing: dict[int, list[LabelRecord]] = {}
    pardoned: set[int] = set()
    for label in labels:
        if label.learned_at > as_of:
            continue
        if label.verdict is Verdict.LEGITIMATE:
            pardoned.add(label.account)
        if label.retraction_learned_at is None or label.retraction_learned_at > as_of:
            standing.setdefault(label.account, []).append(label)
    out = {}
    for account, of in standing.items():
        in_order = sorted(of, key=lambda one: (one.decided_at, one.learned_at, one.verdict is Verdict.FRAUD))
        fraud = in_order[-1].verdict is Verdict.FRAUD
        named = [one.campaign_id for one in in_order if one.verdict is Verdict.FRAUD and one.campaign_id]
        learned = min(one.learned_at for one in in_order if one.verdict is in_order[-1].verdict)
        out[account] = Known(fraud, learned, named[-1] if fraud and named else None, fraud and account in pardoned)
    return out


def build(
    source: Source,
    labels: Iterable[LabelRecord],
    *,
    as_of: int,
    seed: int,
    most_unlabelled: int = MOST_UNLABELLED,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """The dataset as it was known at ``as_of``; reads histories of the chosen accounts only, a chunk at a time.

    A customer's own signal or link kind that tells no row from another makes no feature.
    It may have come after ``as_of``.
    """
    known = verdicts(labels, as_of)
    accounts = _choose(source, known, as_of, seed, most_unlabelled)
    signals, kinds = sorted(source.names("signal").values()), sorted(source.names("kind").values())
    features = features_for(signals, kinds)
    row, age = probes(accounts, as_of)
    starts = np.searchsorted(row, np.arange(len(accounts) + 1))
    out = np.empty((len(row), len(features)), np.float32)
    ruled = np.empty((len(row), len(RULED)), np.float32)
    filled, there = 0, np.zeros(len(row), bool)
    for history in source.histories(rows=ROWS_AT_ONCE, accounts=accounts.account):
        place = np.searchsorted(accounts.account, history.account)
        of = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in place]) if len(place) else row[:0]
        learned = np.repeat(history.learned_at, starts[place + 1] - starts[place])
        # a signup that came live was not known before it arrived, and nobody asked before
        at = np.maximum(accounts.created_at[row[of]] + age[of], learned)
        there[of] = at <= as_of
        known_then = columns(history, accounts.account[row[of]], at, kinds=(*KINDS, *kinds), signal_names=signals)
        out[of], ruled[of] = matrix(known_then, features), matrix(known_then, RULED)
        filled += len(of)
        if progress is not None:
            progress(filled, len(row))
    if filled != len(row):
        raise RuntimeError(f"the store gave histories for {filled} of {len(row)} rows")
    if not there.all():
        accounts, row, age = _without(accounts, row[there], age[there])
        out, ruled = out[there], ruled[there]
    own = np.array([feature.name.startswith((SIGNAL, LINK)) for feature in features])
    told = ~own
    told[own] = _varies(out[:, own])
    if not told.all():
        out, features = out[:, told], tuple(one for one, keep in zip(features, told, strict=True) if keep)
    return Dataset(as_of, features, accounts, row, age, out, ruled, sum(one.overturned for one in known.values()))


def _varies(rows: Float32s) -> NDArray[np.bool_]:
    """Which columns are not one value, or unknown, throughout."""
    first = rows[:1]
    same = (rows == first) | (np.isnan(rows) & np.isnan(first))
    out: NDArray[np.bool_] = ~same.all(axis=0)
    return out


def _without(accounts: Accounts, row: Int64s, age: Int64s) -> tuple[Accounts, Int64s, Int64s]:
    """The same without accounts that no row is left of: those that arrived after T."""
    left, place = np.unique(row, return_inverse=True)
    kept = Accounts(
        accounts.account[left],
        accounts.created_at[left],
        accounts.verdict[left],
        accounts.learned_at[left],
        accounts.group[left],
        tuple(accounts.campaign[i] for i in left),
        accounts.stands_for[left],
    )
    return kept, place.astype(np.int64), age


def probes(accounts: Accounts, as_of: int) -> tuple[Int64s, Int64s]:
    """(place of account, age) of every probe: at each of ``AGES`` that lies by ``as_of``, for fraud until its verdict.

    The signup's own probe is always there, even where the verdict came in the same second.
    """
    ages = np.fromiter(AGES.values(), np.int64)
    at = accounts.created_at[:, None] + ages
    until = np.where(accounts.verdict == FRAUD, accounts.learned_at - 1, as_of)
    there = (at <= np.minimum(until, as_of)[:, None]) | (ages == 0)
    row, which = np.nonzero(there)
    return row.astype(np.int64), ages[which]


def _choose(source: Source, known: dict[int, Known], as_of: int, seed: int, most_unlabelled: int) -> Accounts:
    account, created_at = source.signups_between(-(2**62), as_of + 1)
    order = np.argsort(account)
    account, created_at = account[order], created_at[order]
    labelled = np.isin(account, np.fromiter(known, np.int64, len(known)))
    silent = int((~labelled).sum())
    stands_for = np.ones(len(account))
    if silent > most_unlabelled:
        rank = mix64(account ^ np.int64(seed))
        limit = np.partition(rank[~labelled], most_unlabelled - 1)[most_unlabelled - 1]
        chosen = labelled | (rank <= limit)
        stands_for[~labelled] = silent / most_unlabelled
        account, created_at, labelled, stands_for = (x[chosen] for x in (account, created_at, labelled, stands_for))
    found = [known.get(int(number)) for number in account]
    campaign = tuple(one.campaign if one else None for one in found)
    return Accounts(
        account=account,
        created_at=created_at,
        verdict=np.array([UNLABELLED if one is None else int(one.fraud) for one in found], np.int8),
        learned_at=np.array([one.learned_at if one else 0 for one in found], np.int64),
        group=np.array([_group(int(number), name) for number, name in zip(account, campaign, strict=True)], np.int64),
        campaign=campaign,
        stands_for=stands_for,
    )


def _group(account: int, campaign: str | None) -> int:
    return account if campaign is None else hash64(f"campaign {campaign}")
