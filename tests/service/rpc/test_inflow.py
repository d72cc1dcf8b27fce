from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import pytest

from service.rpc import inflow
from service.rpc.inflow import Inflow
from service.rpc.intake import Chunks
from tests.service.rpc.conftest import DIRECT, wait_until

pytestmark = pytest.mark.parametrize("way", ["on grpc's thread", "by asking"])


@pytest.fixture(autouse=True)
def _way(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inflow._grpc() is not None, "this grpc has it no more: see what became of grpc._server._RequestIterator"
    if way == "by asking":
        monkeypatch.setattr(inflow, "_grpc", lambda: None)


class Kept:
    """Takes messages up to a number at a time."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.most = most
        self.messages: list[bytes] = []
        self.error: Exception | None = None
        self.ended = threading.Event()

    def put(self, message: bytes) -> bool:
        self.messages.append(message)
        return len(self.messages) % self.most != 0

    def end(self, error: Exception | None) -> None:
        self.error = error
        self.ended.set()


Stream = Callable[..., Any]
Behaviour = Callable[[Iterator[bytes], ThreadPoolExecutor, grpc.ServicerContext], bytes]


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Stream]:
    """A call whose requests are a stream of bytes, to a server with this behaviour, which ends with the block."""
    threads = ThreadPoolExecutor(8)
    server = grpc.server(threads)
    handler = grpc.stream_unary_rpc_method_handler(lambda requests, context: behaviour(requests, threads, context))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=DIRECT) as channel:
            yield channel.stream_unary("/s/m")
    finally:
        assert server.stop(0).wait(30), "a call is never over"
        threads.shutdown(wait=True)


def test_all_messages_come_in_their_order_and_then_the_end() -> None:
    kept = Kept()

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, _: grpc.ServicerContext) -> bytes:
        Inflow(requests, kept, threads).resume()
        assert kept.ended.wait(30)
        return b"done"

    with serving(behaviour) as call:
        assert call((b"%d" % i for i in range(3_000)), timeout=30) == b"done"
    assert kept.messages == [b"%d" % i for i in range(3_000)]
    assert kept.error is None


def test_an_empty_message_is_a_message() -> None:
    kept = Kept()

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, _: grpc.ServicerContext) -> bytes:
        Inflow(requests, kept, threads).resume()
        assert kept.ended.wait(30)
        return b"done"

    with serving(behaviour) as call:
        call(iter([b"", b"x", b""]), timeout=30)
    assert kept.messages == [b"", b"x", b""]


def test_nothing_comes_before_it_is_resumed_nor_after_it_was_enough() -> None:
    kept = Kept(most=10)
    seen: list[int] = []

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, _: grpc.ServicerContext) -> bytes:
        flow = Inflow(requests, kept, threads)
        for _ in range(3):
            threading.Event().wait(0.2)
            seen.append(len(kept.messages))
            flow.resume()
            wait_until(lambda: len(kept.messages) == seen[-1] + 10)
        flow.resume()
        assert kept.ended.wait(30)
        return b"done"

    with serving(behaviour) as call:
        call((b"%d" % i for i in range(35)), timeout=30)
    assert seen == [0, 10, 20]
    assert kept.messages == [b"%d" % i for i in range(35)]


@pytest.mark.parametrize("paused", [False, True])
def test_a_caller_that_hangs_up_is_told_of(paused: bool) -> None:
    kept = Kept(most=1 if paused else 1_000_000)
    outbox: queue.Queue[bytes | None] = queue.Queue()
    outbox.put(b"first")
    came = threading.Event()

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, context: grpc.ServicerContext) -> bytes:
        flow = Inflow(requests, kept, threads)
        flow.resume()
        wait_until(lambda: len(kept.messages) == 1)
        came.set()
        if paused:
            wait_until(lambda: not context.is_active())
            flow.resume()
        assert kept.ended.wait(30)
        return b"done"

    with serving(behaviour) as call:
        going = call.future(iter(outbox.get, None), timeout=30)
        assert came.wait(30)
        going.cancel()
        outbox.put(None)
        assert kept.ended.wait(30)
    assert isinstance(kept.error, grpc.RpcError) or (kept.error is None and not paused)
    assert kept.messages == [b"first"]


def test_a_call_that_is_answered_before_its_stream_has_ended_is_over_all_the_same() -> None:
    kept = Kept()
    outbox: queue.Queue[bytes | None] = queue.Queue()
    outbox.put(b"first")

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, _: grpc.ServicerContext) -> bytes:
        Inflow(requests, kept, threads).resume()
        wait_until(lambda: len(kept.messages) == 1)
        return b"enough"

    with serving(behaviour) as call:
        assert call(iter(outbox.get, None), timeout=30) == b"enough"
        assert kept.ended.wait(30)
        outbox.put(None)


def test_a_takers_defect_ends_its_stream_and_no_other_one() -> None:
    kept = Kept()

    class Broken(Kept):
        def put(self, message: bytes) -> bool:
            raise ZeroDivisionError(message)

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, context: grpc.ServicerContext) -> bytes:
        broken = dict(context.invocation_metadata()).get("broken")
        taker = Broken() if broken else kept
        Inflow(requests, taker, threads).resume()
        assert taker.ended.wait(30)
        return type(taker.error).__name__.encode()

    with serving(behaviour) as call:
        assert call(iter([b"x"] * 5), timeout=30, metadata=(("broken", "yes"),)) == b"ZeroDivisionError"
        assert call(iter([b"x"] * 5), timeout=30) == b"NoneType"
    assert len(kept.messages) == 5


def test_chunks_close_at_their_number_or_their_bytes_and_one_more_is_read_while_one_is_worked_on() -> None:
    sizes: list[list[int]] = []
    sent = 0

    def messages() -> Iterator[bytes]:
        nonlocal sent
        for i in range(300):
            sent = i + 1
            yield b"x" * (200_000 if i >= 10 else 1)

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, _: grpc.ServicerContext) -> bytes:
        for chunk in Chunks(requests, threads, lambda: 10, 1_000_000):
            sizes.append([len(message) for message in chunk])
            if len(sizes) == 2:  # as a server that cannot keep up
                seen = -1
                while seen != sent:
                    seen = sent
                    threading.Event().wait(0.3)
                sizes[1].append(seen)
        return b"done"

    with serving(behaviour) as call:
        call(messages(), timeout=60)
    assert sizes[0] == [1] * 10
    assert sizes[1][:-1] == [200_000] * 5
    assert sizes[1][-1] < 250  # what the transport holds
    assert [len(chunk) for chunk in sizes[2:]] == [5] * 57


def test_chunks_of_a_caller_that_hung_up_end_and_what_was_not_full_is_let_go_where_grpc_says_so() -> None:
    after: list[list[bytes]] = []
    raised: list[type[Exception]] = []
    began, gone = threading.Event(), threading.Event()
    outbox: queue.Queue[bytes | None] = queue.Queue()

    def behaviour(requests: Iterator[bytes], threads: ThreadPoolExecutor, context: grpc.ServicerContext) -> bytes:
        chunks = iter(Chunks(requests, threads, lambda: 2, 1_000))
        next(chunks)
        began.set()
        wait_until(lambda: not context.is_active())
        try:
            after.extend(chunks)
        except Exception as error:
            raised.append(type(error))
            raise
        finally:
            gone.set()
        return b""

    with serving(behaviour) as call:
        for _ in range(2):
            outbox.put(b"x")
        going = call.future(iter(outbox.get, None), timeout=30)
        assert began.wait(30)
        going.cancel()
        outbox.put(None)
        assert gone.wait(30)
        with suppress(grpc.FutureCancelledError):
            going.result(30)
    assert after == []
    assert raised in ([], [grpc.RpcError])  # grpc tells the end of the messages before or after why they ended
