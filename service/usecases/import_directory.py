"""Takes in the interchange tables of a directory: every row checked, every file whole or not at all."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TypeAlias

from service.domain.errors import UsageError
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW
from service.usecases.interchange.aside import Aside
from service.usecases.interchange.beside import Beside
from service.usecases.interchange.loading import Admitted, Ahead, admitted, keep
from service.usecases.interchange.ports import Bulk, Door, Store
from service.usecases.interchange.problems import BadRow, FileProblem
from service.usecases.interchange.schemas import LABELS
from service.usecases.interchange.sources import Source, source, sources

KEPT_BAD_ROWS = 1_000  # of a file of a hundred million, more would only fill the memory
_CONFLICT = "came before with different content, or its account was erased; the first is kept"


@dataclass(slots=True)
class Counts:
    """Rows of one table. Of a file that was refused, ``imported`` has none."""

    rows: int = 0
    imported: int = 0
    duplicates: int = 0  # known already, with the same content
    bad: int = 0

    def add(self, other: Counts) -> None:
        """Adds another file's."""
        self.rows += other.rows
        self.imported += other.imported
        self.duplicates += other.duplicates
        self.bad += other.bad


@dataclass(slots=True)
class ImportReport:
    """What an import did. ``bad_rows`` holds the first KEPT_BAD_ROWS problems; ``bad`` counts all bad rows."""

    files: dict[str, Counts] = field(default_factory=dict)  # by table, in the order of import
    bad_rows: list[BadRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # files that cannot be read at all: why, and the mend
    refused: list[str] = field(default_factory=list)  # files of which nothing was published
    campaigns: set[str] = field(default_factory=set)  # ids that new labels name

    @property
    def bad(self) -> int:
        """Bad rows of all files."""
        return sum(counts.bad for counts in self.files.values())


class Progress(Protocol):
    """Told how far an import is."""

    def begins(self, name: str, size: int) -> None:
        """A file begins; ``advanced`` ends at ``size``."""

    def advanced(self, read: int, rows: int) -> None:
        """So much of it is read: ``read`` of its ``size``, as so many rows."""

    def ends(self, name: str, counts: Counts, *, published: bool) -> None:
        """The file is done; it need not have begun."""


Chunks: TypeAlias = "Ahead | Generator[Admitted, None, None]"


class _Refused(Exception):
    """Takes a file's transaction back: there are bad rows, and no place to put them aside."""


def import_directory(
    directory: Path, *, door: Door | Beside, store: Store, now: int, skip_bad_rows: Path | None, progress: Progress
) -> ImportReport:
    """Imports every table of ``directory``, accounts first; ``now`` decides what lies in the future.

    ``door`` is a door, or the process that reads ``directory`` and has one.

    A file with bad rows is refused as a whole and the next one taken up, so that one run shows everything that is
    wrong; with ``skip_bad_rows`` its bad rows are written there and the others published. What was known already,
    with the same content, counts as a duplicate. Raises UsageError where there is nothing to import, ReadingStopped
    where the other process has ended.
    """
    return _Import(door, store, now, progress).run(sources(directory), skip_bad_rows)


def import_labels(
    path: Path, *, door: Door, store: Store, now: int, skip_bad_rows: Path | None, progress: Progress
) -> ImportReport:
    """Imports one file of labels, whatever its name; see ``import_directory``."""
    return _Import(door, store, now, progress).run([source(path, LABELS)], skip_bad_rows)


@dataclass(slots=True)
class _Import:
    """One run of an import."""

    door: Door | Beside
    store: Store
    now: int
    progress: Progress
    report: ImportReport = field(default_factory=ImportReport)
    aside: Aside | None = None  # None: a file with bad rows is refused
    _named: set[str] = field(default_factory=set)
    _begun: Chunks | None = None  # of the next file

    def run(self, files: Sequence[Source], skip_bad_rows: Path | None) -> ImportReport:
        try:
            if skip_bad_rows is None:
                for one, following in zip_longest(files, files[1:]):
                    self._file(one, following)
                return self.report
            if any(skip_bad_rows.resolve() == one.path.resolve() for one in files):
                raise UsageError(f"--skip-bad-rows: {skip_bad_rows} is one of the files to import; name another")
            with Aside(skip_bad_rows) as self.aside:
                for one, following in zip_longest(files, files[1:]):
                    mark = self.aside.mark()
                    if not self._file(one, following):
                        self.aside.rewind(mark)
            return self.report
        finally:
            if self._begun is not None:
                self._begun.close()

    def _begin(self, source: Source) -> Chunks:
        begun, self._begun = self._begun, None
        return begun if begun is not None else self._chunks(source)

    def _chunks(self, source: Source) -> Chunks:
        if isinstance(self.door, Beside):
            return self.door.chunks(source)
        return Ahead(admitted(source, self.door, self.now))

    def _file(self, source: Source, following: Source | None) -> bool:
        """Imports one file; whether it was published. As its end is being written, ``following`` is begun."""
        counts = Counts()
        published = False
        self._named.clear()
        try:
            with closing(self._begin(source)) as chunks:
                self.progress.begins(source.name, source.size())
                with self.store.bulk() as bulk:
                    self._rows(source, chunks, bulk, counts)
                    if following is not None:
                        self._begun = self._chunks(following)
            published = True
            self.report.campaigns |= self._named
        except FileProblem as problem:
            self.report.problems.append(str(problem))
        except _Refused:
            pass
        if not published:
            counts.imported = 0
            self.report.refused.append(source.name)
        self.report.files.setdefault(source.table.name, Counts()).add(counts)
        self.progress.ends(source.name, counts, published=published)
        return published

    def _rows(self, source: Source, chunks: Iterable[Admitted], bulk: Bulk, counts: Counts) -> None:
        for each in chunks:
            self._chunk(source, each, bulk, counts)
            self.progress.advanced(each.chunk.read, counts.rows)
        if counts.bad and self.aside is None:
            raise _Refused

    def _chunk(self, source: Source, each: Admitted, bulk: Bulk, counts: Counts) -> None:
        chunk, wrong = each.chunk, each.wrong
        if len(each.places):
            statuses = keep(source, each.facts, bulk)
            for place in each.places[statuses == CONFLICT].tolist():
                column = ", ".join(source.table.identity)
                wrong[place] = [BadRow(source.name, int(chunk.rows[place]), column, _CONFLICT)]
            counts.imported += int((statuses == NEW).sum())
            counts.duplicates += int((statuses == DUPLICATE).sum())
            if source.table is LABELS:
                named = chunk.batch.column("campaign_id").take(each.places[statuses == NEW])
                self._named.update(named.drop_null().to_pylist())
        counts.rows += len(chunk)
        counts.bad += len(wrong) + len(chunk.unreadable)
        for place in sorted(wrong):
            self._keep(wrong[place], chunk.original(place) if self.aside is not None else None)
        for row in chunk.unreadable:
            self._keep([BadRow(source.name, row.row, "", row.reason)], row.content)

    def _keep(self, bad: list[BadRow], record: object) -> None:
        self.report.bad_rows.extend(bad[: KEPT_BAD_ROWS - len(self.report.bad_rows)])
        if self.aside is not None:
            self.aside.write(bad, record)
