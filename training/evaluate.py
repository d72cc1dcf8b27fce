"""How good scores are on rows that nothing was learned from, with every figure's definition in one place.

Rows are probes; each has the chance that it is fraud (1 or 0 where labelled) and a weight. Recall at a false-alarm rate
counts scores strictly above the lowest threshold that keeps the rate. A figure that is too good is named, since a leak
is likelier than perfection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float64s, Int64s

FALSE_ALARMS = (0.01, 0.005, 0.001)
TOO_GOOD = 0.99
BINS = 10

Figures = dict[str, float | None]  # None: cannot be told, for lack of fraud or of legitimate rows


def figures(score: Float64s, fraud: Float64s, weight: Float64s) -> Figures:
    """ROC AUC, average precision, recall at each of ``FALSE_ALARMS``, Brier score, log loss and counts."""
    positive, negative = weight * fraud, weight * (1.0 - fraud)
    total = float(weight.sum())
    out: Figures = {"fraud": float(positive.sum()), "legitimate": float(negative.sum())}
    if positive.sum() <= 0 or negative.sum() <= 0:
        names = ("roc_auc", "average_precision", *(_recall_name(rate) for rate in FALSE_ALARMS))
        return {**out, **dict.fromkeys((*names, "brier", "log_loss"))}
    curve = _curve(score, positive, negative)
    found, alarms = curve.found, curve.alarms
    out["roc_auc"] = float(np.sum(np.diff(alarms, prepend=0.0) * (found + np.append(0.0, found[:-1])) / 2))
    precision = found * positive.sum() / np.maximum(found * positive.sum() + alarms * negative.sum(), 1e-12)
    out["average_precision"] = float(np.sum(np.diff(found, prepend=0.0) * precision))
    for rate in FALSE_ALARMS:
        out[_recall_name(rate)] = curve.recall(rate)
    sure = np.clip(score, 1e-12, 1 - 1e-12)
    out["brier"] = float((positive * (1 - score) ** 2 + negative * score**2).sum() / total)
    out["log_loss"] = float(-(positive * np.log(sure) + negative * np.log1p(-sure)).sum() / total)
    return out


@dataclass(frozen=True, slots=True)
class _Curve:
    """Shares of fraud found and of legitimate alarmed above each distinct score, the highest first."""

    found: Float64s
    alarms: Float64s

    def recall(self, rate: float) -> float:
        within = int(np.searchsorted(self.alarms, rate + 1e-12, "right"))
        return float(self.found[within - 1]) if within else 0.0


def _curve(score: Float64s, positive: Float64s, negative: Float64s) -> _Curve:
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # the last of each run of equal scores
    found = np.cumsum(positive[order])[ends] / positive.sum()
    return _Curve(found, np.cumsum(negative[order])[ends] / negative.sum())


def recall_at(score: Float64s, fraud: Float64s, weight: Float64s, rate: float) -> float:
    """The share of fraud above the lowest score that keeps the rate of false alarms; 0 where that cannot be told."""
    positive, negative = weight * fraud, weight * (1.0 - fraud)
    if positive.sum() <= 0 or negative.sum() <= 0:
        return 0.0
    return _curve(score, positive, negative).recall(rate)


def _recall_name(rate: float) -> str:
    return f"recall_at_fpr_{rate:g}"


def calibration_table(score: Float64s, fraud: Float64s, weight: Float64s) -> list[dict[str, float]]:
    """Mean score beside observed share of fraud in ``BINS`` groups of equal weight, the lowest scores first."""
    order = np.argsort(score, kind="stable")
    running = np.cumsum(weight[order])
    place = (
        np.minimum((running - weight[order] / 2) / running[-1] * BINS, BINS - 1).astype(np.int64) if len(order) else []
    )
    table = []
    for group in range(BINS):
        rows = order[np.asarray(place) == group] if len(order) else order
        mass = float(weight[rows].sum())
        if mass > 0:
            table.append(
                {
                    "rows": float(len(rows)),
                    "weight": mass,
                    "mean_score": float((weight[rows] * score[rows]).sum() / mass),
                    "fraud_share": float((weight[rows] * fraud[rows]).sum() / mass),
                }
            )
    return table


def calibration_error(table: Sequence[dict[str, float]]) -> float:
    """Mean distance of score and observed share over the groups, by weight (expected calibration error)."""
    mass = sum(row["weight"] for row in table)
    if mass == 0:
        return 0.0
    return sum(row["weight"] * abs(row["mean_score"] - row["fraud_share"]) for row in table) / mass


def by_age(
    score: Float64s, fraud: Float64s, weight: Float64s, age: Int64s, names: dict[int, str]
) -> dict[str, Figures]:
    """``figures`` of the rows of each probe age (microseconds after signup)."""
    return {name: figures(score[age == of], fraud[age == of], weight[age == of]) for of, name in names.items()}


def by_campaign(highest: Float64s, campaign: Sequence[str | None], threshold: float) -> dict[str, dict[str, float]]:
    """Of each campaign's labelled members: how many, and which share ever scored above ``threshold``."""
    of = np.asarray([name or "" for name in campaign])
    out = {}
    for name in sorted(set(of.tolist()) - {""}):
        members = of == name
        out[name] = {"members": float(members.sum()), "recall": float((highest[members] > threshold).mean())}
    return out


def highest_of(score: Float64s, account: NDArray[np.int64], accounts: int) -> Float64s:
    """Each account's highest score; ``account`` numbers the accounts of the rows from 0. One without rows has 0."""
    out = np.zeros(accounts)
    np.maximum.at(out, account, score)
    return out


def too_good(of: Figures) -> list[str]:
    """The figures above ``TOO_GOOD``, as sentences for the report."""
    ranks = ("roc_auc", "average_precision", *(_recall_name(rate) for rate in FALSE_ALARMS))
    return [
        f"{name} is {value:.4f}: too good to be true, look for a leak"
        for name in ranks
        if (value := of.get(name)) is not None and value > TOO_GOOD
    ]
