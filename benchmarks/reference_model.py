"""A model of a given size over the starter model's features, for measuring what a size costs; it knows no fraud.

Rows are drawn around the values that the starter model splits at, so that they are spread as its own are, and are
labelled by its log-odds with noise: every tree finds something to split. All else (calibration, policy, features) is
the starter model's, and the artefact is an ordinary one: ``GATEHOUSE_STARTER_MODEL`` can name it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from benchmarks.measured import progress
from service.domain.facts import Float32s
from service.model.artefact import make_artefact, read_artefact, write_artefact
from service.model.scorer import Scorer
from service.settings import Settings
from training.starter import train_starter

TREES, LEAVES = 500, 63  # the size that the project's goals speak of
ROWS = 20_000
UNKNOWN = 0.15  # share of values that are unknown
FAR = 1e30  # LightGBM writes a split between known and unknown as a threshold beyond this


def write_reference(starter: Path, out: Path, *, trees: int = TREES, leaves: int = LEAVES, rows: int = ROWS) -> None:
    """Writes the artefact; the same bytes for the same starter model."""
    artefact = read_artefact(starter)
    known = Scorer(artefact)
    matrix = drawn(known, rows, seed=5)
    rng = np.random.default_rng(6)
    raw = known.raw(matrix)
    label = raw - np.median(raw) + rng.logistic(0.0, 1.0, rows) > 0
    parameters = {
        "objective": "binary",
        "num_leaves": leaves,
        "min_data_in_leaf": 10,
        "learning_rate": 0.05,
        "feature_fraction": 0.5,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        "seed": 7,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, label), trees)
    manifest = replace(
        artefact.manifest,
        version=f"reference-{trees}x{leaves}",
        training={},
        lightgbm={"parameters": parameters, "trees": trees, "version": lightgbm.__version__},
        metrics={},
        gain=dict.fromkeys(artefact.manifest.features, 0.0),
        reference={},
    )
    write_artefact(make_artefact(manifest, booster.model_to_string()), out)


def starter_model(home: Path) -> Path:
    """The artefact of the starter model: the configured one, or a new one."""
    configured = Settings().starter_model
    if configured is None and not (home / "starter").exists():
        progress("training a starter model")
        train_starter(home / "starter")
    return configured or home / "starter"


def drawn(model: Scorer, rows: int, *, seed: int, unknown: float = UNKNOWN) -> Float32s:
    """Rows for a model, shape (rows, features): values about its own splits, some unknown (NaN)."""
    booster = lightgbm.Booster(model_str=model.booster_text)
    splits: dict[int, list[float]] = {}
    for tree in booster.dump_model()["tree_info"]:
        for feature, values in _splits(tree["tree_structure"]):
            splits.setdefault(feature, []).extend(values)
    rng = np.random.default_rng(seed)
    out = np.zeros((rows, len(model.features)), np.float32)
    for feature in range(out.shape[1]):
        known = np.array([value for value in splits.get(feature, ()) if value < FAR] or [0.0, 1.0])
        step = max(1.0, float(np.ptp(known))) / 4
        out[:, feature] = np.abs(np.round(rng.choice(known, rows) + rng.normal(0.0, step, rows), 3))
    out[rng.random(out.shape) < unknown] = np.nan
    return out


def _splits(node: Mapping[str, Any]) -> Iterator[tuple[int, list[float]]]:
    if "split_feature" in node:
        # a split of categories is written "3||7||12"
        yield int(node["split_feature"]), [float(value) for value in str(node["threshold"]).split("||")]
        yield from _splits(node["left_child"])
        yield from _splits(node["right_child"])
