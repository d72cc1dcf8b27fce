"""Rules as data: facts that an analyst would not leave to a model, each with the mildest decision it allows.

A rule reads one feature of the catalogue. The same features serve scoring and training, so a rule means the same on
both sides, and the trainer measures each rule on legitimate accounts before it is let into a policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.enums import Decision
from service.domain.facts import Float32s

_OPERATORS: dict[str, np.ufunc] = {
    ">=": np.greater_equal,
    ">": np.greater,
    "<=": np.less_equal,
    "<": np.less,
    "==": np.equal,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Where ``feature operator value`` holds, the decision is at least ``minimum``. An unknown value never holds."""

    code: str
    feature: str
    operator: str  # one of >= > <= < ==
    value: float
    minimum: Decision
    text: str  # for analysts: why

    def __post_init__(self) -> None:
        """Raises ValueError for an operator that is not one of ours, or a rule that could only allow."""
        if self.operator not in _OPERATORS:
            raise ValueError(f"rule {self.code!r}: operator {self.operator!r} is not one of {' '.join(_OPERATORS)}")
        if self.minimum is Decision.ALLOW:
            raise ValueError(f"rule {self.code!r} would allow what is allowed without it")

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Rule:
        """The inverse of ``to_json``; raises ValueError or KeyError on anything else."""
        return cls(
            code=str(value["code"]),
            feature=str(value["feature"]),
            operator=str(value["operator"]),
            value=float(str(value["value"])),
            minimum=Decision(str(value["minimum"])),
            text=str(value["text"]),
        )

    def to_json(self) -> dict[str, object]:
        """As in the policy."""
        return {
            "code": self.code,
            "feature": self.feature,
            "operator": self.operator,
            "value": self.value,
            "minimum": self.minimum.value,
            "text": self.text,
        }

    def holds(self, matrix: Float32s, features: Sequence[str]) -> NDArray[np.bool_]:
        """For each row, shape (n,); a policy whose feature the matrix lacks holds nowhere."""
        if self.feature not in features:
            return np.zeros(len(matrix), np.bool_)
        place = list(features).index(self.feature)
        return holding([self], matrix[:, place : place + 1])[:, 0]


def holding(rules: Sequence[Rule], columns: Float32s) -> NDArray[np.bool_]:
    """Where each rule holds, shape (n, rules); ``columns`` has in column i what rule i reads."""
    out = np.isfinite(columns)
    values = np.array([rule.value for rule in rules], np.float32)
    for operator in dict.fromkeys(rule.operator for rule in rules):
        of = [place for place, rule in enumerate(rules) if rule.operator == operator]
        out[:, of] &= _OPERATORS[operator](columns[:, of], values[of])
    return out


def _confirmed(kind: str, at_least: int, what: str) -> Rule:
    return Rule(
        code=f"{kind}_of_confirmed_fraud",
        feature=f"{kind}_fraud",
        operator=">=",
        value=float(at_least),
        minimum=Decision.REVIEW,
        text=f"shares its {what} with {at_least} or more accounts confirmed as fraud",
    )


# Private keys only: an address, a domain or a template is everybody's, and is left to the model. Of each ladder the
# trainer takes the first rung that the friction budget bears: an agency's device that one member of a campaign used is
# shared by a hundred honest accounts, a device that three confirmed frauds share hardly ever is.
# None begins at one: a single wrong label on an agency's member, whose card the others share, made people look at 24 of
# 31 honest accounts in a replay; what one word says is left to the model.
RUNGS = (2, 3, 5)
LADDERS: tuple[tuple[Rule, ...], ...] = tuple(
    tuple(_confirmed(kind, at_least, what) for at_least in RUNGS)
    for kind, what in (("card", "card"), ("device", "device"), ("phone", "phone number"), ("mailbox", "mailbox"))
)

# In every policy, whatever model it came with: they rest on the evidence threshold of campaigns, not on a share of
# accounts that a trainer measured. The levels are worked out in ``features/campaign.py``, by which a person who found
# the account legitimate is heard first.
CAMPAIGN_RULES: tuple[Rule, ...] = tuple(
    Rule(code, feature, "==", float(level), minimum, text)
    for code, feature, level, minimum, text in (
        ("campaign_member", "campaign_member_level", 1, Decision.CHALLENGE, "belongs to a detected campaign"),
        (
            "campaign_member_beyond_doubt",
            "campaign_member_level",
            2,
            Decision.THROTTLE,
            "belongs to a campaign beyond doubt: by its evidence (0.99 or more), or because analysts confirmed both",
        ),
        (
            "campaign_member_unreviewed",
            "campaign_member_level",
            3,
            Decision.REVIEW,
            "belongs to a campaign that analysts confirmed, and nobody has judged the account itself yet",
        ),
        (
            "campaign_tie",
            "campaign_tie_level",
            1,
            Decision.CHALLENGE,
            "has a key that hardly anybody but a detected campaign has, and another cue of that campaign",
        ),
        (
            "campaign_tie_strong",
            "campaign_tie_level",
            2,
            Decision.THROTTLE,
            "has many keys of a detected campaign, of several kinds (12 nats or more), or those of a confirmed one",
        ),
        (
            "campaign_tie_confirmed",
            "campaign_tie_level",
            3,
            Decision.REVIEW,
            "has keys of a campaign that analysts confirmed, and nobody has judged the account itself yet",
        ),
    )
)
