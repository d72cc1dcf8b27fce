from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pytest
from structlog.testing import capture_logs

from service.domain.time import DAY, HOUR, rfc3339
from service.linking.accounts import Accounts
from service.linking.families import FAMILIES
from service.linking.find import TIED
from service.linking.pair_model import COLUMNS, fingerprint
from service.linking.pairs import Ties
from service.model.artefact import BOOSTER_FILE, Artefact, Manifest, make_artefact, write_artefact
from service.usecases.pair_models import FOLDER, PairModels
from tests.factories import NOON


def artefact(version: str, as_of: int = NOON, changes: dict[str, object] | None = None) -> Artefact:
    """A small model that likes shared prompts."""
    rng = np.random.default_rng(3)
    rows = rng.uniform(0, 10, (400, len(COLUMNS)))
    parameters = {"objective": "binary", "num_leaves": 3, "verbosity": -1, "num_threads": 1}
    likes = (rows[:, COLUMNS.index("prompt")] > 5).astype(int)
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, likes), num_boost_round=10)
    values: dict[str, object] = {
        "version": version,
        "created_at": rfc3339(NOON),
        "origin": "trained",
        "code_version": "0",
        "features": COLUMNS,
        "feature_fingerprint": fingerprint(),
        "data_fingerprint": "0123456789abcdef",
        "training": {"as_of": rfc3339(as_of)},
        "lightgbm": {},
        "calibration": {"tied_at": -0.5, "threshold": TIED},
        "policy": {},
        "metrics": {},
        "gain": {},
    }
    return make_artefact(Manifest(**{**values, **(changes or {})}), booster.model_to_string())  # type: ignore[arg-type]


def kept(models: Path, made: Artefact) -> Path:
    directory = models / FOLDER / made.manifest.version
    write_artefact(made, directory)
    return directory


def version(models: Path, as_of: int = NOON + DAY) -> str | None:
    found = PairModels(models)(as_of)
    return None if found is None else found.version


def test_where_none_was_kept_there_is_none(tmp_path: Path) -> None:
    assert version(tmp_path) is None


def test_the_newest_is_used_that_learned_from_nothing_later(tmp_path: Path) -> None:
    kept(tmp_path, artefact("p-20260422T120000-aa"))
    kept(tmp_path, artefact("p-20260425T120000-bb", NOON + 3 * HOUR))
    assert version(tmp_path) == "p-20260425T120000-bb"
    assert version(tmp_path, NOON + HOUR) == "p-20260422T120000-aa"
    assert version(tmp_path, NOON - 1) is None


def test_a_model_answers_as_it_was_kept(tmp_path: Path) -> None:
    kept(tmp_path, artefact("p-1"))
    model = PairModels(tmp_path)(NOON)
    assert model is not None
    assert model.tied_at == -0.5
    families = np.zeros((2, len(FAMILIES)))
    families[1, FAMILIES.index("prompt")] = 9.0
    ones = np.ones(3, np.int64)
    accounts = Accounts(np.arange(3), ones, ones, ones, ones, NOON)
    apart, together = model.strength(Ties(np.array([0, 0]), np.array([1, 2]), families), accounts, TIED).tolist()
    assert apart < TIED < together


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"feature_fingerprint": "feedfacefeedface"}, "made for families of keys with fingerprint feedfacefeedface"),
        ({"calibration": {"threshold": TIED}}, "does not say from where on a pair is tied"),
        ({"calibration": {"tied_at": -0.5, "threshold": TIED + 1}}, "does not say from where on a pair is tied"),
        ({"training": {}}, "does not say what moment it learned from"),
    ],
)
def test_a_model_that_does_not_fit_is_ignored_with_a_line_in_the_log(
    tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    kept(tmp_path, artefact("p-1"))
    kept(tmp_path, artefact("p-2", changes=changes))
    with capture_logs() as lines:
        assert version(tmp_path) == "p-1"
    line = lines[0]
    assert (line["event"], line["log_level"], line["model"]) == ("pair_model_ignored", "warning", "p-2")
    assert why in line["why"]


def test_a_model_whose_files_were_altered_is_ignored_and_says_so(tmp_path: Path) -> None:
    (kept(tmp_path, artefact("p-1")) / BOOSTER_FILE).write_text("tree")
    with capture_logs() as lines:
        assert version(tmp_path) is None
    assert "truncated or altered" in lines[0]["why"]


def test_a_booster_of_other_columns_is_ignored_and_says_so(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).random((100, 3))
    data = lightgbm.Dataset(rows, (rows[:, 0] > 0.5).astype(int))
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, num_boost_round=2)
    kept(tmp_path, make_artefact(artefact("p-1").manifest, booster.model_to_string()))
    with capture_logs() as lines:
        assert version(tmp_path) is None
    assert "takes 3 columns" in lines[0]["why"]
