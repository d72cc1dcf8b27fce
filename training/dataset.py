"""Rows to learn from: (account, as_of) probes, each with what was known at its own moment, and a label as known at T.

Probes are at fixed ages, and at the moment before analysts decided (``training/confirmation.py``). Features come
through the one fold that serves, so nothing learned after a probe's moment can be in its row. A verdict counts from
when it was learned until its retraction was; a fraud's probes end when its verdict is known, since nobody asks about an
account that is judged, and a model that met its own confirmation would only learn to repeat it.
Legitimate and unlabelled accounts stay in use, and so do their probes.

Memory is bounded by the number of accounts that are learned from: of more, a sample stands for all
(``training/sampling.py``). Whoever trains many times in one process gives ``build`` the same ``ProbeCache``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.records import LabelRecord
from service.domain.time import DAY, HOUR
from service.engine.embedded import columns
from service.features.catalogue import RULED, features_for, matrix
from service.features.custom import PREFIX as SIGNAL
from service.features.feature import Feature
from service.features.linkage import KINDS
from service.tiles.fold import expand
from service.tiles.history import History
from training.confirmation import NEVER, ages_before_confirmation
from training.probe_cache import ProbeCache, Rows
from training.sampling import sampled, sampled_campaigns

AGES: dict[str, int] = {"signup": 0, "1h": HOUR, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY, "30d": 30 * DAY}
MOST_UNLABELLED = 45_000  # accounts; of more a sample is drawn, and each then stands for several
# The same, of each verdict: 85,000 accounts in all are some 510,000 rows, and training takes 2.0 GiB for 289,000 and
# 5.5 kB for each more.
MOST_LABELLED = 20_000
# Tile and link rows of a chunk of accounts; its columns take 10 kB a probe meanwhile. Larger chunks are not faster, as
# what they are folded through falls out of the processor's caches.
ROWS_AT_ONCE = 50_000
WORKERS = 2  # that fold, while the next chunk is being read
OTHER_AGE = -1  # stands for the ages at which accounts are asked about before a confirmation
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
class Oddities:
    """What is odd about the verdicts in force; accounts."""

    unknown: int = 0  # no signup of theirs is known by then: nothing is learned of them, and their labels stay
    contradicted: int = 0  # both verdicts stand; the one decided last counts
    early: int = 0  # judged before they signed up: only their signup's own probe is there


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
    overturned: NDArray[np.bool_]  # (accounts,) frauds that an analyst once called legitimate: what that word is worth
    odd: Oddities = Oddities()

    def only(self, kept: NDArray[np.bool_]) -> Dataset:
        """The same rows with some of the features."""
        features = tuple(feature for feature, keep in zip(self.features, kept, strict=True) if keep)
        return replace(self, features=features, matrix=np.ascontiguousarray(self.matrix[:, kept]))

    def column(self, name: str) -> Float64s:
        """A feature's values, shape (n,); ValueError where it is not among ``features``."""
        return self.matrix[:, [feature.name for feature in self.features].index(name)].astype(np.float64)

    @property
    def fixed_age(self) -> Int64s:
        """``age`` where it is one of ``AGES``, else OTHER_AGE."""
        return np.where(np.isin(self.age, list(AGES.values())), self.age, OTHER_AGE)

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
    contradicted: bool = False  # a label of the other verdict stands as well


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
        out[account] = Known(
            fraud=fraud,
            learned_at=learned,
            campaign=named[-1] if fraud and named else None,
            overturned=fraud and account in pardoned,
            contradicted=len({one.verdict for one in of}) > 1,
        )
    return out


def build(
    source: Source,
    labels: Iterable[LabelRecord],
    *,
    as_of: int,
    seed: int,
    most_unlabelled: int = MOST_UNLABELLED,
    most_labelled: int = MOST_LABELLED,
    progress: Callable[[int, int], None] | None = None,
    cache: ProbeCache | None = None,
) -> Dataset:
    """The dataset as it was known at ``as_of``; reads histories of the chosen accounts only, a chunk at a time.

    A customer's own signal or link kind that tells no row from another makes no feature.
    It may have come after ``as_of``.

    Where several datasets are built of one store in one process, give all of them the same ``cache``
    (``ProbeCache(store)``): rows of moments that were settled by an earlier build are taken from it, and the dataset is
    the same to the byte as without. Its matrix is then read-only.
    """
    known = verdicts(labels, as_of)
    accounts, odd = _choose(source, known, as_of, seed, (most_unlabelled, most_labelled))
    own = sorted(source.names("signal").values()), sorted(source.names("kind").values())
    features = features_for(*own)
    row, age = probes(accounts, as_of)
    asked = Rows(
        accounts.account[row],
        age,
        accounts.created_at[row] + age,
        np.empty((len(row), len(features)), np.float32),
        np.empty((len(row), len(RULED)), np.float32),
    )
    _fill(source, asked, as_of, features, own, cache, progress)
    there = asked.at <= as_of  # a signup that came live was not known before it arrived, and nobody asked before
    if not there.all():
        accounts, row, age = _without(accounts, row[there], age[there])
    out = asked.matrix if there.all() else asked.matrix[there]
    ruled = asked.ruled if there.all() else asked.ruled[there]
    of_customers = np.array([feature.name.startswith((SIGNAL, LINK)) for feature in features])
    told = ~of_customers
    told[of_customers] = _varies(out[:, of_customers])
    if not told.all():
        out = np.take(out, np.flatnonzero(told), axis=1)  # twice as fast as the same by the mask
        features = tuple(one for one, keep in zip(features, told, strict=True) if keep)
    overturned = np.array([n in known and known[n].overturned for n in accounts.account.tolist()], np.bool_)
    return Dataset(as_of, features, accounts, row, age, out, ruled, overturned, odd)


