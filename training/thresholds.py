"""Thresholds from the friction budget: conformal quantiles of what held-out legitimate accounts ever score.

For a share F of legitimate accounts that may be touched and n of them held out, the threshold is the k-th largest of
their highest scores with k = floor(F (n + 1)). If the next account is like them, it exceeds the threshold with
probability k / (n + 1) at most, for any model and any distribution (Vovk, Gammerman, Shafer 2005; Lei and others 2018).
Where k would be 0 there is no such threshold: it is infinite, and its decision is left to rules.

An account counts by its highest score over all its probes, since the budget is about being touched ever; a life has
more moments than probes, and the report says so.

The quantile is that of all held-out accounts that are not labelled fraud, each with its chance of being legitimate
(weighted conformal quantile; Tibshirani and others, NeurIPS 2019). That chance comes from a model, so with it the
guarantee is an estimate. The plain guarantee, of accounts that an analyst called legitimate and with no weights at all,
is reported beside it and does not decide: analysts look at what is suspicious, so these accounts are unlike the others,
and on 100,000 simulated accounts the few frauds pardoned among them took its threshold above every fraud's score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from service.domain.enums import Decision
from service.domain.facts import Float64s
from service.policy.friction import PARTS, conformal_threshold
from service.policy.policy import GRADED


@dataclass(frozen=True, slots=True)
class Threshold:
    """One decision's threshold and what it rests on."""

    decision: Decision
    budget: float  # share of legitimate accounts that may get this or worse
    value: float  # infinite: too few accounts to set it
    by_labelled: float  # by accounts that analysts called legitimate alone; infinite: too few

    def to_json(self) -> dict[str, object]:
        """For reports; infinite is null."""
        numbers = {"value": self.value, "by_labelled": self.by_labelled}
        finite = {name: None if math.isinf(number) else number for name, number in numbers.items()}
        return {"decision": self.decision.value, "budget": self.budget, **finite}


def thresholds(highest: Float64s, legitimate: Float64s, weight: Float64s, *, budget: float) -> tuple[Threshold, ...]:
    """A threshold for each graded decision, not falling with severity.

    ``highest`` is each held-out account's highest calibrated score over its probes (infinite: a rule touched it),
    ``legitimate`` 1 where an analyst said so and 0 where nobody did, ``weight`` the number of legitimate accounts that
    each stands for.
    """
    labelled = legitimate > 0
    ones = np.ones(int(labelled.sum()))
    out: list[Threshold] = []
    for decision in GRADED:
        part = budget * PARTS[decision]
        by_labelled = conformal_threshold(highest[labelled], ones, part)
        by_all = conformal_threshold(highest, weight, part)
        value = max(by_all, out[-1].value) if out else by_all
        out.append(Threshold(decision, part, value, by_labelled))
    return tuple(out)
