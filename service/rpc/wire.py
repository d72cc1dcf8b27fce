"""Frames between the process that talks gRPC and one that scores: both of one version, on one machine, over a socket.

A frame is a length, a call's number, what the frame is, and its content as bytes. What many threads have to send goes
out together: whoever sends only puts it down, and one thread writes all that has come meanwhile. Written one by one,
answers cost a system call each and woke the reader as often.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from struct import Struct
from threading import Condition, Thread

_HEAD = Struct("<IQB")  # bytes of content, call, what
_READ = 1 << 18  # bytes at a time


class What(IntEnum):
    """What a frame is."""

    ASK = 0  # content: the request id for logs, a zero byte, the request
    CANCEL = 1  # nobody waits for the call's answer any more
    ANSWER = 2  # content: the response
    FAILURE = 3  # content: a google.rpc.Status


Frame = tuple[int, int, bytes]  # call, What, content


class Wire:
    """One connection. ``close`` when done."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._connection = connection
        self._frames: deque[bytes] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    def send(self, call: int, what: What, content: bytes = b"") -> None:
        """Puts a frame down to be sent; it is lost where the connection ends before."""
        frame = _HEAD.pack(len(content), call, what) + content
        with self._changed:
            self._frames.append(frame)
            if len(self._frames) == 1:
                self._changed.notify()

    def frames(self) -> Iterator[Frame]:
        """What the other side sends, until it ends or is gone; for one thread."""
        rest = bytearray()
        while data := self._received():
            rest += data
            at, end = 0, len(rest)
            while end - at >= _HEAD.size:
                size, call, what = _HEAD.unpack_from(rest, at)
                if end - at < _HEAD.size + size:
                    break
                at += _HEAD.size
                yield call, what, bytes(memoryview(rest)[at : at + size])
                at += size
            del rest[:at]

    def close(self) -> None:
        """Sends what was put down, unless the other side is gone, and ends the connection; again: nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        with suppress(OSError):  # the other side was first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _received(self) -> bytes:
        try:
            return self._connection.recv(_READ)
        except OSError:
            return b""

    def _write(self) -> None:
        while True:
            with self._changed:
                while not (self._frames or self._closed):
                    self._changed.wait()
                if not self._frames:
                    return
                together = b"".join(self._frames)
                self._frames.clear()
            try:
                self._connection.sendall(together)
            except OSError:
                return  # who reads here learns that it is over, too
