"""What callers are told of a pool that is full. Refusing must cost next to nothing: there may be thousands a second."""

from __future__ import annotations

import time
from threading import Lock

import structlog

from service.domain.errors import Overloaded
from service.rpc.attempts import Failure
from service.rpc.errors import status_of
from service.rpc.pools import CountingPool

log = structlog.get_logger(__name__)

SAY_EVERY_S = 1.0


class Refusals:
    """The refusals of one pool: worded once, and at most one line a second in the log, with how many there were."""

    def __init__(self, pool: CountingPool) -> None:
        text = f"{pool.limit} calls of this kind are under way already; try again later"
        self._failure = Failure(status_of(Overloaded(text)))
        self._limit = pool.limit
        self._unsaid = 0
        self._said_at = float("-inf")
        self._lock = Lock()

    def one_more(self) -> Failure:
        """What to tell one more caller."""
        now = time.monotonic()
        with self._lock:
            self._unsaid += 1
            calls = self._unsaid if now - self._said_at >= SAY_EVERY_S else 0
            if calls:
                self._unsaid, self._said_at = 0, now
        if calls:
            log.warning("calls_refused", calls=calls, limit=self._limit, why="as many as may be are under way")
        return self._failure
