from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import ArtefactProblem
from service.model.artefact import Artefact, make_artefact, write_artefact
from service.model.calibration import Calibration
from service.model.scorer import MANY, Scorer
from service.model.slices import Slices


@pytest.fixture(scope="module")
def scorer(artefact: Artefact) -> Scorer:
    return Scorer(artefact)


def test_scores_are_probabilities(scorer: Scorer, rows: np.ndarray) -> None:
    scores = scorer.score(rows)
    assert scores.dtype == np.float64
    assert scores.shape == (600,)
    assert ((scores > 0) & (scores < 1)).all()
    assert scores.std() > 0.1


def test_a_batch_gives_bit_for_bit_the_answers_of_its_rows_alone(scorer: Scorer, rows: np.ndarray) -> None:
    alone = np.concatenate([scorer.score(rows[i : i + 1]) for i in range(len(rows))])
    assert scorer.score(rows).tobytes() == alone.tobytes()


@given(st.lists(st.integers(0, 599), min_size=1, max_size=70))
@settings(max_examples=40, deadline=None)
def test_any_selection_of_rows_in_any_order_gets_the_same_answers(
    scorer: Scorer, rows: np.ndarray, chosen: list[int]
) -> None:
    assert scorer.score(rows[chosen]).tobytes() == scorer.score(rows)[chosen].tobytes()


@pytest.mark.parametrize("zero_as_missing", [False, True])
def test_many_rows_through_slices_of_a_large_model_get_the_booster_s_own_answers(
    artefact: Artefact, *, zero_as_missing: bool
) -> None:
    rng = np.random.default_rng(3)
    width = len(artefact.manifest.features)
    rows = rng.normal(size=(MANY + 300, width)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[rng.random(rows.shape) < 0.4] = 0.0
    for odd in (-0.0, 1e-35, -1e-35, 1.5e-35, -1.5e-35, 1e-40, np.inf, -np.inf):  # on both sides of what counts as zero
        rows[rng.random(rows.shape) < 0.02] = odd
    label = rng.random(len(rows)) < 1 / (1 + np.exp(-np.clip(np.nan_to_num(rows), -3, 3).sum(axis=1)))
    parameters = {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 3, "verbosity": -1, "num_threads": 1}
    data = lightgbm.Dataset(rows, label, params={"zero_as_missing": zero_as_missing})
    booster = lightgbm.train(parameters | {"zero_as_missing": zero_as_missing}, data, 200)
    large = Scorer(make_artefact(artefact.manifest, booster.model_to_string()))
    assert len(Slices(booster.model_to_string())) > 3
    raw = large.raw(rows)
    assert raw.tobytes() == booster.predict(rows, raw_score=True, num_threads=1).tobytes()
    assert raw[:5].tobytes() == large.raw(rows[:5]).tobytes()


def test_a_booster_that_averages_its_trees_is_not_summed_in_slices(artefact: Artefact) -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(MANY + 88, len(artefact.manifest.features))).astype(np.float32)
    parameters = {"objective": "binary", "boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1, "verbosity": -1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, rows[:, 0] > 0), 100)
    with pytest.raises(ValueError, match="sum of one leaf"):
        Slices(booster.model_to_string())
    averaged = Scorer(make_artefact(artefact.manifest, booster.model_to_string()))
    assert averaged.raw(rows).tobytes() == booster.predict(rows, raw_score=True, num_threads=1).tobytes()


def test_sixteen_threads_get_every_answer_right(artefact: Artefact, rows: np.ndarray) -> None:
    quiet = Scorer(artefact)
    scores, contributions = quiet.score(rows), quiet.contributions(rows)
    busy = Scorer(artefact)

    def ask(turn: int) -> int:
        start = (turn * 37) % 590
        size = (1, 3, 7)[turn % 3]
        part = slice(start, start + size)
        wrong = int(busy.score(rows[part]).tobytes() != scores[part].tobytes())
        if turn % 4 == 0:
            wrong += int(busy.contributions(rows[part]).tobytes() != contributions[part].tobytes())
        return wrong

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(ask, range(4_000))) == 0


