"""Models of the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gatehouse.risk.v1 import models_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.records import ModelRecord
from service.rpc.convert.words import MODEL_STATES, micros_to_wire


def model_to_wire(record: ModelRecord) -> models_pb2.Model:
    """A model with what its manifest says of it; figures that the manifest lacks are zero or absent."""
    manifest: dict[str, Any] = json.loads(record.manifest)
    training: dict[str, Any] = manifest.get("training", {})
    trained_as_of = Timestamp()
    if "as_of" in training:
        trained_as_of.FromJsonString(training["as_of"])
    return models_pb2.Model(
        model_version=record.version,
        state=MODEL_STATES[record.state],
        created_at=micros_to_wire(record.created_at),
        promoted_at=micros_to_wire(record.promoted_at) if record.promoted_at is not None else None,
        trained_as_of=trained_as_of if "as_of" in training else None,
        starter=record.origin == "starter",
        rows=training.get("rows", 0),
        positives=training.get("positives", 0),
        campaigns=training.get("campaigns", 0),
        metrics=dict(_figures(manifest.get("metrics", {}))),
        data_fingerprint=manifest.get("data_fingerprint", ""),
        feature_fingerprint=manifest.get("feature_fingerprint", ""),
        artefact_sha256=record.manifest_sha256,
        code_version=manifest.get("code_version", ""),
        promotion_reason=record.why,
    )


def _figures(metrics: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """The numbers among the metrics by dotted name; tables and texts stay in the manifest."""
    found: list[tuple[str, float]] = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found += _figures(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((f"{prefix}{name}", float(value)))
    return found
