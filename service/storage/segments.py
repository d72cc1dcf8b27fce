"""Raw exchanges in Parquet files below one folder (any fsspec URL), and which event ids they hold.

A file is written beside its place, synced, renamed, and counts from the moment its row is in ``segments``; one without
a row is an orphan of a crash, which ``clean`` removes. Rows are grouped by day, one row group or more a day, so that
asking for ids reads two columns of the days in question; within a day they stand as they came, which is mostly in the
order of time. Sorted by event id, which is as good as at random, a file took twice as long to write and a sixth more
room.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import IO, Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from sqlalchemy import Connection

from service.domain.errors import DatabaseProblem
from service.domain.facts import Repeated, UsageFacts
from service.domain.time import DAY
from service.storage.sql import Int64s, Runs, Values, insert, run
from service.storage.tables import segments, usage_events, usage_log

_NUMBERS = ("event", "account", "happened", "learned", "ip", "ip_net", "client", "model")
_MORE = ("input_tokens", "output_tokens", "template", "simhash", "content")
SCHEMA = pa.schema(
    [(name, pa.int64()) for name in (*_NUMBERS, *_MORE)]
    + [("status", pa.int8()), ("hosted", pa.int8()), ("account_id", pa.string())]
)
_REPEATING = ["account", "account_id", "ip", "ip_net", "client", "model", "template", "status", "hosted"]
_RISING = dict.fromkeys(("happened", "learned"), "DELTA_BINARY_PACKED")
# Hashes that hardly repeat are as good as random: nothing makes them smaller.
_COMPRESSION = {name: "NONE" if name in {"event", "content", "simhash", *_RISING} else "ZSTD" for name in SCHEMA.names}
REMEMBERED_IDS = 16_000_000  # 16 bytes each


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of raw exchanges; its moments are those at which they happened."""

    name: str
    path: str  # below the folder
    first_at: int
    last_at: int
    last_learned: int
    exchanges: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Day:
    segments: frozenset[str]
    ids: Int64s  # ascending
    contents: Int64s


def table_of(facts: UsageFacts, learned: Int64s) -> pa.Table:
    """Exchanges in the columns of a segment."""
    columns = {name: getattr(facts, name) for name in SCHEMA.names if name not in {"learned", "account_id"}}
    said = facts.account_id
    if isinstance(said, Repeated):
        ids = pa.array(said.values, pa.string()).take(pa.array(said.codes))
    else:
        ids = pa.array(list(said), pa.string())
    return pa.table({**columns, "learned": learned, "account_id": ids}, schema=SCHEMA)


def _by_day(table: pa.Table) -> dict[int, pa.Table]:
    """The rows of each day, as they came."""
    day = table["happened"].to_numpy() // DAY
    if (day[1:] < day[:-1]).any():
        order = np.argsort(day, kind="stable")
        table, day = table.combine_chunks().take(pa.array(order)), day[order]
    starts = np.flatnonzero(np.concatenate([[True], day[1:] != day[:-1]])).tolist()
    bounds = zip(starts, [*starts[1:], len(day)], strict=True)
    return {int(day[low]): table.slice(low, high - low) for low, high in bounds}