def test_contributions_add_up_to_the_raw_log_odds(scorer: Scorer, rows: np.ndarray) -> None:
    contributions = scorer.contributions(rows[:50])
    assert contributions.shape == (50, 13)
    np.testing.assert_allclose(contributions.sum(axis=1), scorer.raw(rows[:50]), atol=1e-9)


def test_many_who_ask_for_reasons_at_once_need_no_more_boosters_than_there_are_cores(
    artefact: Artefact, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    scorer = Scorer(artefact)
    alone = scorer.contributions(rows)
    with ThreadPoolExecutor(16) as threads:
        for found in threads.map(scorer.contributions, [rows] * 48):
            assert found.tobytes() == alone.tobytes()
    assert len(scorer._shelf) <= 2


def test_contributions_of_a_row_do_not_depend_on_its_batch(scorer: Scorer, rows: np.ndarray) -> None:
    assert scorer.contributions(rows[:9])[4].tobytes() == scorer.contributions(rows[4:5])[0].tobytes()


def test_no_rows_get_no_answers(scorer: Scorer) -> None:
    nothing = np.empty((0, 12), np.float32)
    assert scorer.score(nothing).shape == (0,)
    assert scorer.contributions(nothing).shape == (0, 13)


@pytest.mark.parametrize("shape", [(3, 11), (3, 13), (12,)])
def test_rows_of_another_width_are_refused(scorer: Scorer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows of 12 features"):
        scorer.score(np.zeros(shape, np.float32))


def test_a_matrix_in_column_order_scores_the_same(scorer: Scorer, rows: np.ndarray) -> None:
    assert scorer.score(np.asfortranarray(rows)).tobytes() == scorer.score(rows).tobytes()


def test_loading_checks_the_fingerprint(artefact: Artefact, rows: np.ndarray, tmp_path: Path) -> None:
    write_artefact(artefact, tmp_path / "m")
    loaded = Scorer.load(tmp_path / "m", fingerprint="feedfacefeedface", manifest_sha256=artefact.manifest_sha256)
    assert loaded.score(rows).tobytes() == Scorer(artefact).score(rows).tobytes()
    with pytest.raises(ArtefactProblem, match="train again with this version"):
        Scorer.load(tmp_path / "m", fingerprint="another")


def test_a_booster_that_lightgbm_cannot_read_is_named(artefact: Artefact) -> None:
    with pytest.raises(ArtefactProblem, match="m-test"):
        Scorer(make_artefact(artefact.manifest, "tree\nnonsense"))


def test_a_booster_and_a_manifest_of_different_widths_are_refused(artefact: Artefact) -> None:
    narrow = replace(artefact.manifest, features=artefact.manifest.features[:-1])
    with pytest.raises(ArtefactProblem, match="takes 12 features and its manifest names 11"):
        Scorer(make_artefact(narrow, artefact.booster))


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        {"method": "platt", "raw": [1.0], "calibrated": [1.0]},
        {"method": "platt", "raw": [0.0, 1.0], "calibrated": [1.0, 0.0]},
        {"method": "platt", "raw": [0.0, 1.0], "calibrated": [0.0, "x"]},
    ],
)
def test_a_broken_calibration_is_refused(artefact: Artefact, calibration: dict[str, object]) -> None:
    with pytest.raises(ArtefactProblem, match="broken calibration"):
        Scorer(make_artefact(replace(artefact.manifest, calibration=calibration), artefact.booster))


knots = st.lists(st.floats(-20, 20).map(lambda x: round(x, 3)), min_size=2, max_size=8, unique=True).map(sorted)


@given(knots, st.lists(st.floats(-25, 25), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_calibration_keeps_ranks_and_answers_each_element_alone(raw: list[float], asked: list[float]) -> None:
    calibration = Calibration("isotonic", tuple(raw), tuple(i - 2.0 for i in range(len(raw))))
    values = np.sort(np.asarray(asked))
    together = calibration.probability(values)
    assert (np.diff(together) >= 0).all()
    assert ((together > 0) & (together < 1)).all()
    assert together.tobytes() == b"".join(
        calibration.probability(values[i : i + 1]).tobytes() for i in range(len(values))
    )
    assert Calibration.from_json(calibration.to_json()) == calibration
