"""Opening a database by its URL, and saying in the operator's words why one cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from sqlite3 import Error as SqliteError
from sqlite3 import sqlite_version_info
from types import TracebackType
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from service.domain.errors import DatabaseProblem
from service.storage.sql import Runs

BUSY_TIMEOUT_S = 30.0  # how long one SQLite writer waits for another
DRIVER_ERRORS = (SQLAlchemyError, psycopg.Error, SqliteError)  # all that a statement may raise

_SNAPSHOT: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
_PRAGMAS = (
    "synchronous = FULL",
    "temp_store = MEMORY",
)
# A job reads or writes all there is, over one connection.
_JOB = (
    "cache_size = -65536",
    "mmap_size = 268435456",
    # A checkpoint copies pages to where they belong, random writes that the commit at hand waits for. Every 64 MB
    # instead of every 4: pages that many commits touch are copied once, which doubled what was written in a second.
    "wal_autocheckpoint = 16384",
    "journal_size_limit = 67108864",
)
# A server has many connections, each with memory of its own, and what one of them keeps is void as soon as another
# writes. With a job's the process held 430 MiB at a million accounts. With 16 MB each, sixteen connections that had all
# been in use came to 270 MiB, and looked nothing up sooner than with 4. A commit larger than that is not written twice.
_SERVER = (
    "cache_size = -4096",
    "cache_spill = 0",
    "mmap_size = 0",
    # Before it comes to this, ``journal.py`` copies it.
    "wal_autocheckpoint = 32768",
    "journal_size_limit = 134217728",
)
_ROOMY_KIB = 262_144  # of one transaction, see ``roomy``
# Last in, first out: work that few connections can do leaves the others cold.
_POOL: dict[str, Any] = {"pool_size": 16, "max_overflow": 48, "pool_timeout": 30.0, "pool_use_lifo": True}

_SQLITE: tuple[tuple[str, str, str], ...] = (  # beginning of SQLite's error name, what, mend
    ("SQLITE_CANTOPEN", "cannot be opened", "create its folder, or check the path and its permissions"),
    ("SQLITE_BUSY", "is locked by another process", "wait for an import or a migration to end, or stop that process"),
    ("SQLITE_LOCKED", "is locked by another process", "wait for an import or a migration to end, or stop that process"),
    ("SQLITE_READONLY", "is read-only", "give this user write permission on the file and its folder"),
    ("SQLITE_NOTADB", "is not a SQLite database", "check the path; the file was left as it is"),
    ("SQLITE_CORRUPT", "is damaged", "restore it from a backup; `sqlite3 FILE .recover` may save the rest"),
    ("SQLITE_FULL", "has no room left on its disk", "free some space; nothing was half-written"),
    ("SQLITE_IOERR", "cannot be read or written", "check the disk and the folder's permissions"),
    ("SQLITE_PERM", "may not be accessed", "give this user permission on the file and its folder"),
)
_POSTGRES: tuple[tuple[str, str, str], ...] = (  # beginning of the SQLSTATE, what, mend
    ("3D000", "does not exist", "create it with `createdb`"),
    ("28", "refuses this user", "check the user and password in the URL"),
    ("25006", "is read-only", "point the URL at the primary server"),
    ("42501", "denies this user a permission", "grant it on the schema and its tables"),
    ("42P01", "lacks a table", "run `gatehouse db upgrade`"),
    ("42703", "lacks a column", "run `gatehouse db upgrade`"),
    ("53100", "has no room left on its disk", "free some space; nothing was half-written"),
    ("53300", "has no connection left", "raise max_connections, or start fewer servers"),
    ("55P03", "is locked by another process", "wait for an import or a migration to end, or stop that process"),
    ("57P", "is shutting down or starting", "try again when it is up"),
    ("08", "cannot be reached", "check that it runs, and the host and port in the URL"),
)


def open_database(url: str, *, serving: bool = False) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://...``; nothing is created or checked yet.

    ``serving``: for many small calls at once rather than one large job, which decides what connections may hold.

    Raises DatabaseProblem where the URL is of another kind, or a SQLite file's folder does not exist. Errors of its
    connections that an operator can mend come out as DatabaseProblem, too.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseProblem(_no_url("the database URL cannot be read")) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        engine = _open_sqlite(parsed, _SERVER if serving else _JOB)
    elif backend == "postgresql":
        # Cost estimates of the few-account reads are far too high, and compiling them takes longer than running them.
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            connect_args={"options": "-c jit=off", "connect_timeout": 10, "application_name": "gatehouse"},
            pool_pre_ping=True,
            **_POOL,
        )
    else:
        raise DatabaseProblem(_no_url(f"database URLs of kind {backend!r} are not known"))

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> BaseException | None:
        return problem(engine.url, context.original_exception)

    return engine


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """``open_database`` for a short look: its connections are closed at the end."""
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _no_url(what: str) -> str:
    return f"{what}; give sqlite:///PATH or postgresql://USER@HOST/NAME (--database, GATEHOUSE_DATABASE_URL)"


def _open_sqlite(url: URL, memory: tuple[str, ...]) -> Engine:
    path = url.database
    if not path or path == ":memory:":
        raise DatabaseProblem(_no_url("a SQLite database needs a file"))
    if not path.startswith("file:") and not Path(path).resolve().parent.is_dir():
        raise DatabaseProblem(
            f"database {shown(url)}: its folder does not exist; create {str(Path(path).parent)!r} or give another path"
        )
    if sqlite_version_info < (3, 35):
        raise DatabaseProblem("this Python's SQLite is older than 3.35; use a newer Python, or PostgreSQL")
    arguments = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    engine = create_engine(url, hide_parameters=True, connect_args=arguments, **_POOL)

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # BEGIN is ours, see below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal" and "mode=ro" not in str(path):
            cursor.execute("PRAGMA journal_mode = WAL")
        for pragma in (*_PRAGMAS, *memory):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later fails at once where another wrote meanwhile, however long
        # the busy timeout is; so writers take the lock first.
        writes = connection.get_execution_options().get("gatehouse_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def shown(url: URL) -> str:
    """The URL as it may be logged."""
    return url.render_as_string(hide_password=True)


def problem(url: URL, error: BaseException) -> DatabaseProblem | None:
    """What an operator should do about ``error``; None where it is not of that kind."""
    what: tuple[str, str] | None = None
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, SqliteError):
        name = getattr(error, "sqlite_errorname", "")
        what = next(((said, mend) for begin, said, mend in _SQLITE if name.startswith(begin)), None)
        if detail.startswith(("no such table", "no such column")) or "has no column" in detail:
            what = ("has not the tables of this version", "run `gatehouse db upgrade`")
    elif isinstance(error, psycopg.Error):
        state = error.sqlstate or ("3D000" if detail.endswith("does not exist") else "08")
        if error.sqlstate or isinstance(error, psycopg.OperationalError):
            what = next(((said, mend) for begin, said, mend in _POSTGRES if state.startswith(begin)), None)
    if what is None:
        return None
    return DatabaseProblem(f"database {shown(url)} {what[0]}; {what[1]} ({detail})")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection whose statements all see the same moment of the database."""
    options = _SNAPSHOT if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(**options) as connection, _translated(engine), connection.begin():
        yield connection


