"""Reasons: contributions of features told as a few named groups, once for analysts and once for customers.

The analysts' text carries the figures; the customers' text accuses nobody and says nothing that would help evade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


class Reasons:
    """Tells the reasons of a model's answers. Safe to use from many threads."""

    def __init__(self, features: Sequence[Feature]) -> None:
        """``features``: the model's, in the order of its columns."""
        groups: dict[str, list[int]] = {}
        for i, feature in enumerate(features):
            groups.setdefault(feature.reason, []).append(i)
        self._codes = sorted(groups)
        self._columns = [np.array(groups[code], np.intp) for code in self._codes]
        place = {code: i for i, code in enumerate(self._codes)}
        # In order of name: where two of a group moved the score by as much, a stable sort leaves them so.
        self._by_name = np.array(sorted(range(len(features)), key=lambda i: features[i].name), np.intp)
        self._named = [features[i] for i in self._by_name.tolist()]
        self._group = [place[feature.reason] for feature in self._named]

    def __call__(
        self, values: Float32s, contributions: Float64s, rules: Sequence[Sequence[Rule]]
    ) -> list[tuple[Reason, ...]]:
        """Reasons of n rows, each as if it were alone: the rules that held, then by how much they moved the score.

        ``values`` has shape (n, features), ``contributions`` a column more (the expectation, which is nobody's reason).
        ``rules`` are those that held for each row; a rule moves the decision, not the score, so its contribution is 0.
        There is always at least one reason: where no group moved the score by ``SMALLEST``, the one that moved it most.
        """
        sums = np.stack(
            [np.add.reduce(np.ascontiguousarray(contributions[:, columns]), axis=1) for columns in self._columns],
            axis=1,
        )
        named = contributions[:, self._by_name]
        # Python's own numbers from here on: one of numpy's took as long to look at as a feature to compute.
        rows = zip(
            values[:, self._by_name].tolist(),
            named.tolist(),
            np.argsort(-np.abs(named), axis=1, kind="stable").tolist(),
            sums.tolist(),
            rules,
            strict=True,
        )
        return [self._one(*row) for row in rows]

    def _one(
        self, shown: list[float], moved: list[float], order: list[int], sums: list[float], rules: Sequence[Rule]
    ) -> tuple[Reason, ...]:
        told = [
            Reason(RULE_REASON + rule.code, f"Rule: the account {rule.text}.", _CUSTOMER_GENERAL, 0.0) for rule in rules
        ]
        ranked = sorted(range(len(sums)), key=lambda i: -abs(sums[i]))
        kept = [i for i in ranked if abs(sums[i]) >= SMALLEST] or ([] if told else ranked[:1])
        most: list[list[int]] = [[] for _ in sums]
        for i in order:
            best = most[self._group[i]]
            if len(best) < FIGURES and (moved[i] != 0.0 or not best):
                best.append(i)
        for group in kept:
            code = self._codes[group]
            text = TEXTS[code]
            figures = "; ".join([_figure(self._named[i], shown[i], moved[i]) for i in most[group]])
            told.append(Reason(code, f"{text.title}: {figures}.", text.customer, sums[group]))
        return tuple(told)


def _figure(feature: Feature, value: float, moved: float) -> str:
    """One of the features that moved the score most, as ``name = value unit (+0.52)``."""
    if value != value:  # noqa: PLR0124 - NaN
        return f"{feature.name} = unknown ({moved:+.2f})"
    if feature.unit == "0 or 1":
        return f"{feature.name} = {'yes' if value else 'no'} ({moved:+.2f})"
    return f"{feature.name} = {value:.4g} {feature.unit} ({moved:+.2f})"