def _fill(
    source: Source,
    asked: Rows,
    as_of: int,
    features: tuple[Feature, ...],
    own: tuple[list[str], list[str]],
    cache: ProbeCache | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Fills in the rows of ``asked``, which are by account, from ``cache`` or else from their histories."""
    missing = np.arange(len(asked.at))
    if cache is not None:
        cache.begin(as_of, tuple(feature.name for feature in features))
        missing = cache.fill(asked)
    filled = len(asked.at) - len(missing)
    whose, start = np.unique(asked.account[missing], return_index=True)
    start = np.append(start, len(missing))

    def fold(history: History) -> int:
        place = np.searchsorted(whose, history.account)
        of = missing[expand(start[place], start[place + 1])[1]]
        learned = np.repeat(history.learned_at, start[place + 1] - start[place])
        asked.at[of] = np.maximum(asked.at[of], learned)
        known_then = columns(history, asked.account[of], asked.at[of], kinds=(*KINDS, *kinds), signal_names=signals)
        asked.matrix[of], asked.ruled[of] = matrix(known_then, features), matrix(known_then, RULED)
        return len(of)

    signals, kinds = own
    for count in _at_once(fold, source.histories(rows=ROWS_AT_ONCE, accounts=whose)):
        filled += count
        if progress is not None:
            progress(filled, len(asked.at))
    if filled != len(asked.at):
        raise RuntimeError(f"the store gave histories for {filled} of {len(asked.at)} rows")
    if cache is not None:
        cache.keep(asked)


def _at_once(fold: Callable[[History], int], chunks: Iterator[History]) -> Iterator[int]:
    """What ``fold`` gives for each chunk, in order, ``WORKERS`` at a time; chunks are read as they are needed."""
    with ThreadPoolExecutor(WORKERS) as workers:
        going: deque[Future[int]] = deque()
        for chunk in chunks:
            going.append(workers.submit(fold, chunk))
            if len(going) > WORKERS:
                yield going.popleft().result()
        while going:
            yield going.popleft().result()


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
    """(place of account, age) of every probe, in that order: at each of ``AGES`` and before the confirmation.

    Only those that lie by ``as_of``, for fraud before its verdict. The signup's own probe is always there, even where
    the verdict came in the same second.
    """
    fraud = accounts.verdict == FRAUD
    confirmed = ages_before_confirmation(
        accounts.account, accounts.created_at, fraud, accounts.learned_at, accounts.group, as_of
    )
    ages = np.tile(np.fromiter(AGES.values(), np.int64), (len(accounts), 1))
    ages = np.sort(np.concatenate([ages, confirmed[:, None]], axis=1), axis=1)
    at = accounts.created_at[:, None] + ages
    until = np.where(fraud, accounts.learned_at - 1, as_of)
    there = (ages != NEVER) & ((at <= np.minimum(until, as_of)[:, None]) | (ages == 0))
    there[:, 1:] &= ages[:, 1:] != ages[:, :-1]
    row, which = np.nonzero(there)
    return row.astype(np.int64), ages[row, which]


def _choose(
    source: Source, known: dict[int, Known], as_of: int, seed: int, most: tuple[int, int]
) -> tuple[Accounts, Oddities]:
    account, created_at = source.signups_between(-(2**62), as_of + 1)
    order = np.argsort(account)
    account, created_at = account[order], created_at[order]
    judged = np.sort(np.fromiter(known, np.int64, len(known)))
    judged = judged[np.isin(judged, account)]
    verdict = np.full(len(account), UNLABELLED, np.int8)
    group = account.copy()
    where = np.searchsorted(account, judged)
    for place, number in zip(where.tolist(), judged.tolist(), strict=True):
        verdict[place], group[place] = int(known[number].fraud), _group(number, known[number].campaign)
    drawn, stands_for = np.zeros(len(account), bool), np.ones(len(account))
    for of, at_most in ((UNLABELLED, most[0]), (LEGITIMATE, most[1]), (FRAUD, most[1])):
        mine = verdict == of
        some = sampled_campaigns(account[mine], group[mine], at_most, seed) if of == FRAUD else None
        drawn[mine], stands_for[mine] = some or sampled(account[mine], at_most, seed)
    found = [known.get(number) for number in account[drawn].tolist()]
    of_judged = [known[number] for number in judged.tolist()]
    odd = Oddities(
        unknown=len(known) - len(judged),
        contradicted=sum(one.contradicted for one in of_judged),
        early=sum(one.learned_at < at for one, at in zip(of_judged, created_at[where].tolist(), strict=True)),
    )
    chosen = Accounts(
        account=account[drawn],
        created_at=created_at[drawn],
        verdict=verdict[drawn],
        learned_at=np.array([one.learned_at if one else 0 for one in found], np.int64),
        group=group[drawn],
        campaign=tuple(one.campaign if one else None for one in found),
        stands_for=stands_for[drawn],
    )
    return chosen, odd


def _group(account: int, campaign: str | None) -> int:
    return account if campaign is None else hash64(f"campaign {campaign}")
