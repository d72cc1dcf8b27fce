"""One import file: everything of it in one transaction, in columns, in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import numpy as np
import psycopg
import pyarrow as pa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from service.domain.errors import DatabaseProblem
from service.domain.facts import (
    Int8s,
    LinkFacts,
    OwnLinkFacts,
    PaymentFacts,
    SignalFacts,
    SignupFacts,
    UsageFacts,
)
from service.domain.raw import Label
from service.storage import factrows, labels, layouts
from service.storage.arrivals import CONFLICT, NEW, judge
from service.storage.database import roomy, shown, writing
from service.storage.locks import lock_links
from service.storage.memory import Memory
from service.storage.readyusage import ReadyUsage, ready
from service.storage.segments import Segment, Segments, table_of
from service.storage.sql import Int64s, columns_of, run
from service.storage.usagerows import insert_tiles, part_number
from service.tiles.history import union_usage
from service.tiles.rows import Tiles

SEGMENT_ROWS = 500_000  # exchanges of one file, about 130 bytes each in memory
TILE_ROWS = 400_000  # tiles gathered before they are packed, 264 bytes each
LINK_ROWS = 1_500_000  # link rows gathered before they are written, 28 bytes each
LONGEST_RUN = 8_000_000  # event ids; one that long is merged no more, or a file would need twice its ids in memory
_RACES = {"23505", "40001", "40P01"}


@contextmanager
def bulk(engine: Engine, segments: Segments, memory: Memory) -> Iterator[Bulk]:
    """See ``Store.bulk``."""
    staged: list[Segment] = []
    published = False
    try:
        with (
            writing(engine) as connection,
            roomy(connection),
            Behind(at_once=not _shared(connection)) as writes,
            Behind() as stages,
        ):
            file = Bulk(connection, segments, memory, staged, writes, stages)
            yield file
            file.finish()
        published = True
    except (DBAPIError, psycopg.Error) as error:
        if getattr(getattr(error, "orig", error), "sqlstate", None) not in _RACES:
            raise
        raise DatabaseProblem(
            f"database {shown(engine.url)}: another process wrote the same rows at the same moment; nothing of this "
            "file was kept; run the import again"
        ) from error
    finally:
        if not published:
            segments.remove([each.path for each in staged])


class Bulk:
    """The open file. Facts are learned at their own time. Each call answers NEW, DUPLICATE or CONFLICT per row."""

    def __init__(
        self,
        connection: Connection,
        segments: Segments,
        memory: Memory,
        staged: list[Segment],
        writes: Behind,
        stages: Behind,
    ) -> None:
        self._connection = connection
        self._writes = writes
        self._stages = stages
        self._segments = segments
        self._memory = memory
        self._staged = staged
        self._seen = _Seen()
        self._raw: list[pa.Table] = []
        self._tiles: list[Tiles] = []
        self._parts: list[int] = []
        self._links: list[LinkFacts] = []
        self._declared = False
        self._erased = _erased(connection)

    def signups(self, facts: SignupFacts) -> Int8s:
        """Accounts, with the keys that they showed at signup."""
        known, contents, _ = factrows.stored_accounts(self._connection, facts.account)
        return self._keep(facts, judge(facts.account, facts.content, known, contents), facts.account, facts.created_at)

    def payments(self, facts: PaymentFacts) -> Int8s:
        """Payment events."""
        stored = factrows.stored_events(self._connection, "payments", facts.event)
        return self._keep(facts, judge(facts.event, facts.content, *stored), facts.account, facts.happened)

    def links(self, facts: OwnLinkFacts) -> Int8s:
        """Customers' own linking keys."""
        stored = factrows.stored_events(self._connection, "link_events", facts.event)
        statuses = judge(facts.event, facts.content, *stored)
        return self._keep(facts, statuses, facts.links.account, facts.links.happened)

    def signals(self, facts: SignalFacts) -> Int8s:
        """Customers' own numbers."""
        stored = factrows.stored_events(self._connection, "signals", facts.event)
        return self._keep(facts, judge(facts.event, facts.content, *stored), facts.account, facts.happened)

    def usage(self, made: UsageFacts | ReadyUsage) -> Int8s:
        """Exchanges."""
        batch = ready(made) if isinstance(made, UsageFacts) else made
        facts, ordered = batch.facts, batch.events
        sources = (
            factrows.stored_events(self._connection, "usage_events", ordered),
            self._segments.known(self._connection, ordered, facts.happened[batch.order]),
            self._seen.known(ordered),
        )
        ids, first = np.unique(np.concatenate([ids for ids, _ in sources]), return_index=True)
        if not len(ids) and (ordered[1:] != ordered[:-1]).all():
            statuses = np.full(len(facts), NEW, np.int8)
        else:
            contents = np.concatenate([contents for _, contents in sources])[first]
            statuses = judge(facts.event, facts.content, ids, contents, facts.worded)
        return self._keep(batch, statuses, facts.account, facts.happened)

    def labels(self, said: Sequence[Label]) -> Int8s:
        """Analysts' verdicts."""
        return labels.record(self._connection, said, None, atomic=False).status

    def _keep(
        self,
        batch: factrows.AnyFacts | ReadyUsage,
        statuses: Int8s,
        account: Int64s,
        learned: Int64s,
    ) -> Int8s:
        if len(self._erased):
            statuses[np.isin(account, self._erased)] = CONFLICT
        rows = np.flatnonzero(statuses == NEW)
        if not len(rows):
            return statuses
        if not self._declared:
            layouts.declare(self._connection)
            self._declared = True
        whole = len(rows) == len(batch)
        facts = batch.facts if isinstance(batch, ReadyUsage) else batch
        if not whole:
            facts, learned = factrows.pick(facts, rows), learned[rows]
        if isinstance(facts, UsageFacts):
            self._gather(batch if whole and isinstance(batch, ReadyUsage) else ready(facts))
        else:
            # Nothing may be written beside a statement that may fail: SQLite then takes back all there was before.
            self._writes.done()
            factrows.insert_facts(self._connection, facts, learned)
        factrows.insert_names(self._connection, factrows.names_said(facts))
        self._links.append(
            factrows.links_shown(facts, learned, whole=whole)[0]
        )  # imported, so learned when it happened
        if sum(map(len, self._links)) > LINK_ROWS:
            self._links = [_first(self._links)]
            if len(self._links[0]) > LINK_ROWS // 2:
                self._write_links()
        return statuses

    def _gather(self, batch: ReadyUsage) -> None:
        self._seen.add(batch.events, batch.facts.content[batch.order])
        self._raw.append(table_of(batch.facts, batch.facts.happened))
        self._tiles.append(batch.tiles)
        self._parts.append(batch.part)
        if sum(table.num_rows for table in self._raw) >= SEGMENT_ROWS:
            self._stage()
        if sum(map(len, self._tiles)) >= TILE_ROWS:
            self._write_tiles()

    def _stage(self) -> None:
        raw, self._raw = self._raw, []
        if raw:
            self._stages.do(lambda: self._staged.append(self._segments.stage(raw)))

    def _write_tiles(self) -> None:
        tiles, parts = self._tiles, np.array(self._parts, np.int64)
        self._tiles, self._parts = [], []
        if tiles:
            self._writes.do(lambda: insert_tiles(self._connection, union_usage(tiles), -part_number(parts)))

    def _write_links(self) -> None:
        links, self._links = self._links, []
        self._writes.do(lambda: self._insert_links(LinkFacts.concat(links)))

    def _insert_links(self, shown: LinkFacts) -> None:
        if len(shown):
            factrows.insert_links(self._connection, shown, shown.happened, set(self._memory.kinds))

    def finish(self) -> None:
        """Writes what was gathered; the transaction commits after this."""
        self._write_tiles()  # first: a segment may still be under way, and the next one would wait for it
        self._stage()
        self._write_links()
        self._stages.done()
        self._writes.done()
        # The lock comes last: label writers wait for it, and live writes wait behind them.
        lock_links(self._connection)
        if len(_erased(self._connection)) != len(self._erased):
            raise DatabaseProblem("an account was erased meanwhile; nothing of this file was kept; import it again")
        if self._connection.dialect.name == "postgresql":  # labels that came while this transaction was open
            labels.mark_all(self._connection)
        self._segments.publish(self._connection, self._staged)


