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


def watch_drift(app: App, telemetry: Telemetry, stopping: threading.Event) -> None:
    """Measures now and then how far what was scored lately is from what the champion learned from.

    From the record: no call waits for it, and where it fails calls are answered all the same.
    """
    while True:
        try:
            champion = app.store.champion()
            if champion is not None:
                began = time.monotonic()
                watched = app.watch_drift(champion, now=now())
                telemetry.show_drift(_figures(watched, time.monotonic() - began))
                for one in watched.alarms:
                    log.warning("drift_found", feature=one.feature, of=one.of, index=one.psi, bound=one.bound)
        except GatehouseError as error:
            log.warning("drift_not_measured", why=str(error))
        if stopping.wait(DRIFT_EVERY_S):
            return


def _figures(watched: Watched, seconds: float) -> DriftFigures:
    measured = [
        Stability(None if one.feature == SCORE else one.feature, one.of, one.psi, one.accounts) for one in watched.drift
    ]
    return DriftFigures(now(), seconds, watched.rows, len(watched.alarms), measured)
