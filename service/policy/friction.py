"""How much of a population a policy may touch: one threshold, and a guard for models that meet people they do not know.

Thresholds that a model brings along were set on the accounts that it was trained with. On a foreign population (the
starter model's first weeks, the first steps of a backtest without labels) they promise nothing. The guard needs no
label and no likeness: whatever the model, no more than the friction budget's share of ALL accounts may lie above.
Honest accounts that are touched are among the accounts that are touched, so their share is bounded too, as long as
fraud is not most of the population. The price is that the budget is then spent on fraud as well: it finds little, and
touches few.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from service.domain.enums import Decision
from service.domain.facts import Float64s, Int64s
from service.policy.policy import GRADED, SEVERITY, Policy

# What part of the budget each decision may use: the milder, the more accounts it may touch.
PARTS: dict[Decision, float] = {
    Decision.CHALLENGE: 1.0,
    Decision.THROTTLE: 0.6,
    Decision.REVIEW: 0.4,
    Decision.BLOCK: 0.1,
}
MOST_FRAUD = 0.1  # of a population that nobody has labelled: a larger share of fraud than ever seen beside honest users


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


def population_threshold(
    highest: Float64s, budget: float, *, legitimate: Float64s | None = None, most_fraud: float = MOST_FRAUD
) -> float:
    """The smallest threshold that keeps the friction budget whoever among these accounts is honest.

    ``highest`` (n,) is each account's highest score so far, over every account that has signed up, labelled or not;
    infinite for one that has been touched already, since that cannot be undone. ``legitimate`` (n,) is an upper bound
    of each account's chance of being legitimate: 1 for unlabelled ones (the default for all), 0 where a fraud label
    stands, 1 minus its membership for a member of a detected campaign. ``most_fraud`` is the largest share of fraud
    assumed among what ``legitimate`` counts.

    Guaranteed, without assumptions about model or scores: of the accounts given, those above the threshold carry at
    most budget * (1 - most_fraud) of all weight, so honest ones above it are at most ``budget`` of the honest, if
    fraud is at most ``most_fraud`` (at most budget * (1 - most_fraud) / (1 - fraud) else). Counted is also the next
    account as above, so that it holds on average for one more account if that is exchangeable with these. Applied
    anew at each look, with the look's own scores in ``highest`` and touched accounts infinite, it holds over the whole
    life of the population; what single signups between two looks use too much, the next look saves again.

    Infinite with fewer than about 1 / budget accounts, and once the budget is used up.
    """
    weight = np.ones(len(highest)) if legitimate is None else legitimate
    return conformal_threshold(highest, weight, budget * (1.0 - most_fraud))


def guarded(
    policy: Policy,
    highest: Float64s,
    worst: Int64s,
    *,
    legitimate: Float64s | None = None,
    most_fraud: float = MOST_FRAUD,
) -> Policy:
    """``policy`` with no threshold below what ``population_threshold`` allows at that decision's part of the budget.

    ``worst`` (n,) is the worst decision that each account ever got, by score or rule, as a place in ``LEVELS`` (0:
    nothing but allow). Members of a campaign whom its rules touched use the budget up unless ``legitimate`` says that
    they are fraud. Thresholds only rise, so a policy with better knowledge of the population stays as it is.
    """
    values: list[float] = []
    for decision, before in zip(GRADED, policy.thresholds, strict=True):
        reached = np.where(worst >= SEVERITY[decision], np.inf, highest)
        allowed = population_threshold(
            reached, policy.friction_budget * PARTS[decision], legitimate=legitimate, most_fraud=most_fraud
        )
        values.append(max(before, allowed, *values))
    return replace(policy, thresholds=tuple(values))