def _shared(connection: Connection) -> bool:
    """Whether a connection may be read from one thread while another writes on it.

    PostgreSQL's takes one statement at a time, and a COPY is none that another waits for. SQLite's does where it was
    built to be shared, as nearly everywhere.
    """
    return connection.dialect.name == "sqlite" and sqlite3.threadsafety == _SERIALISED


_SERIALISED = 3  # of PEP 249: threads may share connections and cursors


def _erased(connection: Connection) -> Int64s:
    return columns_of(run(connection, "SELECT account FROM accounts WHERE erased_at IS NOT NULL"), 1)[0]


def _first(parts: Sequence[LinkFacts]) -> LinkFacts:
    shown = LinkFacts.concat(parts)
    return factrows.first_sights(shown, shown.happened)[0]


class Behind:
    """Work that is done behind, in the order in which it is given: one piece at a time, while the next is gathered.

    Writing a file, and a statement of a thousand rows, let other threads work meanwhile. What a piece raises is raised
    by whoever gives the next one, or asks for the end.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        """``at_once``: each piece is done when it is given."""
        self._at_once = at_once

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="import")
        self._going: Future[None] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()  # waits: nothing may write when the transaction ends

    def do(self, work: Callable[[], None]) -> None:
        """Begins a piece, as soon as the one before it has ended."""
        self.done()
        if self._at_once:
            work()
        else:
            self._going = self._pool.submit(work)

    def done(self) -> None:
        """Waits for the last piece."""
        going, self._going = self._going, None
        if going is not None:
            going.result()


class _Seen:
    """Event ids of this file so far: sorted runs, merged when the last is half as long as the one before."""

    def __init__(self) -> None:
        self._runs: list[tuple[Int64s, Int64s]] = []

    def add(self, ids: Int64s, contents: Int64s) -> None:
        """More of them, which ascend."""
        self._runs.append((ids, contents))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < min(2 * len(self._runs[-1][0]), LONGEST_RUN):
            last, before = self._runs.pop(), self._runs.pop()
            merged = np.concatenate([before[0], last[0]])
            order = np.argsort(merged, kind="stable")  # two sorted runs: the sort is a merge
            self._runs.append((merged[order], np.concatenate([before[1], last[1]])[order]))

    def known(self, asked: Int64s) -> tuple[Int64s, Int64s]:
        """Those of these ids, which ascend, that were there before, and their contents."""
        found, contents = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for run_ids, run_contents in self._runs:
            place = np.minimum(np.searchsorted(run_ids, asked), len(run_ids) - 1)
            there = run_ids[place] == asked
            found.append(asked[there])
            contents.append(run_contents[place[there]])
        distinct, first = np.unique(np.concatenate(found), return_index=True)
        return distinct, np.concatenate(contents)[first]
