"""Scores together what arrives together.

One call of numpy costs about the same for one account as for fifty, and Python runs one thread at a time, so callers
that wait at the same moment share a batch: a batch is whoever came while the last one was computed. While one batch is
being made durable, which is a disk's time, the next one is computed.

A batch costs milliseconds, however small, and callers that were answered together come back together. So a batch waits
a little for as many as the last one had, and does not begin beside one that is being written unless it is as large:
where each began with the first who came, 32 callers were scored in batches of 7, and half of those were of 1 to 3.

Whoever asks gets a future and need not wait on a thread: with a thread for each of 64 callers an answer cost the server
950 us of processors, of which a quarter went into waking them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Condition
from typing import Protocol

from service.domain.errors import DeadlineExceeded, GatehouseError, Overloaded
from service.domain.requests import ScoreRequest
from service.usecases.score_accounts import Answer, Begun

TOGETHER = 256  # accounts in one batch
WAITING = 4_096  # accounts that may wait
LINGER_S = 0.001  # how long a batch waits for those who were answered together
AHEAD = 2  # batches under way: one is computed while one is written


class Scores(Protocol):
    """Scoring a batch in two steps, and reasons for whoever wants them, see ``ScoreAccounts``."""

    def begin(self, requests: Sequence[ScoreRequest], *, now: int) -> Begun: ...

    def end(self, begun: Begun) -> Sequence[Answer]: ...

    def wants_reasons(self, request: ScoreRequest, answer: Answer) -> bool: ...

    def explained(self, requests: Sequence[ScoreRequest], answers: Sequence[Answer]) -> Sequence[Answer]: ...

    def explained_together(self) -> int: ...


@dataclass(slots=True)
class _Ticket:
    """One caller's requests."""

    requests: Sequence[ScoreRequest]
    now: int
    answers: Future[Sequence[Answer]] = field(default_factory=Future)


_Batch = Sequence[_Ticket]
_Answered = tuple[_Ticket, Sequence[Answer]]


def _size(batch: _Batch) -> int:
    return sum(len(ticket.requests) for ticket in batch)


