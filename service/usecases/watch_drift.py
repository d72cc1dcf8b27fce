"""Does the champion still see what it learned from? What it scored lately, from the record, against its reference.

The record is what was really answered, by servers and jobs alike, and outlives both; nothing is kept or counted while a
call waits. Of each account at most one row counts at each age at which training looked, the nearest; rows after an
analyst called the account fraud do not, for training has none of those either.

A server looks while it answers calls, and both need the one interpreter: at once, over three million assessments, a
look takes 2 s of a processor. So it is done in pieces of milliseconds, and whoever looks says what is done in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import mix64
from service.domain.errors import ArtefactProblem
from service.domain.facts import Int64s
from service.domain.records import ModelRecord
from service.domain.time import DAY
from service.model.artefact import Manifest
from service.model.stability import NEAR, SCORE, Drift, Reference, Seen, stability

LOOKED_BACK = 7 * DAY
MOST = 5_000  # accounts that signed up within that time, and as many of those before
TOGETHER = 100  # accounts, by number: jobs keep those of near numbers together
HEAVY = 0.01  # share of all gain from which on a feature's drift matters to the score


Rest = Callable[[], None]


class Record(Protocol):
    """What is read of the store."""

    def signups_between(self, start: int, end: int) -> tuple[Int64s, Int64s]: ...

    def scored_between(self, accounts: Int64s, since: int, until: int) -> tuple[Int64s, Int64s, list[str]]: ...

    def scored_rows(
        self, assessments: Sequence[str], version: str, since: int, until: int
    ) -> Sequence[tuple[str, float, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """How far from its reference what a model scored lately is."""

    version: str
    rows: int  # that were compared
    drift: tuple[Drift, ...]  # the farthest beyond its bound first; empty: too few rows, or a model of before
    gain: Mapping[str, float]  # share of all gain of each feature

    @property
    def alarms(self) -> tuple[Drift, ...]:
        """What matters to the score and is beyond its bound, each feature once; the score itself first."""
        heavy = [one for one in self.drift if one.alarm and self.matters(one.feature)]
        first = {one.feature: one for one in reversed(heavy)}
        return tuple(sorted(first.values(), key=lambda one: (one.feature != SCORE, one.bound - one.psi)))

    def matters(self, feature: str) -> bool:
        """Whether it is the score, or a feature that the score rests on."""
        return feature == SCORE or self.gain.get(feature, 0.0) >= HEAVY


@dataclass(frozen=True, slots=True)
class WatchDrift:
    """The deed, wired to its rooms."""

    record: Record

    def __call__(self, model: ModelRecord, *, now: int, rest: Rest = lambda: None) -> Watched:
        """Compares what ``model`` scored in the last 7 days before ``now``; ``rest`` is called after each piece of it.

        Accounts are sampled by a hash of their number: some ``MOST`` of the newest, and as many older ones. Raises
        ArtefactProblem where the model's manifest or reference cannot be read, and what ``rest`` raises.
        """
        manifest = Manifest.parse(model.manifest, f"the manifest of model {model.version}")
        try:
            reference = Reference.from_json(manifest.reference)
        except ValueError as error:
            raise ArtefactProblem(f"model {model.version} has a broken reference: {error}; train again") from None
        total = sum(manifest.gain.values()) or 1.0
        gain = {name: value / total for name, value in manifest.gain.items()}
        if reference is None:
            return Watched(model.version, 0, (), gain)
        seen = self._seen(reference, manifest, now, rest)
        return Watched(model.version, len(seen.age), stability(reference, seen, rest=rest), gain)

    def _seen(self, reference: Reference, manifest: Manifest, now: int, rest: Rest) -> Seen:
        """One row of each sampled account at each age."""
        account, created = self._sampled(reference, now, rest)
        since, width = now - LOOKED_BACK, len(manifest.features)
        whose, when, ids = [account[:0]], [account[:0]], list[str]()
        for start in range(0, len(account), TOGETHER):
            of, at, names = self.record.scored_between(account[start : start + TOGETHER], since, now)
            whose.append(of)
            when.append(at)
            ids += names
            rest()
        of, at = np.concatenate(whose), np.concatenate(when)
        age = at - created[np.searchsorted(account, of)]
        chosen = _nearest(reference, of, age)
        wanted = {ids[place]: place for place in chosen.tolist()}
        rows = list[tuple[str, float, bytes]]()
        for names in _of_near_accounts(of, chosen, ids):
            found = self.record.scored_rows(names, manifest.version, since, now)
            rows += [row for row in found if len(row[2]) == 4 * width]
            rest()
        rows.sort(key=lambda row: wanted[row[0]])
        place = np.array([wanted[name] for name, _, _ in rows], np.int64)
        matrix = np.frombuffer(b"".join(bytes(features) for _, _, features in rows), "<f4").reshape(-1, width)
        return Seen(
            names=manifest.features,
            matrix=matrix.astype(np.float32),
            age=age[place],
            account=of[place],
            created=at[place] - age[place],
            weight=np.ones(len(place)),
            score=np.array([score for _, score, _ in rows], np.float64),
        )

    def _sampled(self, reference: Reference, now: int, rest: Rest) -> tuple[Int64s, Int64s]:
        """Accounts that may have been looked at at an age of the reference, ascending, and when they signed up."""
        oldest = int(max(reference.ages, default=0) * NEAR) + LOOKED_BACK
        accounts, moments = list[Int64s](), list[Int64s]()
        for start in range(now - oldest, now + 1, DAY):
            some, at = self.record.signups_between(start, min(start + DAY, now + 1))
            accounts.append(some)
            moments.append(at)
            rest()
        account, created = np.concatenate(accounts), np.concatenate(moments)
        new = created > now - LOOKED_BACK
        kept = np.sort(account[_some(account, new) | _some(account, ~new)])
        order = np.argsort(account)
        return kept, created[order[np.searchsorted(account, kept, sorter=order)]]


def _of_near_accounts(account: Int64s, chosen: Int64s, ids: Sequence[str]) -> Iterator[list[str]]:
    """The chosen of the ids, those of ``TOGETHER`` accounts at a time; ``account`` is whose each id is, ascending."""
    if not len(chosen):
        return
    _, rank = np.unique(account[chosen], return_inverse=True)
    for part in np.split(chosen, np.flatnonzero(np.diff(rank // TOGETHER)) + 1):
        yield [ids[place] for place in part.tolist()]


def _some(account: Int64s, of: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Up to ``MOST`` of those accounts, as their hashes fall."""
    rank = mix64(account)
    if of.sum() <= MOST:
        return of
    return np.asarray(of & (rank <= np.partition(rank[of], MOST - 1)[MOST - 1]))


def _nearest(reference: Reference, account: Int64s, age: Int64s) -> Int64s:
    """Places of the rows to compare: of each account at each of the reference's ages the nearest."""
    at = reference.stratum(age)
    there = np.flatnonzero(at >= 0)
    apart = np.abs(age[there] - np.asarray(reference.ages, np.int64)[at[there]])
    order = there[np.lexsort((apart, at[there], account[there]))]
    if not len(order):
        return order.astype(np.int64)
    first = np.r_[True, (account[order][1:] != account[order][:-1]) | (at[order][1:] != at[order][:-1])]
    return np.sort(order[first]).astype(np.int64)
