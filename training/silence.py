"""What each silent row of a dataset is worth: maturity's formulas, with a pilot that never scores what it learned from.

The pilot tells labelled fraud from everything else. On the train side it is cross-fitted by campaign; on the others it
has learned from the train side alone, so that no test label reaches the training weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.domain.facts import Float64s, Int64s
from training.dataset import FRAUD, LEGITIMATE, Dataset
from training.fit import THREADS, FitRows, fit_booster, folds_of, parameters_of
from training.maturity import Delays, hidden_fraud, labelled_share, verdict_delays
from training.splits import TRAIN, Split

PILOT_LEAVES, PILOT_TREES, PILOT_FOLDS = 7, 60, 3


@dataclass(frozen=True, slots=True)
class Silence:
    """Chances of fraud that labels do not tell, shape (rows,) each."""

    hidden: Float64s  # 1 for labelled fraud, 0 where an analyst said legitimate, else the chance of fraud
    pardoned: Float64s  # chance of fraud where an analyst said legitimate, by how often such a word was overturned
    ever: float  # share of frauds that are ever labelled
    delays: Delays


def campaign_share(group: Int64s, stands_for: Float64s | None = None) -> Float64s:
    """1 / sqrt(size) of each account's group: a campaign of 900 weighs as three of 100, not as nine. Shape (n,).

    An account that stands for several counts as so many in its group's size, and weighs as much as they together.
    """
    _, place = np.unique(group, return_inverse=True)
    mass = np.ones(len(group)) if stands_for is None else stands_for
    out: Float64s = mass / np.sqrt(np.bincount(place, mass)[place]) if len(group) else mass
    return out


def weigh_silence(dataset: Dataset, sides: Split, share: Float64s, seed: int) -> Silence:
    """Weighs silence with a pilot that never scores what it learned from; see ``training/maturity.py``."""
    accounts = dataset.accounts
    fraud = accounts.verdict == FRAUD
    delays = verdict_delays(accounts.created_at[fraud], accounts.learned_at[fraud], dataset.as_of)
    weight = np.where(fraud, share / share[fraud].mean() if fraud.any() else 1.0, accounts.stands_for)
    per_row = (weight / np.bincount(dataset.row, minlength=len(accounts)))[dataset.row]
    rows = FitRows(dataset.matrix, fraud[dataset.row], per_row, accounts.group[dataset.row])
    learned = sides.on(TRAIN)
    fold = np.where(learned, folds_of(accounts.group, PILOT_FOLDS, seed), -1)
    pilot = np.zeros(len(dataset.row))
    parameters = parameters_of(dataset.features, PILOT_LEAVES, seed)
    for out in range(PILOT_FOLDS):
        booster = fit_booster(
            rows.part((learned & (fold != out))[dataset.row]), dataset.features, parameters, PILOT_TREES
        )
        asked = (fold == out)[dataset.row]
        unseen = ~learned[dataset.row]
        for which, part in ((asked, 1.0), (unseen, 1.0 / PILOT_FOLDS)):
            if which.any():
                pilot[which] += part * np.asarray(booster.predict(dataset.matrix[which], num_threads=THREADS))
    known = (fraud & learned)[dataset.row]
    ever = labelled_share(pilot[known])
    age = dataset.as_of - accounts.created_at[dataset.row]
    verdict = accounts.verdict[dataset.row]
    hidden = hidden_fraud(pilot, ever, delays.reported(age))
    suspected = np.minimum(pilot / ever, 1.0)
    wrong = dataset.overturned / max(1, int(fraud.sum()))  # chance that a fraud is called legitimate
    right = float((accounts.verdict == LEGITIMATE).sum() / max(1.0, accounts.stands_for[~fraud].sum()))
    doubt = suspected * wrong / np.maximum(suspected * wrong + (1 - suspected) * right, 1e-12)
    return Silence(
        hidden=np.select([verdict == FRAUD, verdict == LEGITIMATE], [1.0, 0.0], hidden),
        pardoned=np.where(verdict == LEGITIMATE, doubt, 0.0),
        ever=ever,
        delays=delays,
    )


def learning_weight(dataset: Dataset, silence: Silence, share: Float64s, member: Float64s) -> Float64s:
    """Weights of rows: an account's probes share its one weight, a campaign's members share its square root.

    ``member`` is each row's chance of belonging to a detected campaign: a silent member of one is no example of an
    honest account.
    """
    fraud = dataset.accounts.verdict == FRAUD
    mean = float(share[fraud].mean()) if fraud.any() else 1.0
    of_account = np.where(fraud, share / mean, dataset.accounts.stands_for)
    per_row = (of_account / np.bincount(dataset.row, minlength=len(of_account)))[dataset.row]
    out: Float64s = per_row * np.where(
        fraud[dataset.row], 1.0, (1.0 - silence.hidden - silence.pardoned) * (1.0 - member)
    )
    return out
