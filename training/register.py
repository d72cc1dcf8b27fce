"""What becomes of a trained model: written, judged beside the champion, registered, and promoted past the gate.

Time is an argument, so that a replay of the past registers and promotes as ``gatehouse train`` would have done then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.app import App
from service.domain.enums import ModelState
from service.domain.errors import ArtefactProblem
from service.domain.facts import Float64s
from service.domain.records import LabelRecord, ModelRecord
from service.model.artefact import write_artefact
from service.model.stability import SCORE, Reference, shifted
from service.usecases.champion import Serving
from service.usecases.pair_models import FOLDER
from training.compare import Speed
from training.dataset import OTHER_AGE, Dataset
from training.drift import seen_of
from training.gate import Case, Demands, Ruling, rule
from training.held import columns_of, surrounded
from training.influence import analysts_of, influences
from training.pair_model import Learned
from training.pipeline import Trained
from training.speed import ROWS, measure

STARTER = "starter"  # origin of a model that learned from simulated accounts


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
    labels: Sequence[LabelRecord],
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
    ruling = judge(app, made, dataset, labels, champion, budget=budget, seed=seed)
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


def judge(
    app: App,
    made: Trained,
    dataset: Dataset,
    labels: Sequence[LabelRecord],
    champion: ModelRecord | None,
    *,
    budget: float,
    seed: int,
) -> Ruling:
    """What the gate says of a model beside ``champion`` (None: there is none yet)."""
    before, name = champion_of(app, champion)
    own = made.artefact.manifest
    held = surrounded(made.held, app.store, dataset.as_of)
    scores = None if before is None else before.scorer.score(columns_of(dataset, made.test, before.features))
    influence = influences(
        dataset,
        labels,
        made.taught,
        held,
        made.test,
        (made.scores, scores),
        own.features,
        budget=budget,
        seed=seed,
    )
    case = Case(
        basis=made.basis,
        held=held,
        challenger=made.scores,
        champion=scores,
        champion_name=name,
        analysts=analysts_of(labels, dataset),
        influence=influence,
        shift={} if before is None else _shift(before, dataset),
        gain={} if before is None else _gain(own.gain, before.scorer.manifest.gain),
        speed=None if before is None else _speed(made, before, dataset),
    )
    demands = Demands(app.settings.least_analysts, app.settings.two_analysts_above)
    return rule(case, demands, budget=budget, seed=seed)


def _shift(before: Serving, dataset: Dataset) -> dict[str, float]:
    """Features that look another population's than the one the champion learned from, and their stability index.

    A starter model learned from simulated accounts, and an older model does not say from what: nothing, then.
    """
    manifest = before.scorer.manifest
    reference = Reference.from_json(manifest.reference)
    if manifest.origin == STARTER or reference is None:
        return {}
    # All accounts, not only those since: models may rest on what ages from month to month, as versions of browsers do,
    # and of the newest accounts alone that would be a shift at every retraining. A source that broke is one of all.
    seen = seen_of(dataset).part(dataset.fixed_age != OTHER_AGE)
    return {name: psi for name, psi in shifted(reference, seen).items() if name != SCORE}


def _gain(*of: Mapping[str, float]) -> dict[str, float]:
    """Each feature's share of gain, the larger of the models'."""
    out: dict[str, float] = {}
    for gains in of:
        total = sum(gains.values()) or 1.0
        for name, gain in gains.items():
            out[name] = max(out.get(name, 0.0), gain / total)
    return out


def _speed(made: Trained, before: Serving, dataset: Dataset) -> tuple[Speed, Speed]:
    """Both models' on the first held-out rows."""
    rows = made.test[:ROWS]
    features = tuple(one for one in dataset.features if one.name in made.artefact.manifest.features)
    own, theirs = measure(
        (made.artefact.booster, columns_of(dataset, rows, features)),
        (before.scorer.booster_text, columns_of(dataset, rows, before.features)),
    )
    return own, theirs


def champion_of(app: App, champion: ModelRecord | None) -> tuple[Serving | None, str]:
    """The champion ready to score, and what to call it; None where there is none or it cannot be used."""
    if champion is None:
        return None, "there was no champion"
    name = f"{champion.origin} model {champion.version}"
    try:
        return Serving.load(app.model_directory(champion), manifest_sha256=champion.manifest_sha256), name
    except ArtefactProblem as error:
        return None, f"the champion, {name}, cannot be used ({error})"


def champion_scores(
    app: App, champion: ModelRecord | None, dataset: Dataset, made: Trained
) -> tuple[Float64s | None, str]:
    """The champion's scores of the held-out rows, and what to call it; None where it cannot score them."""
    serving, name = champion_of(app, champion)
    return None if serving is None else serving.scorer.score(columns_of(dataset, made.test, serving.features)), name
