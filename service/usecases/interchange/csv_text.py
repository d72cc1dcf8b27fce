"""CSV files with a header line, comma-separated, quoted as RFC 4180 says, UTF-8 with or without a byte order mark.

Python's own reader, and not Arrow's: Arrow's ends with an error at a row longer than a block and at invalid UTF-8,
and loses the row numbers after a row with too many fields. Here such a row is one bad row.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from service.usecases.interchange.chunks import Chunk, chunk
from service.usecases.interchange.problems import FileProblem, UnreadableRow
from service.usecases.interchange.schemas import Table
from service.usecases.interchange.text_cells import cells_of_texts, shown

BATCH_ROWS = 16_384
MAX_FIELD = 1 << 24  # characters; a quote that is never closed would otherwise take in the rest of the file
MAX_LINE = 1 << 26


def chunks(path: Path, table: Table, file: str) -> Generator[Chunk, None, None]:
    """The rows of ``path`` as chunks of ``table``; ``file`` is its name in messages. Raises FileProblem."""
    with _opened(path, file) as raw:
        if raw.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):  # type: ignore[attr-defined]
            raise FileProblem(file, "is UTF-16", "save it as UTF-8")
        text = TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        csv.field_size_limit(MAX_FIELD)  # the module keeps one limit for the process; its own is 128 KiB
        reader = csv.reader(_lines(text, file), strict=True)
        header = _header(reader, table, file)
        yield from _Rows(table, header, reader, raw).chunks()


class _Rows:
    """Rows after the header, gathered into chunks."""

    def __init__(self, table: Table, header: list[str], reader: Any, raw: BinaryIO) -> None:
        self._table, self._header, self._reader, self._raw = table, header, reader, raw
        self._row = 0

    def chunks(self) -> Generator[Chunk, None, None]:
        more = True
        while more:
            fields: list[list[str]] = []
            numbers: list[int] = []
            unreadable: list[UnreadableRow] = []
            while more and len(fields) + len(unreadable) < BATCH_ROWS:
                more = self._one(fields, numbers, unreadable)
            if fields or unreadable:
                yield self._chunk(fields, numbers, unreadable)

    def _one(self, fields: list[list[str]], numbers: list[int], unreadable: list[UnreadableRow]) -> bool:
        """Reads one row into one of the lists; False: there is no more."""
        line = self._reader.line_num + 1
        try:
            row = next(self._reader, None)
        except csv.Error as why:
            self._row += 1
            unreadable.append(UnreadableRow(self._row, f"is not CSV from line {line} on: {why}", None))
            return True
        if row is None:
            return False
        if not row:  # an empty line
            return True
        self._row += 1
        if len(row) != len(self._header):
            said = f"has {len(row)} fields on line {line}, the header has {len(self._header)}"
            unreadable.append(UnreadableRow(self._row, said, [shown(value) for value in row]))
        else:
            fields.append(row)
            numbers.append(self._row)
        return True

    def _chunk(self, fields: list[list[str]], numbers: list[int], unreadable: list[UnreadableRow]) -> Chunk:
        columns: Sequence[Sequence[str]] = list(zip(*fields, strict=True)) or [()] * len(self._header)
        place = {name: i for i, name in enumerate(self._header)}
        cells = {
            column.name: cells_of_texts(column.kind, columns[place[column.name]])
            for column in self._table.columns
            if column.name in place
        }
        return chunk(
            self._table,
            np.array(numbers, np.int64),
            cells,
            original=partial(_row, self._header, fields),
            unreadable=unreadable,
            read=self._raw.tell(),
        )


def _row(header: Sequence[str], fields: Sequence[Sequence[str]], place: int) -> dict[str, str]:
    return dict(zip(header, map(shown, fields[place]), strict=True))


def _opened(path: Path, file: str) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as why:
        raise FileProblem(file, f"cannot be read ({why.strerror})", "check the file and its rights") from None


def _lines(text: TextIOWrapper, file: str) -> Iterator[str]:
    while line := text.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise FileProblem(file, f"has a line of more than {MAX_LINE} characters", "it does not look like CSV")
        yield line


def _header(reader: Any, table: Table, file: str) -> list[str]:
    try:
        header: list[str] | None = next(reader, None)
    except csv.Error as why:
        raise FileProblem(file, f"has a header line that is not CSV ({why})", "write it again") from None
    if not header:
        raise FileProblem(file, "is empty, without even a header line", "it may be half-written: write it again")
    header = [shown(name) for name in header]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise FileProblem(file, "has one column only", "separate the columns by commas")
    if not {column.name for column in table.columns} & set(header):  # and do not repeat what may be a row of data
        raise FileProblem(file, f"has no header line: none of its first fields is a column of {table.name}", "add one")
    table.check_columns(header, file)
    return header
