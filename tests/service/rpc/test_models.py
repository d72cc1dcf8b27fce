from __future__ import annotations

from gatehouse.risk.v1 import models_pb2

from service.domain.enums import ModelState
from service.domain.records import ModelRecord
from service.model.artefact import make_artefact
from service.rpc.convert.models import model_to_wire
from tests.factories import NOON
from tests.service.model.conftest import a_manifest
from tests.service.rpc.conftest import at


def test_a_model_says_what_its_manifest_says() -> None:
    manifest = a_manifest(
        origin="starter",
        training={"as_of": "2026-04-22T12:00:00Z", "rows": 500, "positives": 40, "campaigns": 3},
        metrics={"roc_auc": 0.9, "recall_at": {"0.001": 0.5}, "worst": None, "by_campaign": [1, 2]},
    )
    artefact = make_artefact(manifest, "booster")
    record = ModelRecord(
        version="m-test",
        state=ModelState.CHAMPION,
        origin="starter",
        created_at=NOON,
        location="anywhere",
        manifest_sha256=artefact.manifest_sha256,
        manifest=artefact.manifest_text,
        promoted_at=NOON + 1,
        why="first",
    )

    wire = model_to_wire(record)

    assert wire == models_pb2.Model(
        model_version="m-test",
        state=models_pb2.MODEL_STATE_CHAMPION,
        created_at=at(NOON),
        promoted_at=at(NOON + 1),
        trained_as_of=at(NOON),
        starter=True,
        rows=500,
        positives=40,
        campaigns=3,
        metrics={"roc_auc": 0.9, "recall_at.0.001": 0.5},
        data_fingerprint=manifest.data_fingerprint,
        feature_fingerprint=manifest.feature_fingerprint,
        artefact_sha256=artefact.manifest_sha256,
        code_version="0",
        promotion_reason="first",
    )