class _Hashing(io.RawIOBase):
    """A file that is written from its beginning to its end, and the hash of what went into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # whatever holds bytes; collections.abc.Buffer begins with Python 3.12
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


class Segments:
    """The folder. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._days: OrderedDict[int, _Day] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def log(cls, connection: Runs, part: int, facts: UsageFacts, learned: Int64s) -> None:
        """Keeps live exchanges in the database until ``rawusage.flush`` moves them into a segment."""
        cls.keep(connection, part, table_of(facts, learned))
        insert(connection, usage_events, {"event": facts.event, "content": facts.content})

    @staticmethod
    def keep(connection: Runs, part: int, table: pa.Table) -> None:
        """Keeps rows under a part's number, their ids being kept already."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as stream:
            stream.write_table(table)
        row: dict[str, Values] = {
            "part": [part],
            "exchanges": [table.num_rows],
            "last_learned": [int(table["learned"].to_numpy().max())],
            "packed": [sink.getvalue().to_pybytes()],
        }
        insert(connection, usage_log, row)

    @staticmethod
    def logged(connection: Connection, after: int = -(2**63)) -> Iterator[tuple[int, pa.Table]]:
        """Live exchanges that are in no segment yet, as (part, table), of parts with any learned after a moment."""
        sql = "SELECT part FROM usage_log WHERE last_learned > :after ORDER BY last_learned, part"
        parts = [part for (part,) in run(connection, sql, after=after)]
        for i in range(0, len(parts), 256):
            sql = "SELECT part, packed FROM usage_log WHERE part IN @parts ORDER BY last_learned, part"
            for part, packed in run(connection, sql, parts=parts[i : i + 256]):
                with pa.ipc.open_stream(packed) as stream:
                    yield part, stream.read_all()

    def stage(self, tables: Sequence[pa.Table]) -> Segment:
        """Writes a durable file that nobody knows of yet."""
        days: dict[int, list[pa.Table]] = {}
        for table in tables:
            for day, rows in _by_day(table).items():
                days.setdefault(day, []).append(rows)
        # Not by content: a writer that fails removes its file, and another may have published the same rows.
        name = f"{min(days):06d}-{uuid.uuid4().hex}"
        path = f"usage/{name}.parquet"
        with (
            self._written(path) as file,
            pq.ParquetWriter(
                file, SCHEMA, compression=_COMPRESSION, use_dictionary=_REPEATING, column_encoding=_RISING
            ) as writer,
        ):
            for day in sorted(days):
                writer.write_table(pa.concat_tables(days[day]))
        first_at = min(int(table["happened"].to_numpy().min()) for table in tables)
        last_at, last_learned = (
            max(int(table[moment].to_numpy().max()) for table in tables) for moment in ("happened", "learned")
        )
        exchanges = sum(table.num_rows for table in tables)
        return Segment(name, path, first_at, last_at, last_learned, exchanges, file.sha256.hexdigest())

    def _full(self, path: str) -> str:
        return posixpath.join(self._root, path)

    @contextmanager
    def _written(self, path: str) -> Iterator[_Hashing]:
        """A new file, which is durable and in its place when the block ends. An exception leaves none in its place."""
        full = self._full(path)
        self._fs.makedirs(posixpath.dirname(full), exist_ok=True)
        if not isinstance(self._fs, LocalFileSystem):  # object stores publish a whole object or none
            held = io.BytesIO()
            yield _Hashing(held)
            with self._fs.open(full, "wb") as there:
                there.write(held.getbuffer())
            return
        with open(f"{full}.part", "wb") as file:  # noqa: PTH123 - fsspec's paths are text
            yield _Hashing(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{full}.part", full)  # noqa: PTH105
        folder = os.open(posixpath.dirname(full), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @staticmethod
    def publish(connection: Connection, staged: Sequence[Segment]) -> None:
        """Makes staged files count, when the transaction commits."""
        row: dict[str, Values] = {
            "segment": [each.name for each in staged],
            "path": [each.path for each in staged],
            "first_at": [each.first_at for each in staged],
            "last_at": [each.last_at for each in staged],
            "last_learned": [each.last_learned for each in staged],
            "exchanges": [each.exchanges for each in staged],
            "sha256": [each.sha256 for each in staged],
        }
        insert(connection, segments, row)

    @staticmethod
    def listed(connection: Runs, start: int = -(2**62), end: int = 2**62) -> list[Segment]:
        """Published segments with exchanges that happened in [start, end)."""
        sql = (
            "SELECT segment, path, first_at, last_at, last_learned, exchanges, sha256 FROM segments "
            "WHERE last_at >= :start AND first_at < :end ORDER BY first_at, segment"
        )
        return [Segment(*row) for row in run(connection, sql, start=start, end=end)]

    def read(
        self, segment: Segment, columns: Sequence[str] | None = None, learned: tuple[int, int] = (-(2**63), 2**63)
    ) -> pa.Table:
        """Its rows; those that were not learned after the first moment and by the second one may be left out.

        Raises DatabaseProblem where the file is gone or damaged.
        """
        after, until = learned
        return self._read(segment, columns, "learned", lambda low, high: low <= until and high > after)

    def _read(
        self, segment: Segment, columns: Sequence[str] | None, name: str, wanted: Callable[[int, int], bool]
    ) -> pa.Table:
        """Row groups (of one day each) with a wanted span of a column, from its least number to its highest."""
        try:
            with self._fs.open(self._full(segment.path), "rb") as file, pq.ParquetFile(file) as parquet:
                place = parquet.schema_arrow.get_field_index(name)
                groups = []
                for i in range(parquet.num_row_groups):
                    span = parquet.metadata.row_group(i).column(place).statistics
                    if wanted(span.min, span.max):
                        groups.append(i)
                return parquet.read_row_groups(groups, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise DatabaseProblem(
                f"raw usage {segment.path} below {self.url} cannot be read; restore it from a backup ({error})"
            ) from error

    def _days_of(self, segment: Segment, days: set[int]) -> pa.Table:
        """Which event ids it has of these days."""
        wanted = ["event", "content", "happened"]
        return self._read(segment, wanted, "happened", lambda low, _: low // DAY in days)

    def remove(self, paths: Iterable[str]) -> None:
        """Deletes files, those that are there."""
        for path in paths:
            if self._fs.exists(self._full(path)):
                self._fs.rm_file(self._full(path))

    def orphans(self, connection: Connection, older_than: int) -> list[str]:
        """Paths of files that no segment names and that were not touched since ``older_than``."""
        folder = self._full("usage")
        if not self._fs.exists(folder):
            return []
        known = {path for (path,) in run(connection, "SELECT path FROM segments")}
        paths = [f"usage/{posixpath.basename(full)}" for full in self._fs.ls(folder, detail=False)]
        return [
            path
            for path in paths
            if path not in known and self._fs.modified(self._full(path)).timestamp() * 1_000_000 < older_than
        ]

    def known(self, connection: Runs, ids: Int64s, happened: Int64s) -> tuple[Int64s, Int64s]:
        """Which of these event ids are in segments of their day or the days beside it, and with what content.

        An id that comes again with a moment further away is taken as new: to find it, every file would be read.
        """
        if not len(ids):
            return ids, ids
        days = happened // DAY
        told = np.unique(days)
        low, high = int(told[0]) - 1, int(told[-1]) + 1
        near = self.listed(connection, low * DAY, (high + 1) * DAY)
        if not near:
            none = np.empty(0, np.int64)
            return none, none
        asked = np.unique(np.concatenate([told - 1, told, told + 1])).tolist()
        found: list[Int64s] = []
        contents: list[Int64s] = []
        with self._lock:
            self._load(near, asked)
            for day in asked:
                held = self._days.get(day)
                if held is None or not len(held.ids):
                    continue
                mine = ids[np.abs(days - day) <= 1]
                place = np.minimum(np.searchsorted(held.ids, mine), len(held.ids) - 1)
                there = held.ids[place] == mine
                found.append(mine[there])
                contents.append(held.contents[place[there]])
            self._forget()
        if not found:
            none = np.empty(0, np.int64)
            return none, none
        distinct, first = np.unique(np.concatenate(found), return_index=True)
        return distinct, np.concatenate(contents)[first]

    def _load(self, near: Sequence[Segment], days: Sequence[int]) -> None:
        missing: dict[str, set[int]] = {}
        names: dict[int, set[str]] = {}
        for day in days:
            held = self._days.get(day)
            of_day = {s.name for s in near if s.first_at < (day + 1) * DAY and s.last_at >= day * DAY}
            if held is not None and not held.segments <= of_day:  # one was rewritten by an erasure, or pruned
                del self._days[day]
                held = None
            for name in of_day - (held.segments if held is not None else frozenset()):
                missing.setdefault(name, set()).add(day)
            names[day] = of_day
        fresh: dict[int, list[tuple[Int64s, Int64s]]] = {}
        for segment in near:
            if segment.name in missing:
                table = self._days_of(segment, missing[segment.name])
                day_of = table["happened"].to_numpy() // DAY
                event, content = table["event"].to_numpy(), table["content"].to_numpy()
                for day in np.unique(day_of).tolist():
                    rows = day_of == day
                    fresh.setdefault(day, []).append((event[rows], content[rows]))
        for day in days:
            held = self._days.get(day)
            parts = fresh.get(day, []) + ([(held.ids, held.contents)] if held is not None else [])
            if held is None or held.segments != names[day]:
                none = np.empty(0, np.int64)
                ids = np.concatenate([none, *(part[0] for part in parts)])
                order = np.argsort(ids)
                merged = np.concatenate([none, *(part[1] for part in parts)])[order]
                self._days[day] = _Day(frozenset(names[day]), ids[order], merged)
            self._days.move_to_end(day)

    def _forget(self) -> None:
        held = sum(len(day.ids) for day in self._days.values())
        while held > REMEMBERED_IDS and len(self._days) > 1:
            _, day = self._days.popitem(last=False)
            held -= len(day.ids)
