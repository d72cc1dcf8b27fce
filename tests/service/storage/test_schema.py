"""Migrations: from nothing to now, once, whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine

from service.domain.errors import DatabaseProblem
from service.storage.database import opened
from service.storage.schema import SchemaState, check, ensure, upgrade
from service.storage.store import open_store
from service.storage.tables import metadata


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with opened(database_url) as engine:
        yield engine


def test_an_empty_database_is_upgraded_once(engine: Engine) -> None:
    assert check(engine) is SchemaState.BEHIND
    assert upgrade(engine)
    assert check(engine) is SchemaState.OK
    assert not upgrade(engine)
    ensure(engine)
    engine.dispose()


def test_the_migrations_lead_to_the_tables_of_the_code(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        names = connection.dialect.get_table_names(connection)
    assert set(metadata.tables) | {"alembic_version"} == set(names)
    engine.dispose()


_CHILD = """
import sys
from service.storage.database import open_database
from service.storage.schema import upgrade
sys.stdin.read()
print(upgrade(open_database(sys.argv[1])))
"""


def test_of_processes_that_start_together_one_upgrades_and_all_go_on(database_url: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _CHILD, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
    said = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], said
    assert sorted(out.strip() for out, _ in said) == ["False", "False", "True"]


def test_a_schema_that_is_behind_names_the_command(database_url: str, engine: Engine) -> None:
    with pytest.raises(DatabaseProblem, match=r"its schema \(none\) is behind; run `gatehouse db upgrade`"):
        open_store(database_url)
    engine.dispose()


def test_a_newer_schema_is_left_alone_and_named(database_url: str, engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert check(engine) is SchemaState.AHEAD
    for attempt in (lambda: ensure(engine), lambda: upgrade(engine), lambda: open_store(database_url, upgrading=True)):
        with pytest.raises(DatabaseProblem, match=r"its schema \(9999\) was made by a newer version; install"):
            attempt()
    engine.dispose()
