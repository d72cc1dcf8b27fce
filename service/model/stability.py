"""Does a model still see what it learned from? The population stability index of each feature and of the score.

The index is the sum over bins of (a - e) * ln(a / e), where e is a bin's share in the reference and a its share now
(Lewis, "An Introduction to Credit Scoring", 1992; it is the symmetric divergence of Kullback and Leibler, 1951). Its
usual reading (Siddiqi, "Credit Risk Scorecards", 2006): below 0.1 nothing changed, from 0.25 on the population is
another one. That reading knows no sample size: two samples of one law, of n and m accounts, show an index of about
(1/n + 1/m) times chi-square with (bins - 1) degrees of freedom (Yurdakul, "Statistical Properties of Population
Stability Index", Western Michigan University, 2018), so that a hundred accounts in ten bins show 0.1 by chance alone.
Here an index is an alarm where it is beyond 0.25 and what such samples show on average, and beyond what chance shows
once in ``1 / CHANCE`` times over all that is compared together.

Like is compared with like. A signup has no usage yet, and an account looked at after a week is not one of a month: rows
are told apart by the account's age, each age at which training looked is a stratum, and the reference is mixed as
the rows at hand are. A row of an age at which training never looked is compared with nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.time import MINUTE

BINS = 10
ATOM = 0.05  # a value that this share of rows has is a bin of its own: most counts are zero most of the time
CATEGORIES = 20  # codes that are bins of their own; the rest, and all rarer than ``RARE``, are one bin
RARE = 0.005
SCORE_TAIL = (0.95, 0.99)  # where decisions are made; a tenth of the accounts is far more than are ever touched

LEVEL = 0.25  # of the index, for an alarm
CHANCE = 0.01  # an alarm by chance among all that is compared together, if accounts are independent
LEAST = 100  # accounts; fewer say nothing
AT_SIGNUP = 5 * MINUTE  # an account this young is looked at because it signs up
NEAR = 1.25  # an account is as old as a probe of training if its age is within this factor

SIGNUP, LATER = "signup", "later"  # of which rows an index is: of accounts as they sign up, or as they are known
SCORE = "score"  # what the calibrated score is called among features


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows that were scored, or might be; shape (n,) each, and (n, names)."""

    names: Sequence[str]  # columns of ``matrix``
    matrix: Float32s  # NaN: unknown
    age: Int64s  # microseconds from the account's signup to the row
    account: Int64s  # rows of one account are one observation, not several
    weight: Float64s  # how many rows each stands for
    score: Float64s | None = None  # calibrated, by the model that the reference is of; None: not scored by it
    scored: NDArray[np.bool_] | None = None  # whose ``score`` counts; None: all

    def part(self, of: NDArray[np.bool_]) -> Seen:
        """Some of the rows."""
        return Seen(
            self.names,
            self.matrix[of],
            self.age[of],
            self.account[of],
            self.weight[of],
            None if self.score is None else self.score[of],
            None if self.scored is None else self.scored[of],
        )


