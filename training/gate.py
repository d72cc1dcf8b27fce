"""The gate: may a challenger take over? It must rest on enough fraud, and not be worse than the champion beyond noise.

Both models score the same held-out rows, and the difference is resampled over campaigns and accounts (paired
bootstrap): rows of one campaign are not independent, and ten thousand rows may be three campaigns. A figure refuses the
challenger where the upper end of its difference's interval is below zero, so that noise promotes and harm does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.domain.facts import Float64s, Int64s
from training.evaluate import calibration_error, calibration_table, figures, recall_at

LEAST_FRAUD = 20  # labelled frauds that the model learned from
LEAST_GROUPS = 3  # campaigns, or frauds without one, that they come from
RESAMPLES = 200
INTERVAL = 0.90  # two-sided
TOLERATED_CALIBRATION = 0.02  # mean distance from the observed share may grow by this much


@dataclass(frozen=True, slots=True)
class Basis:
    """What a challenger was learned from."""

    fraud: int
    groups: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both models, and the interval of challenger minus champion."""

    figure: str
    champion: float
    challenger: float
    low: float
    high: float

    def told(self) -> str:
        """As in the ruling's reason."""
        return f"{self.figure} {self.challenger:.4f} against {self.champion:.4f}"


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether the challenger may take over, why in one paragraph, and the figures."""

    passes: bool
    why: str
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """Held-out rows that both models score, shape (n,) each."""

    fraud: Float64s  # chance of being fraud; 1 or 0 where labelled
    weight: Float64s
    group: Int64s  # campaign, or a number of the account's own


def rule(
    basis: Basis,
    held: Held,
    challenger: Float64s,
    champion: Float64s | None,
    *,
    budget: float,
    champion_name: str = "no champion yet",
    seed: int = 0,
) -> Ruling:
    """Judges calibrated scores of both models on the rows of ``held``.

    ``champion`` is None where there is none, or none that these rows can be scored with; ``champion_name`` says which.
    """
    if basis.fraud < LEAST_FRAUD or basis.groups < LEAST_GROUPS:
        return _refused(
            f"learned from {basis.fraud} frauds in {basis.groups} campaigns or single cases, and the gate asks for "
            f"{LEAST_FRAUD} in {LEAST_GROUPS}; label more, or promote by hand"
        )
    auc = figures(challenger, held.fraud, held.weight)["roc_auc"]
    if auc is None:
        return _refused("no fraud, or nothing but fraud, among the held-out accounts; label more")
    if auc <= 0.5:
        return _refused(f"it ranks held-out fraud no better than chance (ROC AUC {auc:.3f})")
    if champion is None:
        return Ruling(passes=True, why=f"promoted: {champion_name}; held-out ROC AUC is {auc:.3f}")
    compared = _compare(held, challenger, champion, budget=budget, seed=seed)
    worse = [one for one in compared if one.high < 0]
    if worse:
        said = "; ".join(f"{one.told()} (difference {one.low:+.4f} to {one.high:+.4f})" for one in worse)
        return _refused(f"worse than {champion_name} beyond noise on held-out accounts: {said}", compared)
    said = "; ".join(one.told() for one in compared)
    why = f"promoted: not worse than {champion_name} beyond noise on held-out accounts: {said}"
    return Ruling(passes=True, why=why, compared=compared)


def _refused(why: str, compared: tuple[Compared, ...] = ()) -> Ruling:
    return Ruling(passes=False, why=f"refused: {why}", compared=compared)


def _compare(held: Held, challenger: Float64s, champion: Float64s, *, budget: float, seed: int) -> tuple[Compared, ...]:
    rng = np.random.default_rng([seed, 2])
    _, place = np.unique(held.group, return_inverse=True)
    groups = int(place.max()) + 1
    draws = [np.bincount(rng.integers(0, groups, groups), minlength=groups)[place] for _ in range(RESAMPLES)]
    measures: dict[str, Callable[[Float64s, Float64s], float]] = {
        "recall at the friction budget": lambda score, mass: recall_at(score, held.fraud, mass, budget),
        "average precision": lambda score, mass: figures(score, held.fraud, mass)["average_precision"] or 0.0,
        "calibration error beyond the tolerated, negated": lambda score, mass: min(
            0.0, TOLERATED_CALIBRATION - calibration_error(calibration_table(score, held.fraud, mass))
        ),
    }
    out = []
    for name, measure in measures.items():
        masses = [times * held.weight for times in draws]
        differences = [measure(challenger, mass) - measure(champion, mass) for mass in masses]
        low, high = np.quantile(differences, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
        before, after = measure(champion, held.weight), measure(challenger, held.weight)
        out.append(Compared(name, before, after, float(low), float(high)))
    return tuple(out)
