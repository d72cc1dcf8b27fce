"""Calls that wait for a batch hold no thread, and are answered once, whoever comes first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest

from service.rpc import later
from service.rpc.later import Deadlines
from service.rpc.server import Limits
from service.telemetry import Telemetry
from tests.service.rpc.conftest import Memory, details_of, ended_calls, make_score_request, scoring_of, wait_until

SCORE = "/gatehouse.risk.v1.ScoringService/ScoreAccount"


def test_sixty_callers_wait_at_one_time_over_two_threads(memory: Memory, telemetry: Telemetry) -> None:
    memory.hold = threading.Event()
    memory.asking = ThreadPoolExecutor(60)
    with scoring_of(memory, telemetry, Limits(threads=2)) as stub:
        calls = [stub.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}")) for i in range(60)]
        for _ in calls:
            assert memory.waits.acquire(timeout=30)
        memory.hold.set()
        answered = [call.result(30).assessment.account_id for call in calls]
    assert answered == [f"a{i}" for i in range(60)]


@pytest.mark.parametrize("limits", [Limits(threads=2, default_timeout_s=0.2)])
def test_a_call_without_a_deadline_is_told_when_ours_has_passed(
    stubs: SimpleNamespace, memory: Memory, telemetry: Telemetry
) -> None:
    memory.hold = threading.Event()

    with pytest.raises(grpc.RpcError) as caught:
        stubs.scoring.ScoreAccount(make_score_request())

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "not answered within 0.2 s" in caught.value.details()
    assert details_of(caught.value)["ErrorInfo"].reason == "DEADLINE_EXCEEDED"
    assert ended_calls(telemetry, SCORE, "DEADLINE_EXCEEDED") == 1
    memory.hold.set()
    assert stubs.scoring.ScoreAccount(make_score_request("bob", "r2"), timeout=10).assessment.account_id == "bob"


@pytest.mark.parametrize("limits", [Limits(threads=2, max_concurrent=1)])
def test_a_caller_that_hangs_up_leaves_its_place_to_another(
    stubs: SimpleNamespace, memory: Memory, telemetry: Telemetry
) -> None:
    memory.hold = threading.Event()
    call = stubs.scoring.ScoreAccount.future(make_score_request("gone", "r1"))
    assert memory.waits.acquire(timeout=30)
    call.cancel()
    wait_until(lambda: ended_calls(telemetry, SCORE, "CANCELLED") == 1)
    memory.hold.set()

    assert stubs.scoring.ScoreAccount(make_score_request("bob", "r2"), timeout=10).assessment.account_id == "bob"
    assert ended_calls(telemetry, SCORE, "OK") == 1


def test_what_was_given_up_while_it_waited_is_not_begun(memory: Memory, telemetry: Telemetry) -> None:
    memory.hold = threading.Event()
    memory.asking = ThreadPoolExecutor(1)
    with scoring_of(memory, telemetry, Limits(threads=2)) as stub:
        held = stub.ScoreAccount.future(make_score_request("a", "r1"))
        assert memory.waits.acquire(timeout=30)
        waiting = stub.ScoreAccount.future(make_score_request("b", "r2"))
        wait_until(lambda: memory.asking._work_queue.qsize() == 1)
        waiting.cancel()
        wait_until(lambda: ended_calls(telemetry, SCORE, "CANCELLED") == 1)
        memory.hold.set()
        assert held.result(30).assessment.account_id == "a"
    memory.asking.shutdown(wait=True)
    assert memory.accounts == {"a"}


def test_a_grpc_that_cannot_send_an_answer_and_its_status_at_once_sends_them_one_after_the_other(
    memory: Memory, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert later._at_once() is not None, "this grpc has it no more: see what became of grpc._server._status"
    monkeypatch.setattr(later, "_at_once", lambda: None)
    with scoring_of(memory, telemetry, Limits(threads=2)) as stub:
        calls = [stub.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}")) for i in range(20)]
        assert [call.result(30).assessment.account_id for call in calls] == [f"a{i}" for i in range(20)]
        metadata = dict(calls[0].trailing_metadata())
        assert len(metadata["x-request-id"]) == 16
    assert ended_calls(telemetry, SCORE, "OK") == 20


def test_deadlines_come_in_their_order_whatever_order_they_were_given_in() -> None:
    told: list[str] = []
    three = threading.Semaphore(0)

    class Call:
        def __init__(self, name: str) -> None:
            self.name = name

        def late(self) -> None:
            told.append(self.name)
            three.release()

    deadlines = Deadlines()
    deadlines.after(60, Call("never"))
    for name, seconds in (("third", 0.15), ("first", 0.05), ("second", 0.1)):
        deadlines.after(seconds, Call(name))
    for _ in range(3):
        assert three.acquire(timeout=30)
    deadlines.close()
    assert told == ["first", "second", "third"]