@dataclass(frozen=True, slots=True)
class Bins:
    """How one feature's values fell, at each age: NaN is a bin of its own, the last.

    ``cuts`` are upper ends, strictly ascending, and values beyond the last are one bin more; of categories they are the
    codes that have a bin of their own, and all others share one.
    """

    cuts: tuple[float, ...]
    categories: bool
    shares: tuple[tuple[float, ...], ...]  # (ages, bins); zeros where nobody was seen at that age
    accounts: tuple[float, ...]  # (ages,): independent accounts that the shares are of (Kish, 1965)

    def __len__(self) -> int:
        return len(self.cuts) + 2

    def place(self, values: NDArray[np.floating[Any]]) -> Int64s:
        """Each value's bin, shape (n,)."""
        cuts = np.asarray(self.cuts)
        at = np.searchsorted(cuts, values, "left")
        if self.categories:
            inside = np.minimum(at, len(cuts) - 1)
            at = np.where(cuts[inside] == values, inside, len(cuts)) if len(cuts) else np.zeros_like(at)
        return np.where(np.isnan(values), len(cuts) + 1, at).astype(np.int64)

    def to_json(self) -> dict[str, object]:
        """A row of shares is one text: a manifest gives every element of a list a line of its own."""
        return {
            "cuts": " ".join(map(repr, self.cuts)),
            "categories": self.categories,
            "shares": [" ".join(f"{share:.5g}" for share in row) for row in self.shares],
            "accounts": list(self.accounts),
        }

    @classmethod
    def from_json(cls, value: Any) -> Bins:
        """The inverse; raises ValueError, TypeError or KeyError on anything else."""
        made = cls(
            tuple(map(float, value["cuts"].split())),
            bool(value["categories"]),
            tuple(tuple(map(float, row.split())) for row in value["shares"]),
            tuple(map(float, value["accounts"])),
        )
        if not all(low < high for low, high in pairwise(made.cuts)) or len(made.accounts) != len(made.shares):
            raise ValueError("cuts ascend strictly, and each age has its shares")
        if any(len(row) != len(made) for row in made.shares):
            raise ValueError("each bin has its share")
        return made


