"""The one class through which other rooms read and write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine

from service.domain.records import Assessment
from service.domain.requests import Page
from service.storage import assessments, reading, writing
from service.storage.arrivals import Arrival, Outcome
from service.storage.assessments import LatestDecision
from service.storage.database import open_database
from service.storage.database import reading as snapshot
from service.storage.database import writing as transaction
from service.storage.memory import Memory
from service.storage.schema import ensure, upgrade
from service.storage.segments import Segments
from service.storage.sql import Int64s
from service.tiles.history import History


def open_store(url: str, *, segments: str | None = None, upgrading: bool = False) -> Store:
    """The store behind ``url``; ``segments`` is the fsspec URL of raw usage, by default beside the database.

    ``upgrading`` creates or upgrades the schema first. Raises DatabaseProblem where the database cannot be used.
    """
    engine = open_database(url)
    if upgrading:
        upgrade(engine)
    else:
        ensure(engine)
    return Store(engine, segments or default_segments(engine))


def default_segments(engine: Engine) -> str:
    """``NAME.segments`` beside a SQLite file; ``var/segments`` for a server."""
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database).removeprefix("file:").split("?")[0])
        return str(file.resolve().with_name(f"{file.stem}.segments"))
    return str(Path("var/segments").resolve())


class Store:
    """Everything durable. Safe to use from many threads; every call is a transaction of its own."""

    def __init__(self, engine: Engine, segments: str) -> None:
        self.engine = engine
        self.segments = Segments(segments)
        self._memory = Memory()

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    # --- facts and tiles ---------------------------------------------------------------------------------------------

    def history(self, accounts: Int64s, as_of: int, extra_keys: Int64s | None = None) -> History:
        """All that was known of a few accounts at ``as_of``, for probes at that very moment.

        ``accounts`` of shape (n,), repeats allowed. ``extra_keys`` are link keys that they are about to show: sharing
        and verdicts of those come along. Key rows are capped as the fold is (``tiles/history.py``).
        """
        with snapshot(self.engine) as connection:
            return reading.history(connection, self._memory, accounts, as_of, extra_keys)

    def known_events(self, payments: Int64s, signals: Int64s, links: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """Which of these events are recorded already; each ascending."""
        with snapshot(self.engine) as connection:
            return reading.known_events(connection, payments, signals, links)

    def write(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Writes all arrivals in one transaction, durable on return; one Outcome each, in order."""
        return writing.write(self.engine, self.segments, self._memory, arrivals)

    # --- assessments -------------------------------------------------------------------------------------------------

    def assessment(self, assessment_id: str) -> Assessment:
        """One assessment as it was given. Raises UnknownAssessment."""
        with snapshot(self.engine) as connection:
            return assessments.assessment(connection, assessment_id)

    def assessments_of(self, account_id: str, page_size: int, page_token: str = "") -> Page[Assessment]:
        """An account's assessments, newest first. Raises InvalidPageToken."""
        with snapshot(self.engine) as connection:
            return assessments.assessments_of(connection, account_id, page_size, page_token)

    def latest_decisions(self, accounts: Int64s | None = None, before: int = 2**62) -> dict[int, LatestDecision]:
        """What each account was told last at or before ``before``; those never assessed are absent. None: all."""
        with snapshot(self.engine) as connection:
            return assessments.latest_decisions(connection, accounts, before)

    def append_assessments(self, made: Sequence[Assessment]) -> int:
        """Keeps a job's assessments, durable on return; returns how many were new. A known id is left as it is."""
        with transaction(self.engine) as connection:
            return assessments.append(connection, made)