def glance(engine: Engine) -> AbstractContextManager[Runs]:
    """``reading`` for a few look-ups: on SQLite without SQLAlchemy's connection, which takes longer than they do."""
    return reading(engine) if engine.dialect.name == "postgresql" else _Bare(engine, writes=False)


def committing(engine: Engine) -> AbstractContextManager[Runs]:
    """``writing`` for a group commit, on SQLite likewise: that connection takes as long as some arrivals' rows."""
    return writing(engine) if engine.dialect.name == "postgresql" else _Bare(engine, writes=True)


class _Bare:
    """A driver's connection of the pool, in a transaction of its own."""

    def __init__(self, engine: Engine, *, writes: bool) -> None:
        self._engine, self._writes = engine, writes
        self.dialect = engine.dialect

    def __enter__(self) -> Self:
        with _translated(self._engine):
            self.connection = self._engine.raw_connection()
            try:
                self.connection.cursor().execute("BEGIN IMMEDIATE" if self._writes else "BEGIN")
            except BaseException:  # Ctrl-C, too: no __exit__ follows an __enter__ that failed; the pool would lose one
                self.connection.close()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with _translated(self._engine):
            try:
                if error is None and self._writes:
                    self.connection.commit()
            finally:
                self.connection.close()  # the pool rolls back
        if isinstance(error, SqliteError):
            known = problem(self._engine.url, error)
            if known is not None:
                raise known from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits when the block ends and is durable then; an exception rolls it back."""
    opened = engine.connect().execution_options(gatehouse_writes=True)
    with opened as connection, _translated(engine), connection.begin():
        yield connection


@contextmanager
def roomy(connection: Connection) -> Iterator[None]:
    """A transaction that changes more pages than a connection's cache holds, on SQLite.

    What the cache has no room for goes to the journal, is read back at the next change and goes there again: an import
    of 1.5 million exchanges wrote and read its 200 MB of pages twice.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar()
    connection.exec_driver_sql(f"PRAGMA cache_size = -{_ROOMY_KIB}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {before}")


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """For statements on the driver's own cursors, of which SQLAlchemy's event does not hear."""
    try:
        yield
    except (psycopg.Error, SqliteError) as error:
        known = problem(engine.url, error)
        if known is None:
            raise
        raise known from error
