from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from service.domain.enums import ModelState
from service.domain.errors import ArtefactProblem, InvalidPageToken, NoEarlierModel, UnknownModel
from service.domain.records import ModelRecord
from service.features.catalogue import by_name, fingerprint
from service.model.artefact import Artefact, Manifest, make_artefact, write_artefact
from service.model.calibration import Calibration
from service.policy.policy import Policy
from service.storage.store import Store, open_store
from service.usecases.models import GetModel, ListModels, PromoteModel, RollBackModel

NAMES = ("mail_digits", "requests_24h")


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url, upgrading=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def booster() -> str:
    rng = np.random.default_rng(1)
    rows = rng.random((300, 2), np.float32)
    parameters = {"objective": "binary", "num_leaves": 4, "verbosity": -1, "num_threads": 1}
    return str(lightgbm.train(parameters, lightgbm.Dataset(rows, rows[:, 0] > 0.5), 5).model_to_string())


def an_artefact(version: str, booster: str) -> Artefact:
    manifest = Manifest(
        version=version,
        created_at="2026-05-01T00:00:00Z",
        origin="trained",
        code_version="0",
        features=NAMES,
        feature_fingerprint=fingerprint(by_name(NAMES)),
        data_fingerprint="d",
        training={},
        lightgbm={},
        calibration=Calibration.identity().to_json(),
        policy=Policy(0.001, (0.5, 0.6, 0.7, 0.8)).to_json(),
        metrics={},
        gain={},
    )
    return make_artefact(manifest, booster)


def register(store: Store, artefact: Artefact, folder: Path, at: int) -> ModelRecord:
    version = artefact.manifest.version
    write_artefact(artefact, folder / version)
    return store.add_model(
        ModelRecord(
            version=version,
            state=ModelState.CHALLENGER,
            origin="trained",
            created_at=at,
            location=str(folder / version),
            manifest_sha256=artefact.manifest_sha256,
            manifest=artefact.manifest_text,
        )
    )


def where(record: ModelRecord) -> Path:
    return Path(record.location)


def test_pages_hold_every_model_once_the_newest_first(store: Store, tmp_path: Path, booster: str) -> None:
    for i in range(5):
        register(store, an_artefact(f"m-{i}", booster), tmp_path, at=i // 2)
    seen: list[str] = []
    token, every = "", ListModels(store)
    while True:
        page = every(states=frozenset(), page_size=2, page_token=token)
        seen += [model.version for model in page.items]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["m-4", "m-3", "m-2", "m-1", "m-0"]


def test_models_are_listed_by_state_and_a_token_of_another_list_is_refused(
    store: Store, tmp_path: Path, booster: str
) -> None:
    for i in range(3):
        register(store, an_artefact(f"m-{i}", booster), tmp_path, at=i)
    store.promote("m-1", 9, "")
    every = ListModels(store)
    page = every(states=frozenset({ModelState.CHALLENGER}), page_size=1, page_token="")
    assert [model.version for model in page.items] == ["m-2"]
    with pytest.raises(InvalidPageToken):
        every(states=frozenset({ModelState.CHAMPION}), page_size=1, page_token=page.next_page_token)


def test_a_model_is_promoted_and_rolled_back_with_a_reason(store: Store, tmp_path: Path, booster: str) -> None:
    for i in range(2):
        register(store, an_artefact(f"m-{i}", booster), tmp_path, at=i)
    promote = PromoteModel(store, where)
    promote("m-0", why="first", now=10)
    assert promote("m-1", why="better", now=11).state is ModelState.CHAMPION
    assert GetModel(store)("m-0").state is ModelState.RETIRED
    assert RollBackModel(store, where)(why="worse after all", now=12).version == "m-0"
    assert GetModel(store)("m-0").why == "worse after all"


def test_a_model_that_nobody_knows_is_not_promoted(store: Store) -> None:
    with pytest.raises(UnknownModel):
        PromoteModel(store, where)("m-9", why="", now=1)
    with pytest.raises(NoEarlierModel):
        RollBackModel(store, where)(why="", now=1)


def test_a_model_for_other_features_is_refused_with_both_fingerprints(
    store: Store, tmp_path: Path, booster: str
) -> None:
    good = an_artefact("m-0", booster)
    other = make_artefact(replace(good.manifest, feature_fingerprint="0123456789abcdef"), booster)
    register(store, other, tmp_path, at=1)
    with pytest.raises(ArtefactProblem, match=f"0123456789abcdef.*{good.manifest.feature_fingerprint}"):
        PromoteModel(store, where)("m-0", why="", now=2)
    assert store.champion() is None


def test_rolling_back_to_a_model_whose_files_are_gone_leaves_the_present_one_in_charge(
    store: Store, tmp_path: Path, booster: str
) -> None:
    for i in range(2):
        register(store, an_artefact(f"m-{i}", booster), tmp_path, at=i)
        PromoteModel(store, where)(f"m-{i}", why="", now=10 + i)
    (tmp_path / "m-0" / "booster.txt").unlink()
    with pytest.raises(ArtefactProblem, match=r"booster\.txt is missing"):
        RollBackModel(store, where)(why="", now=20)
    champion = store.champion()
    assert champion is not None
    assert champion.version == "m-1"
