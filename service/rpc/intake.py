"""Reads a stream ahead, up to a bound, and has what has come worked on in batches, while the next ones come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from threading import Condition
from typing import TypeVar

from service.rpc.inflow import Inflow

Worked = TypeVar("Worked")

AHEAD = 2  # batches of one stream under way, besides the one whose answers are being sent
MAX_BYTES = 8 * 1024 * 1024  # in one batch, and read ahead of it; two of the largest messages always fit
LINGER_S = 0.002  # how long a first item waits for others to come along


class Intake:
    """Between a stream and the thread that answers it; holds at most a batch, and MAX_BYTES."""

    def __init__(self, requests: Iterator[bytes], threads: Executor, most: Callable[[], int]) -> None:
        """``requests`` and ``threads`` as of ``Inflow``; ``most``: items in the next batch, asked when one is taken."""
        self._ask_most = most
        self._most = most()
        self._items: list[bytes] = []
        self._bytes = 0
        self._changed = Condition()
        self._flows = self._ended = self._closed = False
        self._error: Exception | None = None
        self._inflow = Inflow(requests, self, threads)

    def put(self, message: bytes) -> bool:
        """See ``Taker``."""
        with self._changed:
            self._items.append(message)
            self._bytes += len(message)
            full = self._full()
            # Nobody waits for any item but these. Woken for each, the others took turns with this thread.
            if full or len(self._items) == 1:
                self._changed.notify_all()
            self._flows = not (full or self._closed)
            return self._flows

    def end(self, error: Exception | None) -> None:
        """See ``Taker``."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def _full(self) -> bool:
        return len(self._items) >= self._most or self._bytes >= MAX_BYTES

    def take(self) -> list[bytes]:
        """What has come, waiting for a first item and then LINGER_S for more; empty at the end of the stream.

        Raises what ended the stream there, where that was not its end.
        """
        self._resume()
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended)
            self._changed.wait_for(lambda: self._full() or self._ended, LINGER_S)
            if self._error is not None and not self._items:
                raise self._error
            taken = self._taken()
        self._resume()
        return taken

    def take_full(self, unless: Callable[[], bool]) -> list[bytes]:
        """As much as goes into a batch, or all there is at the end of the stream; empty as soon as ``unless`` holds.

        Whoever makes ``unless`` true calls ``look``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._full() or self._ended or unless())
            taken = self._taken() if self._full() or self._ended else []
        self._resume()
        return taken

    def look(self) -> None:
        """Something that a ``take_full`` depends on has changed."""
        with self._changed:
            self._changed.notify_all()

    def _taken(self) -> list[bytes]:
        taken, self._items, self._bytes = self._items, [], 0
        self._most = self._ask_most()
        return taken

    def _resume(self) -> None:
        """Lets more come, where there is room again; what brings it must not meet the lock."""
        with self._changed:
            stands = not (self._flows or self._ended or self._closed or self._full())
            self._flows = self._flows or stands
        if stands:
            self._inflow.resume()

    def close(self) -> None:
        """Nobody takes any more: nothing is received after the next item."""
        with self._changed:
            self._closed = True


def worked(
    requests: Iterator[bytes],
    threads: Executor,
    work: Callable[[list[bytes]], Worked],
    most: Callable[[], int],
) -> Iterator[Worked]:
    """What ``work`` makes of the messages of a stream, in batches of what has come and of ``most()`` items, in order.

    While one batch is on its way to the disk and another one's answers are being sent, the next is worked on; a stream
    that waits for each answer is answered at once all the same. It takes up to 1 + AHEAD of ``threads``.
    """
    intake = Intake(requests, threads, most)
    under_way: deque[Future[Worked]] = deque()

    def begin(batch: list[bytes]) -> None:
        future = threads.submit(work, batch)
        under_way.append(future)
        future.add_done_callback(lambda _: intake.look())

    try:
        while batch := intake.take():
            begin(batch)
            while under_way:
                if len(under_way) < AHEAD and (more := intake.take_full(under_way[0].done)):
                    begin(more)
                    continue
                done = under_way.popleft().result()
                # Sending takes about as long as scoring does: what is there already is begun before.
                if more := intake.take_full(lambda: True):
                    begin(more)
                yield done
    finally:
        intake.close()


class Chunks:
    """The messages of a stream in lists of at most ``most()``, each closed once it holds ``size`` bytes.

    While one is worked on the next comes, and no more than that.
    """

    def __init__(self, requests: Iterator[bytes], threads: Executor, most: Callable[[], int], size: int) -> None:
        """``requests`` and ``threads`` as of ``Inflow``; ``most`` is asked when a list is begun."""
        self._ask_most, self._size = most, size
        self._most = most()
        self._chunk: list[bytes] = []
        self._held = 0
        self._changed = Condition()
        self._full = self._ended = False
        self._error: Exception | None = None
        self._inflow = Inflow(requests, self, threads)

    def put(self, message: bytes) -> bool:
        """See ``Taker``. Nobody but who puts touches the chunk until it is full, so most need no lock."""
        self._chunk.append(message)
        self._held += len(message)
        if len(self._chunk) < self._most and self._held < self._size:
            return True
        with self._changed:
            self._full = True
            self._changed.notify_all()
        return False

    def end(self, error: Exception | None) -> None:
        """See ``Taker``."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def __iter__(self) -> Iterator[list[bytes]]:
        """Raises what ended the stream, where that was not its end."""
        self._inflow.resume()
        more = True
        while more:
            with self._changed:
                self._changed.wait_for(lambda: self._full or self._ended)
                if self._error is not None:
                    raise self._error
                chunk, self._chunk, self._held, self._full = self._chunk, [], 0, False
                self._most, more = self._ask_most(), not self._ended
            if more:
                self._inflow.resume()
            if chunk:
                yield chunk
