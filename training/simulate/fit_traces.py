"""Fit the shapes of real traffic into ``traces.json``: ``python -m training.simulate.fit_traces DATA_FOLDER OUT``.

DATA_FOLDER holds ``azure_llm/requests.parquet`` (at, input_tokens, output_tokens, workload: 28,185 real requests of
one hour; Patel et al., "Splitwise", ISCA 2024, CC-BY 4.0) and ``servegen/client_rates.parquet`` (client, second,
rate, cv: 151 real clients, every 10 minutes for 14 days; ServeGen, 2025, Apache-2.0). Tokens become quantile tables,
one per workload and direction, because no log-normal mixture of three parts kept the trace's sharp steps at common
prompt lengths. Clients that were active in at least a fifth of all slots give the shape of a day and how much it
differs between clients.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

LEVELS = np.concatenate([[0.0, 0.005], np.linspace(0.02, 0.98, 33), [0.995, 1.0]])
SLOTS = 14 * 144  # ten-minute slots in the 14 days
Floats = NDArray[np.float64]


def quantiles(values: Floats, digits: int = 4) -> list[float]:
    """The values at LEVELS, rounded."""
    return [round(float(v), digits) for v in np.quantile(values, LEVELS)]


def fit_tokens(path: Path) -> dict[str, dict[str, list[float]]]:
    """Quantile tables of input and output tokens (counts) by workload."""
    table = pq.read_table(path, columns=["input_tokens", "output_tokens", "workload"])
    workload = np.asarray(table["workload"].to_pylist())
    fitted: dict[str, dict[str, list[float]]] = {}
    for name in ("code", "conv"):
        mask = workload == name
        fitted[name] = {side: quantiles(table[f"{side}_tokens"].to_numpy()[mask], 1) for side in ("input", "output")}
    return fitted


def fit_clients(path: Path) -> dict[str, list[float]]:
    """Hourly profile of a day (mean 1), and quantiles over clients of hour spread, day spread and burstiness."""
    table = pq.read_table(path)
    names, client = np.unique(np.asarray(table["client"].to_pylist()), return_inverse=True)
    slot = table["second"].to_numpy() // 600
    inside = slot < SLOTS
    rate = np.zeros((len(names), SLOTS))
    rate[client[inside], slot[inside]] = table["rate"].to_numpy()[inside]
    cv = table["cv"].to_numpy()[table["rate"].to_numpy() > 0]
    steady = rate[(rate > 0).mean(axis=1) > 0.2]
    hours = steady.reshape(len(steady), 14, 24, 6).mean(axis=(1, 3))
    hours /= hours.mean(axis=1, keepdims=True)
    days = steady.reshape(len(steady), 14, 144).sum(axis=2)
    shape = hours.mean(axis=0)
    smooth = (np.roll(shape, 1) + 2 * shape + np.roll(shape, -1)) / 4
    return {
        "hour_profile": [round(float(v), 4) for v in smooth / smooth.mean()],
        "hour_spread": quantiles(hours.std(axis=1)),
        "day_spread": quantiles(days.std(axis=1) / days.mean(axis=1)),
        "burstiness": quantiles(cv[cv > 0]),
    }


def main(data: Path, out: Path) -> None:
    """Fit both traces and write the parameters."""
    fitted = {
        "source": [
            "Patel et al., Splitwise: Efficient Generative LLM Inference Using Phase Splitting, ISCA 2024 (CC-BY 4.0)",
            "ServeGen: Workload Characterization and Generation of Large Language Model Serving, 2025 (Apache-2.0)",
        ],
        "levels": [round(float(v), 6) for v in LEVELS],
        "tokens": fit_tokens(data / "azure_llm" / "requests.parquet"),
        "clients": fit_clients(data / "servegen" / "client_rates.parquet"),
    }
    out.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
