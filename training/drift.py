"""What a model learned from as a reference, and how far a dataset is from another model's.

Probes of a dataset are what the reference of a model is made of, and what it is compared with when a challenger is
trained; ``gatehouse doctor`` and a running server compare it with what was really scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.app import App
from service.domain.errors import ArtefactProblem
from service.domain.facts import Float64s
from service.domain.records import ModelRecord
from service.domain.time import micros
from service.model.stability import SCORE, Drift, Reference, Seen, make_reference, stability
from service.usecases.champion import Serving
from training.dataset import OTHER_AGE, Dataset

# When an account signed up says nothing about who comes: a night's signups are all of one hour, a day's of one weekday.
CALENDAR = ("local_hour", "local_weekday", "signed_up_at_night")
LEAST_NEW = 300  # accounts that signed up since; with fewer all are compared

Bools = NDArray[np.bool_]


def reference_of(dataset: Dataset, score: Float64s, *, held: Bools) -> Reference:
    """The reference of a model that learned from ``dataset`` and gives its rows ``score``, shape (rows,).

    ``held`` says which rows the booster did not learn from: only their scores are like those of accounts to come.
    Where there are none, all count.
    """
    seen = seen_of(dataset, score, scored=held if held.any() else None).part(dataset.fixed_age != OTHER_AGE)
    return make_reference(seen, {feature.name for feature in dataset.features if feature.categorical})


def seen_of(dataset: Dataset, score: Float64s | None = None, *, scored: Bools | None = None) -> Seen:
    """The dataset's probes, each for as many as its account stands for; ``score``: a model's, None: nobody's.

    Without what tells of the calendar only, see ``CALENDAR``.
    """
    of = dataset.accounts
    kept = np.array([feature.name not in CALENDAR for feature in dataset.features])
    return Seen(
        names=[feature.name for feature in dataset.features if feature.name not in CALENDAR],
        matrix=dataset.matrix if kept.all() else dataset.matrix[:, kept],
        age=dataset.age,
        account=of.account[dataset.row],
        created=of.created_at[dataset.row],
        weight=of.stands_for[dataset.row],
        score=score,
        scored=scored,
    )


def at_fixed_ages(dataset: Dataset) -> Bools:
    """Rows that are looked at for their age alone; those before a confirmation are not, and are of campaigns only."""
    return np.asarray(dataset.fixed_age != OTHER_AGE)


def drifted(reference: Reference, dataset: Dataset, score: Float64s | None, *, since: int) -> tuple[Drift, ...]:
    """How far accounts that signed up after ``since``, when the reference was made, are from it, the farthest first.

    ``score`` are the reference's model's, shape (rows,). Where too few have signed up since, all accounts are compared,
    but of scores only theirs: the others the model may have learned by heart.
    """
    new = (dataset.accounts.created_at > since)[dataset.row]
    seen = seen_of(dataset, score, scored=new)
    enough = int((dataset.accounts.created_at > since).sum()) >= LEAST_NEW
    fixed = dataset.fixed_age != OTHER_AGE
    return stability(reference, seen.part(new & fixed) if enough else seen.part(fixed))


def told(drift: tuple[Drift, ...], gain: Mapping[str, float]) -> list[dict[str, Any]]:
    """As in reports: each feature once, at the farther of signups and older accounts, the farthest first.

    ``gain`` of the model that the reference is of; the share of all gain is told, None for the score.
    """
    total = sum(gain.values()) or 1.0
    out: dict[str, dict[str, Any]] = {}
    for one in drift:
        share = None if one.feature == SCORE else gain.get(one.feature, 0.0) / total
        row = {"feature": one.feature, "of": one.of, "psi": one.psi, "bound": one.bound, "alarm": one.alarm}
        out.setdefault(one.feature, {**row, "accounts": one.accounts, "gain": share})
    return list(out.values())


def champion_drift(app: App, champion: ModelRecord | None, dataset: Dataset) -> list[dict[str, Any]] | None:
    """As in reports: how far this training's accounts are from what ``champion`` learned from.

    None where there is none, or it cannot be used or does not say what it learned from, or learned from simulated
    accounts: that yours are others is no news.
    """
    if champion is None or champion.origin == "starter":
        return None
    try:
        serving = Serving.load(app.model_directory(champion), manifest_sha256=champion.manifest_sha256)
        reference = Reference.from_json(serving.scorer.manifest.reference)
    except (ArtefactProblem, ValueError):
        return None
    if reference is None:
        return None
    place = {feature.name: i for i, feature in enumerate(dataset.features)}
    rows = np.full((len(dataset.row), len(serving.features)), np.nan, np.float32)
    for i, feature in enumerate(serving.features):
        if feature.name in place:
            rows[:, i] = dataset.matrix[:, place[feature.name]]
    manifest = serving.scorer.manifest
    since = micros(datetime.fromisoformat(str(manifest.training["as_of"])))
    return told(drifted(reference, dataset, serving.scorer.score(rows), since=since), manifest.gain)
