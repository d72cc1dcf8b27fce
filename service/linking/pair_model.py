"""The learned pair model: how likely two accounts are of one campaign, by the families of keys that tie them.

Without one a pair is tied by the sum of its nats. Confirmed campaigns teach which families tie campaigns here, and
refuted ones which tie honest people. Every column has its sign fixed beforehand, as the judge's terms have: more
sharing, nearer signups, one country and youth never lower a pair, so a model can weigh, and cannot invert, what is
known before any label. It sees families and never keys: no campaign's own cards or prompts can be learnt by heart.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import numpy as np

from service.domain.facts import Float32s, Float64s
from service.domain.time import DAY, HOUR
from service.linking import families
from service.linking.accounts import Accounts
from service.linking.families import FAMILIES
from service.linking.pairs import FAMILY_PAIR_CAP, KEYS_PER_ACCOUNT, SLACK, Ties

NEW = 7 * DAY  # since signup
# Nats that labels may take from a pair's sum at most. Learned on one family of tactics, a model that could take all
# tied 50 % of the pairs of another family's campaigns where the sum tied 79 %; with two nats it ties 73 %, and of
# campaigns like those that it learned from 50 % instead of 41 %.
SPARED = 2.0
_PRESENT = 0.5  # nats, from which a family counts as one of those that tie a pair
_AT_ONCE = 200_000  # pairs, 12 MB

COLUMNS = (*FAMILIES, "nats", "families", "log_hours_apart", "same_country", "both_new")
SIGNS = (*(1 for _ in FAMILIES), 1, 1, -1, 1, 1)  # how the answer may move with each column


class Booster(Protocol):
    """What is needed of LightGBM, which this room need not load."""

    def predict(self, data: Float32s, *, raw_score: bool, num_threads: int) -> Any:
        """Log-odds of each row, shape (rows,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PairModel:
    """A booster over ``COLUMNS``. Not for several threads at once: LightGBM writes into a booster while it predicts."""

    booster: Booster
    tied_at: float = 0.0  # log-odds from which a pair is tied; see ``strength``
    version: str = ""

    def log_odds(self, tied: Ties, accounts: Accounts) -> Float64s:
        """(p,) log-odds that each pair is of one campaign. The same pair has the same, whatever stands beside it."""
        out = np.empty(len(tied.left))
        for low in range(0, len(out), _AT_ONCE):
            some = slice(low, low + _AT_ONCE)
            rows = columns(Ties(tied.left[some], tied.right[some], tied.families[some]), accounts)
            out[some] = self.booster.predict(rows, raw_score=True, num_threads=1)
        return out

    def probability(self, tied: Ties, accounts: Accounts) -> Float64s:
        """(p,) probability that each pair is of one campaign, among pairs weighed as those that it learned from."""
        out: Float64s = 1.0 / (1.0 + np.exp(-self.log_odds(tied, accounts)))
        return out

    def strength(self, tied: Ties, accounts: Accounts, threshold: float) -> Float64s:
        """(p,) nats, to be held against ``threshold`` as the sum of surprise is.

        Log-odds and nats are one unit, so only the zero moves: ``tied_at``, which becomes ``threshold``, is where, with
        SPARED regarded, no larger a share of unrelated pairs is tied than the sum ties at the threshold (found in
        training, on campaigns that the model had not seen). So as few strangers are tied as before, and which pairs are
        is what was learned. What the sum ties by more than SPARED stays tied: the next campaign is not those confirmed.
        """
        learned = self.log_odds(tied, accounts) - self.tied_at + threshold
        out: Float64s = np.maximum(learned, tied.strength - SPARED)
        return out


def columns(tied: Ties, accounts: Accounts) -> Float32s:
    """(p, COLUMNS) what is known of each pair."""
    out = np.empty((len(tied.left), len(COLUMNS)), np.float32)
    width = len(FAMILIES)
    out[:, :width] = tied.families
    out[:, width] = tied.strength
    out[:, width + 1] = (tied.families >= _PRESENT).sum(axis=1)
    one, other = accounts.created[tied.left], accounts.created[tied.right]
    out[:, width + 2] = np.log1p(np.abs(one - other) / HOUR)
    home = accounts.country[tied.left]
    out[:, width + 3] = (home == accounts.country[tied.right]) & (home != 0)
    out[:, width + 4] = np.minimum(one, other) > accounts.as_of - NEW
    return out


def fingerprint() -> str:
    """What a model must have been made for: columns and their signs, and what makes up a family's nats."""
    said = (families.fingerprint(), COLUMNS, SIGNS, NEW, SPARED, _PRESENT, FAMILY_PAIR_CAP, KEYS_PER_ACCOUNT, SLACK)
    return sha256(repr(said).encode()).hexdigest()[:16]
