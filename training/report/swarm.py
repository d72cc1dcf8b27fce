"""What moves scores: exact Shapley contributions (Lundberg and others 2018) of a sample of held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from service.domain.codes import mix64
from service.domain.facts import Float64s, Int64s
from service.features.catalogue import by_name
from service.features.feature import Feature
from service.model.artefact import Artefact
from service.model.scorer import Scorer
from training.dataset import Dataset

ROWS = 500  # a contribution costs up to 10 ms a row
FEATURES = 20


def swarm(artefact: Artefact, dataset: Dataset, test: Int64s, *, seed: int) -> dict[str, Any]:
    """The features with the largest mean contribution over a sample of the rows ``test``, the largest first.

    ``dots`` are one a row: [contribution in log-odds, rank of the feature's value among the rows from 0 to 1]; the rank
    is None where the value is unknown, or where the feature is a category, which has no order.
    """
    scorer = Scorer(artefact)
    place = {feature.name: i for i, feature in enumerate(dataset.features)}
    rows = _sample(dataset, test, seed)
    matrix = np.ascontiguousarray(dataset.matrix[rows][:, [place[name] for name in scorer.features]])
    contributions = scorer.contributions(matrix)[:, :-1]
    mean = np.abs(contributions).mean(axis=0) if len(rows) else np.zeros(len(scorer.features))
    total = sum(artefact.manifest.gain.values()) or 1.0
    features = by_name(scorer.features)
    shown = [i for i in np.argsort(-mean, kind="stable")[:FEATURES].tolist() if mean[i] > 0]
    return {
        "rows": len(rows),
        "fraud": int((dataset.accounts.verdict[dataset.row[rows]] == 1).sum()),
        "features": [
            {
                **_about(features[i]),
                "mean_contribution": float(mean[i]),
                "gain_share": artefact.manifest.gain[features[i].name] / total,
                "dots": _dots(
                    contributions[:, i], matrix[:, i].astype(np.float64), categorical=features[i].categorical
                ),
            }
            for i in shown
        ],
    }


def _sample(dataset: Dataset, test: Int64s, seed: int) -> Int64s:
    """Up to ROWS of ``test``, chosen by a hash of account, age and seed."""
    mixed = mix64(
        dataset.accounts.account[dataset.row[test]] ^ mix64(dataset.age[test] + np.int64(seed)).view(np.int64)
    )
    out: Int64s = np.sort(test[np.argsort(mixed, kind="stable")[:ROWS]])
    return out


def _about(feature: Feature) -> dict[str, Any]:
    return {
        "feature": feature.name,
        "meaning": feature.meaning,
        "unit": feature.unit,
        "categorical": feature.categorical,
    }


def _dots(contribution: Float64s, value: Float64s, *, categorical: bool) -> list[list[float | None]]:
    known = np.isfinite(value)
    rank = np.full(len(value), np.nan)
    if known.any() and not categorical:
        ranks = rankdata(value[known])
        spread = ranks.max() - ranks.min()
        rank[known] = (ranks - ranks.min()) / spread if spread else 0.5
    return [
        [round(moved, 4), None if np.isnan(r) else round(r, 3)]
        for moved, r in zip(contribution.tolist(), rank.tolist(), strict=True)
    ]
