"""Does a model still see what it learned from? The population stability index of each feature and of the score.

The index is the sum over bins of (a - e) * ln(a / e), where e is a bin's share in the reference and a its share now
(Lewis, "An Introduction to Credit Scoring", 1992; it is the symmetric divergence of Kullback and Leibler, 1951). Its
usual reading (Siddiqi, "Credit Risk Scorecards", 2006): below 0.1 nothing changed, up to 0.25 something did, from there
on the population is another one. That reading knows no sample size: two samples of one law, of n and m accounts, show
an index of about (1/n + 1/m) times chi-square with (bins - 1) degrees of freedom (Yurdakul, "Statistical Properties of
Population Stability Index", Western Michigan University, 2018), so that a hundred accounts in ten bins show 0.1 by
chance alone. Here an index is an alarm where it is beyond 0.1 and what such samples show on average, and beyond what
chance shows once in ``1 / CHANCE`` times over all that is compared together.

Chance is not all that moves a feature. The share of fraud on a mail provider that a third of all accounts use is one
number for all of them, and counts of neighbours grow with the house: in worlds drawn by one law such features were at
1.8. So training also measures how far each feature wandered by itself: its index between each fifth of the accounts, in
order of signup, and the other four. Up to ``MARGIN`` times the farthest is no news to a model that met it while it
learned; of 30 worlds by one law, one in six raised an alarm without the margin, and none with it.

Like is compared with like. A signup has no usage yet, and an account looked at after a week is not one of a month: rows
are told apart by the account's age, each age at which training looked is a stratum, and the reference is mixed as
the rows at hand are. A row of an age at which training never looked is compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

LEVEL = 0.1  # of the index, for an alarm: something changed
ANOTHER = 0.25  # the population is another one
CHANCE = 0.01  # an alarm by chance among all that is compared together, if accounts are independent
LEAST = 100  # accounts; fewer say nothing
STRETCHES = 5  # of accounts in order of signup, between which training looks how far a feature wanders by itself
MARGIN = 2.0
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
    created: Int64s  # when the account signed up
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
            self.created[of],
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
    wander: Mapping[str, float]  # of SIGNUP and LATER, the index that training itself met, less what chance explains

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
            "wander": dict(self.wander),
        }

    @classmethod
    def from_json(cls, value: Any) -> Bins:
        """The inverse; raises ValueError, TypeError or KeyError on anything else."""
        made = cls(
            tuple(map(float, value["cuts"].split())),
            bool(value["categories"]),
            tuple(tuple(map(float, row.split())) for row in value["shares"]),
            tuple(map(float, value["accounts"])),
            {str(of): float(index) for of, index in value["wander"].items()},
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
    made = Reference(tuple(int(age) for age in ages), features, score)
    wander = _wander(made, seen)
    settled = {name: replace(bins, wander=wander[name]) for name, bins in made.binned.items()}
    return Reference(made.ages, {name: settled[name] for name in features}, settled.get(SCORE))


def tally(reference: Reference, seen: Seen, rest: Callable[[], None] = lambda: None) -> Tally:
    """Counts ``seen`` into the reference's bins; features that ``seen`` lacks count nothing.

    Of an account with several rows at one age all count, as parts of one observation. ``rest`` is called between
    features.
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
        rest()
    weight = seen.weight if seen.scored is None else seen.weight * seen.scored
    sides = {of: strata[at] for of, strata in _sides(reference).items()}
    return Tally(
        counts,
        {of: independent(seen.account[rows], seen.weight[rows]) for of, rows in sides.items()},
        {of: independent(seen.account[rows], weight[rows]) for of, rows in sides.items()},
    )


def stability(
    reference: Reference, seen: Seen, level: float = LEVEL, *, rest: Callable[[], None] = lambda: None
) -> tuple[Drift, ...]:
    """How far ``seen`` is from the reference, the farthest beyond its bound first; ``level`` is an alarm's least index.

    Once for rows of signups and once for those of older accounts; neither where it has fewer than ``LEAST`` accounts.
    ``rest``: see ``tally``.
    """
    return compare(reference, tally(reference, seen, rest), level)


def shifted(reference: Reference, seen: Seen, level: float = ANOTHER) -> dict[str, float]:
    """The features whose index is an alarm, and what it is, the larger of signups and older accounts; ``SCORE`` too.

    Unlike ``stability`` only those that are another population by the usual reading, unless ``level`` says otherwise.
    """
    out: dict[str, float] = {}
    for one in stability(reference, seen, level):
        if one.alarm:
            out[one.feature] = max(one.psi, out.get(one.feature, 0.0))
    return out


def compare(reference: Reference, counted: Tally, level: float = LEVEL) -> tuple[Drift, ...]:
    """The same of rows that are counted already."""
    jobs: list[tuple[str, str, Bins, Float64s, float]] = []
    for name, bins, counts in _parts(reference, counted.counts):
        for of, strata in _sides(reference).items():
            accounts = (counted.scored if name == SCORE else counted.accounts).get(of, 0.0)
            if accounts >= LEAST and counts[strata].sum() > 0:
                jobs.append((name, of, bins, counts * strata[:, None], accounts))
    out = []
    for name, of, bins, counts, accounts in jobs:
        index = _index(np.asarray(bins.shares), np.asarray(bins.accounts), counts, accounts)
        natural = max(level, MARGIN * bins.wander.get(of, 0.0)) + index.by_chance
        bound = max(natural, float(chdtri(index.free, CHANCE / len(jobs))) * index.spread)
        out.append(Drift(name, of, index.psi, bound, accounts))
    return tuple(sorted(out, key=lambda one: (one.bound - one.psi, one.feature, one.of)))


