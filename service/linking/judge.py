"""How likely a group is a campaign: a monotone sum of a few traits, fitted without any customer's label.

The weights are the product's, fitted on groups of simulated worlds (``benchmarks/judge.py`` fits and shows them; signs
are fixed beforehand: more unexplained sharing never lowers a score, more organisation never raises it). Labels of the
installation only calibrate the result: confirmed campaigns are few, and a scorer that was fitted on five learnt their
tactics and missed the sixth whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from service.domain.facts import Float64s
from service.linking.families import FAMILIES
from service.linking.traits import Traits

DETECTED = 0.9  # evidence threshold: from here on a campaign's members are treated as such
SUSPECTED = 0.1  # below, a group is not even shown

# How far verdicts of the installation may bend the shipped judge: standard deviations that they are weighed against.
SLOPE_SPREAD = 0.25
SHIFT_SPREAD = 0.5
SLOPES = (0.5, 2.0)
SHIFTS = (-2.0, 2.0)
LOWERED = 1.0  # log-odds by which verdicts may lower the evidence threshold, at most
DRILLED = 0.4  # of what members send, from which on asking the same things says no more
SURE = 6.0  # log-odds beyond which a score says no more: one verdict against it must not decide alone


@dataclass(frozen=True, slots=True)
class Judge:
    """Weights of the terms, each for one more unit; see ``terms`` for what they are."""

    weights: tuple[float, ...]
    bias: float

    def log_odds(self, traits: Traits) -> Float64s:
        """(groups,) log-odds that each is a campaign."""
        out: Float64s = terms(traits) @ np.array(self.weights) + self.bias
        return out

    def score(self, traits: Traits) -> Float64s:
        """(groups,) probability that each is a campaign."""
        out: Float64s = 1.0 / (1.0 + np.exp(-np.clip(self.log_odds(traits), -40, 40)))
        return out


# Fitted on groups of thirteen simulated worlds of both generators, of 2,000 to 22,000 accounts, two with every named
# honest group, so that campaigns pass as early as may be while honest groups stay below (``benchmarks/judge.py``). What
# one kind of evidence may say is capped, so that no habit decides, and has a floor, since the next campaign may do what
# these did not. The bias is such that the honest group that came nearest, of 13,000 that were looked at, stays half a
# log-odd below DETECTED. Fitted without any one of the worlds, no honest group of five or more in it passed.
SHIPPED = {
    "split_median": 0.8,
    "split_per_life": 0.35,
    "split_list": 0.2,
    "dealt_out": 0.6,
    "network": 0.5,
    "mail": 0.4,
    "payment": 0.35,
    "device": 0.15,
    "custom": 0.2,
    "habit": 0.6,
    "cadence": 0.9,
    "size": 0.1,
    "few": 4.0,
    "even_volume": 1.0,
    "busy": 2.0,
    "organised": 2.5,
    "exercised": 2.3,
    "drilled": 5.0,
}
BIAS = -1.1

TERMS = (
    "split_median",
    "split_per_day",
    "split_per_life",
    "split_share",
    "split_list",
    "dealt_out",
    "network",
    "mail",
    "payment",
    "device",
    "custom",
    "template",
    "habit",
    "cadence",
    "size",
    "few",
    "even_volume",
    "busy",
    "organised",
    "explained_most",
    "exercised",
    "drilled",
)


def terms(traits: Traits) -> Float64s:
    """(groups, TERMS) what the judge weighs; every weight is positive, so what speaks against has a minus here."""
    left = {name: traits.unexplained[:, i] for i, name in enumerate(FAMILIES)}
    most = traits.explained.max(axis=1, initial=0.0)
    return np.stack(
        [
            np.log1p(traits.split_median),
            np.log1p(traits.split_per_day),
            np.log1p(traits.split_per_life),
            traits.split_share,
            np.log1p(traits.split_list),
            _dealt_out(traits),
            left["network"],
            left["mail"],
            left["payment"],
            left["device"],
            left["custom"],
            left["template"],
            left["habit"],
            np.maximum(traits.cadence, 0.0),
            np.log(np.maximum(traits.size, 1)),
            # A dozen people with one collection of prompts look like anything at one of two hundred looks.
            -1.0 / np.sqrt(np.maximum(traits.size, 1)),
            -traits.volume_spread,
            traits.busy,
            -traits.organised,
            -most,
            # Of the specific prompts that members share, those that all were given.
            -traits.exercises / np.maximum(traits.split_mean + traits.exercises, 0.5),
            # Courses and classes ask much the same; of a pipeline's thousands hardly any two members are given one.
            -np.minimum(traits.split_share, DRILLED),
        ],
        axis=1,
    )


def _dealt_out(traits: Traits) -> Float64s:
    """How few members each shared prompt has: a pipeline deals work out, favourites of an organisation go to many."""
    holders = np.maximum(traits.split_mean, 0.1) / np.maximum(traits.split_list, 0.05)
    return -np.log(holders) * np.minimum(traits.split_mean, 1.0)


def shipped() -> Judge:
    """The product's own."""
    return Judge(tuple(SHIPPED.get(name, 0.0) for name in TERMS), BIAS)


def calibrated(judge: Judge, log_odds: Float64s, confirmed: NDArray[np.bool_]) -> Judge:
    """``judge`` with the line through its log-odds that verdicts speak for (Platt 1999), near the one through zero.

    ``log_odds`` of shape (n,) are what campaigns had when analysts judged them, ``confirmed`` what they said. The slope
    stays positive, so no two groups change places; campaigns that were confirmed below the evidence threshold lower it
    by LOWERED at most. No verdicts: the same judge.
    """
    raw = np.clip(log_odds, -SURE, SURE)
    sign = np.where(confirmed, 1.0, -1.0)

    def loss(line: Float64s) -> tuple[float, Float64s]:
        slope, shift = line
        margin = sign * (slope * raw + shift)
        pull = -sign / (1.0 + np.exp(margin))
        value = np.logaddexp(0.0, -margin).sum()
        value += ((slope - 1.0) / SLOPE_SPREAD) ** 2 / 2 + (shift / SHIFT_SPREAD) ** 2 / 2
        step = np.array([pull @ raw + (slope - 1.0) / SLOPE_SPREAD**2, pull.sum() + shift / SHIFT_SPREAD**2])
        return float(value), step

    if not len(raw):
        return judge
    slope, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=(SLOPES, SHIFTS)).x
    threshold = np.log(DETECTED / (1.0 - DETECTED))
    shift = min(shift, threshold - slope * (threshold - LOWERED))
    return Judge(tuple(float(slope * weight) for weight in judge.weights), float(slope * judge.bias + shift))
