"""A small random slice of doubtful accounts is let through, so that a model can learn about those that it refuses.

Without it the labels of refused accounts are those of people who took a challenge or sat out a review, and a model is
for ever right about accounts that it never let show what they are. Each answer that chance had a say in keeps the
chance with which it was given (its propensity), by which later evaluation weighs it (``training/exploration.py``).

Chance is a keyed hash of the account's number: drawn once per account, not per answer, since a person who was let in at
signup and is challenged six hours later was not let in. With the same salt a replay gives the same answers; without the
salt nobody can tell, or search for, an account that will be let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from service.domain.enums import Decision
from service.domain.facts import Int64s

# What an account let through would have met is a step more to take, or a person who looks. One that is held back
# (throttle) is in already, and one that is kept out (block) is too sure to be let in for the sake of learning.
EXPLORED: frozenset[Decision] = frozenset({Decision.CHALLENGE, Decision.REVIEW})
LEAST_SALT_BYTES = 16
_DRAWS = 1 << 64


@dataclass(frozen=True, slots=True)
class Exploration:
    """Which share is let through, and the secret that says who."""

    rate: float = 0.0  # share of eligible accounts, 0 to below 1; 0: nobody
    salt: bytes = field(default=b"", repr=False)  # one per installation; whoever knows it knows who is let through

    def __post_init__(self) -> None:
        """Raises ValueError for a rate that is no share, or a salt that could be guessed."""
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"the share of accounts to let through is from 0 to below 1, not {self.rate}")
        if self.rate and len(self.salt) < LEAST_SALT_BYTES:
            raise ValueError(f"the salt of exploration has at least {LEAST_SALT_BYTES} bytes")

    def lets_through(self, account: int) -> bool:
        """Whether this account is among those let through where it is eligible; at a higher rate the same and more."""
        digest = blake2b(account.to_bytes(8, "little", signed=True), digest_size=8, key=self.salt[:64]).digest()
        return int.from_bytes(digest, "little") < self.rate * _DRAWS


OFF = Exploration()


@dataclass(frozen=True, slots=True)
class Given:
    """Decisions as given, for ``n`` rows."""

    decision: tuple[Decision, ...]
    explored_from: tuple[Decision | None, ...]  # what it would have been; None: it is what it would have been
    propensity: tuple[float | None, ...]  # chance with which this decision was given; None: chance had no say


def eligible(exploration: Exploration, decided: Sequence[Decision]) -> NDArray[np.bool_]:
    """Whose decision is of a kind that chance may lift, shape (n,)."""
    on = exploration.rate > 0
    return np.array([on and decision in EXPLORED for decision in decided], np.bool_)


def let_through(
    exploration: Exploration, decided: Sequence[Decision], account: Int64s, may: NDArray[np.bool_]
) -> Given:
    """The decisions to give where ``may`` (n,) says for whom chance may have a say; hashes only those."""
    decision = list(decided)
    explored_from: list[Decision | None] = [None] * len(decision)
    propensity: list[float | None] = [None] * len(decision)
    for row in np.flatnonzero(may).tolist():
        if exploration.lets_through(int(account[row])):
            explored_from[row], decision[row] = decision[row], Decision.ALLOW
            propensity[row] = exploration.rate
        else:
            propensity[row] = 1.0 - exploration.rate
    return Given(tuple(decision), tuple(explored_from), tuple(propensity))
