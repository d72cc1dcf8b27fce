"""Requests of calls that are answered later are taken in without a thread, and whatever comes keeps no place."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from gatehouse.risk.v1 import facts_pb2, models_pb2, models_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from grpc import _server

from service.domain.errors import GatehouseError, UnknownModel
from service.domain.records import Assessment, ModelRecord
from service.domain.requests import ScoreRequest
from service.rpc import taking
from service.rpc.server import Limits
from service.telemetry import Telemetry
from tests.factories import NOON
from tests.service.rpc.conftest import Memory, at, channel_of, ended_calls, make_score_request, scoring_of
from tests.service.rpc.test_later import SCORE, wait_until


@pytest.fixture
def threads(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads on which scores were asked for."""
    names: list[str] = []
    ask = memory.ask_scores

    def asked(requests: Sequence[ScoreRequest], *, now: int) -> Future[list[Assessment | GatehouseError]]:
        names.append(threading.current_thread().name)
        return ask(requests, now=now)

    monkeypatch.setattr(memory, "ask_scores", asked)
    return names


def with_links(many: int) -> scoring_pb2.ScoreAccountRequest:
    request = make_score_request("a", f"with {many}")
    request.links.extend(
        facts_pb2.Link(happened_at=at(NOON), key_type="shop", key_value=f"{i:0100}") for i in range(many)
    )
    return request


def test_a_score_is_told_while_other_calls_hold_every_thread(
    memory: Memory, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    def get_model(version: str) -> ModelRecord:
        memory.waits.release()
        held.wait(60)
        raise UnknownModel(version)

    monkeypatch.setattr(memory, "get_model", get_model)
    with channel_of(memory, telemetry, Limits(threads=1)) as channel:
        asked = models_pb2.GetModelRequest(model_version="m")
        model = models_pb2_grpc.ModelServiceStub(channel).GetModel.future(asked)
        assert memory.waits.acquire(timeout=30)
        try:
            scoring = scoring_pb2_grpc.ScoringServiceStub(channel)
            assert scoring.ScoreAccount(make_score_request("a"), timeout=30).assessment.account_id == "a"
        finally:
            held.set()
        assert model.exception(30).code() is grpc.StatusCode.NOT_FOUND


def test_a_request_whose_rules_take_long_is_read_by_a_thread(threads: list[str], stubs: SimpleNamespace) -> None:
    small, large = with_links(1), with_links(150)
    assert small.ByteSize() <= taking.SMALL < large.ByteSize()
    for request in (small, large):
        assert stubs.scoring.ScoreAccount(request, timeout=30).assessment.account_id == "a"
    assert [name.startswith("call_") for name in threads] == [False, True]


@pytest.mark.parametrize("limits", [Limits(max_concurrent=1)])
def test_a_caller_who_sends_no_request_is_told_so_and_keeps_no_place(
    channel: grpc.Channel, stubs: SimpleNamespace, memory: Memory
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary(SCORE, None, None)(iter(()), timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "requires exactly one request message" in caught.value.details()
    assert stubs.scoring.ScoreAccount(make_score_request("a"), timeout=30).assessment.account_id == "a"
    assert memory.accounts == {"a"}


@pytest.mark.parametrize("limits", [Limits(max_concurrent=1)])
def test_a_caller_who_hangs_up_before_the_request_came_keeps_no_place(
    channel: grpc.Channel, stubs: SimpleNamespace
) -> None:
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(60)
        yield from ()

    def told() -> grpc.StatusCode:
        return stubs.scoring.ScoreAccount.future(make_score_request("a"), timeout=30).code()

    silent = channel.stream_unary(SCORE, None, None).future(nothing(), timeout=60)
    wait_until(lambda: told() is grpc.StatusCode.RESOURCE_EXHAUSTED)
    silent.cancel()
    wait_until(lambda: told() is grpc.StatusCode.OK)
    over.set()


def test_a_grpc_that_cannot_has_its_calls_taken_in_by_threads(
    memory: Memory, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, threads: list[str]
) -> None:
    assert taking._taken() is not None, "this grpc has it no more: see what became of grpc._server._receive_message"
    monkeypatch.setattr(taking, "_taken", lambda: None)
    memory.asking = ThreadPoolExecutor(20)
    with scoring_of(memory, telemetry, Limits(threads=2)) as stub:
        calls = [stub.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}")) for i in range(20)]
        assert [call.result(30).assessment.account_id for call in calls] == [f"a{i}" for i in range(20)]
    assert all(name.startswith("call_") for name in threads)
    assert ended_calls(telemetry, SCORE, "OK") == 20


def _status_only(rpc_event: object, state: object) -> None:
    """Another way to run a method than the one we know."""


def test_a_grpc_that_runs_its_methods_otherwise_is_not_meddled_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "_stream_response_in_pool", _status_only)
    assert taking._taken() is None
    monkeypatch.delattr(_server, "_stream_response_in_pool")
    assert taking._taken() is None
