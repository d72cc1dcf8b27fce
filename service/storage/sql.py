# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter
"""SQL that both databases run, written once.

Statements name parameters ``:name``, lists of integers ``IN @name`` and of texts ``IN @@name``. SQLite gets a list as
JSON, PostgreSQL as an array: so a statement's text does not depend on how many values there are, and is prepared once.
They run on the driver's cursors: SQLAlchemy's took longer than the look-ups did, of which one assessment has nine.
It keeps the connections, the transactions and the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

Int64s = NDArray[np.int64]
Values: TypeAlias = "NDArray[Any] | Sequence[Any]"
Row: TypeAlias = "tuple[Any, ...]"


class Runs(Protocol):
    """What statements need of a connection: its dialect, and the driver's connection with its cursors."""

    @property
    def dialect(self) -> Any:
        """The name of the database's dialect is in ``name``."""
        ...

    @property
    def connection(self) -> Any:
        """The driver's connection, as the pool lends it."""
        ...


COPY_FROM = 2_000  # rows; PostgreSQL's COPY into a staging table pays from here on
MANY_ROWS = 2_000  # an import's batch, which nobody waits for
_STATEMENT_ROWS = (256, 128, 64, 32, 16, 8, 4, 2, 1)  # of few lengths, so that each is prepared once
_COPIED_ROWS = 8_192  # that are Python's own values at a time
_MANY_VALUES = 8_000  # of one statement of an import; SQLite takes 32,766
_LIST = re.compile(r"IN @(\w+)")
_TEXTS = re.compile(r"IN @@(\w+)")
_NAME = re.compile(r"(?<![:\w]):(\w+)")


@lru_cache(maxsize=512)
def rendered(sql: str, dialect: str) -> str:
    """The statement in the driver's own words."""
    if dialect == "sqlite":
        return _LIST.sub(r"IN (SELECT value FROM json_each(:\1))", sql.replace("IN @@", "IN @"))
    arrays = _LIST.sub(r"= ANY(%(\1)s::bigint[])", _TEXTS.sub(r"= ANY(%(\1)s::text[])", sql.replace("%", "%%")))
    return _NAME.sub(r"%(\1)s", arrays)


def encoded(parameters: Mapping[str, Any], dialect: str) -> dict[str, Any]:
    """Parameters as the driver takes them: arrays and lists become JSON on SQLite and arrays on PostgreSQL."""
    out: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, np.ndarray):
            out[name] = as_json(value) if dialect == "sqlite" else value.tolist()
        else:
            out[name] = json.dumps(value) if dialect == "sqlite" and isinstance(value, list | tuple) else value
    return out


def as_json(values: NDArray[Any]) -> str:
    """An array of numbers as SQLite's ``json_each`` takes it; by way of a list each took fifteen times as long."""
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()


def cursor_of(connection: Runs) -> Any:
    """The driver's own cursor within the connection's transaction."""
    return connection.connection.cursor()


def run(connection: Runs, sql: str, **parameters: Any) -> list[Row]:
    """Runs a statement and returns its rows, if it has any."""
    dialect = connection.dialect.name
    cursor = cursor_of(connection)
    cursor.execute(rendered(sql, dialect), encoded(parameters, dialect))
    rows: list[Row] = cursor.fetchall() if cursor.description else []
    cursor.close()
    return rows


def blocks(connection: Connection, sql: str, size: int = 100_000, **parameters: Any) -> Iterator[list[Row]]:
    """Runs a SELECT and yields its rows in blocks of ``size``; PostgreSQL keeps them at the server until then."""
    dialect = connection.dialect.name
    driver: Any = connection.connection
    cursor = driver.cursor("blocks") if dialect == "postgresql" else driver.cursor()
    try:
        cursor.execute(rendered(sql, dialect), encoded(parameters, dialect))
        while rows := cursor.fetchmany(size):
            yield rows
    finally:
        cursor.close()


def changed(connection: Runs, sql: str, **parameters: Any) -> int:
    """Runs a statement and returns how many rows it wrote or deleted."""
    dialect = connection.dialect.name
    cursor = cursor_of(connection)
    cursor.execute(rendered(sql, dialect), encoded(parameters, dialect))
    count = int(cursor.rowcount)
    cursor.close()
    return count


