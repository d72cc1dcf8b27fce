"""Care of raw usage: live rows into segments, old segments away, orphans removed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from service.storage.database import reading, writing
from service.storage.segments import Segments
from service.storage.sql import changed

TOGETHER = 1_000_000  # exchanges of one segment


def flush(engine: Engine, segments: Segments) -> int:
    """Moves live exchanges from the database into segments; returns how many.

    The file is durable before the rows go. Of two servers that flush at once one moves the rows; the other finds them
    gone and takes its file back.
    """
    moved = 0
    while True:
        tables: list[pa.Table] = []
        parts: list[int] = []
        with reading(engine) as connection:
            for part, table in segments.logged(connection):
                tables.append(table)
                parts.append(part)
                if sum(each.num_rows for each in tables) >= TOGETHER:
                    break
        if not tables:
            return moved
        staged = segments.stage(tables)
        events = np.concatenate([table["event"].to_numpy() for table in tables])
        with writing(engine) as connection:
            gone = changed(connection, "DELETE FROM usage_log WHERE part IN @parts", parts=parts)
            whole = gone == len(parts)
            if whole:
                changed(connection, "DELETE FROM usage_events WHERE event IN @events", events=events)
                segments.publish(connection, [staged])
            else:
                connection.rollback()
        if not whole:
            segments.remove([staged.path])
            return moved
        moved += len(events)


def prune(engine: Engine, segments: Segments, before: int) -> int:
    """Deletes segments whose exchanges all happened before ``before``; returns how many. Tiles and links stay."""
    with writing(engine) as connection:
        old = [each for each in segments.listed(connection, end=before) if each.last_at < before]
        for each in old:
            changed(connection, "DELETE FROM segments WHERE segment = :name", name=each.name)
    segments.remove([each.path for each in old])
    return len(old)


def clean(engine: Engine, segments: Segments, older_than: int) -> int:
    """Deletes files that no table knows and that nobody has touched since ``older_than``; returns how many."""
    with reading(engine) as connection:
        orphans = segments.orphans(connection, older_than)
    segments.remove(orphans)
    return len(orphans)
