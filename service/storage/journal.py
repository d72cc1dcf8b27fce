"""SQLite's write-ahead journal, kept short beside the commits instead of within one.

A journal that has grown long is copied by whoever commits next, and that commit's callers wait: at a million accounts
every 36th commit of 32 answers took 230 to 390 ms instead of 16, and so long did the slowest calls of a busy server.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Lock

from sqlalchemy import Engine

from service.storage.database import BUSY_TIMEOUT_S, DRIVER_ERRORS

# Rows written until it is copied: of 32 signups' 320 some 450 pages, so 9,000 of the 32,768 at which SQLite would copy
# them in a commit. With 20,000 more pages that several commits touch are copied once, and an answer's share of the
# copies takes 45 us of processors and not 90; but commits wait for the disk while it takes in so much at once, and the
# slowest hundredth of 64 callers' answers took 300 ms instead of 140.
ROWS = 6_000
# How long the journal's beginning anew waits for those who read, and keeps others from writing. A job reads for
# minutes; then it is tried again after as many rows.
YIELD_S = 0.1


class Journal:
    """Copies the journal into the database file on a thread of its own. ``close`` when done; safe to share."""

    def __init__(self, engine: Engine, *, rows: int = ROWS) -> None:
        self._engine, self._rows = engine, rows
        self._lock = Lock()
        self._written = 0
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    def wrote(self, rows: int) -> None:
        """Tells of rows that were committed; now and then that starts a copy, and never waits for one."""
        with self._lock:
            self._written += rows
            if self._busy or self._written < self._rows:
                return
            self._busy, self._written = True, 0
        self._thread.submit(self._shorten)

    def close(self) -> None:
        """Ends the thread, after what it is at."""
        self._thread.shutdown(wait=True)

    def _shorten(self) -> None:
        try:
            with suppress(*DRIVER_ERRORS):  # whoever writes next meets what is wrong, and says so
                shorten(self._engine)
        finally:
            with self._lock:
                self._busy = False


def shorten(engine: Engine) -> None:
    """Copies the journal and has the next writer begin it anew, unless somebody reads all the while.

    Only the last pass, which keeps others from writing, can begin it anew. What a pass leaves are the pages that were
    written meanwhile. The first that leaves none waits for the disk, too; where two came before the last it was often
    that one, for 0.2 s.
    """
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {int(YIELD_S * 1000)}")
        try:
            for how in (*["PASSIVE"] * 4, "RESTART"):
                cursor.execute(f"PRAGMA wal_checkpoint({how})")
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