def columns_of(rows: Sequence[Row], width: int) -> list[Int64s]:
    """Rows of ``width`` integers as arrays."""
    table = np.array(rows, np.int64).reshape(-1, width)
    return [np.ascontiguousarray(table[:, i]) for i in range(width)]


def insert(connection: Runs, table: Table, columns: Mapping[str, Values], on_conflict: str = "") -> None:
    """Inserts rows given as columns of one length. ``on_conflict`` is the statement's ``ON CONFLICT ...`` clause.

    Raises the driver's IntegrityError where a row breaks a key and no clause says what to do then.
    """
    values = tuple(columns.values())
    rows = len(values[0])
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        _insert_sqlite(connection, table, tuple(columns), values, on_conflict)
    elif rows < COPY_FROM:
        cursor = cursor_of(connection)
        cursor.execute(_postgres_insert(table, tuple(columns), on_conflict), _lists(values, 0, rows))
        cursor.close()
    else:
        _copy(connection, table, tuple(columns), values, on_conflict)


def _lists(columns: Sequence[Values], low: int, high: int) -> tuple[list[Any], ...]:
    """Some rows of columns as Python's own values.

    Only of those that are written next: of a million rows they take more memory than all that an import holds.
    """
    some = (column[low:high] for column in columns)
    return tuple(part.tolist() if isinstance(part, np.ndarray) else list(part) for part in some)


def _insert_sqlite(
    connection: Runs, table: Table, names: tuple[str, ...], columns: Sequence[Values], on_conflict: str
) -> None:
    """By statements of many rows.

    Python's driver lets other threads in at each step of a statement, and waits until it may go on: a group commit of
    32 signups has 400 rows, and a busy thread kept each of them waiting. An import's thousands at a time leave other
    threads to work meanwhile.
    """
    rows, width = len(columns[0]), len(names)
    sizes = (_MANY_VALUES // width, *_STATEMENT_ROWS) if rows > MANY_ROWS else _STATEMENT_ROWS
    cursor = cursor_of(connection)
    done = 0
    for size in sizes:
        while rows - done >= size:
            some = _lists(columns, done, done + size)
            cursor.execute(
                _sqlite_insert(table, names, on_conflict, size), list(chain.from_iterable(zip(*some, strict=True)))
            )
            done += size
    cursor.close()


@lru_cache(maxsize=256)
def _sqlite_insert(table: Table, names: tuple[str, ...], on_conflict: str, rows: int) -> str:
    marks = ", ".join([f"({', '.join('?' * len(names))})"] * rows)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {marks} {on_conflict}"


@lru_cache(maxsize=256)
def _postgres_types(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    return tuple(table.c[name].type.compile(dialect=dialect) for name in names)


@lru_cache(maxsize=256)
def _postgres_insert(table: Table, names: tuple[str, ...], on_conflict: str) -> str:
    arrays = ", ".join(f"%s::{kind}[]" for kind in _postgres_types(table, names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays}) {on_conflict}"


def _copy(connection: Runs, table: Table, names: tuple[str, ...], columns: Sequence[Values], on_conflict: str) -> None:
    listed, kinds = ", ".join(names), [kind.lower() for kind in _postgres_types(table, names)]
    target = f"stage_{table.name}" if on_conflict else table.name
    with cursor_of(connection) as cursor:
        if on_conflict:
            cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {target} (LIKE {table.name}) ON COMMIT DROP".encode())
            cursor.execute(f"TRUNCATE {target}".encode())
            for name in set(table.c.keys()) - set(names):
                cursor.execute(f"ALTER TABLE {target} ALTER COLUMN {name} DROP NOT NULL".encode())
        with cursor.copy(f"COPY {target} ({listed}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.set_types([_COPY_TYPES.get(kind, kind) for kind in kinds])
            for low in range(0, len(columns[0]), _COPIED_ROWS):
                for row in zip(*_lists(columns, low, low + _COPIED_ROWS), strict=True):
                    copy.write_row(row)
        if on_conflict:
            statement = f"INSERT INTO {table.name} ({listed}) SELECT {listed} FROM {target} {on_conflict}"
            cursor.execute(statement.encode())


_COPY_TYPES = {"bigint": "int8", "integer": "int4", "smallint": "int2", "double precision": "float8"}
