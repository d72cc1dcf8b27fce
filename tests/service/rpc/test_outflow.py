"""Answers of a stream, many at a time: all of them, in order, whichever way they go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from service.rpc import outflow
from service.rpc.outflow import Outflow
from tests.service.rpc.conftest import DIRECT, wait_until

pytestmark = pytest.mark.parametrize("way", ["on grpc's thread", "one by one"])


@pytest.fixture(autouse=True)
def _way(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outflow._grpc() is not None, "this grpc has it no more: see what became of grpc._server._send_response"
    if way == "one by one":
        monkeypatch.setattr(outflow, "_grpc", lambda: None)


def said(number: int, size: int = 4) -> BytesValue:
    return BytesValue(value=b"%d" % number + b"x" * size)


Behaviour = Callable[[grpc.ServicerContext, Outflow], Iterator[BytesValue]]


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Any]:
    """A call that is answered by a stream, by a server with this behaviour, which ends with the block."""
    handler = grpc.unary_stream_rpc_method_handler(
        lambda _, context: behaviour(context, Outflow(context)), None, BytesValue.SerializeToString
    )
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=DIRECT) as channel:
                yield channel.unary_stream("/s/m", None, BytesValue.FromString)
        finally:
            assert server.stop(0).wait(30), "a call is never over"


@pytest.mark.parametrize("size", [4, 3_000])  # a hundred of the larger are more than a caller's window
def test_answers_come_in_their_order_whole_batch_by_batch(size: int) -> None:
    batches = [[said(i, size) for i in range(low, low + many)] for low, many in ((0, 1), (1, 100), (101, 2), (103, 9))]

    def behaviour(_: grpc.ServicerContext, sent: Outflow) -> Iterator[BytesValue]:
        for batch in batches:
            yield from sent(batch)

    with serving(behaviour) as call:
        assert list(call(b"", timeout=30)) == [answer for batch in batches for answer in batch]


def test_a_batch_is_there_before_the_next_one_is_made() -> None:
    seen = threading.Semaphore(0)

    def behaviour(_: grpc.ServicerContext, sent: Outflow) -> Iterator[BytesValue]:
        for low in (0, 3, 6):
            yield from sent([said(low), said(low + 1), said(low + 2)])
            assert seen.acquire(timeout=30)  # nothing comes after the last of a batch to push it along

    with serving(behaviour) as call:
        answers = call(b"", timeout=30)
        for number in range(9):
            assert next(answers) == said(number)
            if number % 3 == 2:
                seen.release()
        assert list(answers) == []


def test_a_failure_after_some_answers_comes_after_them() -> None:
    def behaviour(context: grpc.ServicerContext, sent: Outflow) -> Iterator[BytesValue]:
        yield from sent([said(0), said(1), said(2)])
        context.abort(grpc.StatusCode.DATA_LOSS, "no more")

    got: list[BytesValue] = []
    with serving(behaviour) as call, pytest.raises(grpc.RpcError) as caught:
        got.extend(call(b"", timeout=30))
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS
    assert got == [said(0), said(1), said(2)]


def test_a_caller_that_takes_nothing_holds_the_answers_up_and_one_that_hangs_up_ends_them() -> None:
    batches, closed = [0], threading.Event()

    def behaviour(_: grpc.ServicerContext, sent: Outflow) -> Iterator[BytesValue]:
        try:
            while True:
                yield from sent([said(0, 100_000) for _ in range(10)])
                batches[0] += 1
        finally:
            closed.set()

    with serving(behaviour) as call:
        answers = call(b"", timeout=60)
        next(answers)
        before = -1
        while before != batches[0]:  # until nothing moves any more
            before = batches[0]
            threading.Event().wait(0.5)
        assert before < 40  # of 1 MB each: what the two ends hold
        assert not closed.is_set()
        answers.cancel()
        wait_until(closed.is_set)
