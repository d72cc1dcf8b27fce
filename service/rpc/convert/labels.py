"""Analysts' verdicts."""

from __future__ import annotations

from gatehouse.risk.v1 import labels_pb2

from service.domain.raw import Label
from service.domain.records import LabelRecord
from service.rpc.convert.words import VERDICT_OF, VERDICTS, micros_from_wire, micros_to_wire


def label_from_wire(wire: labels_pb2.Label, path: str) -> Label:
    """A verdict as an analyst gives it."""
    retracted = wire.HasField("retracted_at")
    return Label(
        account_id=wire.account_id,
        verdict=VERDICT_OF[wire.verdict],
        decided_at=micros_from_wire(wire.decided_at, f"{path}.decided_at"),
        analyst=wire.analyst,
        campaign_id=wire.campaign_id or None,
        evidence=wire.evidence or None,
        retracted_at=micros_from_wire(wire.retracted_at, f"{path}.retracted_at") if retracted else None,
    )


def label_to_wire(record: LabelRecord) -> labels_pb2.Label:
    """A verdict as it is kept."""
    return labels_pb2.Label(
        account_id=record.account_id,
        verdict=VERDICTS[record.verdict],
        decided_at=micros_to_wire(record.decided_at),
        analyst=record.analyst,
        campaign_id=record.campaign_id,
        evidence=record.evidence,
        retracted_at=micros_to_wire(record.retracted_at) if record.retracted_at is not None else None,
    )
