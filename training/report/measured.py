"""What only the report needs of a training run, measured where dataset, labels and models are at hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.domain.enums import Verdict
from service.domain.facts import Float64s
from service.domain.records import LabelRecord
from service.domain.time import rfc3339
from service.policy.policy import Policy
from training.dataset import Dataset
from training.pipeline import Trained
from training.report.catching import Histories, caught_campaigns
from training.report.friction import friction_curve
from training.report.swarm import swarm


def measured(
    source: Histories,
    dataset: Dataset,
    labels: Iterable[LabelRecord],
    made: Trained,
    champion: tuple[Float64s | None, str],
    *,
    seed: int,
) -> dict[str, Any]:
    """Further parts of a report: ``model``, ``data``, ``analysts``, ``friction_curves``, ``detection`` and ``swarm``.

    ``champion`` is its scores of the rows ``made.test`` (None: it cannot score them) and what to call it.
    """
    scores, name = champion
    manifest = made.artefact.manifest
    curves = [("challenger", manifest.version, made.scores), ("champion", name, scores)]
    return {
        "model": {
            "created_at": manifest.created_at,
            "code_version": manifest.code_version,
            "features": len(manifest.features),
            "feature_fingerprint": manifest.feature_fingerprint,
            "data_fingerprint": manifest.data_fingerprint,
            "policy_version": Policy.from_json(manifest.policy).version,
            "calibration": manifest.calibration.get("method"),
            "lightgbm": dict(manifest.lightgbm),
        },
        "data": {
            "first_signup": rfc3339(int(dataset.accounts.created_at.min())),
            "last_signup": rfc3339(int(dataset.accounts.created_at.max())),
        },
        "analysts": analysts(labels, dataset.as_of),
        "champion": name,
        "friction_curves": [
            {"of": of, "name": called, **friction_curve(dataset, made.test, made.held.fraud, score)}
            for of, called, score in curves
            if score is not None
        ],
        "detection": caught_campaigns(source, dataset, made.test, made.scores, Policy.from_json(manifest.policy)),
        "swarm": swarm(made.artefact, dataset, made.test, seed=seed),
    }


def analysts(labels: Iterable[LabelRecord], as_of: int) -> list[dict[str, Any]]:
    """Who labelled how many accounts, by what was known at ``as_of``; those with the most labels first."""
    of: dict[str, list[LabelRecord]] = {}
    for label in labels:
        if label.learned_at <= as_of:
            of.setdefault(label.analyst, []).append(label)
    out = []
    for analyst, own in of.items():
        back = [one for one in own if one.retraction_learned_at is not None and one.retraction_learned_at <= as_of]
        out.append(
            {
                "analyst": analyst,
                "labels": len(own),
                "fraud": sum(one.verdict is Verdict.FRAUD for one in own),
                "legitimate": sum(one.verdict is Verdict.LEGITIMATE for one in own),
                "retracted": len(back),
                "first": rfc3339(min(one.decided_at for one in own)),
                "last": rfc3339(max(one.decided_at for one in own)),
            }
        )
    return sorted(out, key=lambda one: (-one["labels"], one["analyst"]))