def independent(account: Int64s, weight: Float64s) -> float:
    """How many accounts of equal weight say as much as these rows (Kish, "Survey Sampling", 1965); 0 without any."""
    if not len(account):
        return 0.0
    _, place = np.unique(account, return_inverse=True)
    of_account = np.bincount(place, weight)
    return float(of_account.sum() ** 2 / max((of_account**2).sum(), 1e-300))


def _sides(reference: Reference) -> dict[str, NDArray[np.bool_]]:
    """Which of the reference's ages are of signups, and which are later."""
    signup = np.asarray(reference.ages, np.int64) == 0
    return {SIGNUP: signup, LATER: ~signup}


def _parts(reference: Reference, counts: Float64s) -> Iterator[tuple[str, Bins, Float64s]]:
    """Each feature's counts, shape (ages, bins), without those of ages at which the reference has none."""
    for (name, bins), start, end in zip(
        reference.binned.items(), reference.offsets[:-1].tolist(), reference.offsets[1:].tolist(), strict=True
    ):
        yield name, bins, counts[:, start:end] * (np.asarray(bins.accounts) > 0)[:, None]


@dataclass(frozen=True, slots=True)
class _Index:
    """An index with what says how far to trust it."""

    psi: float
    free: int  # degrees of freedom
    spread: float  # 1/n + 1/m

    @property
    def by_chance(self) -> float:
        """What two samples of one law show on average."""
        return self.free * self.spread


def _index(shares: Float64s, held: Float64s, counts: Float64s, accounts: float) -> _Index:
    """The index of ``counts`` of so many ``accounts`` against ``shares``, (ages, bins), of ``held`` accounts each."""
    mix = counts.sum(axis=1) / counts.sum()
    # probes of one account at several ages say the same of who it is, so their errors add up, not their squares
    n = 1.0 / float((mix / np.sqrt(np.where(held > 0, held, 1.0))).sum() ** 2)
    expected, now, bins = mix @ shares, counts.sum(axis=0) / counts.sum(), counts.shape[1]
    # Half an account in each bin of the reference (Jeffreys' prior), so that one that was empty is not infinitely far,
    # and as many in all, dealt out as the reference is, beside those of now: dealt out evenly they alone made 0.25 of a
    # hundred accounts on a feature with seven bins that hardly anybody is in.
    e = (expected * n + 0.5) / (n + 0.5 * bins)
    a = (now * accounts + 0.5 * bins * e) / (accounts + 0.5 * bins)
    return _Index(float(((a - e) * np.log(a / e)).sum()), max(1, int((expected > 0).sum()) - 1), 1 / n + 1 / accounts)


def _wander(reference: Reference, seen: Seen) -> dict[str, dict[str, float]]:
    """Of each feature and side, the farthest that a stretch of signups was from the others; only what is above 0."""
    out: dict[str, dict[str, float]] = {name: {} for name in reference.binned}
    created = np.sort(seen.created[np.unique(seen.account, return_index=True)[1]])
    cuts = created[[len(created) * i // STRETCHES for i in range(1, STRETCHES)]] if len(created) else created
    stretch = np.searchsorted(cuts, seen.created, "right")
    for place in range(STRETCHES):
        inside, outside = (tally(reference, seen.part(of)) for of in (stretch == place, stretch != place))
        parts = zip(_parts(reference, inside.counts), _parts(reference, outside.counts), strict=True)
        for (name, _, counts), (_, _, rest) in parts:
            for of, strata in _sides(reference).items():
                at = strata & (rest.sum(axis=1) > 0) & (counts.sum(axis=1) > 0)
                few, many = ((t.scored if name == SCORE else t.accounts)[of] for t in (inside, outside))
                if few < LEAST or many < LEAST or not at.any():
                    continue
                shares = rest[at] / rest[at].sum(axis=1, keepdims=True)
                index = _index(shares, np.full(int(at.sum()), many), counts[at], few)
                beyond = round(index.psi - index.by_chance, 4)
                if beyond > out[name].get(of, 0.0):
                    out[name][of] = beyond
    return out


def _bins(
    values: Float64s, at: Int64s, ages: int, seen: Seen, *, categories: bool = False, tail: Sequence[float] = ()
) -> Bins:
    known = ~np.isnan(values)
    distinct, place = np.unique(values[known], return_inverse=True)
    mass = np.bincount(place, seen.weight[known], len(distinct)).astype(np.float64)
    cuts = _common(distinct, mass) if categories else _cuts(distinct, mass, tail)
    empty = Bins(tuple(cuts), categories, (), (), {})
    shares = np.bincount(at * len(empty) + empty.place(values), seen.weight, ages * len(empty)).reshape(ages, -1)
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    accounts = [independent(seen.account[at == age], seen.weight[at == age]) for age in range(ages)]
    rounded = tuple(tuple(float(f"{share:.5g}") for share in row) for row in shares.tolist())
    return Bins(tuple(cuts), categories, rounded, tuple(round(n, 1) for n in accounts), {})


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
