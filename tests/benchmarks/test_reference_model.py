"""The model of a given size that servers are compared with."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np

from benchmarks.reference_model import drawn, write_reference
from service.features.catalogue import FEATURES
from service.model.scorer import Scorer
from service.usecases.champion import Serving
from tests.small_models import a_model


def test_a_reference_model_serves_like_any_other_and_has_its_size(tmp_path: Path) -> None:
    names = tuple(feature.name for feature in FEATURES[:12])
    a_model("small", names, 0.5, tmp_path)
    write_reference(tmp_path / "small", tmp_path / "reference", trees=6, leaves=9, rows=2_000)
    scorer = Scorer.load(tmp_path / "reference")
    Serving.load(tmp_path / "reference")  # as a server would: fingerprints and all
    booster = lightgbm.Booster(model_str=scorer.booster_text)
    assert booster.num_trees() == 6
    assert max(tree["num_leaves"] for tree in booster.dump_model()["tree_info"]) == 9
    assert scorer.features == names
    again = tmp_path / "again"
    write_reference(tmp_path / "small", again, trees=6, leaves=9, rows=2_000)
    assert Scorer.load(again).booster_text == scorer.booster_text


def test_rows_are_drawn_finite_and_unknown_as_often_as_asked(tmp_path: Path) -> None:
    names = tuple(feature.name for feature in FEATURES[:12])
    a_model("small", names, 0.5, tmp_path)
    scorer = Scorer.load(tmp_path / "small")
    known, some = drawn(scorer, 500, seed=1, unknown=0.0), drawn(scorer, 500, seed=1, unknown=0.3)
    assert np.isfinite(known).all()
    assert 0.25 < np.isnan(some).mean() < 0.35
    assert len(np.unique(scorer.raw(known).round(6))) > 1  # both sides of the one value that this model splits at
