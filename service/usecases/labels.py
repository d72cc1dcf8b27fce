"""Records, retracts and lists analysts' verdicts. They are append-only: a retraction is a record, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from service.domain.errors import AlreadyExists, FieldViolation, InvalidInput
from service.domain.raw import Label
from service.domain.records import LabelRecord
from service.domain.requests import LabelReceipt, Page
from service.domain.time import FUTURE_TOLERANCE, rfc3339
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW
from service.storage.labels import LabelOutcome


class LabelStore(Protocol):
    """What is needed of the store."""

    def record_labels(
        self, labels_: Sequence[Label], learned_at: int | None = None, *, atomic: bool = True
    ) -> LabelOutcome: ...

    def retract_label(
        self, account_id: str, analyst: str, decided_at: int, retracted_at: int, learned_at: int, reason: str = ""
    ) -> LabelRecord: ...

    def list_labels(
        self,
        *,
        account_id: str | None = None,
        analyst: str | None = None,
        campaign_id: str | None = None,
        page_size: int = 100,
        page_token: str = "",
    ) -> Page[LabelRecord]: ...


@dataclass(frozen=True, slots=True)
class RecordLabels:
    """The deed, wired to its rooms."""

    store: LabelStore

    def __call__(self, labels: Sequence[Label], *, now: int) -> LabelReceipt:
        """Records all of ``labels``, durable on return, or raises AlreadyExists or InvalidInput and records none."""
        violations = [
            FieldViolation(f"labels[{i}].{name}", "is more than 5 minutes in the future")
            for i, label in enumerate(labels)
            for name, at in (("decided_at", label.decided_at), ("retracted_at", label.retracted_at))
            if at is not None and at > now + FUTURE_TOLERANCE
        ]
        if violations:
            raise InvalidInput(*violations)
        outcome = self.store.record_labels(labels, now, atomic=True)
        for row in np.flatnonzero(outcome.status == CONFLICT).tolist():
            label = labels[row]
            raise AlreadyExists("label", f"{label.account_id} by {label.analyst} at {rfc3339(label.decided_at)}")
        return LabelReceipt(
            recorded=int((outcome.status == NEW).sum()),
            duplicates=int((outcome.status == DUPLICATE).sum()),
            created_campaigns=outcome.created_campaigns,
        )


@dataclass(frozen=True, slots=True)
class RetractLabel:
    """The deed, wired to its rooms."""

    store: LabelStore

    def __call__(self, account_id: str, analyst: str, decided_at: int, *, reason: str, now: int) -> LabelRecord:
        """Takes one label back as of ``now``; raises UnknownLabel. Again changes nothing."""
        return self.store.retract_label(account_id, analyst, decided_at, now, now, reason)


@dataclass(frozen=True, slots=True)
class ListLabels:
    """The deed, wired to its rooms."""

    store: LabelStore

    def __call__(
        self,
        *,
        account_id: str | None,
        analyst: str | None,
        campaign_id: str | None,
        page_size: int,
        page_token: str,
    ) -> Page[LabelRecord]:
        """Labels that match every filter that is not None, the latest decided first; raises InvalidPageToken."""
        return self.store.list_labels(
            account_id=account_id,
            analyst=analyst,
            campaign_id=campaign_id,
            page_size=page_size,
            page_token=page_token,
        )
