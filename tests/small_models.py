"""Small models for tests that need one that decides, and not what it decides by."""

from __future__ import annotations

import math
from pathlib import Path

import lightgbm
import numpy as np

from service.domain.enums import ModelState
from service.domain.records import ModelRecord
from service.features.catalogue import by_name, fingerprint
from service.model.artefact import Manifest, make_artefact, write_artefact
from service.model.calibration import Calibration
from service.policy.policy import Policy
from tests.factories import NOON


def a_model(version: str, names: tuple[str, ...], challenge_above: float, folder: Path) -> ModelRecord:
    """A small model of these features that challenges above a score."""
    rng = np.random.default_rng(len(names))
    rows = rng.integers(0, 30, (400, len(names))).astype(np.float32)
    parameters = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, rows[:, 0] > 15), num_boost_round=10)
    manifest = Manifest(
        version=version,
        created_at="2026-04-01T00:00:00Z",
        origin="trained",
        code_version="0",
        features=names,
        feature_fingerprint=fingerprint(by_name(names)),
        data_fingerprint="0",
        training={},
        lightgbm={},
        calibration=Calibration.identity().to_json(),
        policy=Policy(0.001, (challenge_above, math.inf, math.inf, math.inf)).to_json(),
        metrics={},
        gain={},
    )
    made = make_artefact(manifest, booster.model_to_string())
    write_artefact(made, folder / version)
    return ModelRecord(
        version,
        ModelState.CHALLENGER,
        "trained",
        NOON,
        str(folder / version),
        made.manifest_sha256,
        made.manifest_text,
    )
