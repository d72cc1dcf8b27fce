"""What becomes of a trained model: written, judged beside the champion, registered, and promoted past the gate.

Time is an argument, so that a replay of the past registers and promotes as ``gatehouse train`` would have done then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.app import App
from service.domain.enums import ModelState
from service.domain.errors import ArtefactProblem
from service.domain.facts import Float64s
from service.domain.records import LabelRecord, ModelRecord
from service.model.artefact import write_artefact
from service.usecases.champion import Serving
from service.usecases.pair_models import FOLDER
from training.dataset import Dataset
from training.gate import Ruling, rule
from training.pair_model import Learned
from training.pipeline import Trained


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a model."""

    promoted: bool
    why: str
    ruling: Ruling


def register(
    app: App,
    made: Trained,
    dataset: Dataset,
    labels: Sequence[LabelRecord],  # noqa: ARG001  whose words they are is not judged yet
    *,
    at: int,
    promote: str,
    budget: float,
    seed: int,
) -> Registered:
    """Writes and registers the model at the moment ``at``, and promotes it as ``promote`` (auto, always, never) says.

    Promotion is by the gate where it is ``auto``; the gate rules in any case, and the registry keeps what it said.
    """
    manifest = made.artefact.manifest
    champion = app.store.champion()
    scores, name = champion_scores(app, champion, dataset, made)
    ruling = rule(made.basis, made.held, made.scores, scores, budget=budget, champion_name=name, seed=seed)
    directory = app.settings.models_dir() / manifest.version
    write_artefact(made.artefact, directory)
    app.store.add_model(
        ModelRecord(
            version=manifest.version,
            state=ModelState.CHALLENGER,
            origin=manifest.origin,
            created_at=at,
            location=str(directory.resolve()),
            manifest_sha256=made.artefact.manifest_sha256,
            manifest=made.artefact.manifest_text,
            why=ruling.why,
        )
    )
    why = {"auto": ruling.why, "always": f"promoted because it was asked for; the gate: {ruling.why}"}.get(
        promote, f"not promoted because it was asked so; the gate: {ruling.why}"
    )
    promoted = promote == "always" or (promote == "auto" and ruling.passes)
    if promoted:
        app.store.promote(manifest.version, at, why)
    return Registered(promoted, why, ruling)


def keep_pairs(app: App, learned: Learned, *, promote: str) -> Learned:
    """Writes the pair model where it is kept; the next detection uses it. ``never`` leaves detection as it is."""
    if learned.artefact is None:
        return learned
    if promote == "never":
        return replace(learned, artefact=None, why=f"not kept because it was asked so; else {learned.why}")
    write_artefact(learned.artefact, app.settings.models_dir() / FOLDER / learned.artefact.manifest.version)
    return learned


def champion_scores(
    app: App, champion: ModelRecord | None, dataset: Dataset, made: Trained
) -> tuple[Float64s | None, str]:
    """The champion's scores of the held-out rows, and what to call it; None where it cannot score them."""
    if champion is None:
        return None, "there was no champion"
    name = f"{champion.origin} model {champion.version}"
    try:
        serving = Serving.load(app.model_directory(champion), manifest_sha256=champion.manifest_sha256)
    except ArtefactProblem as error:
        return None, f"the champion, {name}, cannot be used ({error})"
    place = {feature.name: i for i, feature in enumerate(dataset.features)}
    rows = np.full((len(made.test), len(serving.features)), np.nan, np.float32)
    for i, feature in enumerate(serving.features):
        if feature.name in place:
            rows[:, i] = dataset.matrix[made.test, place[feature.name]]
    return serving.scorer.score(rows), name
