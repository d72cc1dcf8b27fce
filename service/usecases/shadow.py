"""A challenger scores what the champion has answered, beside it: kept for comparison, and told to nobody.

It comes after the answer: what was read for the champion waits here until a thread of its own scores it, so that no
caller waits for it. The queue is bounded and drops what does not fit, the thread rests nine times as long as it works,
and whatever fails is counted and said in the log once. What was never scored shows in the comparison as missed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock
from typing import Protocol

import numpy as np
import structlog

from service.domain.records import Assessment, ShadowAssessment
from service.tiles.history import History
from service.usecases.assess import Asked, assess
from service.usecases.champion import Serving

log = structlog.get_logger(__name__)

WAITING = 4_096  # accounts that may wait; what was read for them is held in memory meanwhile
TOGETHER = 512  # accounts that are scored and written in one go
# Of the time that the work took. The interpreter runs one thread at a time, and answers need it: with a rest of 3 a
# server that was asked as fast as it could answer gave 12 to 25 % fewer answers, with one of 9 as many as without.
REST = 9.0
LEAST_REST_S = 0.2  # on SQLite every commit keeps the writer of answers waiting for a disk


class Models(Protocol):
    """Where the challenger comes from."""

    def shadow(self) -> Serving | None:
        """The model that scores beside the champion; None: none does."""
        ...


class Keeps(Protocol):
    """What is needed of the store."""

    def append_shadows(self, made: Sequence[ShadowAssessment]) -> int: ...


@dataclass(frozen=True, slots=True)
class _Answered:
    """Assessments that are durable, and what was read for them."""

    history: History
    made: Sequence[Assessment]


class Shadow:
    """The deed, wired to its rooms. Safe to call from many threads."""

    def __init__(
        self, models: Models, keeps: Keeps, *, waiting: int = WAITING, together: int = TOGETHER, rest: float = REST
    ) -> None:
        self._models, self._keeps = models, keeps
        self._most_waiting, self._together, self._rest = waiting, together, rest
        self._queue: deque[_Answered] = deque()
        self._waiting = 0
        self._lock = Lock()
        self._closing = Event()
        self._busy = False
        self._scored = self._dropped = self._failed = 0
        self._said: set[str] = set()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shadow")

    def offer(self, history: History, made: Sequence[Assessment]) -> None:
        """Takes what was answered, to be scored when there is time; never waits and never raises."""
        if not made or self._models.shadow() is None:
            return
        with self._lock:
            if self._closing.is_set() or self._waiting + len(made) > self._most_waiting:
                if not self._dropped:
                    log.warning("shadow_dropped", why="more answers came than the shadow model has time for")
                self._dropped += len(made)
                return
            self._queue.append(_Answered(history, made))
            self._waiting += len(made)
            if not self._busy:
                self._busy = True
                self._drain_soon()

    def looking(self) -> bool:
        """Whether a challenger scores beside the champion."""
        return self._models.shadow() is not None

    def beside(self, history: History, made: Sequence[Assessment]) -> None:
        """For a job, which has the time: scores what was answered at once. Never raises."""
        if made and self._models.shadow() is not None:
            done = self._pool.submit(self._score, [_Answered(history, made)])
            self._account(done, len(made))

    def counts(self) -> Mapping[str, int]:
        """Accounts since the start: ``scored``, ``dropped`` for lack of time, and ``failed``."""
        return {"scored": self._scored, "dropped": self._dropped, "failed": self._failed}

    def close(self) -> None:
        """Takes nothing more, scores what waits without resting, and ends the thread."""
        self._closing.set()
        while self._busy:
            self._pool.submit(lambda: None).result()
        self._pool.shutdown(wait=True)

    def _drain_soon(self) -> None:
        """The lock is held, and the thread takes it first: else it could be done before anybody asks to be told."""
        taken: list[_Answered] = []
        self._pool.submit(self._drain, taken).add_done_callback(lambda done: self._after(done, taken))

    def _drain(self, taken: list[_Answered]) -> int:
        with self._lock:
            size = 0
            while self._queue and (not taken or size + len(self._queue[0].made) <= self._together):
                taken.append(self._queue.popleft())
                size += len(taken[-1].made)
            self._waiting -= size
        began = time.monotonic()
        scored = self._score(taken)
        self._closing.wait(max(LEAST_REST_S, self._rest * (time.monotonic() - began)))
        return scored

    def _score(self, taken: Sequence[_Answered]) -> int:
        serving = self._models.shadow()
        if serving is None:  # stopped, or promoted, since
            return 0
        made: list[ShadowAssessment] = []
        for answered in taken:
            asked = [Asked(each.account_id, each.purpose, each.request_id) for each in answered.made]
            moments = np.array([each.assessed_at for each in answered.made], np.int64)
            said = assess(serving, answered.history, asked, moments)
            made += [_beside(champion, shadow) for champion, shadow in zip(answered.made, said, strict=True) if shadow]
        self._keeps.append_shadows(made)
        return len(made)

    def _after(self, done: Future[int], taken: Sequence[_Answered]) -> None:
        self._account(done, sum(len(each.made) for each in taken))
        with self._lock:
            if self._queue:
                self._drain_soon()
            else:
                self._busy = False

    def _account(self, done: Future[int], size: int) -> None:
        """Whatever went wrong ends here: nobody waits for a shadow."""
        error = done.exception()
        if error is None:
            self._scored += done.result()
            return
        self._failed += size
        serving = self._models.shadow()
        version = serving.version if serving else ""
        if version not in self._said:
            self._said.add(version)
            log.error("shadow_failed", model=version, exc_info=error)


def _beside(champion: Assessment, shadow: Assessment) -> ShadowAssessment:
    """What the challenger would have answered, before chance lifts any of it."""
    return ShadowAssessment(
        assessment_id=champion.assessment_id,
        model_version=shadow.model_version,
        account=champion.account,
        assessed_at=champion.assessed_at,
        score=shadow.score,
        decision=shadow.explored_from or shadow.decision,
        policy_version=shadow.policy_version,
    )
