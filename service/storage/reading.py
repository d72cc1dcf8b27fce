# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter
"""Small reads: everything that bears on a few accounts at one moment, by index, however large the database is.

Reads are capped where the fold is: an account's latest keys of a kind, the accounts that a key is counted on, those on
it that stand under a verdict. So a card shared by twenty thousand accounts costs what one shared by three hundred does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psycopg

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
from service.storage.byindex import by_index
from service.storage.crowds import OWN_ROWS
from service.storage.layouts import Packed
from service.storage.memory import Memory
from service.storage.sql import Int64s, Row, Runs, as_json, columns_of, cursor_of, encoded, rendered, run
from service.storage.usagerows import merged_rows
from service.tiles.fold import WINDOWS
from service.tiles.history import (
    FRAUD,
    LEGITIMATE,
    OWN_KEYS_CAP,
    SHARING_CAP,
    History,
    KeyCounts,
    KeyRows,
    OwnLinks,
    SignalRows,
    VerdictSpans,
    no_signals,
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

# Of an account its latest keys of each kind; of a key on how many accounts it was seen in each window, and which of
# them stand under each verdict.
_OWN = (
    "SELECT account, kind, key, learned_at FROM links WHERE account = {account} AND kind = {kind}{crowded} "
    f"AND learned_at <= :as_of ORDER BY learned_at DESC, key LIMIT {OWN_KEYS_CAP}"
)
# Of a hub the account that came 256 before the newest tells of every window that reaches behind it, in one short walk.
# A window that nobody was last seen in is not walked at all: of a new account most keys are new.
_COUNTED = {
    window: f"CASE WHEN edge > :since_{window} THEN {SHARING_CAP + 1} WHEN last > :since_{window} THEN (SELECT "
    f"count(*) FROM (SELECT 1 FROM links WHERE key = edged.key AND learned_at <= :as_of AND learned_at > "
    f":since_{window} LIMIT {SHARING_CAP + 1}) s) ELSE 0 END"
    for window in WINDOWS
}
_LAST = "(SELECT max(learned_at) FROM links WHERE key = {key} AND learned_at <= :as_of) AS last"
_EDGED = (
    "edged AS MATERIALIZED (SELECT seen.*, CASE WHEN last IS NOT NULL THEN (SELECT learned_at FROM links "
    "WHERE key = seen.key AND learned_at <= :as_of ORDER BY learned_at DESC "
    f"LIMIT 1 OFFSET {SHARING_CAP}) END AS edge FROM seen)"
)
_JUDGED = "WHERE l.key = {key} AND l.verdicts <> 0 AND l.verdicts IN ({verdict}, 3) AND l.learned_at <= :as_of"
_STANDING = (
    "JOIN verdict_spans s ON s.account = l.account AND s.verdict = {verdict} AND s.start_at <= :as_of "
    "AND s.end_at > :as_of"
)
_MARKED = "SELECT l.key, l.account, l.learned_at, s.verdict, s.start_at, s.end_at FROM"
_ENOUGH = f"LIMIT {SHARING_CAP + 1}"
FEW = 16  # accounts; most keys are on no more, and those are counted in one look each


def _sqlite(select: str, width: int, source: str) -> str:
    """One text of all: SQLite has no LATERAL join, and a statement per key costs five times as much.

    Python's driver lets other threads in at each row, and a busy server's kept each of a batch's two hundred waiting.
    """
    one = _joined([f"c{i}" for i in range(width)])
    return f"SELECT group_concat((SELECT group_concat({one}) FROM ({select}))) FROM {source}"


def _joined(columns: Sequence[str]) -> str:
    """Integers as one text, with commas between."""
    return " || ',' || ".join(columns)


def _named(select: str) -> str:
    """The same columns as c0, c1 ..."""
    listed, rest = select.removeprefix("SELECT ").split(" FROM ", 1)
    return "SELECT " + ", ".join(f"{name} AS c{i}" for i, name in enumerate(listed.split(", "))) + f" FROM {rest}"


def _both(select: str, each: str) -> tuple[str, ...]:
    return tuple(select.replace("{verdict}", str(verdict)).replace("{key}", each) for verdict in (FRAUD, LEGITIMATE))


def _there(table: str) -> str:
    return f"EXISTS (SELECT 1 FROM {table} WHERE account IN @accounts)"


_FEW_COUNTED = (
    f"(SELECT {_joined([f'count(*) FILTER (WHERE learned_at > :since_{window})' for window in WINDOWS])} FROM (SELECT "
    f"learned_at FROM links WHERE key = k.value AND learned_at <= :as_of ORDER BY learned_at DESC LIMIT {FEW + 1}))"
)
_TABLES = ("payments", "signals", "usage_tiles", "verdict_spans")
_EACH_KEY = "json_each(:keys) k"
SQLITE_ACCOUNTS = ACCOUNTS.replace(
    "account, created_at, learned_at, layout, profile",
    f"group_concat({_joined(['account', 'created_at', 'learned_at', 'layout'])}), group_concat(hex(profile))",
    1,
)
SQLITE_OWN = _sqlite(
    "SELECT account AS c0, kind AS c1, key AS c2, learned_at AS c3 FROM links WHERE account = p.value "
    f"AND learned_at <= :as_of LIMIT {OWN_ROWS + 1}",
    4,
    "json_each(:accounts) p",
)
SQLITE_OWN_BY_KIND = _sqlite(
    _named(_OWN.format(account="p.value", kind="k.kind", crowded=" AND crowded <> 0")),
    4,
    "json_each(:accounts) p CROSS JOIN link_kinds k",
)
# Joined crosswise, since it would else walk all rows of a key that everybody has.
SQLITE_SHOWN = (  # of accounts of which not all keys were read
    "SELECT l.account, l.kind, l.key, l.learned_at FROM json_each(:accounts) p CROSS JOIN json_each(:keys) k "
    "CROSS JOIN links l WHERE l.account = p.value AND l.key = k.value AND l.learned_at <= :as_of"
)
_ANY_JUDGED = "EXISTS (SELECT 1 FROM links l INDEXED BY links_with_verdict WHERE l.key = k.value AND l.verdicts <> 0)"
SQLITE_SHARING = (
    f"WITH seen AS MATERIALIZED (SELECT k.value AS key, {_LAST.format(key='k.value')}, {_ANY_JUDGED} AS judged "
    f"FROM {_EACH_KEY}), {_EDGED} SELECT group_concat({_joined(['key', *_COUNTED.values(), 'judged'])}) FROM edged"
)
SQLITE_SHARED_BY_FEW = (  # the same for keys that up to ``FEW`` accounts have shown
    f"SELECT group_concat({_joined(['k.value', _FEW_COUNTED, _ANY_JUDGED])}) FROM {_EACH_KEY}"
)
SQLITE_THERE = f"SELECT {', '.join(_there(table) for table in _TABLES)}, ({ANY_CAMPAIGN})"
# Left to itself it walks all of a key's rows: it cannot know that few accounts have verdicts.
_INDEXED = f"{_MARKED} links l INDEXED BY links_with_verdict {_STANDING} {_JUDGED} {_ENOUGH}"
SQLITE_MARKED = tuple(_sqlite(_named(select), 6, _EACH_KEY) for select in _both(_INDEXED, "k.value"))

_LATERAL_OWN = (
    "SELECT o.account, o.kind, o.key, o.learned_at FROM unnest(:accounts::bigint[]) AS p(account) "
    f"CROSS JOIN link_kinds k CROSS JOIN LATERAL ({_OWN.format(account='p.account', kind='k.kind', crowded='')}) o"
)
_KEYS = f"(SELECT key FROM ({_LATERAL_OWN}) own UNION SELECT unnest(:keys::bigint[])) AS q(key)"
POSTGRES_SHARING = (
    f"WITH seen AS MATERIALIZED (SELECT q.key, {_LAST.format(key='q.key')} FROM {_KEYS}), {_EDGED} "
    f"SELECT key, {', '.join(_COUNTED.values())} FROM edged"
)
POSTGRES_SHOWN = (
    "SELECT s.* FROM unnest(:accounts::bigint[]) AS p(account) CROSS JOIN unnest(:keys::bigint[]) AS k(key) "
    "CROSS JOIN LATERAL ("
    "SELECT account, kind, key, learned_at FROM links WHERE account = p.account AND key = k.key "
    "AND learned_at <= :as_of LIMIT 1) s"
)
POSTGRES_KEYS = postgres_keys(f"SELECT q.key FROM {_KEYS}")
# OFFSET 0: a key's rows are read before any verdict is, or else each verdict there is would be looked for on the key.
_ON_KEY = f"(SELECT l.key, l.account, l.learned_at FROM links l {_JUDGED} OFFSET 0) l"
POSTGRES_MARKED = tuple(
    f"SELECT m.* FROM {_KEYS} CROSS JOIN LATERAL ({select}) m"
    for select in _both(f"{_MARKED} {_ON_KEY} {_STANDING} {_ENOUGH}", "q.key")
)


def history(
    connection: Runs, memory: Memory, accounts: Int64s, as_of: int, extra_keys: Int64s | None = None
) -> History:
    """See ``Store.history``."""
    who = np.unique(accounts)
    extra = np.empty(0, np.int64) if extra_keys is None else np.unique(extra_keys)
    closed = as_of - as_of % HOUR - HOUR  # start of the last hour that had ended
    parameters = {"accounts": who, "keys": extra, "as_of": as_of, "week": closed // WEEK}
    parameters |= {f"since_{window}": as_of - width for window, width in WINDOWS.items()}
    read = _read_postgres if connection.dialect.name == "postgresql" else _read_sqlite
    found, paid, said, used, spans, own, sharing, marked, members, held = read(connection, parameters)
    of = memory.layouts_for(connection, {r[3] for r in found} | {r[2] for r in paid} | {r[1] for r in used})
    account, created, learned = columns_of([row[:3] for row in found], 3)
    payer, paid_at = columns_of([row[:2] for row in paid], 2)
    profiles = Packed.of([row[3] for row in found], [row[4] for row in found])
    facts = Packed.of([row[2] for row in paid], [row[3] for row in paid])
    usage = merged_rows(used, of)
    open_hours = usage.time > closed
    if open_hours.any():
        usage = Tiles(usage.account[~open_hours], usage.time[~open_hours], usage.values[~open_hours])
    by = np.argsort(sharing[:, 0])
    return History(
        **signed_up(who, account, created, learned, profiles, of),
        usage=usage,
        payments=payment_history(payer, paid_at, facts, of),
        signals=signal_rows(said),
        own=OwnLinks(own[:, 0], own[:, 1].astype(np.int32), own[:, 2], own[:, 3]),
        sharing=KeyCounts(sharing[by, 0], sharing[by, 1 : 1 + len(WINDOWS)], as_of),
        marked=KeyRows(*marked[:, :3].T),
        spans=_spans(spans, marked),
        campaigns=campaign_facts(connection, members, held, as_of),
    )


def signed_up(
    who: Int64s, account: Int64s, created_at: Int64s, learned_at: Int64s, profile: Packed, of: dict[int, layouts.Fields]
) -> dict[str, Any]:
    """What a history says of its accounts ``who``, from the columns of those that have signed up."""
    rows = np.searchsorted(who, account)
    known = np.zeros(len(who), bool)
    created, learned = np.zeros(len(who), np.int64), np.zeros(len(who), np.int64)
    profiles = np.full((len(who), len(layouts.PROFILE_FIELDS)), np.nan, np.float32)
    if len(rows):
        known[rows] = True
        created[rows], learned[rows] = created_at, learned_at
        profiles[rows] = layouts.profiles(profile, of)
    return {"account": who, "known": known, "created_at": created, "learned_at": learned, "profile": profiles}


def payment_history(account: Int64s, learned: Int64s, facts: Packed, of: dict[int, layouts.Fields]) -> Tiles:
    """Payment tiles."""
    if not len(account):
        return Tiles.empty(PAYMENT_COLUMNS)
    return merge(PAYMENT_COLUMNS, account, learned, layouts.payment_values(facts, of))


def signal_rows(said: Sequence[Row]) -> SignalRows:
    """Rows (account, name, happened_at, learned_at, value)."""
    if not said:
        return no_signals()
    account, name, happened, learned = columns_of([row[:4] for row in said], 4)
    return SignalRows(account, name.astype(np.int32), happened, learned, np.array([row[4] for row in said], np.float64))


def _spans(rows: Sequence[Row], marked: Int64s) -> VerdictSpans:
    if not rows and not len(marked):
        none = np.empty(0, np.int64)
        return VerdictSpans(none, none, none, none)
    table = np.concatenate([np.array(rows, np.int64).reshape(-1, 4), marked[:, [1, 3, 4, 5]]])
    return VerdictSpans(*np.unique(table, axis=0).T)


Found = tuple[list[Row], list[Row], list[Row], list[Row], list[Row], Int64s, Int64s, Int64s, list[Row], list[Row]]


def _read_sqlite(connection: Runs, parameters: dict[str, Any]) -> Found:
    cursor = cursor_of(connection)
    values = encoded(parameters, "sqlite")  # once: the same accounts and keys go into a dozen statements

    def rows(sql: str, **other: str) -> list[Row]:
        found: list[Row] = cursor.execute(rendered(sql, "sqlite"), values | other if other else values).fetchall()
        return found

    own, partial = _own(rows(SQLITE_OWN))
    if len(partial):
        by_kind = _numbers(rows(SQLITE_OWN_BY_KIND, accounts=json.dumps(partial)), 4)
        own = np.concatenate([own, by_kind, _shown(rows, parameters["keys"], partial)])
        own = np.unique(own, axis=0)
    values["keys"] = as_json(np.unique(np.concatenate([own[:, 2], parameters["keys"]])))
    sharing = _numbers(rows(SQLITE_SHARED_BY_FEW), 2 + len(WINDOWS))
    many = sharing[:, 1:-1].max(axis=1, initial=0) > FEW
    if many.any():
        counted = _numbers(rows(SQLITE_SHARING, keys=as_json(sharing[many, 0])), 2 + len(WINDOWS))
        sharing = np.concatenate([sharing[~many], counted])
    judged = sharing[sharing[:, -1] > 0, 0]
    marked = np.empty((0, 6), np.int64)
    if len(judged):
        keys = as_json(judged)
        marked = np.concatenate([_numbers(rows(sql, keys=keys), 6) for sql in SQLITE_MARKED])
    paid, said, used, judged_too, campaigns = rows(SQLITE_THERE)[0]  # of a new account there is nothing but its signup
    found = (
        _accounts(rows(SQLITE_ACCOUNTS)[0]),
        rows(PAYMENTS) if paid else [],
        rows(SIGNALS) if said else [],
        rows(TILES) if used else [],
        rows(SPANS) if judged_too else [],
        own,
        sharing,
        marked,
        rows(SQLITE_MEMBERS) if campaigns else [],
        rows(SQLITE_KEYS) if campaigns else [],
    )
    cursor.close()
    return found


def _accounts(row: Row) -> list[Row]:
    """Rows of ``ACCOUNTS`` from one of their integers and their profiles."""
    if row[0] is None:
        return []
    profiles = row[1].split(",")
    return [(*each, bytes.fromhex(said)) for each, said in zip(_numbers([row], 4).tolist(), profiles, strict=True)]


def _own(rows: Sequence[Row]) -> tuple[Int64s, list[int]]:
    """Keys of the accounts that have no more than ``OWN_ROWS``, and the accounts that have more."""
    own = _numbers(rows, 4)
    if len(own) <= OWN_ROWS:
        return own, []
    who, count = np.unique(own[:, 0], return_counts=True)
    partial = who[count > OWN_ROWS]
    return (own[~np.isin(own[:, 0], partial)] if len(partial) else own), partial.tolist()


def _shown(rows: Callable[..., list[Row]], keys: Int64s, accounts: list[int]) -> Int64s:
    """Which of ``keys`` these accounts have shown, and when first: of some kinds only their latest keys were read."""
    if not len(keys):
        return np.empty((0, 4), np.int64)
    return _table(rows(SQLITE_SHOWN, accounts=json.dumps(accounts), keys=as_json(keys)), 4)


def _table(rows: Sequence[Row], width: int) -> Int64s:
    """Rows of integers, shape (rows, width)."""
    return np.fromiter(itertools.chain.from_iterable(rows), np.int64, len(rows) * width).reshape(-1, width)


def _numbers(rows: Sequence[Row], width: int) -> Int64s:
    text = ",".join([row[0] for row in rows if row[0]])
    return np.fromstring(text, np.int64, sep=",").reshape(-1, width)


def _read_postgres(connection: Runs, parameters: dict[str, Any]) -> Found:
    """All statements in one round trip, and another where an account has shown a great many keys."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection
    values = encoded(parameters, "postgresql")
    facts = (ACCOUNTS, PAYMENTS, SIGNALS, TILES, SPANS)
    keyed = (_LATERAL_OWN, POSTGRES_SHARING, *POSTGRES_MARKED)
    statements = (*facts, *keyed, POSTGRES_MEMBERS, POSTGRES_KEYS)
    with driver.pipeline():
        by_index(connection)
        cursors = [driver.cursor(binary=True) for _ in statements]
        for cursor, sql in zip(cursors, statements, strict=True):
            cursor.execute(rendered(sql, "postgresql").encode(), values, prepare=True)
        rows = [cursor.fetchall() for cursor in cursors]
    own, marked = _table(rows[5], 4), _table([*rows[7], *rows[8]], 6)
    kinds, count = np.unique(own[:, :2], axis=0, return_counts=True)
    crowded = np.unique(kinds[count >= OWN_KEYS_CAP, 0])
    if len(crowded) and len(parameters["keys"]):
        shown = run(connection, POSTGRES_SHOWN, accounts=crowded, keys=parameters["keys"], as_of=parameters["as_of"])
        own = np.unique(np.concatenate([own, _table(shown, 4)]), axis=0)
    sharing = _table(rows[6], 1 + len(WINDOWS))
    return (rows[0], rows[1], rows[2], rows[3], rows[4], own, sharing, marked, rows[9], rows[10])


def known_events(connection: Runs, payments: Int64s, signals: Int64s, links: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Which of these events are stored already; each ascending."""
    by_index(connection)
    out = []
    for table, events in (("payments", payments), ("signals", signals), ("link_events", links)):
        sql = f"SELECT event FROM {table} WHERE event IN @events"
        found = run(connection, sql, events=events) if len(events) else []
        out.append(np.sort(np.array([event for (event,) in found], np.int64)))
    return out[0], out[1], out[2]
