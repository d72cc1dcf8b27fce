"""The starter model: what decides until a model trained on the operator's own accounts is promoted."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from service.domain.enums import ModelState
from service.domain.records import ModelRecord
from service.model.artefact import read_artefact
from service.usecases.champion import Serving

WHY = "starter model: trained on simulated accounts, because nothing else was promoted yet"


class Registers(Protocol):
    """What is needed of the registry."""

    def add_model(self, model: ModelRecord) -> ModelRecord: ...

    def promote(self, version: str, at: int, why: str) -> ModelRecord: ...


def adopt_starter(registry: Registers, directory: Path, *, now: int) -> ModelRecord:
    """Registers the starter model in ``directory`` and makes it the champion; the same again changes nothing.

    Raises ArtefactProblem where its files or its features are not what they should be.
    """
    artefact = read_artefact(directory)
    Serving.load(directory)
    record = ModelRecord(
        version=artefact.manifest.version,
        state=ModelState.CHALLENGER,
        origin=artefact.manifest.origin,
        created_at=now,
        location=str(directory.resolve()),
        manifest_sha256=artefact.manifest_sha256,
        manifest=artefact.manifest_text,
        why=WHY,
    )
    registry.add_model(record)
    return registry.promote(record.version, now, WHY)