@dataclass(frozen=True)
class Reference:
    """What a model learned from, in bins."""

    ages: tuple[int, ...]  # microseconds, ascending; the first is a signup's where that is 0
    features: Mapping[str, Bins]  # in the model's order
    score: Bins | None  # of rows that the booster did not learn from; None: there were none

    def to_json(self) -> dict[str, object]:
        """As in the manifest."""
        return {
            "ages": list(self.ages),
            "features": [{"name": name, **bins.to_json()} for name, bins in self.features.items()],
            "score": None if self.score is None else self.score.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reference | None:
        """The inverse; None for the empty object, which models of before have. Raises ValueError on anything else."""
        if not value:
            return None
        try:
            features = {str(one["name"]): Bins.from_json(one) for one in value["features"]}
            score = None if value["score"] is None else Bins.from_json(value["score"])
            made = cls(tuple(map(int, value["ages"])), features, score)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a reference lacks {error}") from None
        if any(len(bins.shares) != len(made.ages) for bins in made.binned.values()):
            raise ValueError("a reference has shares of every age")
        return made

    @cached_property
    def binned(self) -> dict[str, Bins]:
        """Everything that has bins, the score last."""
        return {**self.features, **({SCORE: self.score} if self.score is not None else {})}

    @cached_property
    def offsets(self) -> Int64s:
        """Where each of ``binned`` begins in a row of counts, and where the last ends."""
        return np.cumsum([0, *(len(bins) for bins in self.binned.values())]).astype(np.int64)

    def stratum(self, age: Int64s) -> Int64s:
        """Which of ``ages`` each row is compared at, shape (n,); -1: none."""
        probes = np.maximum(np.asarray(self.ages, np.float64), 1.0)
        apart = np.abs(np.log(np.maximum(age, 1)[:, None] / probes[None, :]))
        nearest = apart.argmin(axis=1)
        near = apart[np.arange(len(age)), nearest] <= np.log(NEAR)
        at = np.where(near, nearest, -1)
        if self.ages and self.ages[0] == 0:
            at = np.where(np.abs(age) <= AT_SIGNUP, 0, at)
        return at.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows counted into a reference's bins."""

    counts: Float64s  # (ages, bins of all features and the score), see ``Reference.offsets``
    accounts: Mapping[str, float]  # independent ones among the rows of SIGNUP and of LATER
    scored: Mapping[str, float]  # the same of those rows whose score counts


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one feature, or the score, is from the reference."""

    feature: str
    of: str  # SIGNUP or LATER
    psi: float
    bound: float  # an index beyond it is an alarm
    accounts: float  # independent ones that it was measured on

    @property
    def alarm(self) -> bool:
        """Whether it is beyond what is usual and what chance can show."""
        return self.psi > self.bound


def make_reference(seen: Seen, categorical: Collection[str] = ()) -> Reference:
    """The reference of a model that learned from ``seen``; ``categorical`` are names of features that are codes.

    Ages of ``seen`` are few: those at which training looks.
    """
    ages, at = np.unique(seen.age, return_inverse=True)
    features = {
        name: _bins(seen.matrix[:, i].astype(np.float64), at, len(ages), seen, categories=name in categorical)
        for i, name in enumerate(seen.names)
    }
    score = None
    if seen.score is not None:
        on = np.ones(len(at), bool) if seen.scored is None else seen.scored
        if on.any():
            score = _bins(seen.score[on], at[on], len(ages), seen.part(on), tail=SCORE_TAIL)
    return Reference(tuple(int(age) for age in ages), features, score)


def tally(reference: Reference, seen: Seen) -> Tally:
    """Counts ``seen`` into the reference's bins; features that ``seen`` lacks count nothing.

    Of an account with several rows at one age all count, as parts of one observation.
    """
    at = reference.stratum(seen.age)
    there = at >= 0
    seen, at = seen.part(there), at[there]
    width = int(reference.offsets[-1])
    counts = np.zeros((len(reference.ages), width))
    column = {name: i for i, name in enumerate(seen.names)}
    for (name, bins), offset in zip(reference.binned.items(), reference.offsets[:-1].tolist(), strict=True):
        weight = seen.weight
        if name == SCORE:
            if seen.score is None:
                continue
            values = seen.score
            weight = weight if seen.scored is None else weight * seen.scored
        elif name in column:
            values = seen.matrix[:, column[name]].astype(np.float64)
        else:
            continue
        place = at * len(bins) + bins.place(values)
        found = np.bincount(place, weight, len(reference.ages) * len(bins))
        counts[:, offset : offset + len(bins)] = found.reshape(len(reference.ages), len(bins))
    weight = seen.weight if seen.scored is None else seen.weight * seen.scored
    signup = _is_signup(reference, at)
    sides = {SIGNUP: signup, LATER: ~signup}
    return Tally(
        counts,
        {of: independent(seen.account[rows], seen.weight[rows]) for of, rows in sides.items()},
        {of: independent(seen.account[rows], weight[rows]) for of, rows in sides.items()},
    )


def stability(reference: Reference, seen: Seen) -> tuple[Drift, ...]:
    """How far ``seen`` is from the reference, the farthest beyond its bound first.

    Once for rows of signups and once for those of older accounts; neither where it has fewer than ``LEAST`` accounts.
    """
    return compare(reference, tally(reference, seen))


def shifted(reference: Reference, seen: Seen) -> dict[str, float]:
    """The features whose index is an alarm, and what it is, the larger of signups and older accounts; ``SCORE`` too."""
    out: dict[str, float] = {}
    for one in stability(reference, seen):
        if one.alarm:
            out[one.feature] = max(one.psi, out.get(one.feature, 0.0))
    return out


def compare(reference: Reference, counted: Tally) -> tuple[Drift, ...]:
    """The same of rows that are counted already."""
    signup = _is_signup(reference, np.arange(len(reference.ages)))
    jobs: list[tuple[str, str, Bins, Float64s, float]] = []
    for (name, bins), start, end in zip(
        reference.binned.items(), reference.offsets[:-1].tolist(), reference.offsets[1:].tolist(), strict=True
    ):
        known = (np.asarray(bins.accounts) > 0)[:, None]  # ages at which nobody was scored are no reference of scores
        for of, strata in ((SIGNUP, signup), (LATER, ~signup)):
            accounts = (counted.scored if name == SCORE else counted.accounts).get(of, 0.0)
            counts = counted.counts[:, start:end] * strata[:, None] * known
            if accounts >= LEAST and counts.sum() > 0:
                jobs.append((name, of, bins, counts, accounts))
    out = [_drift(*job, compared=len(jobs)) for job in jobs]
    return tuple(sorted(out, key=lambda one: (one.bound - one.psi, one.feature, one.of)))


def independent(account: Int64s, weight: Float64s) -> float:
    """How many accounts of equal weight say as much as these rows (Kish, "Survey Sampling", 1965); 0 without any."""
    if not len(account):
        return 0.0
    _, place = np.unique(account, return_inverse=True)
    of_account = np.bincount(place, weight)
    return float(of_account.sum() ** 2 / max((of_account**2).sum(), 1e-300))


def _is_signup(reference: Reference, at: Int64s) -> NDArray[np.bool_]:
    return np.asarray(at == 0) if reference.ages and reference.ages[0] == 0 else np.zeros(len(at), bool)


def _drift(name: str, of: str, bins: Bins, counts: Float64s, accounts: float, *, compared: int) -> Drift:
    held = np.asarray(bins.accounts)
    mix = counts.sum(axis=1) / counts.sum()
    # probes of one account at several ages say the same of who it is, so their errors add up, not their squares
    n = 1.0 / float((mix / np.sqrt(np.where(held > 0, held, 1.0))).sum() ** 2)
    expected = mix @ np.asarray(bins.shares)
    now = counts.sum(axis=0) / counts.sum()
    free = max(1, int((expected > 0).sum()) - 1)
    # half an account in each bin, so that one that was empty is not infinitely far (Jeffreys' prior)
    e = (expected * n + 0.5) / (n + 0.5 * len(bins))
    a = (now * accounts + 0.5) / (accounts + 0.5 * len(bins))
    psi = float(((a - e) * np.log(a / e)).sum())
    spread = 1.0 / n + 1.0 / accounts
    bound = max(LEVEL + free * spread, float(chdtri(free, CHANCE / compared)) * spread)
    return Drift(name, of, psi, bound, accounts)


def _bins(
    values: Float64s, at: Int64s, ages: int, seen: Seen, *, categories: bool = False, tail: Sequence[float] = ()
) -> Bins:
    known = ~np.isnan(values)
    distinct, place = np.unique(values[known], return_inverse=True)
    mass = np.bincount(place, seen.weight[known], len(distinct)).astype(np.float64)
    cuts = _common(distinct, mass) if categories else _cuts(distinct, mass, tail)
    empty = Bins(tuple(cuts), categories, (), ())
    shares = np.bincount(at * len(empty) + empty.place(values), seen.weight, ages * len(empty)).reshape(ages, -1)
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    accounts = [independent(seen.account[at == age], seen.weight[at == age]) for age in range(ages)]
    rounded = tuple(tuple(float(f"{share:.5g}") for share in row) for row in shares.tolist())
    return Bins(tuple(cuts), categories, rounded, tuple(round(n, 1) for n in accounts))


def _common(distinct: Float64s, mass: Float64s) -> list[float]:
    """The codes that have a bin of their own, ascending."""
    most = np.argsort(-mass, kind="stable")[:CATEGORIES]
    return sorted(distinct[most[mass[most] >= RARE * mass.sum()]].tolist())


def _cuts(distinct: Float64s, mass: Float64s, tail: Sequence[float]) -> list[float]:
    """Cuts at quantiles, and on both sides of values that many have.

    They lie half-way between two neighbouring values, so that another processor's last bit moves nobody.
    """
    if not len(distinct):
        return []
    below = np.cumsum(mass) / mass.sum()
    at = np.searchsorted(below, [*(np.arange(1, BINS) / BINS), *tail])
    after = set(np.minimum(at, len(distinct) - 1).tolist())
    for atom in np.flatnonzero(mass >= ATOM * mass.sum()).tolist():
        after |= {atom - 1, atom}
    margin = 1e-6 * np.maximum(1.0, np.abs(distinct))
    ends = np.concatenate([[distinct[0] - margin[0]], (distinct[:-1] + distinct[1:]) / 2, [distinct[-1] + margin[-1]]])
    return [float(end) for end in np.unique(ends[[place + 1 for place in after]])]
