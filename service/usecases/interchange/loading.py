"""From typed columns through the door into the store: one line per table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from service.signals.checks import Rejection, accepted_rows
from service.usecases.interchange.labels import labels_table
from service.usecases.interchange.ports import Bulk, Door, Statuses

REFUSED = -1


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a batch of n rows."""

    statuses: Statuses  # (n,) NEW, DUPLICATE, CONFLICT, or REFUSED by the door
    rejections: Sequence[Rejection]


def load(table: str, batch: pa.RecordBatch, door: Door, bulk: Bulk, now: int) -> Loaded:
    """Hands the typed rows of ``table`` on; what the door refuses does not reach the store."""
    kept, rejections = _LOAD[table](batch, door, bulk, now)
    statuses = np.full(len(batch), REFUSED, np.int8)
    statuses[accepted_rows(len(batch), rejections)] = kept
    return Loaded(statuses, rejections)


_Result = tuple[Statuses, Sequence[Rejection]]


def _accounts(batch: pa.RecordBatch, door: Door, bulk: Bulk, now: int) -> _Result:
    facts, rejections = door.signups_table(batch, now)
    return bulk.signups(facts), rejections


def _payments(batch: pa.RecordBatch, door: Door, bulk: Bulk, now: int) -> _Result:
    facts, rejections = door.payments_table(batch, now)
    return bulk.payments(facts), rejections


def _usage(batch: pa.RecordBatch, door: Door, bulk: Bulk, now: int) -> _Result:
    facts, rejections = door.usage_table(batch, now)
    return bulk.usage(facts), rejections


def _links(batch: pa.RecordBatch, door: Door, bulk: Bulk, now: int) -> _Result:
    facts, rejections = door.links_table(batch, now)
    return bulk.links(facts), rejections


def _signals(batch: pa.RecordBatch, door: Door, bulk: Bulk, now: int) -> _Result:
    facts, rejections = door.signals_table(batch, now)
    return bulk.signals(facts), rejections


def _labels(batch: pa.RecordBatch, _: Door, bulk: Bulk, now: int) -> _Result:
    labels, rejections = labels_table(batch, now)
    return bulk.labels(labels), rejections


_LOAD: dict[str, Callable[[pa.RecordBatch, Door, Bulk, int], _Result]] = {
    "accounts": _accounts,
    "payments": _payments,
    "usage": _usage,
    "links": _links,
    "signals": _signals,
    "labels": _labels,
}
