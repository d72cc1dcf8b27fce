"""Messages with large arrays from one process to another, by memory that both see.

The arrays of a message are written into anonymous files (``memfd_create``), whose descriptors go over a Unix socket
(SCM_RIGHTS); the receiver maps them and copies nothing. The memory goes with the last array on it, and whoever is
killed leaves nothing behind, as named shared memory would. It is no part of /dev/shm, of which containers have 64 MB.
"""

from __future__ import annotations

import array
import mmap
import os
import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any

SMALL = 1 << 16  # bytes; what is smaller stands in the message
LARGE = 4 << 20  # bytes; what is larger has a file of its own, so that it can go before what came with it
MOST_FILES = 64  # of one message; the kernel takes 253
_HEAD = struct.Struct("<Q")
_ALIGNED = 64


def send(peer: socket.socket, message: object) -> None:
    """Sends what pickles. Waits for nobody: what goes over the socket itself is some bytes.

    Raises ConnectionError where the other side has ended.
    """
    apart: list[memoryview] = []

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < SMALL:
            return True
        apart.append(raw)
        return False

    body = memoryview(pickle.dumps(message, protocol=5, buffer_callback=in_band))
    files, places = _written([body, *apart])
    try:
        head = pickle.dumps(places)
        descriptors = array.array("i", files)
        peer.sendmsg([_HEAD.pack(len(head))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        peer.sendall(head)
    finally:
        for file in files:
            os.close(file)


def receive(peer: socket.socket) -> Any:
    """The next message. It must come from a process of our own: unpickling runs what it names.

    Raises EOFError or ConnectionError where the other side has ended.
    """
    head, files, _, _ = socket.recv_fds(peer, _HEAD.size, MOST_FILES)
    try:
        places = pickle.loads(_exactly(peer, _HEAD.unpack(head + _exactly(peer, _HEAD.size - len(head)))[0]))  # noqa: S301
        mapped = [memoryview(mmap.mmap(file, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)) for file in files]
    finally:
        for file in files:
            os.close(file)
    body, *apart = (mapped[file][start : start + size] for file, start, size in places)
    return pickle.loads(body, buffers=apart)  # noqa: S301


def _written(parts: Sequence[memoryview]) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Files with ``parts`` in them, and of each part which file, where in it, and its bytes. No file is empty."""
    files: list[int] = [os.memfd_create("gatehouse")]
    places: list[tuple[int, int, int]] = []
    end = 0  # of what stands in the first file
    try:
        for part in parts:
            if part.nbytes > LARGE and places and len(files) < MOST_FILES:
                files.append(os.memfd_create("gatehouse"))
                places.append((len(files) - 1, 0, part.nbytes))
                _write(files[-1], part, 0)
            else:
                places.append((0, end, part.nbytes))
                _write(files[0], part, end)
                end += -(-part.nbytes // _ALIGNED) * _ALIGNED
    except BaseException:  # Ctrl-C, too: nobody else would close them
        for file in files:
            os.close(file)
        raise
    return files, places


def _write(file: int, part: memoryview, at: int) -> None:
    done = 0
    while done < part.nbytes:
        done += os.pwrite(file, part[done:], at + done)


def _exactly(peer: socket.socket, size: int) -> bytes:
    """So many bytes. Raises EOFError where there are fewer."""
    parts = []
    while size:
        part = peer.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
