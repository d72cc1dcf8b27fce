"""Threads for calls. A stream holds its thread for as long as it lasts, so unary calls have threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock, local
from typing import Any, ParamSpec, TypeVar

from service.rpc.intake import AHEAD

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


class CountingPool(ThreadPoolExecutor):
    """A thread pool that knows how much it has taken on; work beyond ``limit`` is for the asker to refuse."""

    def __init__(self, name: str, threads: int, limit: int) -> None:
        super().__init__(max_workers=threads, thread_name_prefix=name)
        self.limit = limit
        self._outstanding = 0
        self._lock = Lock()
        self._running = local()

    @property
    def outstanding(self) -> int:
        """Calls that run or wait for a thread."""
        return self._outstanding

    def full(self) -> bool:
        """Whether the next call should be refused."""
        return self._outstanding >= self.limit

    def submit(self, fn: Callable[_Args, _Result], /, *args: _Args.args, **kwargs: _Args.kwargs) -> Future[_Result]:
        """As its base does, counting; what was ``kept`` counts, and its future is not done, until it is let go."""
        done: Future[_Result] = self.count()
        self.thread(done, partial(fn, *args, **kwargs))
        return done

    def keep(self) -> Callable[[], None]:
        """Called by what is run here: it goes on counting after it has returned, until this is called."""
        self._running.kept = True
        return partial(self._done, self._running.done, None)

    def count(self) -> Future[Any]:
        """Work that is going to be run, and counts from now on; the future is done when it does not any more."""
        self._add(1)
        return Future()

    def thread(self, done: Future[_Result], work: Callable[[], _Result]) -> None:
        """Runs what ``count`` gave ``done`` for, on a thread of the pool."""
        super().submit(self.run, done, work)

    def run(self, done: Future[_Result], work: Callable[[], _Result]) -> None:
        """Runs what ``count`` gave ``done`` for, here and now. Raises nothing: whoever has the future learns it."""
        self._running.done, self._running.kept = done, False
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  for whoever has the future, as its base does
            self._add(-1)
            done.set_exception(error)
        else:
            if not self._running.kept:
                self._done(done, result)
        finally:
            self._running.done = None

    def _done(self, done: Future[_Result], result: _Result) -> None:
        self._add(-1)
        done.set_result(result)

    def _add(self, change: int) -> None:
        with self._lock:
            self._outstanding += change


@dataclass(frozen=True, slots=True)
class Pools:
    """Who answers what."""

    calls: CountingPool  # unary calls
    streams: CountingPool  # calls whose requests are a stream
    readers: CountingPool  # for streams that are read ahead: one reads, others work on what has come
    aside: CountingPool  # health checks, which must answer when the others are full

    @classmethod
    def make(cls, threads: int, max_concurrent: int, max_streams: int) -> Pools:
        """Unary calls up to ``max_concurrent`` on ``threads`` threads; every stream on a thread of its own."""
        return cls(
            CountingPool("call", threads, max_concurrent),
            CountingPool("stream", max_streams, max_streams),
            CountingPool("reader", (1 + AHEAD) * max_streams, (1 + AHEAD) * max_streams),
            CountingPool("aside", 2, max_concurrent),
        )

    def close(self) -> None:
        """Lets the threads end; does not wait for them."""
        for pool in (self.calls, self.streams, self.readers, self.aside):
            pool.shutdown(wait=False)
