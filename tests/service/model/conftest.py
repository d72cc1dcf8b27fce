from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from service.model.artefact import Artefact, Manifest, make_artefact
from service.model.calibration import Calibration

FEATURES = tuple(f"feature_{i}" for i in range(12))


def a_manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "version": "m-test",
        "created_at": "2026-05-01T00:00:00Z",
        "origin": "trained",
        "code_version": "0",
        "features": FEATURES,
        "feature_fingerprint": "feedfacefeedface",
        "data_fingerprint": "0123456789abcdef",
        "training": {"seed": 1},
        "lightgbm": {"version": lightgbm.__version__},
        "calibration": Calibration.line(1.3, -0.2).to_json(),
        "policy": {},
        "metrics": {"roc_auc": 0.9},
        "gain": {},
    }
    return Manifest(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """600 rows with unknowns in every column."""
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(600, len(FEATURES))).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    return matrix


@pytest.fixture(scope="session")
def artefact(rows: np.ndarray) -> Artefact:
    target = (np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1]) * np.nan_to_num(rows[:, 2]) > 0.4).astype(int)
    parameters = {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, target), num_boost_round=120)
    return make_artefact(a_manifest(), booster.model_to_string())
