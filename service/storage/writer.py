"""Group commit: arrivals of many threads that wait at the same moment become one transaction.

A disk syncs a few hundred times a second, however little is written each time; one writer that takes all that wait
turned 550 rows a second into thousands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Protocol

from service.domain.errors import DeadlineExceeded, Overloaded
from service.storage.arrivals import Arrival, Arrivals, Outcome, Outcomes
from service.storage.database import DRIVER_ERRORS

Written = Future[Outcomes]
Ticket = tuple[Arrivals, Written]


def awaited(ticket: Written, timeout_s: float) -> Outcomes:
    """What became of arrivals that were begun. Raises what the store raises, and DeadlineExceeded as ``submit``."""
    try:
        return ticket.result(timeout_s)
    except TimeoutError:
        ticket.cancel()
        raise DeadlineExceeded(f"not written within {timeout_s:g} s; the same request again is safe") from None


class Writes(Protocol):
    """What the writer needs of a store."""

    def write_together(self, groups: Sequence[Arrivals]) -> Outcomes:
        """Writes all groups in one transaction."""


class Writer:
    """One thread that writes for all. ``close`` when done; what was submitted before is written first."""

    def __init__(self, store: Writes, *, waiting: int = 4_096, together: int = 512) -> None:
        """``waiting`` submissions may wait, ``together`` of them go into one transaction."""
        self._store = store
        self._waiting, self._together = waiting, together
        self._queue: deque[Ticket] = deque()
        self._lock = Lock()
        self._busy = False
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")

    def begin(self, arrivals: Arrivals) -> Written:
        """Hands arrivals over, and does not wait: done once they are durable, with what became of them.

        What hangs on it is called on the writer's thread, which the next transaction waits for: it must be short.
        Raises Overloaded where too many wait already. The future raises what the store raises.
        """
        ticket: Written = Future()
        with self._lock:
            if self._closed:
                raise Overloaded("the server is shutting down; try again at another one")
            if len(self._queue) >= self._waiting:
                raise Overloaded(f"{len(self._queue)} writes are waiting; try again later")
            self._queue.append((arrivals, ticket))
            if not self._busy:
                self._busy = True
                self._drain_soon()
        return ticket

    def submit(self, arrivals: Sequence[Arrival], timeout_s: float) -> list[Outcome]:
        """As ``begin``, and returns when the arrivals are durable: one Outcome each, in order.

        Raises DeadlineExceeded after ``timeout_s``; then they are either not written, or written as a repeat will find.
        """
        return list(awaited(self.begin(Arrivals.of(arrivals)), timeout_s))

    def close(self) -> None:
        """Refuses new work, writes what waits, and ends the thread."""
        with self._lock:
            self._closed = True
        while self._busy:
            self._thread.submit(lambda: None).result()
        self._thread.shutdown(wait=True)

    def _drain_soon(self) -> None:
        taken: list[Ticket] = []
        self._thread.submit(self._drain, taken).add_done_callback(lambda done: self._after(done, taken))

    def _drain(self, taken: list[Ticket]) -> None:
        with self._lock:
            while self._queue and len(taken) < self._together:
                arrivals, ticket = self._queue.popleft()
                if ticket.set_running_or_notify_cancel():
                    taken.append((arrivals, ticket))
        if not taken:
            return
        try:
            self._commit(taken)
        except DRIVER_ERRORS:
            if len(taken) == 1:
                raise
            for one in taken:  # one that the database refuses must not fail the others
                alone = [one]
                self._thread_result(alone)

    def _commit(self, taken: Sequence[Ticket]) -> None:
        outcomes = self._store.write_together([arrivals for arrivals, _ in taken])
        at = 0
        for arrivals, ticket in taken:
            ticket.set_result(outcomes.some(at, at + len(arrivals)))
            at += len(arrivals)

    def _thread_result(self, alone: Sequence[Ticket]) -> None:
        try:
            self._commit(alone)
        except DRIVER_ERRORS as error:
            alone[0][1].set_exception(error)

    def _after(self, done: Future[None], taken: Sequence[Ticket]) -> None:
        error = done.exception()
        if error is not None:
            for _, ticket in taken:
                if not ticket.done():
                    ticket.set_exception(error)
        with self._lock:
            if self._queue:
                self._drain_soon()
            else:
                self._busy = False
