"""Very many rows as columns, put together by the database.

A row that passes through Python's driver costs a tuple and an object for each value, and each lets other threads in: of
a job over all accounts that took a third of its time, and another thread at work kept each of twenty rows of an account
waiting. So SQLite joins a column's values into one text or one value of bytes, in a single step during which other
threads work; PostgreSQL has COPY, whose binary rows of integers are an array as they stand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Connection

from service.storage.layouts import Packed
from service.storage.sql import Int64s, columns_of, cursor_of, encoded, rendered, run

# Bytes that are no text, with a zero among them: whether this SQLite joins them as they are is not in its manual.
_TRIED = "SELECT CAST(group_concat(p, '') AS BLOB) FROM (SELECT x'00ff' AS p UNION ALL SELECT x'c300')"
_TRIED_WELL = b"\x00\xff\xc3\x00"


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows are, and which."""

    table: str
    where: str
    parameters: Mapping[str, Any]
    order: str = ""  # in which they had best come; the caller must bear any other


def integers_of(connection: Connection, rows: Rows, names: Sequence[str]) -> list[Int64s]:
    """Columns of integers, none of them NULL; shape (n,) each."""
    if connection.dialect.name == "postgresql":
        return _copied(connection, rows, names)
    listed = ", ".join(f"group_concat({name})" for name in names)
    found = run(connection, f"SELECT {listed} {_gathered(rows)}", **rows.parameters)[0]
    return _same_length([_parsed(each) for each in found])


def packed_of(connection: Connection, rows: Rows, names: Sequence[str], packed: str) -> tuple[list[Int64s], Packed]:
    """Columns of integers, and one of packed values, whose layouts are in a column of that name."""
    if connection.dialect.name == "postgresql":
        found = run(connection, f"SELECT {', '.join([*names, 'layout', packed])} {_from(rows)}", **rows.parameters)
        columns = columns_of([row[: len(names)] for row in found], len(names))
        return columns, Packed.of([row[-2] for row in found], [row[-1] for row in found])
    listed = ", ".join(f"group_concat({name})" for name in [*names, "layout", f"length({packed})"])
    joins = run(connection, _TRIED)[0][0] == _TRIED_WELL
    together = f"CAST(group_concat({packed}, '') AS BLOB)" if joins else f"group_concat(hex({packed}), '')"
    *texts, value = run(connection, f"SELECT {listed}, {together} {_gathered(rows)}", **rows.parameters)[0]
    *columns, layout, size = _same_length([_parsed(each) for each in texts])
    value = value or b""
    joined = value if isinstance(value, bytes) else bytes.fromhex(value)
    if int(size.sum()) != len(joined):
        raise ValueError(f"{rows.table}.{packed}: {len(joined)} bytes came of {int(size.sum())}")
    return columns, Packed(layout, size, joined)


def texts_of(connection: Connection, rows: Rows, number: str, text: str) -> tuple[Int64s, list[str]]:
    """A column of integers, shape (n,), and one of texts."""
    if connection.dialect.name == "postgresql":
        found = run(connection, f"SELECT {number}, {text} {_from(rows)}", **rows.parameters)
        return columns_of([row[:1] for row in found], 1)[0], [row[1] for row in found]
    listed = f"group_concat({number}), json_group_array({text})"
    numbers, texts = run(connection, f"SELECT {listed} {_gathered(rows)}", **rows.parameters)[0]
    return _parsed(numbers), orjson.loads(texts)


def ranges(parts: int) -> Iterator[tuple[int, int]]:
    """All 64-bit integers in so many ranges (first, last), of as many rows each where a column's values are hashes."""
    for part in range(parts):
        yield -(2**63) + 2**64 * part // parts, -(2**63) + 2**64 * (part + 1) // parts - 1


def _from(rows: Rows) -> str:
    return f"FROM {rows.table} WHERE {rows.where}{f' ORDER BY {rows.order}' if rows.order else ''}"


def _gathered(rows: Rows) -> str:
    return f"FROM {rows.table} WHERE {rows.where}"


def _parsed(text: str | None) -> Int64s:
    """Integers with commas between; None: there is no row."""
    return np.fromstring(text, np.int64, sep=",") if text is not None else np.empty(0, np.int64)


def _same_length(columns: list[Int64s]) -> list[Int64s]:
    if len({len(column) for column in columns}) > 1:  # a NULL, which group_concat leaves out
        raise ValueError(f"columns of {[len(column) for column in columns]} rows")
    return columns


def _copied(connection: Connection, rows: Rows, names: Sequence[str]) -> list[Int64s]:
    listed = ", ".join(f"{name}::bigint" for name in names)
    query = rendered(f"SELECT {listed} {_from(rows)}", "postgresql")
    table = copied(connection, query, encoded(rows.parameters, "postgresql"), len(names))
    return [np.ascontiguousarray(table[:, i]) for i in range(len(names))]


def copied(connection: Connection, query: str, parameters: Any, width: int) -> Int64s:
    """Rows of eight-byte integers, shape (n, width), by PostgreSQL's binary copy: all have one length.

    ``query`` and its parameters are in the driver's own words.
    """
    statement = f"COPY ({query}) TO STDOUT (FORMAT BINARY)".encode()
    with cursor_of(connection) as cursor, cursor.copy(statement, parameters) as copy:
        data = b"".join(bytes(piece) for piece in copy)
    begin = 19 + struct.unpack(">i", data[15:19])[0]  # a signature, flags, and an extension of that length
    row = np.dtype([("count", ">i2"), *((f"{part}{i}", kind) for i in range(width) for part, kind in _FIELD)])
    rows, left = divmod(len(data) - begin - 2, row.itemsize)  # two bytes say that there are no more
    if left:
        raise ValueError(f"a NULL among the integers of {query!r}")
    body = np.frombuffer(data, row, rows, begin)
    return np.stack([body[f"v{i}"].astype(np.int64) for i in range(width)], axis=1)


_FIELD = (("l", ">i4"), ("v", ">i8"))
