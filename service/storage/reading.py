# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter
"""Small reads: everything that bears on a few accounts at one moment, by index, however large the database is.

Reads are capped where the fold is: an account's latest keys of a kind, a key's latest accounts, the accounts on it that
stand under a verdict. So a card shared by twenty thousand accounts costs what one shared by three hundred does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Connection

from service.domain.time import HOUR, WEEK
from service.storage import layouts
from service.storage.belonging import (
    ANY_CAMPAIGN,
    POSTGRES_MEMBERS,
    SQLITE_KEYS,
    SQLITE_MEMBERS,
    campaign_facts,
    postgres_keys,
)
from service.storage.memory import Memory
from service.storage.sql import Int64s, Row, columns_of, encoded, rendered, run
from service.storage.usagerows import merged
from service.tiles.history import (
    FRAUD,
    LEGITIMATE,
    OWN_KEYS_CAP,
    SHARING_CAP,
    History,
    KeyRows,
    OwnLinks,
    SignalRows,
    VerdictSpans,
)
from service.tiles.payments import PAYMENT_COLUMNS
from service.tiles.rows import Tiles, merge

ACCOUNTS = (
    "SELECT account, created_at, learned_at, layout, profile FROM accounts "
    "WHERE account IN @accounts AND learned_at <= :as_of AND erased_at IS NULL"
)
PAYMENTS = "SELECT account, learned_at, layout, facts FROM payments WHERE account IN @accounts AND learned_at <= :as_of"
SIGNALS = (
    "SELECT account, name, happened_at, learned_at, value FROM signals "
    "WHERE account IN @accounts AND learned_at <= :as_of"
)
TILES = "SELECT account, layout, tiles FROM usage_tiles WHERE account IN @accounts AND week <= :week"
SPANS = "SELECT account, verdict, start_at, end_at FROM verdict_spans WHERE account IN @accounts"

# An account's latest keys of each kind; a key's latest accounts; those on it that stand under each verdict.
_OWN = (
    "SELECT account, kind, key, learned_at FROM links WHERE account = {account} AND kind = {kind} "
    f"AND learned_at <= :as_of ORDER BY learned_at DESC, key LIMIT {OWN_KEYS_CAP}"
)
_SHARING = (
    "SELECT key, account, learned_at FROM links WHERE key = {key} AND learned_at <= :as_of "
    f"ORDER BY learned_at DESC LIMIT {SHARING_CAP + 1}"
)
_MARKED = (
    "SELECT l.key, l.account, l.learned_at, s.verdict, s.start_at, s.end_at FROM links l "
    "JOIN verdict_spans s ON s.account = l.account AND s.verdict = {verdict} AND s.start_at <= :as_of "
    "AND s.end_at > :as_of WHERE l.key = {key} AND l.verdicts <> 0 AND l.verdicts IN ({verdict}, 3) "
    f"AND l.learned_at <= :as_of LIMIT {SHARING_CAP + 1}"
)


def _sqlite(select: str, width: int, source: str) -> str:
    """One text per key or kind: SQLite has no LATERAL join, and a statement per key costs five times as much."""
    return f"SELECT (SELECT group_concat({' || '.join(_joined(width))}) FROM ({select})) FROM {source}"


def _joined(width: int) -> list[str]:
    return [part for i in range(width) for part in ((f"c{i}",) if i == 0 else ("','", f"c{i}"))]


def _named(select: str) -> str:
    """The same columns as c0, c1 ..."""
    listed, rest = select.removeprefix("SELECT ").split(" FROM ", 1)
    return "SELECT " + ", ".join(f"{name} AS c{i}" for i, name in enumerate(listed.split(", "))) + f" FROM {rest}"


def _both(select: str, each: str) -> tuple[str, ...]:
    return tuple(select.replace("{verdict}", str(verdict)).replace("{key}", each) for verdict in (FRAUD, LEGITIMATE))


_EACH_KEY = "json_each(:keys) k"
SQLITE_OWN = _sqlite(
    _named(_OWN.format(account="p.value", kind="k.kind")), 4, "json_each(:accounts) p CROSS JOIN link_kinds k"
)
SQLITE_SHARING = _sqlite(_named(_SHARING.format(key="k.value")), 3, _EACH_KEY)
# Left to itself it walks all of a key's rows: it cannot know that few accounts have verdicts.
_INDEXED = _MARKED.replace("FROM links l ", "FROM links l INDEXED BY links_with_verdict ")
SQLITE_MARKED = tuple(_sqlite(_named(select), 6, _EACH_KEY) for select in _both(_INDEXED, "k.value"))

_LATERAL_OWN = (
    "SELECT o.account, o.kind, o.key, o.learned_at FROM unnest(:accounts::bigint[]) AS p(account) "
    f"CROSS JOIN link_kinds k CROSS JOIN LATERAL ({_OWN.format(account='p.account', kind='k.kind')}) o"
)
_KEYS = f"(SELECT key FROM ({_LATERAL_OWN}) own UNION SELECT unnest(:keys::bigint[])) AS q(key)"
POSTGRES_SHARING = f"SELECT s.* FROM {_KEYS} CROSS JOIN LATERAL ({_SHARING.format(key='q.key')}) s"
POSTGRES_KEYS = postgres_keys(f"SELECT q.key FROM {_KEYS}")
POSTGRES_MARKED = tuple(
    f"SELECT m.* FROM {_KEYS} CROSS JOIN LATERAL ({select}) m" for select in _both(_MARKED, "q.key")
)


def history(
    connection: Connection, memory: Memory, accounts: Int64s, as_of: int, extra_keys: Int64s | None = None
) -> History:
    """See ``Store.history``."""
    who = np.unique(accounts)
    extra = np.empty(0, np.int64) if extra_keys is None else np.unique(extra_keys)
    closed = as_of - as_of % HOUR - HOUR  # start of the last hour that had ended
    parameters = {"accounts": who, "keys": extra, "as_of": as_of, "week": closed // WEEK}
    read = _read_postgres if connection.dialect.name == "postgresql" else _read_sqlite
    found, paid, said, used, spans, own_rows, shared, marked, members, held = read(connection, parameters)
    of = memory.layouts_for(connection, {r[3] for r in found} | {r[2] for r in paid} | {r[1] for r in used})
    usage = merged(used, of)
    open_hours = usage.time > closed
    if open_hours.any():
        usage = Tiles(usage.account[~open_hours], usage.time[~open_hours], usage.values[~open_hours])
    return History(
        **signed_up(who, found, of),
        usage=usage,
        payments=payment_history(paid, of),
        signals=signal_rows(said),
        own=OwnLinks(own_rows[:, 0], own_rows[:, 1].astype(np.int32), own_rows[:, 2], own_rows[:, 3]),
        sharing=KeyRows(*shared.T),
        marked=KeyRows(*marked[:, :3].T),
        spans=_spans(spans, marked),
        campaigns=campaign_facts(connection, members, held, as_of),
    )


def signed_up(who: Int64s, found: Sequence[Row], of: dict[int, layouts.Fields]) -> dict[str, Any]:
    """What a history says of its accounts, from rows (account, created_at, learned_at, layout, profile)."""
    rows = np.searchsorted(who, np.array([row[0] for row in found], np.int64))
    known = np.zeros(len(who), bool)
    created, learned = np.zeros(len(who), np.int64), np.zeros(len(who), np.int64)
    profile = np.full((len(who), len(layouts.PROFILE_FIELDS)), np.nan, np.float32)
    if len(rows):
        known[rows] = True
        created[rows], learned[rows] = [row[1] for row in found], [row[2] for row in found]
        profile[rows] = layouts.profiles([row[3] for row in found], [row[4] for row in found], of)
    return {"account": who, "known": known, "created_at": created, "learned_at": learned, "profile": profile}


def payment_history(paid: Sequence[Row], of: dict[int, layouts.Fields]) -> Tiles:
    """Payment tiles of rows (account, learned_at, layout, facts)."""
    account, learned = columns_of([row[:2] for row in paid], 2)
    return merge(
        PAYMENT_COLUMNS, account, learned, layouts.payment_values([r[2] for r in paid], [r[3] for r in paid], of)
    )


def signal_rows(said: Sequence[Row]) -> SignalRows:
    """Rows (account, name, happened_at, learned_at, value)."""
    account, name, happened, learned = columns_of([row[:4] for row in said], 4)
    return SignalRows(account, name.astype(np.int32), happened, learned, np.array([row[4] for row in said], np.float64))


def _spans(rows: Sequence[Row], marked: Int64s) -> VerdictSpans:
    table = np.concatenate([np.array(rows, np.int64).reshape(-1, 4), marked[:, [1, 3, 4, 5]]])
    return VerdictSpans(*np.unique(table, axis=0).T)


Found = tuple[list[Row], list[Row], list[Row], list[Row], list[Row], Int64s, Int64s, Int64s, list[Row], list[Row]]


def _read_sqlite(connection: Connection, parameters: dict[str, Any]) -> Found:
    accounts, as_of = {"accounts": parameters["accounts"]}, {"as_of": parameters["as_of"]}
    own = _numbers(run(connection, SQLITE_OWN, **accounts, **as_of), 4)
    keys = {"keys": np.unique(np.concatenate([own[:, 2], parameters["keys"]]))}
    some = run(connection, ANY_CAMPAIGN)[0][0]
    return (
        run(connection, ACCOUNTS, **accounts, **as_of),
        run(connection, PAYMENTS, **accounts, **as_of),
        run(connection, SIGNALS, **accounts, **as_of),
        run(connection, TILES, **accounts, week=parameters["week"]),
        run(connection, SPANS, **accounts),
        own,
        _numbers(run(connection, SQLITE_SHARING, **keys, **as_of), 3),
        np.concatenate([_numbers(run(connection, sql, **keys, **as_of), 6) for sql in SQLITE_MARKED]),
        run(connection, SQLITE_MEMBERS, **accounts, **as_of) if some else [],
        run(connection, SQLITE_KEYS, **keys, **as_of) if some else [],
    )


def _numbers(rows: Sequence[Row], width: int) -> Int64s:
    text = ",".join([row[0] for row in rows if row[0]])
    return np.fromstring(text, np.int64, sep=",").reshape(-1, width)


def _read_postgres(connection: Connection, parameters: dict[str, Any]) -> Found:
    """All statements in one round trip."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    values = encoded(parameters, "postgresql")
    facts = (ACCOUNTS, PAYMENTS, SIGNALS, TILES, SPANS)
    keyed = (_LATERAL_OWN, POSTGRES_SHARING, *POSTGRES_MARKED)
    statements = (*facts, *keyed, POSTGRES_MEMBERS, POSTGRES_KEYS)
    with driver.pipeline():
        cursors = [driver.cursor(binary=True) for _ in statements]
        for cursor, sql in zip(cursors, statements, strict=True):
            cursor.execute(rendered(sql, "postgresql").encode(), values)
        rows = [cursor.fetchall() for cursor in cursors]
    own, shared = np.array(rows[5], np.int64).reshape(-1, 4), np.array(rows[6], np.int64).reshape(-1, 3)
    marked = np.array([*rows[7], *rows[8]], np.int64).reshape(-1, 6)
    return (rows[0], rows[1], rows[2], rows[3], rows[4], own, shared, marked, rows[9], rows[10])


def known_events(
    connection: Connection, payments: Int64s, signals: Int64s, links: Int64s
) -> tuple[Int64s, Int64s, Int64s]:
    """Which of these events are stored already; each ascending."""
    out = []
    for table, events in (("payments", payments), ("signals", signals), ("link_events", links)):
        sql = f"SELECT event FROM {table} WHERE event IN @events"
        found = run(connection, sql, events=events) if len(events) else []
        out.append(np.sort(np.array([event for (event,) in found], np.int64)))
    return out[0], out[1], out[2]