class Together:
    """``ScoreAccounts`` for many callers at once."""

    def __init__(self, score: Scores, *, together: int = TOGETHER, waiting: int = WAITING, ahead: int = AHEAD) -> None:
        self._score = score
        self._together, self._most_waiting, self._ahead = together, waiting, ahead
        self._queue: deque[_Ticket] = deque()
        self._waiting = 0  # accounts in the queue
        self._alone: deque[_Batch] = deque()  # of batches that met a defect, each ticket by itself
        self._computing = self._gathering = False
        self._returning = 0  # accounts in the batch that was answered last: those who ask again are on their way
        self._under_way = 0  # batches that were begun and have not ended
        self._unanswered = 0  # accounts in those
        self._closed = False
        self._changed = Condition()
        self._scorer = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._teller = ThreadPoolExecutor(1, thread_name_prefix="answer")  # so that the next commit waits for nobody
        # Reasons are a core's time each. More threads would bring none the sooner, and each lends itself a booster:
        # with one for each of 32 callers a model of 500 trees took 1 GB.
        self._explainer = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="explain")

    def __call__(self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float) -> Sequence[Answer]:
        """See ``ScoreAccounts``; ``now`` of a batch is its latest caller's.

        Raises Overloaded where too many wait, DeadlineExceeded after ``timeout_s``: asking again is safe.
        """
        answers = self.ask(requests, now=now)
        try:
            return answers.result(timeout_s)
        except TimeoutError:
            answers.cancel()
            raise DeadlineExceeded(f"not scored within {timeout_s:g} s; the same request again is safe") from None

    def ask(self, requests: Sequence[ScoreRequest], *, now: int) -> Future[Sequence[Answer]]:
        """The answers, once they are durable. Whoever gives up cancels the future, whose work is left where it can be.

        What hangs on the future is called on a thread of ours: it must not wait. Raises Overloaded where too many wait.
        """
        ticket = _Ticket(requests, now)
        with self._changed:
            if self._closed:
                raise Overloaded("the server is shutting down; try again at another one")
            if self._waiting + len(requests) > self._most_waiting:
                raise Overloaded(f"{self._waiting} accounts are waiting to be scored; try again later")
            self._queue.append(ticket)
            self._waiting += len(requests)
            if self._gathering and self._all_here():
                self._changed.notify_all()
        self._start()
        return ticket.answers

    def close(self) -> None:
        """Takes nothing more, lets what waits be scored, then ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._queue or self._alone or self._under_way or self._computing))
        self._scorer.shutdown(wait=True)
        self._teller.shutdown(wait=True)
        self._explainer.shutdown(wait=True)

    def _start(self) -> None:
        """Lets the scorer take what waits, if it is free and the time has come."""
        with self._changed:
            beside = self._under_way and self._waiting < self._unanswered
            if self._computing or self._under_way >= self._ahead or not (self._alone or (self._queue and not beside)):
                return
            self._computing = True
        taken: list[_Ticket] = []
        # Not under the lock: what hangs on a future that is done already is called at once.
        self._scorer.submit(self._begin, taken).add_done_callback(partial(self._begun, taken))

    def _begin(self, taken: list[_Ticket]) -> Begun:
        with self._changed:
            self._gathering = True
            self._changed.wait_for(self._all_here, LINGER_S)
            self._gathering, self._returning = False, 0
            taken.extend(self._alone.popleft() if self._alone else self._next())
            self._under_way += 1
            self._unanswered += _size(taken)
        requests = [request for ticket in taken for request in ticket.requests]
        return self._score.begin(requests, now=max((ticket.now for ticket in taken), default=0))

    def _all_here(self) -> bool:
        return bool(self._alone) or self._closed or self._waiting >= min(self._returning, self._together)

    def _next(self) -> _Batch:
        """Tickets for a batch, none where all that waited gave up; the lock is held."""
        batch: list[_Ticket] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].requests) <= self._together):
            ticket = self._queue.popleft()
            self._waiting -= len(ticket.requests)
            if not ticket.answers.cancelled():
                batch.append(ticket)
                size += len(ticket.requests)
        return batch

    def _begun(self, batch: _Batch, done: Future[Begun]) -> None:
        error = done.exception()
        with self._changed:
            self._computing = False
        if error is not None:
            self._tell(batch, (), error)
            return
        begun = done.result()
        # A future keeps what hangs on it, and would keep itself by way of ``begun``. Then only the collector of cycles
        # finds a batch with its accounts and their history: for 10 ms every 0.6 s, which the slowest calls waited.
        held = [begun]
        begun.written.add_done_callback(lambda _: self._written(batch, held.pop()))
        self._start()

    def _written(self, batch: _Batch, begun: Begun) -> None:
        """On the writer's thread."""
        self._teller.submit(self._score.end, begun).add_done_callback(partial(self._ended, batch))

    def _ended(self, batch: _Batch, done: Future[Sequence[Answer]]) -> None:
        error = done.exception()
        self._tell(batch, () if error is not None else done.result(), error)

    def _tell(self, batch: _Batch, answers: Sequence[Answer], error: BaseException | None) -> None:
        """Hands out the answers. A defect that one request meets must not fail the others: they are scored alone."""
        if error is not None and len(batch) > 1 and not isinstance(error, GatehouseError):
            with self._changed:
                self._alone.extend([ticket] for ticket in batch)
        else:
            place, unexplained = 0, list[_Answered]()
            for ticket in batch:
                if error is not None:
                    _fail(ticket, error)
                    continue
                mine = answers[place : place + len(ticket.requests)]
                place += len(ticket.requests)
                if any(map(self._score.wants_reasons, ticket.requests, mine)):
                    unexplained.append((ticket, mine))
                else:
                    _settle(ticket, mine)
            if unexplained:
                self._explain_soon(unexplained)
        with self._changed:
            self._under_way -= 1
            self._unanswered -= _size(batch)
            self._returning = _size(batch)
            self._changed.notify_all()
        self._start()

    def _explain_soon(self, answered: Sequence[_Answered]) -> None:
        """On threads of their own, as many together as is quick."""
        most = self._score.explained_together()
        some: list[_Answered] = []
        size = 0
        for each in answered:
            if some and size + len(each[1]) > most:
                self._explain_on_a_thread(some)
                some, size = [], 0
            some.append(each)
            size += len(each[1])
        self._explain_on_a_thread(some)

    def _explain_on_a_thread(self, some: Sequence[_Answered]) -> None:
        self._explainer.submit(self._explain, some).add_done_callback(partial(self._explained, some))

    def _explain(self, some: Sequence[_Answered]) -> None:
        waiting = [each for each in some if not each[0].answers.cancelled()]
        told = self._score.explained(
            [request for ticket, _ in waiting for request in ticket.requests],
            [answer for _, answers in waiting for answer in answers],
        )
        place = 0
        for ticket, answers in waiting:
            _settle(ticket, told[place : place + len(answers)])
            place += len(answers)

    def _explained(self, some: Sequence[_Answered], done: Future[None]) -> None:
        """A defect that one meets must not fail the others: they are explained alone."""
        error = done.exception()
        if error is None:
            return
        if len(some) > 1:
            for each in some:
                self._explain_on_a_thread([each])
        else:
            _fail(some[0][0], error)


def _settle(ticket: _Ticket, answers: Sequence[Answer]) -> None:
    with suppress(InvalidStateError):  # whoever asked has given up
        ticket.answers.set_result(answers)


def _fail(ticket: _Ticket, error: BaseException) -> None:
    with suppress(InvalidStateError):
        ticket.answers.set_exception(error)
