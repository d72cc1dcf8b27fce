"""Typed rows through the door, and facts into the store: one line per table in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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

AHEAD = 2  # chunks; storing has bursts


@dataclass(frozen=True, slots=True)
class Admitted:
    """One chunk, past every check that needs no store."""

    chunk: Chunk
    wrong: dict[int, list[BadRow]]  # by place in the chunk: all that is wrong with the row
    facts: Any  # of the others, in order, as ``keep`` takes them
    places: Int64s  # of those facts in the chunk


class Ahead:
    """Chunks, some of them made before they are asked for, in a thread of its own."""

    def __init__(self, chunks: Generator[Admitted, None, None], ahead: int = AHEAD) -> None:
        """``ahead``: how many."""
        self._chunks = chunks
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._pending = deque(self._pool.submit(self._following) for _ in range(ahead))

    def __iter__(self) -> Iterator[Admitted]:
        """Raises what making them does."""
        while (ready := self._pending.popleft().result()) is not None:
            self._pending.append(self._pool.submit(self._following))
            yield ready

    def close(self) -> None:
        """Makes no more of them."""
        self._pool.shutdown(cancel_futures=True)
        self._chunks.close()

    def _following(self) -> Admitted | None:
        return next(self._chunks, None)


def admitted(source: Source, door: Door, now: int) -> Generator[Admitted, None, None]:
    """The chunks of ``source``, each taken through the door. Raises FileProblem."""
    with closing(source.chunks()) as chunks:
        for chunk in chunks:
            yield _admit(source, chunk, door, now)


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
