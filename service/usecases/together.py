"""Scores together what arrives together.

One call of numpy costs about the same for one account as for fifty, and Python runs one thread at a time, so callers
that wait at the same moment share a batch: nobody waits for a batch to fill, a batch is whoever came while the last one
was computed. Measured with 8 callers it carried several times as many calls as a thread for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Protocol

from service.domain.errors import DeadlineExceeded, GatehouseError, Overloaded
from service.domain.requests import ScoreRequest
from service.usecases.score_accounts import Answer

TOGETHER = 256  # accounts in one batch
WAITING = 4_096  # accounts that may wait
WORKERS = 1


class Scores(Protocol):
    """Scoring a batch, see ``ScoreAccounts``."""

    def __call__(self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float) -> Sequence[Answer]: ...


@dataclass(slots=True)
class _Ticket:
    """One caller's requests."""

    requests: Sequence[ScoreRequest]
    now: int
    timeout_s: float
    answers: Future[Sequence[Answer]] = field(default_factory=Future)


class Together:
    """``ScoreAccounts`` for many callers at once."""

    def __init__(
        self, score: Scores, *, together: int = TOGETHER, waiting: int = WAITING, workers: int = WORKERS
    ) -> None:
        self._score = score
        self._together, self._most_waiting = together, waiting
        self._queue: deque[_Ticket] = deque()
        self._waiting = 0
        self._free = workers
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="score")

    def __call__(self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float) -> Sequence[Answer]:
        """See ``ScoreAccounts``; ``now`` of a batch is its latest caller's.

        Raises Overloaded where too many wait, DeadlineExceeded after ``timeout_s``: asking again is safe.
        """
        ticket = _Ticket(requests, now, timeout_s)
        with self._lock:
            if self._waiting + len(requests) > self._most_waiting:
                raise Overloaded(f"{self._waiting} accounts are waiting to be scored; try again later")
            self._queue.append(ticket)
            self._waiting += len(requests)
            self._start()
        try:
            return ticket.answers.result(timeout_s)
        except TimeoutError:
            ticket.answers.cancel()
            raise DeadlineExceeded(f"not scored within {timeout_s:g} s; the same request again is safe") from None

    def close(self) -> None:
        """Lets what waits be scored, then ends the threads."""
        self._pool.shutdown(wait=True)

    def _start(self) -> None:
        """Hands waiting tickets to a free worker; the lock is held."""
        while self._queue and self._free:
            batch = [self._next()]
            size = len(batch[0].requests)
            while self._queue and size + len(self._queue[0].requests) <= self._together:
                batch.append(self._next())
                size += len(batch[-1].requests)
            batch = [ticket for ticket in batch if ticket.answers.set_running_or_notify_cancel()]
            if batch:
                self._free -= 1
                self._submit(batch)

    def _next(self) -> _Ticket:
        ticket = self._queue.popleft()
        self._waiting -= len(ticket.requests)
        return ticket

    def _submit(self, batch: Sequence[_Ticket]) -> None:
        self._pool.submit(self._run, batch).add_done_callback(partial(self._done, batch))

    def _run(self, batch: Sequence[_Ticket]) -> Sequence[Answer]:
        requests = [request for ticket in batch for request in ticket.requests]
        return self._score(
            requests, now=max(ticket.now for ticket in batch), timeout_s=max(ticket.timeout_s for ticket in batch)
        )

    def _done(self, batch: Sequence[_Ticket], done: Future[Sequence[Answer]]) -> None:
        """Hands out the answers. A defect that one request meets must not fail the others: they are scored alone."""
        error = done.exception()
        with self._lock:
            if error is not None and len(batch) > 1 and not isinstance(error, GatehouseError):
                self._free -= len(batch) - 1
                for ticket in batch:
                    self._submit([ticket])
                return
            self._free += 1
            self._start()
        place = 0
        for ticket in batch:
            if error is not None:
                ticket.answers.set_exception(error)
            else:
                ticket.answers.set_result(done.result()[place : place + len(ticket.requests)])
                place += len(ticket.requests)
