"""Typed rows through the door, and facts into the store: one line per table in each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from service.domain.facts import Int64s
from service.signals.checks import Rejection, accepted_rows
from service.usecases.interchange.chunks import Chunk
from service.usecases.interchange.labels import labels_table
from service.usecases.interchange.ports import Bulk, Door, Statuses
from service.usecases.interchange.problems import BadRow
from service.usecases.interchange.sources import Source


@dataclass(frozen=True, slots=True)
class Admitted:
    """One chunk, past every check that needs no store."""

    chunk: Chunk
    wrong: dict[int, list[BadRow]]  # by place in the chunk: all that is wrong with the row
    facts: Any  # of the others, in order, as ``keep`` takes them
    places: Int64s  # of those facts in the chunk


def admitted(source: Source, door: Door, now: int) -> Generator[Admitted, None, None]:
    """The chunks of ``source``, each made while the one before is being stored. Raises FileProblem.

    Reading, hashing and storing mostly run outside Python's lock, so a second core does nearly half of the work.
    """
    chunks = source.chunks()

    def following() -> Admitted | None:
        chunk = next(chunks, None)
        return None if chunk is None else _admit(source, chunk, door, now)

    try:
        with ThreadPoolExecutor(1) as ahead:
            pending = ahead.submit(following)
            while (ready := pending.result()) is not None:
                pending = ahead.submit(following)
                yield ready
    finally:
        chunks.close()


def keep(source: Source, facts: Any, bulk: Bulk) -> Statuses:
    """Hands facts to the store: NEW, DUPLICATE or CONFLICT for each."""
    return _KEEP[source.table.name](bulk, facts)


def _admit(source: Source, chunk: Chunk, door: Door, now: int) -> Admitted:
    wrong: dict[int, list[BadRow]] = {}

    def note(place: int, column: str, reason: str) -> None:
        wrong.setdefault(place, []).append(BadRow(source.name, int(chunk.rows[place]), column, reason))

    for problem in chunk.problems:
        note(problem.place, problem.column, problem.reason)
    sound = np.ones(len(chunk.rows), bool)
    sound[list(wrong)] = False
    places = np.flatnonzero(sound)
    batch = chunk.batch.take(places) if wrong else chunk.batch
    facts, rejections = _ADMIT[source.table.name](door, batch, now)
    for rejection in rejections:
        note(int(places[rejection.row]), rejection.field, rejection.reason)
    return Admitted(chunk, wrong, facts, places[accepted_rows(len(places), rejections)])


_ADMIT: dict[str, Callable[[Door, pa.RecordBatch, int], tuple[Any, Sequence[Rejection]]]] = {
    "accounts": lambda door, batch, now: door.signups_table(batch, now),
    "payments": lambda door, batch, now: door.payments_table(batch, now),
    "usage": lambda door, batch, now: door.usage_table(batch, now),
    "links": lambda door, batch, now: door.links_table(batch, now),
    "signals": lambda door, batch, now: door.signals_table(batch, now),
    "labels": lambda _, batch, now: labels_table(batch, now),
}
_KEEP: dict[str, Callable[[Bulk, Any], Statuses]] = {
    "accounts": lambda bulk, facts: bulk.signups(facts),
    "payments": lambda bulk, facts: bulk.payments(facts),
    "usage": lambda bulk, facts: bulk.usage(facts),
    "links": lambda bulk, facts: bulk.links(facts),
    "signals": lambda bulk, facts: bulk.signals(facts),
    "labels": lambda bulk, facts: bulk.labels(facts),
}
