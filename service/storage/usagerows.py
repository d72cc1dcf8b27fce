"""Hourly usage tiles as rows: all tiles of an account's week in one packed value.

A live write appends a small part instead of rewriting the week, so two servers never wait for each other's row; reading
merges parts (they are a monoid), and a week that has gathered many is compacted by a later write.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from service.domain.time import WEEK
from service.storage import layouts
from service.storage.memory import Memory
from service.storage.sql import Int64s, Row, Runs, Values, insert, run
from service.storage.tables import usage_tiles
from service.tiles.rows import Tiles, pack, unpack
from service.tiles.usage import USAGE_COLUMNS

CROWDED = 16  # parts of one week


def part_number(ids: Int64s, *, ascending: bool = False) -> int:
    """A positive number for a set of rows: the same rows always have the same one, so they cannot be added twice.

    ``ascending``: ``ids`` are sorted already.
    """
    digest = blake2b((ids if ascending else np.sort(ids)).tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % (2**63 - 1) + 1


def insert_tiles(connection: Runs, tiles: Tiles, part: int) -> None:
    """Appends tiles as part ``part``: positive if it came live and is to be compacted, negative if it is not."""
    if not len(tiles):
        return
    week = tiles.time // WEEK
    new = np.ones(len(tiles), bool)
    new[1:] = (tiles.account[1:] != tiles.account[:-1]) | (week[1:] != week[:-1])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(tiles))
    packed = pack(USAGE_COLUMNS, tiles).view(np.uint8)
    size = layouts.USAGE_DTYPE.itemsize
    bounds = zip((starts * size).tolist(), (ends * size).tolist(), strict=True)
    rows: dict[str, Values] = {
        "account": tiles.account[starts],
        "week": week[starts],
        "part": [part] * len(starts),
        "last_hour": tiles.time[ends - 1],
        "layout": [layouts.number(layouts.USAGE_FIELDS)] * len(starts),
        "tiles": [packed[low:high].tobytes() for low, high in bounds],
    }
    insert(connection, usage_tiles, rows)


def merged(account: Int64s, packed: layouts.Packed, of: dict[int, layouts.Fields]) -> Tiles:
    """Tiles of rows: the account of each, shape (n,), and its packed tiles."""
    if not len(account):
        return Tiles.empty(USAGE_COLUMNS)
    return unpack(USAGE_COLUMNS, *layouts.usage_records(account, packed, of))


def merged_rows(rows: list[Row], of: dict[int, layouts.Fields]) -> Tiles:
    """Tiles of rows (account, layout, packed tiles)."""
    account = np.array([row[0] for row in rows], np.int64)
    return merged(account, layouts.Packed.of([row[1] for row in rows], [row[2] for row in rows]), of)


def compact(connection: Runs, account: Int64s, first_week: int, memory: Memory) -> int:
    """Merges crowded weeks of these accounts from ``first_week`` on; returns how many.

    Two at once take different parts, since a part is merged by whoever deleted it.
    """
    crowded = run(
        connection,
        "SELECT account, week FROM usage_tiles WHERE account IN @accounts AND week >= :first_week AND part > 0 "
        "GROUP BY account, week HAVING count(*) >= :crowded",
        accounts=np.unique(account),
        first_week=first_week,
        crowded=CROWDED,
    )
    for who, week in crowded:
        taken = run(
            connection,
            "DELETE FROM usage_tiles WHERE account = :account AND week = :week RETURNING part, layout, tiles",
            account=who,
            week=week,
        )
        if taken:
            of = memory.layouts_for(connection, {row[1] for row in taken})
            tiles = merged_rows([(who, row[1], row[2]) for row in taken], of)
            insert_tiles(connection, tiles, -part_number(np.array([row[0] for row in taken], np.int64)))
    return len(crowded)
