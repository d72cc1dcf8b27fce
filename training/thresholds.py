"""Thresholds from the friction budget: conformal quantiles of what held-out legitimate accounts ever score.

For a share F of legitimate accounts that may be touched and n of them held out, the threshold is the k-th largest of
their highest scores with k = floor(F (n + 1)). If the next account is like them, it exceeds the threshold with
probability k / (n + 1) at most, for any model and any distribution (Vovk, Gammerman, Shafer 2005; Lei and others 2018).
Where k would be 0 there is no such threshold: it is infinite, and its decision is left to rules.

An account counts by its highest score over all its probes, since the budget is about being touched ever. Two limits are
said in the report: a life has more moments than probes, and the guarantee is about accounts like those that analysts
called legitimate. Unlabelled accounts are added as legitimate with the weight that maturity leaves them (weighted
conformal quantile; Tibshirani and others, NeurIPS 2019); that weight comes from a model, so with them the guarantee is
an estimate. The higher of the two thresholds, with and without them, is taken where both exist.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from service.domain.enums import Decision
from service.domain.facts import Float64s
from service.policy.policy import GRADED

# What part of the budget each decision may use: the milder, the more accounts it may touch.
PARTS: dict[Decision, float] = {
    Decision.CHALLENGE: 1.0,
    Decision.THROTTLE: 0.6,
    Decision.REVIEW: 0.4,
    Decision.BLOCK: 0.1,
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One decision's threshold and what it rests on."""

    decision: Decision
    budget: float  # share of legitimate accounts that may get this or worse
    value: float  # infinite: too few accounts to set it
    by_labelled: float  # from accounts that analysts called legitimate; infinite: too few
    by_all: float  # unlabelled ones added by weight; infinite: too few

    def to_json(self) -> dict[str, object]:
        """For reports; infinite is null."""
        numbers = {"value": self.value, "by_labelled": self.by_labelled, "by_all": self.by_all}
        finite = {name: None if math.isinf(number) else number for name, number in numbers.items()}
        return {"decision": self.decision.value, "budget": self.budget, **finite}


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


def thresholds(highest: Float64s, legitimate: Float64s, weight: Float64s, *, budget: float) -> tuple[Threshold, ...]:
    """A threshold for each graded decision, not falling with severity.

    ``highest`` is each held-out account's highest calibrated score over its probes (infinite: a rule touched it),
    ``legitimate`` 1 where an analyst said so and 0 where nobody did, ``weight`` what an unlabelled one counts.
    """
    labelled = legitimate > 0
    ones = np.ones(int(labelled.sum()))
    out: list[Threshold] = []
    for decision in GRADED:
        part = budget * PARTS[decision]
        by_labelled = conformal_threshold(highest[labelled], ones, part)
        by_all = conformal_threshold(highest, np.where(labelled, 1.0, weight), part)
        finite = [value for value in (by_labelled, by_all) if not math.isinf(value)]
        value = max(finite, default=math.inf)
        if out:
            value = max(value, out[-1].value)
        out.append(Threshold(decision, part, value, by_labelled, by_all))
    return tuple(out)
