"""Threads for calls. A stream holds its thread for as long as it lasts, so unary calls have threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import ParamSpec, TypeVar

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

    @property
    def outstanding(self) -> int:
        """Calls that run or wait for a thread."""
        return self._outstanding

    def full(self) -> bool:
        """Whether the next call should be refused."""
        return self._outstanding >= self.limit

    def submit(self, fn: Callable[_Args, _Result], /, *args: _Args.args, **kwargs: _Args.kwargs) -> Future[_Result]:
        """As its base does, counting."""
        future = super().submit(fn, *args, **kwargs)
        self._add(1)
        future.add_done_callback(lambda _: self._add(-1))
        return future

    def _add(self, change: int) -> None:
        with self._lock:
            self._outstanding += change


@dataclass(frozen=True, slots=True)
class Pools:
    """Who answers what."""

    calls: CountingPool  # unary calls
    streams: CountingPool  # calls whose requests are a stream
    readers: CountingPool  # for streams that are read ahead: one reads, others work on what has come
    aside: CountingPool  # health checks and refusals, which must answer when the others are full

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
