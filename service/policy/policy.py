"""The policy: from a probability and a row of features to a decision. It is data, and travels with the model.

Thresholds are set by the trainer from the friction budget, never by hand. A threshold that could not be set with the
legitimate accounts at hand is infinite, and its decision is then reached by rules alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from service.domain.enums import Decision
from service.domain.facts import Float32s, Float64s
from service.policy.rules import Rule, holding

LEVELS: tuple[Decision, ...] = tuple(Decision)  # in rising severity; a level's place is its number
SEVERITY: dict[Decision, int] = {decision: place for place, decision in enumerate(LEVELS)}
GRADED: tuple[Decision, ...] = LEVELS[1:]  # those with a threshold

DEFAULT_LIMITS: tuple[tuple[float, str], ...] = ((0.0, "reduced"), (0.5, "low"), (0.9, "minimal"))


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds per decision (one per graded level, not falling), rules, and rate-limit tiers."""

    friction_budget: float  # share of legitimate accounts that may ever get anything but allow
    thresholds: tuple[float, ...]  # a score above GRADED[i]'s threshold reaches it; infinite: never by score
    rules: tuple[Rule, ...] = ()
    limits: tuple[tuple[float, str], ...] = DEFAULT_LIMITS  # (from probability, tier), rising; the first is from 0
    version: str = field(init=False, repr=False, compare=False)  # a short hash of everything that decides

    def __post_init__(self) -> None:
        """Raises ValueError where levels would not be ordered."""
        if len(self.thresholds) != len(GRADED) or any(math.isnan(t) for t in self.thresholds):
            raise ValueError(f"a policy has {len(GRADED)} thresholds")
        if list(self.thresholds) != sorted(self.thresholds):
            raise ValueError("a severer decision cannot have a lower threshold than a milder one")
        if not self.limits or self.limits[0][0] != 0.0 or list(self.limits) != sorted(self.limits):
            raise ValueError("rate-limit tiers rise from probability 0")
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "version", "p-" + sha256(text.encode()).hexdigest()[:10])

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Policy:
        """The inverse of ``to_json``; raises ValueError, TypeError or KeyError on anything else."""
        thresholds, rules, limits = value["thresholds"], value["rules"], value["limits"]
        if not isinstance(thresholds, Mapping) or not isinstance(rules, Sequence) or not isinstance(limits, Sequence):
            raise TypeError("a policy has an object of thresholds and lists of rules and limits")
        return cls(
            friction_budget=float(str(value["friction_budget"])),
            thresholds=tuple(
                math.inf if thresholds[level.value] is None else float(thresholds[level.value]) for level in GRADED
            ),
            rules=tuple(Rule.from_json(rule) for rule in rules),
            limits=tuple((float(start), str(tier)) for start, tier in limits),
        )

    def to_json(self) -> dict[str, object]:
        """As in a model's manifest; an infinite threshold is null."""
        return {
            "friction_budget": self.friction_budget,
            "thresholds": {
                level.value: None if math.isinf(threshold) else threshold
                for level, threshold in zip(GRADED, self.thresholds, strict=True)
            },
            "rules": [rule.to_json() for rule in self.rules],
            "limits": [list(limit) for limit in self.limits],
        }

    def with_rules(self, rules: Sequence[Rule]) -> Policy:
        """The same with those of ``rules`` that it has none of that code for."""
        there = {rule.code for rule in self.rules}
        return replace(self, rules=(*self.rules, *(rule for rule in rules if rule.code not in there)))


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions of ``n`` rows."""

    decision: tuple[Decision, ...]
    limit: tuple[str | None, ...]  # rate-limit tier where the decision is throttle
    rules: tuple[tuple[str, ...], ...]  # codes of the rules that hold, in the policy's order

    def __len__(self) -> int:
        return len(self.decision)


def levels(policy: Policy, scores: Float64s, matrix: Float32s, features: Sequence[str]) -> NDArray[np.int64]:
    """The place in ``LEVELS`` of each row's decision, shape (n,). A score equal to a threshold stays below it."""
    return _levels(policy, scores, _held(policy, matrix, features))


def decide(policy: Policy, scores: Float64s, matrix: Float32s, features: Sequence[str]) -> Decided:
    """Decisions for calibrated ``scores`` (n,) of the rows of ``matrix`` (n, len(features))."""
    held = _held(policy, matrix, features)
    level = _levels(policy, scores, held)
    decisions = tuple([LEVELS[each] for each in level.tolist()])
    limits: list[str | None] = [None] * len(decisions)
    for row in np.flatnonzero(level == SEVERITY[Decision.THROTTLE]).tolist():
        limits[row] = _tier(policy, float(scores[row]))
    codes: list[tuple[str, ...]] = [()] * len(decisions)
    for rule, holds in held:
        for row in np.flatnonzero(holds).tolist():
            codes[row] = (*codes[row], rule.code)
    return Decided(
        decision=decisions,
        limit=tuple(limits),
        rules=tuple(codes),
    )


def _held(policy: Policy, matrix: Float32s, features: Sequence[str]) -> list[tuple[Rule, NDArray[np.bool_]]]:
    """The rules that hold for any row, in the policy's order, each with where it does."""
    place_of = {name: place for place, name in enumerate(features)}
    rules = [rule for rule in policy.rules if rule.feature in place_of]
    if not rules:
        return []
    columns = matrix[:, [place_of[rule.feature] for rule in rules]]
    held = holding(rules, columns)
    some = np.flatnonzero(held.any(axis=0)).tolist()
    return [(rules[place], held[:, place]) for place in some]


def _levels(policy: Policy, scores: Float64s, held: Sequence[tuple[Rule, NDArray[np.bool_]]]) -> NDArray[np.int64]:
    out = np.searchsorted(np.asarray(policy.thresholds), scores, "left").astype(np.int64)
    for rule, holds in held:
        out[holds] = np.maximum(out[holds], SEVERITY[rule.minimum])
    return out


def _tier(policy: Policy, score: float) -> str:
    return [tier for start, tier in policy.limits if start <= score][-1]
