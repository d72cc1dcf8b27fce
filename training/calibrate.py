"""Calibration on accounts that the booster has not seen: Platt's line, or isotonic regression where fraud is plenty.

Isotonic regression needs no shape but many positives (Niculescu-Mizil and Caruana, ICML 2005: from about a thousand;
below, a line of two parameters is closer). Its steps are joined through their centres (Oron and Flournoy, 2017), so
that the map ascends strictly and ties nothing.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from service.domain.facts import Float64s
from service.model.calibration import Calibration

ENOUGH_FOR_ISOTONIC = 1_000  # fraudulent accounts
SMALLEST_SLOPE = 0.05  # a booster that ranks held-out fraud backwards is not turned round, it is flattened
STEEPEST = 1e-3  # smallest rise between knots, in log-odds


def calibrate(raw: Float64s, fraud: Float64s, weight: Float64s, *, fraud_accounts: int) -> Calibration:
    """The calibration of held-out rows.

    ``fraud`` is each row's chance of being fraud (1 or 0 where labelled), ``weight`` what the row stands for, both of
    shape (n,). ``fraud_accounts`` is the number of labelled ones behind them.
    """
    line = _platt(raw, fraud, weight)
    if fraud_accounts < ENOUGH_FOR_ISOTONIC:
        return line
    return _isotonic(raw, fraud, weight, line)


def _platt(raw: Float64s, fraud: Float64s, weight: Float64s) -> Calibration:
    """Platt 1999, with his smoothed targets, so that a perfect separation does not claim certainty."""
    positives, negatives = float((weight * fraud).sum()), float((weight * (1 - fraud)).sum())
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    target = low + fraud * (high - low)

    def loss(line: Float64s) -> tuple[float, Float64s]:
        z = line[0] * raw + line[1]
        error = weight * (expit(z) - target)
        value = float((weight * (np.logaddexp(0, z) - target * z)).sum())
        return value, np.array([(error * raw).sum(), error.sum()])

    start = np.array([1.0, 0.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(SMALLEST_SLOPE, 20.0), (-30.0, 30.0)])
    return Calibration.line(float(found.x[0]), float(found.x[1]))


def _isotonic(raw: Float64s, fraud: Float64s, weight: Float64s, line: Calibration) -> Calibration:
    order = np.argsort(raw, kind="stable")
    x, y, w = raw[order], fraud[order], weight[order]
    fitted = isotonic_regression(y, weights=np.maximum(w, 1e-9))
    blocks = np.asarray(fitted.blocks)[:-1]
    mass = np.add.reduceat(w, blocks)
    centre = np.add.reduceat(w * x, blocks) / np.maximum(mass, 1e-12)
    rate = (np.add.reduceat(w * y, blocks) + 0.5) / (mass + 1.0)  # a half on each side: no block is certain
    knots_x, knots_y = [float(centre[0])], [float(logit(rate[0]))]
    for at, value in zip(centre[1:].tolist(), logit(rate[1:]).tolist(), strict=True):
        if at > knots_x[-1] + 1e-9:
            knots_x.append(at)
            knots_y.append(max(value, knots_y[-1] + STEEPEST))
    if len(knots_x) < 2:
        return line
    return Calibration("isotonic", tuple(knots_x), tuple(knots_y))
