"""What the accounts say that chance let through, each counted for all those like it that were refused.

An account that the policy refuses shows what it is only where it was let through, which happened with a chance that is
on record (``service/policy/exploration.py``). Weighed by the inverse of that chance, accounts let through stand for all
that would have been refused, and refused ones for nobody, since their labels depend on having been refused: sums are
then unbiased for the accounts as they would be if nobody were (Horvitz and Thompson, JASA 1952). Shares are ratios of
such sums (self-normalised; Hajek 1971), which have far less variance. Intervals are Wilson's (JASA 1927) with Kish's
effective number of accounts (Survey Sampling, 1965), (sum of weights)^2 / sum of squared weights: a few accounts that
count for two hundred each are known to be a few.

Chance draws once for an account, so accounts are what is counted, never answers. Where many accounts are one campaign,
intervals of accounts are too narrow; the share let through is small, so that seldom are two of one campaign among them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float64s, Int64s
from service.policy.policy import Policy
from service.storage.assessments import Chances
from training.dataset import FRAUD, LEGITIMATE, Dataset
from training.evaluate import highest_of
from training.pipeline import Trained

Bools = NDArray[np.bool_]

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a weighed population."""

    value: float | None  # None: there is nobody to tell it from
    low: float  # of an interval of ``LEVEL``; 0 to 1 where there is nobody
    high: float
    effective: float  # number of equally weighed accounts that would tell as much

    def to_json(self) -> dict[str, float | None]:
        """As in reports."""
        return {"value": self.value, "low": self.low, "high": self.high, "effective_accounts": self.effective}


def share(counted: Float64s, weight: Float64s) -> Share:
    """The self-normalised share sum(w y) / sum(w) of ``counted`` (n,) in [0, 1], with its interval."""
    total = float(weight.sum())
    if total <= 0:
        return Share(None, 0.0, 1.0, 0.0)
    value = min(1.0, max(0.0, float(weight @ counted) / total))
    n = total**2 / float(weight @ weight)
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    middle = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    # rounding must not put the ends of an interval inside what they enclose
    return Share(value, min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half)), n)


def inverse_propensity(account: Int64s, chances: Chances) -> Float64s:
    """What each account counts for, shape (n,): 1 where nothing was left to chance, 0 where it was refused."""
    out = np.ones(len(account))
    if len(chances.account):
        place = np.minimum(np.searchsorted(chances.account, account), len(chances.account) - 1)
        left = chances.account[place] == account
        out[left] = np.where(chances.let_through[place[left]], 1.0 / chances.rate[place[left]], 0.0)
    return out


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Accounts of a dataset, shape (n,) each."""

    account: Int64s
    fraud: Bools  # an analyst said so
    legitimate: Bools  # an analyst said so
    held_out: Bools  # nothing was learned from them
    touched: Bools  # a score at any of their probes reaches the policy's mildest threshold
    stands_for: Float64s  # how many accounts each stands for, where some were sampled


def outcomes(dataset: Dataset, made: Trained) -> Outcomes:
    """What became of a dataset's accounts by the model just made; only held-out ones have a score."""
    accounts = dataset.accounts
    row = dataset.row[made.test]
    held_out = np.zeros(len(accounts), bool)
    held_out[row] = True
    challenge = Policy.from_json(made.artefact.manifest.policy).thresholds[0]
    return Outcomes(
        account=accounts.account,
        fraud=accounts.verdict == FRAUD,
        legitimate=accounts.verdict == LEGITIMATE,
        held_out=held_out,
        touched=held_out & (highest_of(made.scores, row, len(accounts)) > challenge),
        stands_for=accounts.stands_for,
    )


def explored(of: Outcomes, chances: Chances) -> dict[str, object]:
    """The report's ``explored``: who was let through, what they turned out to be, and what that does to the figures.

    ``fraud_share`` is of all accounts that would have been refused, told from those let through that have a verdict.
    ``recall`` and ``friction`` are of held-out accounts with a verdict; without them where accounts were refused on the
    held-out side and not one was let through to stand for them.
    """
    here = np.isin(of.account, chances.account)
    weight = inverse_propensity(of.account, chances) * of.stands_for
    known = of.fraud | of.legitimate
    free, refused = here & (weight > 0), here & (weight == 0)
    told = free & known
    tested = of.held_out & known
    blind = bool((refused & of.held_out).any()) and not bool((told & of.held_out).any())
    counted = np.where(tested & (not blind), weight, 0.0)
    touched, fraud = of.touched.astype(np.float64), of.fraud.astype(np.float64)
    return {
        "accounts": int(free.sum()),
        "refused": int(refused.sum()),
        "labelled": int(told.sum()),
        "weight": float(weight[free].sum()),
        "fraud_share": share(fraud[told], weight[told]).to_json(),
        "held_out": {
            "accounts": int((free & of.held_out).sum()),
            "refused": int((refused & of.held_out).sum()),
            "recall": share(touched, counted * fraud).to_json(),
            "friction": share(touched, counted * of.legitimate).to_json(),
        },
        "method": "inverse propensity, self-normalised; Wilson's interval with Kish's effective number of accounts",
    }
