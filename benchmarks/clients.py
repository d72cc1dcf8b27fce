"""Closed-loop callers: so many at once, each asking again as soon as it is answered. Messages are made beforehand.

Both clients do as little as they can, so that what is measured is the server: bodies are bytes, answers stay bytes.
The one for HTTP writes to the socket itself and costs less than gRPC's, which is the HTTP peers' advantage.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from benchmarks.measured import percentile

TIMEOUT_S = 60.0

Ask = Callable[[bytes], bytes]
Connect = Callable[[], AbstractContextManager[Ask]]


@dataclass(frozen=True, slots=True)
class Load:
    """What a round of asking brought."""

    seconds: float
    taken: tuple[float, ...]  # seconds of each call
    answers: tuple[tuple[int, bytes], ...]  # (place of the body, its answer)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.taken) / self.seconds

    @property
    def p99_ms(self) -> float:
        """Milliseconds that 99 % of calls did not take longer than."""
        return percentile(self.taken, 0.99) * 1e3


def closed_loop(connect: Connect, bodies: Sequence[bytes], *, callers: int, seconds: float, again: bool) -> Load:
    """Asks for so many seconds; each body once, or over and over with ``again``.

    Raises:
        RuntimeError: a caller failed, or the bodies did not last.
    """
    taken: list[float] = []
    answers: list[tuple[int, bytes]] = []
    failures: list[BaseException] = []
    lock = threading.Lock()
    nexts = iter(range(2**62))
    started, end = 0.0, 0.0

    def start() -> None:
        nonlocal started, end
        started = time.perf_counter()
        end = started + seconds

    together = threading.Barrier(callers, start)  # connecting is not counted

    def caller() -> None:
        mine: list[tuple[float, int, bytes]] = []
        try:
            with connect() as ask:
                together.wait(TIMEOUT_S)
                while (at := time.perf_counter()) < end:
                    with lock:
                        place = next(nexts)
                    place = place % len(bodies) if again else place
                    answer = ask(bodies[place])
                    mine.append((time.perf_counter() - at, place, answer))
        except (grpc.RpcError, OSError, IndexError, threading.BrokenBarrierError) as error:
            failures.append(error)
            together.abort()
        with lock:
            taken.extend(one[0] for one in mine)
            answers.extend(one[1:] for one in mine)

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    if failures:
        raise RuntimeError(f"a caller failed: {failures[0]!r}") from failures[0]
    return Load(took, tuple(taken), tuple(answers))


def over_grpc(address: str, method: str) -> tuple[Connect, grpc.Channel]:
    """Callers of one method on one channel, as a client has it; close the channel when done."""
    channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
    call: Any = channel.unary_unary(method, request_serializer=None, response_deserializer=None)

    @contextmanager
    def connect() -> Iterator[Ask]:
        yield lambda body: bytes(call(body, timeout=TIMEOUT_S))

    return connect, channel


def over_http(address: str, path: str) -> Connect:
    """Callers that post JSON over a connection of their own, kept open."""
    host, port = address.rsplit(":", 1)
    head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: ".encode()

    @contextmanager
    def connect() -> Iterator[Ask]:
        with socket.create_connection((host, int(port)), TIMEOUT_S) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def ask(body: bytes) -> bytes:
                link.sendall(b"%b%d\r\n\r\n%b" % (head, len(body), body))
                said = b""
                while True:
                    said += (piece := link.recv(65_536))
                    headers, found, answer = said.partition(b"\r\n\r\n")
                    if found and len(answer) >= _length(headers):
                        break
                    if not piece:
                        raise ConnectionError(f"closed after {said[:200]!r}")
                if not headers.startswith(b"HTTP/1.1 200 "):
                    raise ConnectionError(said[:500].decode("utf-8", "replace"))
                return answer

            yield ask

    return connect


def _length(headers: bytes) -> int:
    lower = headers.lower()
    return int(lower[lower.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
