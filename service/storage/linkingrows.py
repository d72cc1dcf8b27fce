"""Bulk reads for finding campaigns, and the few rows by which scoring sees them."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

import struct
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
from service.storage import layouts
from service.storage.memory import Memory
from service.storage.segments import SCHEMA, Segments
from service.storage.sql import Int64s, Row, blocks, cursor_of, encoded, rendered, run

TOGETHER = 200_000  # live exchanges of one table


def link_rows(connection: Connection, as_of: int) -> tuple[Int64s, Int64s, Int32s, Int64s]:
    """See ``Store.link_rows``."""
    table = integers(
        connection, "SELECT account, key, kind, learned_at FROM links WHERE learned_at <= :as_of", 4, as_of
    )
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].astype(np.int32), table[:, 3].copy()


def integers(connection: Connection, sql: str, width: int, as_of: int) -> Int64s:
    """All rows of ``width`` integers, shape (n, width): what the driver makes into tuples costs five times as much."""
    if connection.dialect.name == "postgresql":
        return _copied(connection, sql, width, as_of)
    cursor = cursor_of(connection)
    cursor.execute(rendered(sql, "sqlite"), encoded({"as_of": as_of}, "sqlite"))
    parts: list[Int64s] = [np.empty((0, width), np.int64)]
    while rows := cursor.fetchmany(200_000):
        parts.append(np.fromiter(chain.from_iterable(rows), np.int64, len(rows) * width).reshape(-1, width))
    cursor.close()
    return np.concatenate(parts)


def _copied(connection: Connection, sql: str, width: int, as_of: int) -> Int64s:
    """PostgreSQL's binary copy of eight-byte columns has rows of one length, which numpy reads as they are."""
    listed, rest = sql.removeprefix("SELECT ").split(" FROM ", 1)
    wide = ", ".join(f"{name}::bigint" for name in listed.split(", "))
    query = f"COPY (SELECT {wide} FROM {rest}) TO STDOUT (FORMAT BINARY)".replace(":as_of", str(int(as_of)))
    with cursor_of(connection) as cursor, cursor.copy(query.encode()) as copy:
        data = b"".join(bytes(piece) for piece in copy)
    header = 11 + 4 + 4 + struct.unpack(">i", data[15:19])[0]  # signature, flags, and an extension of that length
    row = np.dtype([("columns", ">i2"), *((f"{part}{i}", kind) for i in range(width) for part, kind in _FIELD)])
    body = np.frombuffer(data, row, (len(data) - header - 2) // row.itemsize, header)
    return np.stack([body[f"v{i}"].astype(np.int64) for i in range(width)], axis=1)


_FIELD = (("l", ">i4"), ("v", ">i8"))


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
        profiles.append(layouts.profiles([row[3] for row in rows], [row[4] for row in rows], of))
    table = np.concatenate(numbers)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy(), np.concatenate(profiles)


def usage_rows(
    connection: Connection, segments: Segments, as_of: int, since: int | None, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """See ``Store.usage_rows``."""
    wanted = list(dict.fromkeys(columns)) or SCHEMA.names
    for segment in segments.listed(connection):
        if since is None or segment.last_learned > since:
            table = segments.read(segment, list(dict.fromkeys([*wanted, "learned"])))
            found = _learned(table, as_of, since, wanted)
            if found is not None:
                yield found
    gathered: list[pa.Table] = []
    for _, table in segments.logged(connection):
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
    newest = "s.at = (SELECT max(x.at) FROM campaign_states x WHERE x.campaign = s.campaign AND x.at <= :as_of)"
    states = (
        _some(
            connection,
            "SELECT s.campaign, s.at, s.state, s.score, s.members FROM campaign_states s",
            [] if every else ["s.campaign IN @campaigns"],
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
