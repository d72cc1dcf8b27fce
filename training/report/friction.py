"""Recall against friction: what share of frauds is found, by what share of legitimate accounts is ever touched.

Accounts count by their highest score over all probes, since the friction budget is about being touched ever. A silent
account counts as legitimate by its chance of being so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from service.domain.facts import Float64s, Int64s
from training.dataset import FRAUD, Dataset
from training.evaluate import highest_of

POINTS_PER_DECADE = 40


def friction_curve(dataset: Dataset, test: Int64s, fraud: Float64s, scores: Float64s) -> dict[str, Any]:
    """The curve of the accounts that the rows ``test`` are of; ``fraud`` is each row's chance of being fraud.

    ``points`` are [friction, recall, threshold] with both rising, thinned where they are dense; ``legitimate`` is the
    number of legitimate accounts that friction is a share of, so 1 / ``legitimate`` is the least that can be measured.
    """
    accounts, of = dataset.accounts, dataset.row[test]
    held = np.unique(of)
    latest = np.zeros(len(accounts), np.int64)
    latest[of] = np.arange(len(test))  # rows are in order of time within an account
    known = accounts.verdict[held] == FRAUD
    innocent = np.where(known, 0.0, accounts.stands_for[held] * (1.0 - fraud[latest[held]]))
    frauds, legitimate = int(known.sum()), float(innocent.sum())
    about = {"frauds": frauds, "legitimate": legitimate}
    if not frauds or legitimate <= 0:
        return {**about, "points": []}
    highest = highest_of(scores, of, len(accounts))[held]
    order = np.argsort(-highest, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(highest[order]) != 0, True))
    touched = np.cumsum(innocent[order])[ends] / legitimate
    found = np.cumsum(known[order])[ends] / frauds
    kept = _thinned(touched, 0.5 / legitimate)
    points = zip(touched[kept].tolist(), found[kept].tolist(), highest[order][ends][kept].tolist(), strict=True)
    return {**about, "points": [list(point) for point in points]}


def _thinned(touched: Float64s, least: float) -> Int64s:
    """Places of the last point of each small step of friction on a logarithmic axis from ``least`` on."""
    step = np.floor(np.log10(np.maximum(touched, least)) * POINTS_PER_DECADE)
    out: Int64s = np.flatnonzero(np.append(np.diff(step) != 0, True))
    return out
