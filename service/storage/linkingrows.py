"""Bulk reads for finding campaigns, and the few rows by which scoring sees them."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.domain.campaigns import CampaignState
from service.domain.detection import STATE_CODES, CampaignRows
from service.domain.facts import Float32s, Int32s
from service.domain.time import FUTURE_TOLERANCE
from service.storage import layouts
from service.storage.gathered import copied
from service.storage.memory import Memory
from service.storage.segments import SCHEMA, Segments
from service.storage.sql import Int64s, Row, blocks, cursor_of, run

TOGETHER = 200_000  # live exchanges of one table


def link_rows(
    connection: Connection, as_of: int, since: int, kinds: Sequence[int]
) -> tuple[Int64s, Int64s, Int32s, Int64s]:
    """See ``Store.link_rows``."""
    columns, condition = ("account", "key", "kind", "learned_at"), (since, as_of)
    read = _copied if connection.dialect.name == "postgresql" else _iterated
    only = f" AND kind IN ({', '.join(str(int(kind)) for kind in kinds)})" if kinds else ""
    table = read(connection, columns, "links", condition, only)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].astype(np.int32), table[:, 3].copy()


def _iterated(
    connection: Connection, columns: Sequence[str], table: str, learned: tuple[int, int], only: str
) -> Int64s:
    """Integers of all rows learned after one moment and by another, shape (n, columns)."""
    cursor = cursor_of(connection)
    cursor.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE learned_at > ? AND learned_at <= ?{only}", learned)
    rows = np.fromiter(chain.from_iterable(cursor), np.int64).reshape(-1, len(columns))
    cursor.close()
    return rows


def _copied(connection: Connection, columns: Sequence[str], table: str, learned: tuple[int, int], only: str) -> Int64s:
    """The same by PostgreSQL's binary copy."""
    wide = ", ".join(f"{name}::bigint" for name in columns)
    query = f"SELECT {wide} FROM {table} WHERE learned_at > %s AND learned_at <= %s{only}"
    return copied(connection, query, learned, len(columns))


def signup_rows(connection: Connection, memory: Memory, as_of: int) -> tuple[Int64s, Int64s, Int64s, Float32s]:
    """See ``Store.signup_rows``."""
    sql = (
        "SELECT account, created_at, learned_at, layout, profile FROM accounts WHERE erased_at IS NULL "
        "AND learned_at <= :as_of ORDER BY account"
    )
    numbers: list[Int64s] = [np.empty((0, 3), np.int64)]
    profiles: list[Float32s] = [np.empty((0, len(layouts.PROFILE_FIELDS)), np.float32)]
    for rows in blocks(connection, sql, as_of=as_of):
        of = memory.layouts_for(connection, {row[3] for row in rows})
        numbers.append(np.array([row[:3] for row in rows], np.int64))
        profiles.append(layouts.profiles(layouts.Packed.of([row[3] for row in rows], [row[4] for row in rows]), of))
    table = np.concatenate(numbers)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy(), np.concatenate(profiles)


def usage_rows(
    connection: Connection, segments: Segments, as_of: int, since: int | None, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """See ``Store.usage_rows``."""
    wanted = list(dict.fromkeys(columns)) or SCHEMA.names
    after = -(2**63) if since is None else since
    # Nothing is learned earlier than that before it happens: a replay of the past opens no file of its future.
    for segment in segments.listed(connection, end=as_of + FUTURE_TOLERANCE + 1):
        if segment.last_learned > after:
            read = list(dict.fromkeys([*wanted, "learned"]))
            found = _learned(segments.read(segment, read, (after, as_of)), as_of, since, wanted)
            if found is not None:
                yield found
            del found  # before the next one is read
    gathered: list[pa.Table] = []
    for _, table in segments.logged(connection, after):
        found = _learned(table, as_of, since, wanted)
        if found is not None:
            gathered.append(found)
        if sum(each.num_rows for each in gathered) >= TOGETHER:
            yield pa.concat_tables(gathered)
            gathered = []
    if gathered:
        yield pa.concat_tables(gathered)


def _learned(table: pa.Table, as_of: int, since: int | None, columns: list[str]) -> pa.Table | None:
    inside = pc.less_equal(table["learned"], as_of)
    if since is not None:
        inside = pc.and_(inside, pc.greater(table["learned"], since))
    found = table.select(columns)
    found = found if pc.all(inside).as_py() else found.filter(inside)
    return found if found.num_rows else None


def campaign_rows(
    connection: Connection, accounts: Int64s | None, keys: Int64s | None, as_of: int | None
) -> CampaignRows:
    """See ``Store.campaign_rows``."""
    known = {} if as_of is None else {"as_of": as_of}
    members = _some(
        connection,
        "SELECT account, campaign, joined_at, left_at, membership FROM campaign_members",
        [] if accounts is None else ["account IN @accounts"],
        [] if as_of is None else ["joined_at <= :as_of"],
        {**known, **({} if accounts is None else {"accounts": accounts})},
    )
    held = _some(
        connection,
        "SELECT key, campaign, start_at, end_at, kind, weight, private, family FROM campaign_keys",
        [] if keys is None else ["key IN @keys"],
        [] if as_of is None else ["start_at <= :as_of"],
        {**known, **({} if keys is None else {"keys": keys})},
    )
    every = accounts is None or keys is None
    concerned = sorted({row[1] for row in members} | {row[1] for row in held})
    newest = "s.at = (SELECT max(x.at) FROM campaign_states x WHERE x.campaign = c.campaign AND x.at <= :as_of)"
    states = (
        _some(
            connection,
            "SELECT s.campaign, s.at, s.state, s.score, s.members "
            "FROM campaigns c JOIN campaign_states s ON s.campaign = c.campaign",
            [] if every else ["c.campaign IN @campaigns"],
            [] if as_of is None else [newest],
            {**known, **({} if every else {"campaigns": concerned})},
        )
        if every or concerned
        else []
    )
    return CampaignRows(
        member_account=_ints(members, 0),
        member_campaign=_ints(members, 1),
        member_start=_ints(members, 2),
        member_end=_ints(members, 3),
        membership=_floats(members, 4),
        key=_ints(held, 0),
        key_campaign=_ints(held, 1),
        key_start=_ints(held, 2),
        key_end=_ints(held, 3),
        key_kind=_ints(held, 4).astype(np.int32),
        key_weight=_floats(held, 5),
        key_private=_ints(held, 6).astype(bool),
        key_family=_ints(held, 7).astype(np.int8),
        state_campaign=_ints(states, 0),
        state_at=_ints(states, 1),
        state=np.array([STATE_CODES[CampaignState(row[2])] for row in states], np.int8),
        state_score=_floats(states, 3),
        state_members=_ints(states, 4),
    )


def _some(connection: Connection, sql: str, which: list[str], when: list[str], parameters: dict[str, Any]) -> list[Row]:
    conditions = " AND ".join([*which, *when])
    return run(connection, f"{sql} WHERE {conditions}" if conditions else sql, **parameters)


def _ints(rows: Sequence[Row], column: int) -> Int64s:
    return np.array([row[column] for row in rows], np.int64)


def _floats(rows: Sequence[Row], column: int) -> NDArray[np.float64]:
    """NULL becomes NaN."""
    return np.array([row[column] for row in rows], np.float64)
