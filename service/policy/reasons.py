"""Reasons: contributions of features told as a few named groups, once for analysts and once for customers.

The analysts' text carries the figures; the customers' text accuses nobody and says nothing that would help evade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float32s, Float64s
from service.domain.records import Reason
from service.features import feature as codes
from service.features.feature import Feature
from service.policy.rules import Rule

FIGURES = 3  # of one reason, the features that moved the score most are shown with their values
SMALLEST = 1e-3  # log-odds; a group that moved the score by less is not a reason

_CUSTOMER_GENERAL = "We could not confirm some details of this account automatically."


@dataclass(frozen=True, slots=True)
class ReasonText:
    """How one reason is told."""

    title: str  # for analysts
    customer: str


TEXTS: dict[str, ReasonText] = {
    codes.CONFIRMED_LINK: ReasonText("Linked to accounts that analysts have judged", _CUSTOMER_GENERAL),
    codes.CAMPAIGN_MEMBER: ReasonText("Belongs to a campaign", _CUSTOMER_GENERAL),
    codes.CAMPAIGN_TIE: ReasonText(
        "Tied to a campaign by what it shares", "Some details of this account are also used by other accounts."
    ),
    codes.SHARED_KEY: ReasonText(
        "Shares details with other accounts", "Some details of this account are also used by other accounts."
    ),
    codes.MAIL: ReasonText("Mail address", "We could not fully verify the e-mail address."),
    codes.NAME: ReasonText("Name", "We could not fully verify the name."),
    codes.PHONE: ReasonText("Phone number", "We could not fully verify the phone number."),
    codes.NETWORK: ReasonText("Network", "The connection used could not be fully verified."),
    codes.DEVICE: ReasonText("Device and browser", "The device used could not be fully verified."),
    codes.SIGNUP_FORM: ReasonText("How the signup was made", "Some details of the signup need a check."),
    codes.PAYMENT_TROUBLE: ReasonText(
        "Declines, refunds or chargebacks", "There was a problem with a payment on this account."
    ),
    codes.PAYMENT_INSTRUMENT: ReasonText("What it pays with", "We could not fully verify the payment method."),
    codes.USAGE_VOLUME: ReasonText("Volume of use", "The account's use differs from what its plan expects."),
    codes.USAGE_RHYTHM: ReasonText("Rhythm of use", "The account's use differs from what its plan expects."),
    codes.USAGE_VARIETY: ReasonText("Variety of use", "The account's use differs from what its plan expects."),
    codes.PROMPT_REPETITION: ReasonText("Repeated prompts", "The account's use differs from what its plan expects."),
    codes.ACCOUNT_AGE: ReasonText("Age of the account", "The account is new."),
    codes.CUSTOMER_SIGNAL: ReasonText("Your own signals", _CUSTOMER_GENERAL),
    codes.CUSTOMER_LINK: ReasonText(
        "Your own linking keys", "Some details of this account are also used by other accounts."
    ),
}

RULE_REASON = "policy_rule."  # and the rule's code


def explain(
    features: Sequence[Feature], values: Float32s, contributions: Float64s, rules: Sequence[Rule] = ()
) -> tuple[Reason, ...]:
    """Reasons of one row, the rules that held first, then by how much they moved the score.

    ``values`` has shape (len(features),), ``contributions`` one more (the expectation, which is nobody's reason).
    ``rules`` are those that held; a rule moves the decision, not the score, so its contribution is 0. There is always
    at least one reason: where no group moved the score by ``SMALLEST``, the one that moved it most.
    """
    told = [
        Reason(RULE_REASON + rule.code, f"Rule: the account {rule.text}.", _CUSTOMER_GENERAL, 0.0) for rule in rules
    ]
    groups = _groups(tuple(features))
    sums = {code: float(np.add.reduce(contributions[places])) for code, places in groups.items()}
    ranked = sorted(sums, key=lambda code: (-abs(sums[code]), code))
    kept = [code for code in ranked if abs(sums[code]) >= SMALLEST] or ([] if told else ranked[:1])
    # Python's own numbers from here on: one of numpy's took as long to look at as a feature to compute.
    moved, shown = contributions.tolist(), values.tolist()
    for code in kept:
        text = TEXTS[code]
        figures = _figures(features, shown, moved, groups[code].tolist())
        told.append(Reason(code, f"{text.title}: {figures}.", text.customer, sums[code]))
    return tuple(told)


@lru_cache(maxsize=8)
def _groups(features: tuple[Feature, ...]) -> dict[str, NDArray[np.intp]]:
    """Places of a model's features by the reason that they count for."""
    groups: dict[str, list[int]] = {}
    for i, feature in enumerate(features):
        groups.setdefault(feature.reason, []).append(i)
    return {code: np.array(places, np.intp) for code, places in groups.items()}


def _figures(
    features: Sequence[Feature], values: Sequence[float], contributions: Sequence[float], places: Sequence[int]
) -> str:
    """The group's features that moved the score most, as ``name = value unit (+0.52)``."""
    top = sorted(places, key=lambda i: (-abs(contributions[i]), features[i].name))[:FIGURES]
    moved = [i for i in top if contributions[i] != 0.0] or top[:1]
    return "; ".join(f"{features[i].name} = {_value(features[i], values[i])} ({contributions[i]:+.2f})" for i in moved)


def _value(feature: Feature, value: float) -> str:
    if value != value:  # noqa: PLR0124 - NaN
        return "unknown"
    return f"{value:.4g} {feature.unit}" if feature.unit != "0 or 1" else ("yes" if value else "no")
