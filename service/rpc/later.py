"""Calls that hold no thread while their answer is made.

Behind grpc's server of threads a method ends by returning, so a caller that waits for its batch keeps a thread, and
each answer wakes one. Of 64 callers that was 24 % of the server's time. grpc has a way without: the method of a stream
may be marked ``experimental_non_blocking`` (grpc's own Health.Watch is) and gets a function that sends, to be called
from any thread. A stream of one message is on the wire what one message is, so a method of one answer can be had so.

That function sends an answer and its status one after the other, and waits in between for the first to be gone. grpc's
``_status``, with which its own unary methods end, sends both at once and waits for nothing; it is private. Where a
later grpc does not have it any more, answers go the long way, over threads of their own.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.message import Message

from service.domain.errors import DeadlineExceeded
from service.rpc.attempts import Failure
from service.rpc.pools import CountingPool

log = structlog.get_logger(__name__)

Send = Callable[[Message | bytes | None], None]


@dataclass(frozen=True, slots=True)
class Later:
    """What a method returns that is answered later."""

    done: Future[Any]  # cancelled where the caller is gone or cannot wait any longer
    # The answer once it is done: a message, or its bytes or a Failure from elsewhere. Raises what a method would raise.
    message: Callable[[], Message | bytes | Failure]
    timeout_s: float  # then the caller is told DeadlineExceeded


class Late(Protocol):
    """What wants to be told that its time has passed."""

    def late(self) -> None:
        """It has."""
        ...


class Deadlines:
    """One thread that tells calls when their time has passed."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Late]] = []
        self._number = itertools.count()  # what comes at the same moment need not be comparable
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    def after(self, seconds: float, call: Late) -> None:
        """Tells ``call`` in so many seconds, whether it was answered by then or not."""
        entry = (time.monotonic() + seconds, next(self._number), call)
        with self._changed:
            heapq.heappush(self._waiting, entry)
            if self._waiting[0] is entry:
                self._changed.notify()

    def close(self) -> None:
        """Ends the thread; whoever waits is not told any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        while (due := self._due()) is not None:
            for call in due:
                call.late()

    def _due(self) -> list[Late] | None:
        """Those whose time has come, waiting for the first; None: closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                due = []
                while self._waiting and self._waiting[0][0] <= now:
                    due.append(heapq.heappop(self._waiting)[2])
                if due:
                    return due
                self._changed.wait(self._waiting[0][0] - now if self._waiting else None)
        return None


def late(timeout_s: float) -> DeadlineExceeded:
    """What a caller is told that waited ``timeout_s`` seconds."""
    return DeadlineExceeded(f"not answered within {timeout_s:g} s; the same request again is safe")


class Sender:
    """Sends the one message of a call that is answered later, from any thread."""

    def __init__(self, aside: CountingPool) -> None:
        """``aside``: threads for the long way."""
        self._at_once = _at_once()
        self._aside = aside
        if self._at_once is None:
            log.warning("answers_go_the_long_way", grpc=grpc.__version__)

    def __call__(self, context: grpc.ServicerContext, send: Send, message: Message | bytes) -> None:
        """``context`` and ``send`` are those of the call."""
        if self._at_once is not None:
            self._at_once(context, message if isinstance(message, bytes) else message.SerializeToString())
        else:
            self._aside.submit(_one_after_the_other, send, message)


def _one_after_the_other(send: Send, message: Message | bytes) -> None:
    send(message)
    send(None)


def _at_once() -> Callable[[Any, bytes], None] | None:
    """Sends message and status together, as grpc's unary methods do; None where this grpc cannot."""
    try:
        from grpc._server import _Context, _status  # noqa: PLC0415  private: may not be there
    except ImportError:
        return None
    if not {"_rpc_event", "_state"} <= set(_Context.__annotations__):
        return None

    def send(context: Any, data: bytes) -> None:
        _status(context._rpc_event, context._state, data)  # noqa: SLF001

    return send
