"""From the booster's log-odds to a probability: a strictly increasing, piecewise linear map of log-odds.

One form serves every method of calibration. Platt's line is two knots, isotonic regression one knot a block; straight
lines go on beyond the outer knots. Strictly increasing means that calibration never ties two accounts that the booster
told apart, so ranks, and with them conformal thresholds, survive it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from service.domain.facts import Float64s

LIMIT = 30.0  # log-odds beyond this are cut: a probability of 1 - 1e-13 claims more than any sample can show


@dataclass(frozen=True, slots=True)
class Calibration:
    """Knots (raw log-odds, calibrated log-odds), both strictly increasing; at least two."""

    method: str  # ``identity``, ``platt`` or ``isotonic``
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where the map would not be strictly increasing."""
        for knots in (self.raw, self.calibrated):
            if len(knots) != len(self.raw) or len(knots) < 2:
                raise ValueError("a calibration has two knots or more, and as many on both sides")
            if not all(np.isfinite(knots)) or not all(low < high for low, high in pairwise(knots)):
                raise ValueError("the knots of a calibration ascend strictly")

    @classmethod
    def identity(cls) -> Calibration:
        """The booster's own log-odds, taken at their word."""
        return cls("identity", (-1.0, 1.0), (-1.0, 1.0))

    @classmethod
    def line(cls, slope: float, intercept: float) -> Calibration:
        """Platt's calibration (1999): ``slope * raw + intercept``; ``slope`` is positive."""
        return cls("platt", (-1.0, 1.0), (intercept - slope, intercept + slope))

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Calibration:
        """The inverse of ``to_json``; raises ValueError or TypeError on anything else."""
        raw, calibrated = value.get("raw"), value.get("calibrated")
        if not isinstance(raw, Sequence) or not isinstance(calibrated, Sequence):
            raise TypeError("a calibration has lists named raw and calibrated")
        return cls(str(value.get("method")), tuple(map(float, raw)), tuple(map(float, calibrated)))

    def to_json(self) -> dict[str, object]:
        """As in the manifest."""
        return {"method": self.method, "raw": list(self.raw), "calibrated": list(self.calibrated)}

    def log_odds(self, raw: Float64s) -> Float64s:
        """Calibrated log-odds of raw ones, shape (n,), each from its own element alone."""
        x, y = np.asarray(self.raw), np.asarray(self.calibrated)
        left = np.clip(np.searchsorted(x, raw, "right") - 1, 0, len(x) - 2)
        slope = (y[1:] - y[:-1]) / (x[1:] - x[:-1])
        out: Float64s = np.clip(y[left] + (raw - x[left]) * slope[left], -LIMIT, LIMIT)
        return out

    def probability(self, raw: Float64s) -> Float64s:
        """Calibrated probability in (0, 1), shape (n,)."""
        out: Float64s = 1.0 / (1.0 + np.exp(-self.log_odds(np.asarray(raw, np.float64))))
        return out
