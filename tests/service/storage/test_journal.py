"""SQLite's journal stays short beside the commits, loses nothing, and makes nobody wait for a reader."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.storage.database import open_database
from service.storage.journal import YIELD_S, Journal, shorten
from service.storage.schema import upgrade
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, signup


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[Store, Journal, Path]]:
    """A store whose journal is copied after a hundred rows, the journal's own thread, and its file."""
    engine = open_database(f"sqlite:///{tmp_path}/gatehouse.db", serving=True)
    upgrade(engine)
    journal = Journal(engine, rows=100)
    store = Store(engine, str(tmp_path / "segments"), journal)
    yield store, journal, tmp_path / "gatehouse.db-wal"
    store.close()


def _write(store: Store, first: int, many: int) -> None:
    store.write([arrival(START, signups=signup(f"a{i}")) for i in range(first, first + many)])


def test_after_many_rows_the_journal_begins_anew(busy: tuple[Store, Journal, Path]) -> None:
    store, journal, path = busy
    _write(store, 0, 300)
    journal.close()  # once the copy is made
    size = path.stat().st_size
    _write(store, 300, 50)
    assert path.stat().st_size == size  # else it had grown by the pages of 50 signups
    assert len(store.accounts()) == 350


def test_a_few_rows_are_left_in_the_journal(busy: tuple[Store, Journal, Path]) -> None:
    store, journal, path = busy
    _write(store, 0, 5)
    journal.close()
    size = path.stat().st_size
    _write(store, 5, 5)
    assert path.stat().st_size > size


def test_a_reader_of_minutes_keeps_no_writer_waiting(busy: tuple[Store, Journal, Path]) -> None:
    store, journal, path = busy
    _write(store, 0, 1)
    with closing(sqlite3.connect(path.with_name("gatehouse.db"))) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM accounts").fetchone() == (1,)
        started = time.perf_counter()
        for first in range(1, 1000, 100):
            _write(store, first, 100)
        journal.close()
        assert time.perf_counter() - started < 10 + 10 * YIELD_S  # a connection's own patience is 30 s
        assert reader.execute("SELECT count(*) FROM accounts").fetchone() == (1,)
    assert len(store.accounts()) == 1001


def test_what_was_written_is_copied_into_the_file_while_a_reader_looks_on(
    busy: tuple[Store, Journal, Path],
) -> None:
    store, _, path = busy
    file = path.with_name("gatehouse.db")
    before = file.stat().st_size
    _write(store, 0, 5)
    assert file.stat().st_size == before
    with closing(sqlite3.connect(file)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM accounts").fetchone() == (5,)
        shorten(store.engine)
    assert file.stat().st_size > before
    assert len(store.accounts()) == 5
