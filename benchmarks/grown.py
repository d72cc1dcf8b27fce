"""Makes a large database of a small simulated one: copies of its accounts under new ids, with all their facts.

An account's own keys are new in each copy; keys that many share (mail domains, BINs, networks) stay the same, so that
hubs grow with the accounts, as they do in life. Copies carry no labels, and nothing is assessed yet.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.codes import hash64_many, mix64
from service.domain.facts import Int64s

HUB = 200  # accounts of the small database from which on a key is one that many share
AT_ONCE = 50_000  # accounts
TABLES = ("accounts", "links", "payments", "signals", "usage_tiles")

Fresh = Mapping[str, Callable[[Int64s, Int64s], Int64s]]  # of a column: from (value, number of the copy) to the copy's


def grow(small: Path, out: Path, times: int) -> int:
    """Writes ``out``, ``times`` as large as ``small`` (both SQLite files); how many accounts it has."""
    shutil.copy(small, out)
    with sqlite3.connect(out) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -262144"):
            connection.execute(f"PRAGMA {pragma}")
        for table in ("assessments", "shadow_assessments", "assessment_blocks", "block_campaigns"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        indexes = connection.execute(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN {TABLES}"  # noqa: S608 - names of our own
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        _copy(connection, times)
        for _, sql in indexes:
            connection.execute(sql)
        count = int(connection.execute("SELECT count(*) FROM accounts").fetchone()[0])
    with sqlite3.connect(out) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    return count


def _copy(connection: sqlite3.Connection, times: int) -> None:
    ids = dict(connection.execute("SELECT account, account_id FROM accounts WHERE erased_at IS NULL"))
    copied = _Copies(np.sort(np.array(list(ids), np.int64)), ids, times)
    shared = connection.execute("SELECT key FROM links GROUP BY key HAVING count(*) > ?", (HUB,)).fetchall()
    hubs = np.array([key for (key,) in shared], np.int64)
    for table, fresh in (
        ("accounts", {}),
        ("links", {"key": lambda key, copy: np.where(np.isin(key, hubs), key, _mixed(key, copy))}),
        ("payments", {"event": _mixed}),
        ("signals", {"event": _mixed}),
        ("usage_tiles", {}),
    ):
        copied.insert(connection, table, fresh)


def _mixed(value: Int64s, copy: Int64s) -> Int64s:
    return mix64(value + copy * 7919).view(np.int64)


class _Copies:
    """Which accounts the copies are, in order of their numbers, so that tables grow in the order of their keys."""

    def __init__(self, old: Int64s, ids: Mapping[int, str], times: int) -> None:
        self._old, self._names = old, [ids[account] for account in old.tolist()]
        made = [hash64_many([f"{name}~{copy}" for name in self._names]) for copy in range(1, times)]
        account = np.concatenate([np.empty(0, np.int64), *made])
        order = np.argsort(account)
        self._account = account[order]
        self._copy = np.repeat(np.arange(1, times), len(old))[order]
        self._source = np.tile(np.arange(len(old)), times - 1)[order]

    def insert(self, connection: sqlite3.Connection, table: str, fresh: Fresh) -> None:
        """Adds the copies' rows of one table."""
        names = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
        said = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY account").fetchall()  # noqa: S608 - names of our own
        place = names.index("account")
        owner = np.array([row[place] for row in said], np.int64)
        low, high = np.searchsorted(owner, self._old, "left"), np.searchsorted(owner, self._old, "right")
        values = {name: np.array([row[names.index(name)] for row in said], np.int64) for name in fresh}
        sql = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - names of our own
        for first in range(0, len(self._account), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            source, copy = self._source[part], self._copy[part]
            count = high[source] - low[source]
            row = np.arange(count.sum()) + np.repeat(low[source] - (np.cumsum(count) - count), count)
            of = np.repeat(copy, count)
            made: dict[str, Sequence[Any]] = {name: how(values[name][row], of).tolist() for name, how in fresh.items()}
            made["account"] = np.repeat(self._account[part], count).tolist()
            if "event_id" in names:
                made["event_id"] = [str(event) for event in made["event"]]
            if "account_id" in names:
                made["account_id"] = [
                    f"{self._names[i]}~{c}" for i, c in zip(source.tolist(), copy.tolist(), strict=True)
                ]
            columns = [
                made[name] if name in made else [said[i][at] for i in row.tolist()] for at, name in enumerate(names)
            ]
            connection.executemany(sql, zip(*columns, strict=True))
