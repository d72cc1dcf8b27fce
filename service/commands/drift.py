"""A running server's look at drift: now and then, from the record, in a thread of its own."""

from __future__ import annotations

import threading
import time

import structlog

from service.app import App
from service.commands.context import now
from service.domain.errors import GatehouseError
from service.model.stability import SCORE
from service.telemetry import DriftFigures, Stability, Telemetry
from service.usecases.watch_drift import Watched

log = structlog.get_logger(__name__)

DRIFT_EVERY_S = 900.0

# Of the time how much a look works; it rests in between. While it looked in one go at three million assessments, for
# six seconds, half of the answers took 11 to 26 ms instead of 5; so 5 to 8.
WORKS = 0.2
SHORT_S = 0.002  # of work, after which it goes on: a small database is looked at in one go
LONGEST_REST_S = 1.0  # a piece that the database kept waiting is no work


class _Stopped(Exception):
    """The server ends."""


class _Rests:
    """Rests after each piece of a look for as long as calls should have the interpreter."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._began = time.monotonic()

    def __call__(self) -> None:
        """Returns when the next piece may begin. Raises _Stopped where there is to be none."""
        worked = time.monotonic() - self._began
        if worked < SHORT_S:
            return
        if self._stopping.wait(min(LONGEST_REST_S, worked * (1 / WORKS - 1))):
            raise _Stopped
        self._began = time.monotonic()


def watch_drift(app: App, telemetry: Telemetry, stopping: threading.Event) -> None:
    """Measures now and then how far what was scored lately is from what the champion learned from.

    From the record: no call waits for it, and where it fails calls are answered all the same.
    """
    while True:
        try:
            champion = app.store.champion()
            if champion is not None:
                began = time.monotonic()
                watched = app.watch_drift(champion, now=now(), rest=_Rests(stopping))
                telemetry.show_drift(_figures(watched, time.monotonic() - began))
                for one in watched.alarms:
                    log.warning("drift_found", feature=one.feature, of=one.of, index=one.psi, bound=one.bound)
        except GatehouseError as error:
            log.warning("drift_not_measured", why=str(error))
        except _Stopped:
            return
        if stopping.wait(DRIFT_EVERY_S):
            return


def _figures(watched: Watched, seconds: float) -> DriftFigures:
    measured = [
        Stability(None if one.feature == SCORE else one.feature, one.of, one.psi, one.accounts) for one in watched.drift
    ]
    return DriftFigures(now(), seconds, watched.rows, len(watched.alarms), measured)
