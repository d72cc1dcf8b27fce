"""What a challenger that shadows the champion would have done otherwise, and how often it would have been right.

Accounts are what is compared, over all their answers: an account is touched by a model where any of its answers is not
``allow``. Right and wrong is told by verdicts that came after the account was first looked at, and by answers before
that verdict: none of them can have known it. Analysts look at what the champion touched, so verdicts favour the
champion; where the challenger comes out ahead it is ahead all the more.

Whether two shares differ beyond chance is told by those accounts on which the models differ: by chance as many of them
would speak for either (exact test of McNemar, Psychometrika 1947). Accounts of one campaign fall together, so this sees
differences sooner than the gate of ``gatehouse train`` does, which counts campaigns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, spearmanr

from service.domain.enums import Decision
from service.domain.errors import UsageError
from service.domain.facts import Int64s
from service.domain.records import ShadowRecord
from service.storage.shadows import ShadowPairs
from service.tiles.history import FRAUD, LEGITIMATE, History
from service.tiles.usage import USAGE_COLUMNS

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
CHANCE = 0.05  # a difference that chance makes less often than this is one
LEVELS = tuple(decision.value for decision in Decision)
NEVER = 2**62
_ENDINGS = {
    "better": "It is better beyond chance.",
    "worse": "It is worse beyond chance.",
    "mixed": "It is better in one and worse in the other, both beyond chance: which weighs more is yours to say.",
    "undecided": "That is no difference beyond chance yet: let it shadow on until more accounts have a verdict.",
}
_REQUESTS = [column.name for column in USAGE_COLUMNS].index("requests")

Bools = NDArray[np.bool_]


class Reads(Protocol):
    """What is needed of the store."""

    def shadow(self) -> ShadowRecord | None: ...

    def shadow_pairs(self, version: str) -> ShadowPairs: ...

    def shadow_judged(self, version: str, as_of: int) -> tuple[Int64s, Int64s, Int64s]: ...

    def histories(self, *, rows: int = 500_000, accounts: Int64s | None = None) -> Iterator[History]: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """Accounts with one verdict that came after they were first scored by both."""

    accounts: int
    champion: int  # of them touched by the champion before the verdict
    shadow: int
    only_champion: int
    only_shadow: int

    @property
    def chance(self) -> float:
        """How often chance alone parts the accounts on which the models differ as unevenly, 0 to 1."""
        differ = self.only_champion + self.only_shadow
        return float(binomtest(self.only_shadow, differ).pvalue) if differ else 1.0

    def better(self, *, more: bool) -> int:
        """1: the shadow is better beyond chance; -1: worse; 0: neither. ``more``: touching more of these is better."""
        if self.chance >= CHANCE:
            return 0
        return 1 if (self.only_shadow > self.only_champion) is more else -1

    def to_json(self) -> dict[str, float | int | None]:
        """With both shares; null where there are no such accounts."""
        shares = {f"{who}_share": count / self.accounts if self.accounts else None for who, count in self._touched()}
        return {**asdict(self), **shares, "chance": self.chance}

    def _touched(self) -> tuple[tuple[str, int], ...]:
        return ("champion", self.champion), ("shadow", self.shadow)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Exchanges of accounts that analysts called fraud, up to the hour in which a model first touched them."""

    champion: int
    shadow: int
    all: int  # until the verdict

    def to_json(self) -> dict[str, int]:
        """By model."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that is known of a challenger beside its champion."""

    shadow: ShadowRecord
    champion: str | None  # None: nothing was scored yet
    scored: int
    missed: int
    others: int
    accounts: int
    agreement: Mapping[str, Mapping[str, int]]  # champion's decision, then the shadow's: answers
    touched: Mapping[str, int]  # accounts: by champion, shadow, both, only_champion, only_shadow
    correlation: float | None  # of ranks (Spearman); None: too few or all alike
    difference: Mapping[str, float]  # quantiles of shadow - champion, of scores
    fraud: Judged
    legitimate: Judged
    exchanges: Exchanges

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``mixed`` or ``undecided``."""
        signs = {self.fraud.better(more=True), self.legitimate.better(more=False)} - {0}
        if not signs:
            return "undecided"
        return "mixed" if len(signs) > 1 else ("better" if signs == {1} else "worse")

    @property
    def sentence(self) -> str:
        """The plain word on it."""
        if not self.scored:
            return "Nothing can be said yet: it has scored nothing. It scores what a running server or a job answers."
        touched = self.touched
        said = (
            f"Of {self.accounts:,} accounts the shadow would have touched {touched['only_shadow']:,} that the champion "
            f"let be, and let {touched['only_champion']:,} be that the champion touched."
        )
        if self.fraud.accounts or self.legitimate.accounts:
            said += (
                f" Of {self.fraud.accounts:,} labelled fraud since, it caught {self.fraud.shadow:,} and the champion "
                f"{self.fraud.champion:,}; of {self.legitimate.accounts:,} labelled legitimate, it touched "
                f"{self.legitimate.shadow:,} and the champion {self.legitimate.champion:,}."
            )
        return f"{said} {_ENDINGS[self.verdict]}"

    def to_json(self) -> dict[str, Any]:
        """Everything but the model's record."""
        return {
            "champion": self.champion,
            "scored": self.scored,
            "missed": self.missed,
            "beside_other_champions": self.others,
            "accounts": self.accounts,
            "agreement": {name: dict(row) for name, row in self.agreement.items()},
            "decisions": {
                "champion": {name: sum(row.values()) for name, row in self.agreement.items()},
                "shadow": {name: sum(row[name] for row in self.agreement.values()) for name in LEVELS},
            },
            "touched": dict(self.touched),
            "rank_correlation": self.correlation,
            "score_difference": dict(self.difference),
            "labelled_fraud": self.fraud.to_json(),
            "labelled_legitimate": self.legitimate.to_json(),
            "exchanges_let_through": self.exchanges.to_json(),
            "verdict": self.verdict,
            "why": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class CompareShadow:
    """The deed, wired to its rooms."""

    reads: Reads

    def __call__(self, *, now: int) -> Comparison:
        """Compares the model that shadows, else the one that did last; UsageError where none ever did."""
        found = self.reads.shadow()
        if found is None:
            raise UsageError(
                "no model has shadowed the champion yet; `gatehouse models shadow VERSION` lets one, and "
                "`gatehouse models list` shows those there are"
            )
        pairs = self.reads.shadow_pairs(found.model.version)
        return compare(found, pairs, self.reads.shadow_judged(found.model.version, now), self.reads)


def compare(found: ShadowRecord, pairs: ShadowPairs, judged: tuple[Int64s, Int64s, Int64s], reads: Reads) -> Comparison:
    """``judged`` are accounts under a verdict, as (account, verdict, since when), by account."""
    account, place = np.unique(pairs.account, return_inverse=True)
    first = np.full(len(account), NEVER)
    np.minimum.at(first, place, pairs.assessed_at)
    by_champion = _first_touch(pairs.champion_decision, pairs.assessed_at, place, len(account))
    by_shadow = _first_touch(pairs.shadow_decision, pairs.assessed_at, place, len(account))
    verdict, until = _verdicts(account, first, judged)
    fraud = verdict == FRAUD
    return Comparison(
        shadow=found,
        champion=pairs.champion,
        scored=len(pairs),
        missed=pairs.missed,
        others=pairs.others,
        accounts=len(account),
        agreement=_agreement(pairs),
        touched=_counts(by_champion < NEVER, by_shadow < NEVER),
        correlation=_correlation(pairs),
        difference=_difference(pairs),
        fraud=_judged(fraud, by_champion < until, by_shadow < until),
        legitimate=_judged(verdict == LEGITIMATE, by_champion < until, by_shadow < until),
        exchanges=_exchanges(reads, account[fraud], by_champion[fraud], by_shadow[fraud], until[fraud]),
    )


def _first_touch(decision: NDArray[np.int8], at: Int64s, place: NDArray[np.intp], n: int) -> Int64s:
    """When each account was first answered anything but allow; ``NEVER``: it was not."""
    out = np.full(n, NEVER)
    touched = decision > 0
    np.minimum.at(out, place[touched], at[touched])
    return out


def _verdicts(account: Int64s, first: Int64s, judged: tuple[Int64s, Int64s, Int64s]) -> tuple[Int64s, Int64s]:
    """Each account's verdict (0: none that came after it was first scored) and when it came."""
    verdict, until = np.zeros(len(account), np.int64), np.full(len(account), NEVER)
    who, what, since = judged
    if not len(account):
        return verdict, until
    place = np.minimum(np.searchsorted(account, who), len(account) - 1)
    later = (account[place] == who) & (since > first[place])
    verdict[place[later]], until[place[later]] = what[later], since[later]
    return verdict, until


def _agreement(pairs: ShadowPairs) -> dict[str, dict[str, int]]:
    table = np.zeros((len(LEVELS), len(LEVELS)), np.int64)
    np.add.at(table, (pairs.champion_decision, pairs.shadow_decision), 1)
    return {LEVELS[i]: dict(zip(LEVELS, row, strict=True)) for i, row in enumerate(table.tolist())}


def _counts(champion: Bools, shadow: Bools) -> dict[str, int]:
    return {
        "champion": int(champion.sum()),
        "shadow": int(shadow.sum()),
        "both": int((champion & shadow).sum()),
        "only_champion": int((champion & ~shadow).sum()),
        "only_shadow": int((shadow & ~champion).sum()),
    }


def _judged(of: Bools, champion: Bools, shadow: Bools) -> Judged:
    counts = _counts(champion & of, shadow & of)
    del counts["both"]
    return Judged(accounts=int(of.sum()), **counts)


def _correlation(pairs: ShadowPairs) -> float | None:
    if len(pairs) < 3 or np.ptp(pairs.champion_score) == 0 or np.ptp(pairs.shadow_score) == 0:
        return None
    return float(spearmanr(pairs.champion_score, pairs.shadow_score).statistic)


def _difference(pairs: ShadowPairs) -> dict[str, float]:
    if not len(pairs):
        return {}
    found = np.quantile(pairs.shadow_score - pairs.champion_score, QUANTILES)
    return {f"{part:g}": float(value) for part, value in zip(QUANTILES, found, strict=True)}


def _exchanges(reads: Reads, account: Int64s, champion: Int64s, shadow: Int64s, until: Int64s) -> Exchanges:
    """Counted in the hours of tiles, so that up to an hour's exchanges after the touch count as let through."""
    sums = np.zeros(3, np.int64)
    if len(account):
        for history in reads.histories(accounts=account):
            used = history.usage
            place = np.searchsorted(account, used.account)
            requests = used.values[:, _REQUESTS]
            for i, end in enumerate((np.minimum(champion, until), np.minimum(shadow, until), until)):
                sums[i] += requests[used.time <= end[place]].sum()
    return Exchanges(*sums.tolist())
