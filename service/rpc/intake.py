"""Reads a stream ahead, up to a bound, and hands out what has come as batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from threading import Condition
from typing import Generic, TypeVar

from google.protobuf.message import Message

from service.rpc.decoding import RefusedMessage

Request = TypeVar("Request", bound=Message)

MAX_ITEMS = 256
MAX_BYTES = 8 * 1024 * 1024  # held for one stream; two of the largest messages always fit
LINGER_S = 0.002  # how long a first item waits for others to come along


class Intake(Generic[Request]):
    """Between the thread that reads a stream and the one that answers it; holds at most MAX_ITEMS and MAX_BYTES."""

    def __init__(self) -> None:
        self._items: deque[Request | RefusedMessage] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._ended = False
        self._closed = False

    def fill(self, stream: Iterator[Request]) -> None:
        """Reads to the end of the stream, or until nobody takes any more; the reader's whole life."""
        try:
            while not self._closed:
                try:
                    item: Request | RefusedMessage = next(stream)
                except RefusedMessage as refused:
                    item = refused
                except StopIteration:
                    return
                self._put(item)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Request | RefusedMessage) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._full())
            self._items.append(item)
            self._bytes += _size(item)
            self._changed.notify_all()

    def _full(self) -> bool:
        return len(self._items) >= MAX_ITEMS or self._bytes >= MAX_BYTES

    def take(self) -> list[Request | RefusedMessage]:
        """What has come, waiting for a first item and then LINGER_S for more; empty at the end of the stream."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended)
            self._changed.wait_for(lambda: self._full() or self._ended, LINGER_S)
            taken = list(self._items)
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Nobody takes any more: the reader stops at its next item."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def batches(stream: Iterator[Request], readers: Executor) -> Iterator[list[Request | RefusedMessage]]:
    """The items of a stream in batches of what has come, each as soon as it is asked for."""
    intake: Intake[Request] = Intake()
    reading = readers.submit(intake.fill, stream)
    try:
        while taken := intake.take():
            yield taken
        reading.result()  # a caller that hung up, or a defect, is not the end of a stream
    finally:
        intake.close()


def chunks(stream: Iterator[Request], items: int, size: int) -> Iterator[list[Request | RefusedMessage]]:
    """The items of a stream in lists of at most ``items``, each closed once it holds ``size`` bytes."""
    chunk: list[Request | RefusedMessage] = []
    held = 0
    for item in _with_refused(stream):
        chunk.append(item)
        held += _size(item)
        if len(chunk) >= items or held >= size:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _with_refused(stream: Iterator[Request]) -> Iterable[Request | RefusedMessage]:
    while True:
        try:
            yield next(stream)
        except StopIteration:
            return
        except RefusedMessage as refused:
            yield refused


def _size(item: Message | RefusedMessage) -> int:
    return item.ByteSize() if isinstance(item, Message) else len(str(item))
