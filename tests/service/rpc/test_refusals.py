"""Refusals of a full pool cost little: worded once, and logged by the second, not by the call."""

from __future__ import annotations

import threading

import grpc
import pytest
from structlog.testing import capture_logs

from service.domain.errors import Overloaded
from service.rpc import refusals, taking
from service.rpc.attempts import Failure
from service.rpc.errors import status_of
from service.rpc.pools import CountingPool
from service.rpc.refusals import Refusals
from service.rpc.server import Limits
from service.telemetry import Telemetry
from tests.service.rpc.conftest import Memory, details_of, ended_calls, make_score_request, scoring_of


def test_a_thousand_refusals_in_a_moment_are_one_line_and_the_next_line_counts_them(
    monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry
) -> None:
    moment = 100.0
    monkeypatch.setattr(refusals.time, "monotonic", lambda: moment)
    of_calls = Refusals(CountingPool("call", 1, 7), CountingPool("aside", 1, 7), telemetry, streaming=False)
    with capture_logs() as lines:
        handlers = {id(of_calls.handler("/a/b")) for _ in range(1_000)}
        moment += 1.0
        of_calls.handler("/a/c")
    assert len(handlers) == 1
    assert [(line["event"], line["calls"], line["limit"]) for line in lines] == [
        ("calls_refused", 1, 7),
        ("calls_refused", 1_000, 7),
    ]
    assert ended_calls(telemetry, "/a/b", "RESOURCE_EXHAUSTED") == 1_000
    assert ended_calls(telemetry, "/a/c", "RESOURCE_EXHAUSTED") == 1


@pytest.mark.parametrize("private", [True, False], ids=["this grpc", "a grpc that has other ways"])
def test_a_hundred_callers_at_once_beyond_the_limit_are_all_told_in_full(
    memory: Memory, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    if not private:
        monkeypatch.setattr(taking, "_refused", lambda *_: None)
    memory.hold = threading.Event()
    with scoring_of(memory, telemetry, Limits(threads=2, max_concurrent=1, max_aside=200)) as stub:
        held = stub.ScoreAccount.future(make_score_request("a", "r1"))
        assert memory.waits.acquire(timeout=30)
        calls = [stub.ScoreAccount.future(make_score_request("b", f"b{i}")) for i in range(100)]
        errors = [call.exception(30) for call in calls]
        memory.hold.set()
        assert held.result(30).assessment.account_id == "a"

    assert {details_of(error)["ErrorInfo"].reason for error in errors} == {"OVERLOADED"}
    assert all("x-request-id" in dict(error.trailing_metadata()) for error in errors)
    assert {error.code() for error in errors} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert {error.details() for error in errors} == {"1 calls of this kind are under way already; try again later"}
    assert ended_calls(telemetry, "/gatehouse.risk.v1.ScoringService/ScoreAccount", "RESOURCE_EXHAUSTED") == 100


def grpc_status_of_a_refusal() -> grpc.Status:
    return Failure(status_of(Overloaded("full"))).told


def test_the_way_past_the_threads_is_there() -> None:
    told = grpc_status_of_a_refusal()
    assert taking._refused(told, lambda _: ("x", "y")) is not None, "see what became of grpc._server._abort"
