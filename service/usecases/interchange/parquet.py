"""Parquet files, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service.usecases.interchange import arrow_cells
from service.usecases.interchange.chunks import Cells, Chunk, chunk
from service.usecases.interchange.problems import FileProblem
from service.usecases.interchange.schemas import Kind, Table

BATCH_ROWS = 131_072
_BUFFER = 1 << 20  # column pages are streamed through it; without it a whole row group's columns are read at once


def size(path: Path, file: str) -> int:
    """Rows of the file, from its footer. Raises FileProblem."""
    with _opened(path, file) as parquet:
        return int(parquet.metadata.num_rows)


def chunks(path: Path, table: Table, file: str) -> Generator[Chunk, None, None]:
    """The rows of ``path`` as chunks of ``table``; ``file`` is its name in messages. Raises FileProblem."""
    with _opened(path, file) as parquet:
        names = parquet.schema_arrow.names
        table.check_columns(names, file)
        for column in table.columns:
            if column.name in names:
                arrow_cells.check_type(column, parquet.schema_arrow.field(column.name).type, file)
        repeating = _repeating(table, parquet.schema_arrow)
    wanted = [column.name for column in table.columns if column.name in names]
    read = 0
    with _opened(path, file, repeating) as parquet:
        batches = parquet.iter_batches(batch_size=BATCH_ROWS, columns=wanted, use_threads=True)
        while (batch := _next(batches, file, read)) is not None:
            rows = np.arange(read + 1, read + 1 + len(batch), dtype=np.int64)
            read += len(batch)
            yield chunk(table, rows, _cells(table, batch), original=partial(_row, batch), unreadable=(), read=read)


def _repeating(table: Table, schema: pa.Schema) -> list[str]:
    """Texts that are taken as the file mostly has them, as a dictionary; but no id that is another in every row."""
    texts = {column.name for column in table.columns if column.kind is Kind.TEXT} - {"event_id", table.identity[0]}
    return [name for name in schema.names if name in texts and arrow_cells.is_textual(schema.field(name).type)]


def _opened(path: Path, file: str, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            path, buffer_size=_BUFFER, pre_buffer=False, memory_map=False, read_dictionary=list(dictionaries)
        )
    except (pa.ArrowException, OSError, ValueError) as why:
        raise _broken(file, why) from None


def _next(batches: Iterator[pa.RecordBatch], file: str, read: int) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except (pa.ArrowException, OSError, ValueError) as why:
        raise _broken(file, why, f" after row {read}") from None


def _broken(file: str, why: Exception, where: str = "") -> FileProblem:
    said = " ".join(str(why).split())[:160]
    if isinstance(why, PermissionError):
        return FileProblem(file, "may not be read", "give this user the right to read it")
    return FileProblem(file, f"is not a whole Parquet file ({said}){where}", "it may be half-written: write it again")


def _cells(table: Table, batch: pa.RecordBatch) -> dict[str, Cells]:
    return {
        column.name: arrow_cells.cells(column.kind, batch.column(column.name))
        for column in table.columns
        if column.name in batch.schema.names
    }


def _row(batch: pa.RecordBatch, place: int) -> dict[str, object]:
    return {name: _plain(batch.column(name).slice(place, 1)) for name in batch.schema.names}


def _plain(array: pa.Array) -> object:
    """The only value of ``array``, times as RFC 3339 text; text that is not UTF-8 as bytes."""
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.string())[0].as_py()  # the standard library has no nanoseconds
    try:
        return array[0].as_py()
    except UnicodeDecodeError:
        return array.cast(pa.large_binary())[0].as_py()
