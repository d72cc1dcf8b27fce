"""Processes that score for the one that talks gRPC: whoever calls cannot tell them from a server that scores itself.

Here they are a real server and real scorers in one process, over real sockets; where one has to die, a process of its
own.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
import structlog
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_status import rpc_status

from service.domain.errors import GatehouseError, NotReady, Overloaded, UsageError
from service.domain.records import Assessment
from service.domain.requests import ScoreRequest
from service.log import configure
from service.rpc import later, pace, scorers
from service.rpc.attempts import Failure
from service.rpc.scorer import Scorer
from service.rpc.scorers import Scorers
from service.rpc.server import Limits
from service.telemetry import Telemetry
from tests.factories import NOON
from tests.service.rpc.conftest import (
    Memory,
    at,
    channel_of,
    details_of,
    ended_calls,
    make_score_request,
    scoring_of,
    wrong_fields,
)
from tests.service.rpc.test_later import wait_until
from tests.service.rpc.test_unary_calls import Lines, make_link, refused

SCORE = "/gatehouse.risk.v1.ScoringService/ScoreAccount"
LIMITS = Limits(threads=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0.sock"


@contextmanager
def scoring_at(path: Path, memory: Memory) -> Iterator[Scorer]:
    """A scorer that at the end waits for those who ask to hang up."""
    made = Scorer(path, memory.ask_scores, lambda: NOON)
    try:
        yield made
    finally:
        if memory.hold is not None:
            memory.hold.set()
        made.drain(5)


@contextmanager
def asking(*paths: Path) -> Iterator[Scorers]:
    """Whoever asks the scorers at these sockets, connected with all of them."""
    made = Scorers(paths)
    try:
        assert made.wait(30)
        yield made
    finally:
        made.close()


@contextmanager
def between(path: Path, memory: Memory) -> Iterator[Scorers]:
    """A scorer and who asks it."""
    with scoring_at(path, memory), asking(path) as made:
        yield made


@pytest.fixture
def elsewhere(path: Path, memory: Memory, telemetry: Telemetry) -> Iterator[grpc.Channel]:
    """A server whose single accounts are scored over ``memory``; whatever it would score itself has another memory."""
    with between(path, memory) as made, channel_of(Memory(), telemetry, LIMITS, made) as channel:
        yield channel


@pytest.fixture
def stub(elsewhere: grpc.Channel) -> scoring_pb2_grpc.ScoringServiceStub:
    return scoring_pb2_grpc.ScoringServiceStub(elsewhere)


TOLD = {
    "a signup": make_score_request("ada", "r1"),
    "the same again": make_score_request("ada", "r1"),
    "with reasons": make_score_request("ada", "r2", explain=True),
    "a known account": scoring_pb2.ScoreAccountRequest(request_id="r3", account_id="ada", purpose=2),
    "with what links it": make_score_request("bob", "r4", links=[make_link()] * 900),
    "one that nobody knows": scoring_pb2.ScoreAccountRequest(request_id="r5", account_id="eve", purpose=2),
    "a request id that had another content": make_score_request("ada", "r1", links=[make_link()]),
    "nothing": scoring_pb2.ScoreAccountRequest(),
    "a wrong field": make_score_request(signup=facts_pb2.Signup(created_at=at(NOON), ip="300.1.1.1")),
    "a wrong field far down": make_score_request(links=[make_link(), make_link(key_value="")]),
    "a moment that is none": make_score_request(signup=facts_pb2.Signup(created_at=Timestamp(seconds=10**15))),
    "a thousand wrong fields": make_score_request(links=[facts_pb2.Link()] * 1000),
    "text that is not UTF-8": make_score_request(links=[make_link(key_value="QQQQ")]),
    "more than a message may have": make_score_request("a" * 5_000_000),
}


def told(call: grpc.UnaryUnaryMultiCallable, data: bytes) -> tuple[object, ...]:
    """All that a caller gets, to the byte."""
    try:
        answer, ended = call.with_call(data, metadata=(("x-request-id", "trace-7"),), timeout=20)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        details = status.SerializeToString(deterministic=True) if status is not None else b""
        return error.code(), error.details(), details, sorted(error.trailing_metadata())
    return answer, ended.code(), ended.details(), sorted(ended.trailing_metadata())


def test_whatever_is_asked_is_told_to_the_byte_as_by_a_server_that_scores_itself(
    elsewhere: grpc.Channel, memory: Memory
) -> None:
    with channel_of(Memory(), Telemetry(), LIMITS) as alone:
        calls = [channel.unary_unary(SCORE) for channel in (elsewhere, alone)]
        for what, request in TOLD.items():
            data = request.SerializeToString().replace(b"QQQQ", b"\xff\xfe\xfd\xfc")
            here, there = (told(call, data) for call in calls)
            assert here == there, what
        for data in (b"\xff" * 9, b"\0", b""):
            here, there = (told(call, data) for call in calls)
            assert here == there, data
            assert here[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert memory.accounts == {"ada", "bob"}


def test_a_stream_and_what_was_recorded_are_the_servers_own_and_single_accounts_are_the_scorers(
    path: Path, memory: Memory, telemetry: Telemetry
) -> None:
    own = Memory()
    with between(path, memory) as made, scoring_of(own, telemetry, LIMITS, made) as stub:
        answer = stub.ScoreAccount(make_score_request("ada", "r1"), timeout=20).assessment
        items = [make_score_request(f"s{i}", f"s{i}", scoring_pb2.ScoreAccountsRequest) for i in range(5)]
        streamed = list(stub.ScoreAccounts(iter(items), timeout=20))
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetAssessment(scoring_pb2.GetAssessmentRequest(assessment_id=answer.assessment_id), timeout=20)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert (memory.accounts, own.accounts) == ({"ada"}, {f"s{i}" for i in range(5)})
    alike = next(item.assessment for item in streamed if item.request_id == "s0")
    alike.assessment_id, alike.account_id, alike.request_id = answer.assessment_id, "ada", "r1"
    assert alike == answer


def test_a_refusal_names_the_field_and_is_the_scorers(
    stub: scoring_pb2_grpc.ScoringServiceStub, memory: Memory, telemetry: Telemetry
) -> None:
    error = refused(stub.ScoreAccount, make_score_request(links=[make_link(), make_link(key_value="")]))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert wrong_fields(error) == ["links[1].key_value"]
    assert memory.batches == []
    wait_until(lambda: ended_calls(telemetry, SCORE, "INVALID_ARGUMENT") == 1)


def test_a_scorer_that_has_too_much_waiting_says_so(
    stub: scoring_pb2_grpc.ScoringServiceStub, memory: Memory, telemetry: Telemetry
) -> None:
    memory.failures.append(Overloaded("4096 accounts are waiting to be scored; try again later"))

    error = refused(stub.ScoreAccount, make_score_request())

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details_of(error)["ErrorInfo"].reason == "OVERLOADED"
    assert stub.ScoreAccount(make_score_request(), timeout=20).assessment.account_id == "ada"
    assert ended_calls(telemetry, SCORE, "RESOURCE_EXHAUSTED") == 1


def test_a_defect_of_the_scorer_tells_a_reference_that_is_in_its_log_with_the_call_and_the_traceback(
    stub: scoring_pb2_grpc.ScoringServiceStub, memory: Memory
) -> None:
    memory.hold = threading.Event()
    lines = Lines()
    configure("info", lines)
    try:
        call = stub.ScoreAccount.future(make_score_request("defect", "r77"), timeout=60)
        assert memory.waits.acquire(timeout=30)
        memory.hold.set()  # it fails on another thread than the one that took the call
        error = call.exception(30)
    finally:
        structlog.reset_defaults()

    assert error.code() is grpc.StatusCode.INTERNAL
    reference = details_of(error)["ErrorInfo"].metadata["reference"]
    assert error.details() == f"internal error, reference {reference}"
    [event] = [line for line in map(json.loads, lines.text) if line["event"] == "rpc_failed"]
    assert (event["reference"], event["method"], event["request_id"]) == (reference, SCORE, "r77")
    assert "ZeroDivisionError" in json.dumps(event)


def test_a_defect_before_anything_is_begun_is_told_too(
    stub: scoring_pb2_grpc.ScoringServiceStub, memory: Memory
) -> None:
    memory.asking.shutdown()  # it takes nothing more: asking it is a RuntimeError

    error = refused(stub.ScoreAccount, make_score_request())

    assert error.code() is grpc.StatusCode.INTERNAL
    assert "reference" in details_of(error)["ErrorInfo"].metadata


def test_sixty_callers_each_get_their_own_answer(path: Path, memory: Memory, telemetry: Telemetry) -> None:
    memory.hold = threading.Event()
    memory.asking = ThreadPoolExecutor(60)
    with between(path, memory) as made, scoring_of(Memory(), telemetry, LIMITS, made) as stub:
        calls = [stub.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}")) for i in range(60)]
        for _ in calls:
            assert memory.waits.acquire(timeout=30)
        memory.hold.set()
        answered = [call.result(30).assessment for call in calls]
    assert [(one.account_id, one.request_id) for one in answered] == [(f"a{i}", f"r{i}") for i in range(60)]
    assert ended_calls(telemetry, SCORE, "OK") == 60


def test_two_thousand_calls_one_after_the_other_by_many_callers_are_all_answered(
    stub: scoring_pb2_grpc.ScoringServiceStub, telemetry: Telemetry
) -> None:
    def ask(caller: int) -> list[str]:
        names = [f"{caller}-{i}" for i in range(100)]
        return [
            name
            for name in names
            if stub.ScoreAccount(make_score_request(name, name), timeout=60).assessment.account_id != name
        ]

    with ThreadPoolExecutor(20) as callers:
        assert [wrong for mine in callers.map(ask, range(20)) for wrong in mine] == []
    assert ended_calls(telemetry, SCORE, "OK") == 2_000


def give_up(call: grpc.Future) -> None:
    call.cancel()


def wait_for_the_deadline(call: grpc.Future) -> None:
    assert call.exception(30).code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(("end", "timeout"), [(give_up, 60), (wait_for_the_deadline, 0.5)])
def test_what_was_given_up_while_it_waited_is_not_begun_in_the_scorer(
    path: Path, memory: Memory, telemetry: Telemetry, end: Callable[[grpc.Future], None], timeout: float
) -> None:
    memory.hold = threading.Event()
    memory.asking = ThreadPoolExecutor(1)
    with between(path, memory) as made, scoring_of(Memory(), telemetry, LIMITS, made) as stub:
        held = stub.ScoreAccount.future(make_score_request("a", "r1"))
        assert memory.waits.acquire(timeout=30)
        waiting = stub.ScoreAccount.future(make_score_request("b", "r2"), timeout=timeout)
        wait_until(lambda: len(memory.promised) == 2)
        end(waiting)
        wait_until(memory.promised[1].cancelled)
        memory.hold.set()
        assert held.result(30).assessment.account_id == "a"
        assert stub.ScoreAccount(make_score_request("c", "r3"), timeout=20).assessment.account_id == "c"
    memory.asking.shutdown(wait=True)
    assert memory.accounts == {"a", "c"}


def test_a_call_without_a_deadline_is_told_when_ours_has_passed_and_its_late_answer_is_nobodys(
    path: Path, memory: Memory, telemetry: Telemetry
) -> None:
    memory.hold = threading.Event()
    limits = Limits(threads=2, default_timeout_s=0.2)
    with between(path, memory) as made, scoring_of(Memory(), telemetry, limits, made) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.ScoreAccount(make_score_request())
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "not answered within 0.2 s" in caught.value.details()
        assert details_of(caught.value)["ErrorInfo"].reason == "DEADLINE_EXCEEDED"
        memory.hold.set()
        wait_until(lambda: memory.accounts == {"ada"})
        memory.hold = None
        assert stub.ScoreAccount(make_score_request("bob", "r2")).assessment.account_id == "bob"
    assert ended_calls(telemetry, SCORE, "DEADLINE_EXCEEDED") == 1
    assert ended_calls(telemetry, SCORE, "OK") == 1


def test_a_caller_that_hangs_up_leaves_its_place_to_another(path: Path, memory: Memory, telemetry: Telemetry) -> None:
    memory.hold = threading.Event()
    limits = Limits(threads=2, max_concurrent=1)
    with between(path, memory) as made, scoring_of(Memory(), telemetry, limits, made) as stub:
        call = stub.ScoreAccount.future(make_score_request("gone", "r1"))
        assert memory.waits.acquire(timeout=30)
        assert refused(stub.ScoreAccount, make_score_request("bob", "r2")).code() is (
            grpc.StatusCode.RESOURCE_EXHAUSTED
        )
        call.cancel()
        wait_until(lambda: ended_calls(telemetry, SCORE, "CANCELLED") == 1)
        memory.hold.set()
        assert stub.ScoreAccount(make_score_request("bob", "r2"), timeout=20).assessment.account_id == "bob"


def test_a_grpc_that_cannot_send_an_answer_and_its_status_at_once_sends_a_scorers_the_long_way(
    path: Path, memory: Memory, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later, "_at_once", lambda: None)
    with between(path, memory) as made, scoring_of(Memory(), telemetry, LIMITS, made) as stub:
        calls = [stub.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}")) for i in range(20)]
        assert [call.result(30).assessment.account_id for call in calls] == [f"a{i}" for i in range(20)]
        error = refused(stub.ScoreAccount, make_score_request(account=""))
        assert wrong_fields(error) == ["account_id"]
    assert ended_calls(telemetry, SCORE, "OK") == 20


def test_where_nobody_scores_a_caller_is_told_at_once_to_try_again_and_others_are_served(
    path: Path, telemetry: Telemetry
) -> None:
    nobody = Scorers([path])
    try:
        assert not nobody.wait(0.01)
        assert nobody.connected() == 0
        with scoring_of(Memory(), telemetry, LIMITS, nobody) as stub:
            began = time.monotonic()
            error = refused(stub.ScoreAccount, make_score_request())
            assert time.monotonic() - began < 5
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert details_of(error)["ErrorInfo"].reason == "NOT_READY"
            item = make_score_request("s", "s", scoring_pb2.ScoreAccountsRequest)
            [streamed] = stub.ScoreAccounts(iter([item]), timeout=20)
            assert streamed.assessment.account_id == "s"
            with scoring_at(path, Memory()):
                assert nobody.wait(30)
                assert stub.ScoreAccount(make_score_request(), timeout=20).assessment.account_id == "ada"
                nobody.close()
    finally:
        nobody.close()


def test_several_scorers_share_the_calls_and_one_that_is_free_gets_the_next(
    tmp_path: Path, telemetry: Telemetry
) -> None:
    memories = [Memory(hold=threading.Event()) for _ in range(3)]
    paths = [tmp_path / f"{number}.sock" for number in range(3)]
    with ExitStack() as stack:
        for path, memory in zip(paths, memories, strict=True):
            stack.enter_context(scoring_at(path, memory))
        made = stack.enter_context(asking(*paths))
        stub = stack.enter_context(scoring_of(Memory(), telemetry, LIMITS, made))
        calls = [stub.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}")) for i in range(12)]
        for memory in memories:
            for _ in range(4):
                assert memory.waits.acquire(timeout=30)
        memories[1].hold.set()
        wait_until(lambda: ended_calls(telemetry, SCORE, "OK") == 4)
        assert stub.ScoreAccount(make_score_request("next", "next"), timeout=20).assessment.account_id == "next"
        assert "next" in memories[1].accounts
        for memory in memories:
            memory.hold.set()
        assert {call.result(30).assessment.account_id for call in calls} == {f"a{i}" for i in range(12)}
    assert [len(memory.batches) for memory in memories] == [4, 5, 4]


ALONE = """
import sys, threading
from pathlib import Path
from service.rpc.scorer import Scorer
from tests.factories import NOON
from tests.service.rpc.conftest import Memory
memory = Memory(hold=threading.Event() if sys.argv[2] == "held" else None)
scorer = Scorer(Path(sys.argv[1]), memory.ask_scores, lambda: NOON)
print("ready", flush=True)
while sys.argv[2] == "held" and memory.waits.acquire():
    print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def a_process_at(path: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """A scorer in a process of its own; ``held``: it answers nobody, and says of each call that it has it."""
    with subprocess.Popen(
        [sys.executable, "-c", ALONE, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_calls_of_a_scorer_that_dies_fail_as_unavailable_and_the_next_one_on_its_socket_gets_the_next(
    path: Path, telemetry: Telemetry
) -> None:
    made = Scorers([path])
    try:
        with scoring_of(Memory(), telemetry, LIMITS, made) as stub:
            with a_process_at(path, "held") as process:
                assert made.wait(30)
                calls = [stub.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}"), timeout=60) for i in range(8)]
                for _ in calls:
                    assert process.stdout is not None
                    assert process.stdout.readline() == "held\n"
                with structlog.testing.capture_logs() as events:
                    process.kill()
                    errors = [call.exception(30) for call in calls]
            assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
            assert {details_of(error)["ErrorInfo"].reason for error in errors} == {"NOT_READY"}
            assert all("the same request is safe" in error.details() for error in errors)
            assert [(event["scorer"], event["calls"]) for event in events if event["event"] == "scorer_gone"] == [
                (0, 8)
            ]
            wait_until(lambda: made.connected() == 0)
            assert refused(stub.ScoreAccount, make_score_request()).code() is grpc.StatusCode.UNAVAILABLE
            with a_process_at(path, "answering"):
                assert made.wait(30)
                assert stub.ScoreAccount(make_score_request(), timeout=20).assessment.account_id == "ada"
    finally:
        made.close()
    assert ended_calls(telemetry, SCORE, "UNAVAILABLE") == 9


def test_while_one_of_two_scorers_is_gone_the_other_gets_all_calls(
    tmp_path: Path, memory: Memory, telemetry: Telemetry
) -> None:
    there, gone = tmp_path / "there.sock", tmp_path / "gone.sock"
    with scoring_at(there, memory), a_process_at(gone, "answering") as process, asking(gone, there) as made:
        process.kill()
        wait_until(lambda: made.connected() == 1)
        with scoring_of(Memory(), telemetry, LIMITS, made) as stub:
            for i in range(10):
                stub.ScoreAccount(make_score_request(f"a{i}", f"r{i}"), timeout=20)
    assert memory.accounts == {f"a{i}" for i in range(10)}


def test_what_is_not_answered_when_the_scorers_are_let_go_fails_and_is_cancelled_there(
    path: Path, memory: Memory
) -> None:
    memory.hold = threading.Event()
    memory.asking = ThreadPoolExecutor(1)
    with between(path, memory) as made:
        done = [made.ask(make_score_request(f"a{i}", f"r{i}").SerializeToString(), "trace") for i in range(3)]
        assert memory.waits.acquire(timeout=30)
        wait_until(lambda: len(memory.promised) == 3)
        made.close()
        for told_ in (each.result(30) for each in done):
            assert isinstance(told_, Failure)
            assert grpc.StatusCode.UNAVAILABLE.value[0] == told_.status.code
        wait_until(lambda: all(each.cancelled() for each in memory.promised[1:]))
        with pytest.raises(NotReady):
            made.ask(b"", "trace")


def test_letting_go_while_a_connection_is_being_made_ends_that_one_too(
    path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = scorers._connected
    connected, go_on = threading.Event(), threading.Event()

    def slowly(path: Path) -> socket.socket | None:
        made = connect(path)
        connected.set()
        go_on.wait(30)
        return made

    monkeypatch.setattr(scorers, "_connected", slowly)
    with scoring_at(path, memory):
        made = Scorers([path])
        assert connected.wait(30)
        closing = threading.Thread(target=made.close, daemon=True)
        closing.start()
        wait_until(made._closed.is_set)
        closing.join(0.2)  # it has found no connection to end
        go_on.set()
        closing.join(10)
        assert not closing.is_alive()


def test_draining_lets_what_is_under_way_be_answered_and_takes_no_new_connection(path: Path, memory: Memory) -> None:
    memory.hold = threading.Event()
    with asking_later(path, memory) as (made, scorer):
        done = made.ask(make_score_request().SerializeToString(), "trace")
        assert memory.waits.acquire(timeout=30)
        draining = threading.Thread(target=scorer.drain, args=(60,))
        draining.start()
        wait_until(lambda: refuses(path))
        memory.hold.set()
        told_ = done.result(30)
        assert isinstance(told_, bytes)
        assert scoring_pb2.ScoreAccountResponse.FromString(told_).assessment.account_id == "ada"
        assert draining.is_alive()  # whoever asks is still there, and may ask more
        made.close()
        draining.join(30)
        assert not draining.is_alive()


@contextmanager
def asking_later(path: Path, memory: Memory) -> Iterator[tuple[Scorers, Scorer]]:
    """Who asks and the scorer, which nobody drains but the test."""
    scorer = Scorer(path, memory.ask_scores, lambda: NOON)
    with asking(path) as made:
        yield made, scorer


def refuses(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as another:
        try:
            another.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False


def test_draining_does_not_wait_longer_than_it_is_told_and_says_so(path: Path, memory: Memory) -> None:
    with asking_later(path, memory) as (made, scorer), structlog.testing.capture_logs() as events:
        assert made.ask(make_score_request().SerializeToString(), "trace").result(30)  # it has been taken in
        began = time.monotonic()
        scorer.drain(0.1)
        assert 0.1 <= time.monotonic() - began < 10
    assert [event["connections"] for event in events if event["event"] == "scorer_ends_asked"] == [1]


def test_a_socket_that_a_dead_scorer_left_is_taken_over(path: Path, memory: Memory, telemetry: Telemetry) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    assert path.exists()
    with between(path, memory) as made, scoring_of(Memory(), telemetry, LIMITS, made) as stub:
        assert stub.ScoreAccount(make_score_request(), timeout=20).assessment.account_id == "ada"


@pytest.mark.parametrize("place", ["no/such/folder/0.sock", ".", "long" * 40])
def test_a_path_that_cannot_be_listened_on_is_the_askers_mistake(tmp_path: Path, memory: Memory, place: str) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        Scorer(tmp_path / place, memory.ask_scores, lambda: NOON)


def test_callers_whom_a_scorer_answers_keep_the_batches_of_a_stream_small(
    path: Path, memory: Memory, telemetry: Telemetry
) -> None:
    class Unhurried(Memory):
        def score_accounts(
            self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float
        ) -> list[Assessment | GatehouseError]:
            time.sleep(0.05)  # meanwhile as many come as may
            return super().score_accounts(requests, now=now, timeout_s=timeout_s)

    streamed = Unhurried()
    with between(path, memory) as made, channel_of(streamed, telemetry, LIMITS, made) as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)

        def items(name: str, *, beside: bool) -> Iterator[scoring_pb2.ScoreAccountsRequest]:
            for number in range(6_000):
                if beside and number % 100 == 0:
                    stub.ScoreAccount(make_score_request("one", f"{name}-{number}-one"), timeout=30)
                yield make_score_request("ada", f"{name}-{number}", scoring_pb2.ScoreAccountsRequest)

        assert len(list(stub.ScoreAccounts(items("beside", beside=True), timeout=120))) == 6_000
        assert max(streamed.batches) <= pace.FEW
        streamed.batches.clear()
        assert len(list(stub.ScoreAccounts(items("alone", beside=False), timeout=120))) == 6_000
        assert max(streamed.batches) > pace.FEW
