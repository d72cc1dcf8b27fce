"""Databases that cannot be used: each says what is wrong and how to mend it, and nothing is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import pytest

from service.domain.errors import DatabaseProblem
from service.storage import database
from service.storage.database import committing, glance, open_database
from service.storage.schema import ensure, upgrade
from service.storage.sql import run
from service.storage.store import Store, open_store
from tests.service.storage.factories import START, arrival, signup


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "cannot be read; give sqlite:///PATH or postgresql://"),
        ("mysql://host/name", "kind 'mysql' are not known; give sqlite:///PATH"),
        ("sqlite://", "a SQLite database needs a file"),
    ],
)
def test_a_url_of_another_kind_is_refused_with_those_that_work(url: str, says: str) -> None:
    with pytest.raises(DatabaseProblem, match=says):
        open_store(url)


def test_a_servers_connections_hold_little_however_large_the_database_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gatehouse.db"
    held = {}
    for serving in (False, True):
        with open_database(url, serving=serving).connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
            mapped = connection.exec_driver_sql("PRAGMA mmap_size").scalar_one()
        held[serving] = (-1024 * pages + mapped) // 2**20
        connection.engine.dispose()
    assert held[True] <= 16 < held[False]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseProblem, match=r"its folder does not exist; create '.*/nowhere'"):
        open_store(f"sqlite:///{tmp_path}/nowhere/gatehouse.db", upgrading=True)


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but long enough to have a header" * 20)
    before = path.read_bytes()
    with pytest.raises(DatabaseProblem, match="is not a SQLite database; check the path"):
        open_store(f"sqlite:///{path}", upgrading=True)
    assert path.read_bytes() == before


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseProblem, match="cannot be opened; create its folder, or check the path"):
        open_store(f"sqlite:///{tmp_path}", upgrading=True)


def test_a_read_only_database_can_be_read_and_says_why_it_cannot_be_written(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/gatehouse.db", upgrading=True)
    store.write([arrival(START, signups=signup("a"))])
    store.close()
    reader = open_store(f"sqlite:///file:{tmp_path}/gatehouse.db?mode=ro&uri=true")
    assert len(reader.accounts()) == 1
    with pytest.raises(DatabaseProblem, match="is read-only; give this user write permission"):
        reader.write([arrival(START, signups=signup("b"))])
    assert len(reader.accounts()) == 1
    reader.close()


def test_a_locked_database_says_so_and_works_again_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    store = open_store(f"sqlite:///{tmp_path}/gatehouse.db", upgrading=True)
    other = sqlite3.connect(tmp_path / "gatehouse.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseProblem, match="is locked by another process; wait for an import or a migration"):
        store.write([arrival(START, signups=signup("a"))])
    assert len(store.accounts()) == 0
    other.execute("ROLLBACK")
    other.close()
    store.write([arrival(START, signups=signup("a"))])
    assert len(store.accounts()) == 1
    store.close()


def test_a_damaged_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "gatehouse.db"
    store = open_store(f"sqlite:///{path}", upgrading=True)
    store.write([arrival(START, signups=signup(f"a{i}")) for i in range(200)])
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with (
        pytest.raises(DatabaseProblem, match="is damaged; restore it from a backup"),
        closing(open_store(f"sqlite:///{path}")) as damaged,
    ):
        damaged.accounts()


def test_a_table_that_is_gone_names_the_command(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE signals")
    with pytest.raises(DatabaseProblem, match="run `gatehouse db upgrade`"):
        store.newest_fact()


def test_the_look_ups_of_a_glance_see_one_moment_and_leave_the_connection_free(store: Store) -> None:
    store.write([arrival(START, signups=signup("a"))])
    for _ in range(2):
        before = len(store.accounts())
        with glance(store.engine) as connection:
            assert run(connection, "SELECT count(*) FROM accounts") == [(before,)]
            store.write([arrival(START, signups=signup(f"b{before}"))])
            assert run(connection, "SELECT count(*) FROM accounts") == [(before,)]
        assert len(store.accounts()) == before + 1


def test_a_group_commit_is_kept_when_its_block_ends_and_nothing_of_it_where_that_fails(store: Store) -> None:
    def kept() -> list[int]:
        with glance(store.engine) as connection:
            return [event for (event,) in run(connection, "SELECT event FROM usage_events ORDER BY event")]

    def keep(event: int) -> None:
        with committing(store.engine) as connection:
            run(connection, "INSERT INTO usage_events (event, content) VALUES (:event, 1)", event=event)
            if event % 2:
                raise KeyError(event)

    for event in (2, 3, 4):
        before = kept()
        with pytest.raises(KeyError) if event % 2 else nullcontext():
            keep(event)
        assert kept() == ([*before, event] if event % 2 == 0 else before)


def test_a_glance_names_the_command_where_a_table_is_gone(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE signals")
    with pytest.raises(DatabaseProblem, match="run `gatehouse db upgrade`"):
        store.history(np.array([1]), START)
    assert store.ping() is None


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(DatabaseProblem, match="cannot be reached; check that it runs") as caught:
        open_store("postgresql://someone:hush@127.0.0.1:9/gatehouse", upgrading=True)
    assert "hush" not in str(caught.value)


@pytest.mark.postgres
def test_a_postgresql_database_that_does_not_exist_names_the_command(postgres_url: str) -> None:
    with pytest.raises(DatabaseProblem, match="does not exist; create it with `createdb`"):
        open_store(postgres_url.replace("/test_", "/nowhere_"), upgrading=True)


@pytest.mark.postgres
def test_a_read_only_postgresql_says_why_it_cannot_be_written(postgres_url: str) -> None:
    engine = database.open_database(postgres_url)
    upgrade(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    engine.dispose()
    store = open_store(postgres_url)
    ensure(store.engine)
    with pytest.raises(DatabaseProblem, match="is read-only; point the URL at the primary server"):
        store.write([arrival(START, signups=signup("a"))])
    store.close()
