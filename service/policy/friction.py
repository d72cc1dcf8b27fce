"""How a friction budget is parted among decisions, and the plain conformal threshold that keeps one part of it."""

from __future__ import annotations

import math

import numpy as np

from service.domain.enums import Decision
from service.domain.facts import Float64s

# What part of the budget each decision may use: the milder, the more accounts it may touch.
PARTS: dict[Decision, float] = {
    Decision.CHALLENGE: 1.0,
    Decision.THROTTLE: 0.6,
    Decision.REVIEW: 0.4,
    Decision.BLOCK: 0.1,
}


def conformal_threshold(highest: Float64s, weight: Float64s, budget: float) -> float:
    """The smallest of ``highest`` above which at most ``budget`` of weight lies, counting the next account as above.

    Both arrays have shape (n,); weights of 1 give the plain conformal quantile. Infinite where n is too small.
    """
    order = np.argsort(-highest, kind="stable")
    scores, mass = highest[order], weight[order]
    allowed = budget * (float(mass.sum()) + 1.0)
    # strictly above a score lie those before the first of its equals
    above = np.concatenate([[0.0], np.cumsum(mass)[:-1]])
    first = np.searchsorted(-scores, -scores, "left")
    fits = np.flatnonzero(above[first] + 1.0 <= allowed + 1e-9)
    return float(scores[fits[-1]]) if len(fits) else math.inf
