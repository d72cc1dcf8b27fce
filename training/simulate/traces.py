"""Shapes of real traffic, fitted once by ``fit_traces`` and read from ``traces.json``.

Sources: Patel et al., "Splitwise", ISCA 2024 (the Azure LLM inference trace, CC-BY 4.0) for token lengths; ServeGen,
2025 (Apache-2.0) for how a client's requests spread over hours and days and how bursty they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from training.simulate.rng import Floats


@dataclass(frozen=True, slots=True)
class Traces:
    """Quantile tables (values at ``levels``) and the mean day; all float64 arrays.

    ``tokens`` is (2 workloads: conversation, code) x (2 sides: input, output) x levels, in tokens. ``hour_profile``
    has 24 values of mean 1, local time. ``hour_spread``, ``day_spread`` and ``burstiness`` are coefficients of
    variation.
    """

    levels: Floats
    tokens: Floats
    hour_profile: Floats
    hour_spread: Floats
    day_spread: Floats
    burstiness: Floats


@cache
def traces() -> Traces:
    """The fitted parameters."""
    raw = json.loads(resources.files("training.simulate").joinpath("traces.json").read_text(encoding="utf-8"))
    sides = [[raw["tokens"][work][side] for side in ("input", "output")] for work in ("conv", "code")]
    clients = {name: np.array(values, dtype=np.float64) for name, values in raw["clients"].items()}
    return Traces(levels=np.array(raw["levels"]), tokens=np.array(sides, dtype=np.float64), **clients)


def from_quantiles(table: Floats, u: Floats) -> Floats:
    """Values whose probability is ``u`` (0 to 1, any shape), by linear interpolation in a quantile table."""
    return np.interp(u, traces().levels, table)


def hour_table(steepness: float) -> Floats:
    """Cumulative shares at the 25 hour edges of a local day; ``steepness`` 0 is flat, 1 the mean client."""
    weights = traces().hour_profile ** steepness
    edges: Floats = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
    return edges
