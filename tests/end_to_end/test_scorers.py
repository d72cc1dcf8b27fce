"""Processes that score beside those that talk gRPC, on either database: nobody who calls can tell."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from gatehouse.risk.v1 import models_pb2, models_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.app import App
from service.settings import Settings
from tests.end_to_end.conftest import RunningServer, stop_server
from tests.end_to_end.crews import (
    TIMEOUT,
    Callers,
    asked,
    own_connection,
    processes,
    samples,
    serve,
    signup,
    wait_for,
)
from tests.small_models import a_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCORE = "/gatehouse.risk.v1.ScoringService/ScoreAccount"
ONE_AND_ONE = ("--scorers", "1")
TWO_AND_TWO = ("--workers", "2", "--scorers", "2")
CALLERS = 8


@contextmanager
def serving(home: Path, database_url: str, *options: str, **extra: str) -> Iterator[RunningServer]:
    """A server that at the end stops cleanly."""
    server = serve(home, database_url, *options, **extra)
    try:
        yield server
    finally:
        assert stop_server(server) == 0


def everyone(server: RunningServer) -> list[psutil.Process]:
    """Its workers and scorers."""
    return [*processes(server).values(), *processes(server, "--scorer").values()]


def logged(server: RunningServer, event: str) -> list[dict[str, Any]]:
    """Log lines of all its processes."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def kept(server: RunningServer, answers: list[scoring_pb2.Assessment]) -> None:
    """What was answered is what can be had of it."""
    with server.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        for answer in answers:
            request = scoring_pb2.GetAssessmentRequest(assessment_id=answer.assessment_id)
            assert stub.GetAssessment(request, timeout=TIMEOUT).assessment == answer


def health(server: RunningServer) -> int:
    with server.channel() as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT).status


def test_what_scorers_answer_is_recorded_and_is_what_the_stream_of_the_front_answers(
    home: Path, database_url: str
) -> None:
    challenger = a_model("m-next", ("mail_length", "device_others_life"), 0.0, home / "models")
    with App.open(Settings(database_url=database_url, data_dir=home, explore=0), upgrade=True) as app:
        app.store.add_model(challenger)
    with serving(home, database_url, *TWO_AND_TWO, GATEHOUSE_MODEL_POLL_S="0.2") as server:
        workers, scorers = sorted(processes(server)), sorted(processes(server, "--scorer"))
        assert samples(server, "gatehouse_workers_ready") == {(): float(len(workers + scorers))}
        assert health(server) == health_pb2.HealthCheckResponse.SERVING
        before = answered_alike(server, "first")
        shown = {dict(labels)["worker"] for labels in samples(server, "gatehouse_shadow_accounts_total")}
        assert shown == {str(number) for number in workers + scorers}
        ended = samples(server, "gatehouse_rpc_ended_total")
        counted = {dict(labels)["worker"]: n for labels, n in ended.items() if dict(labels)["method"] == SCORE}
        assert set(counted) <= {str(number) for number in workers}  # a call is counted once, where it came in
        assert sum(counted.values()) == 2 * CALLERS

        with server.channel() as channel:
            models_pb2_grpc.ModelServiceStub(channel).PromoteModel(
                models_pb2.PromoteModelRequest(model_version="m-next", reason="a try"), timeout=TIMEOUT
            )
        wait_for(lambda: models_in_use(server) == {"m-next"}, 20)
        after = answered_alike(server, "second")
        assert {answer.model_version for answer in after} == {"m-next"}
        assert {answer.model_version for answer in before}.isdisjoint({"m-next"})
        assert {answer.decision for answer in after} == {scoring_pb2.DECISION_CHALLENGE}
        assert all(answer.reasons for answer in after)


def answered_alike(server: RunningServer, name: str) -> list[scoring_pb2.Assessment]:
    """What callers at one time, each on its own connection, are told of their accounts, once it was looked at closely.

    A request again by the stream, which the front answers, is the recorded answer; another request of the same account
    says the same but for what names it and when it was.
    """
    created = Timestamp(seconds=int(time.time()) - 7_200)
    with ExitStack() as stack, ThreadPoolExecutor(CALLERS) as callers:
        stubs = [stack.enter_context(own_connection(server)) for _ in range(CALLERS)]

        def single(i: int) -> list[scoring_pb2.Assessment]:
            form = signup(i)
            form.created_at.CopyFrom(created)
            form.email, form.device_id = f"lane{i}@{name}{i}.example", f"{name}-{i}"
            form.ip = f"91.{i}.{len(name)}.3"
            signs_up = asked(f"{name}-{i}", i)
            signs_up.signup.CopyFrom(form)
            return [
                stubs[i].ScoreAccount(request, timeout=TIMEOUT).assessment for request in (signs_up, manual(name, i))
            ]

        answers = list(callers.map(single, range(CALLERS)))
        again = [manual(name, i, scoring_pb2.ScoreAccountsRequest) for i in range(CALLERS)]
        other = [manual(name, i, scoring_pb2.ScoreAccountsRequest) for i in range(CALLERS)]
        for request in other:
            request.request_id += "-by-the-stream"
        streamed = {item.request_id: item for item in stubs[0].ScoreAccounts(iter(again + other), timeout=60)}
    assert not [item for item in streamed.values() if item.HasField("error")]
    for i, (_, alone) in enumerate(answers):
        assert streamed[alone.request_id].assessment == alone
        beside = streamed[f"{alone.request_id}-by-the-stream"].assessment
        assert beside.assessment_id != alone.assessment_id
        assert said(beside) == said(alone)
        assert (alone.account_id, bool(alone.reasons)) == (f"{name}-{i}", True)
    kept(server, [answer for both in answers for answer in both if answer.decision != scoring_pb2.DECISION_ALLOW])
    kept(server, [first for first, _ in answers])
    assert len({said(alone) for _, alone in answers}) == CALLERS  # else one answer would be compared with itself
    return [alone for _, alone in answers]


def manual(name: str, i: int, kind: type = scoring_pb2.ScoreAccountRequest) -> Any:
    """A known account once more, with reasons."""
    return kind(
        request_id=f"{name}-again-{i}", account_id=f"{name}-{i}", purpose=scoring_pb2.PURPOSE_MANUAL, explain=True
    )


def said(answer: scoring_pb2.Assessment) -> bytes:
    """An answer without what names it and its moment."""
    bare = scoring_pb2.Assessment()
    bare.CopyFrom(answer)
    for field in ("assessment_id", "request_id", "assessed_at"):
        bare.ClearField(field)
    return bare.SerializeToString(deterministic=True)


def models_in_use(server: RunningServer) -> set[str]:
    """By which models callers at one time are answered, by scorers and, in streams, by fronts; enough to meet all."""
    with ExitStack() as stack:
        stubs = [stack.enter_context(own_connection(server)) for _ in range(16)]
        number = time.monotonic_ns()

        def one(i: int, kind: type) -> Any:
            return kind(request_id=f"{number}-{i}", account_id="first-0", purpose=scoring_pb2.PURPOSE_MANUAL)

        calls = [
            stub.ScoreAccount.future(one(i, scoring_pb2.ScoreAccountRequest), timeout=TIMEOUT)
            for i, stub in enumerate(stubs)
        ]
        streams = [
            stub.ScoreAccounts(iter([one(16 + i, scoring_pb2.ScoreAccountsRequest)]), timeout=TIMEOUT)
            for i, stub in enumerate(stubs)
        ]
        answers = [call.result().assessment for call in calls] + [item.assessment for (item,) in streams]
    return {answer.model_version for answer in answers}


def test_one_scorer_killed_under_load_is_replaced_and_no_answer_is_lost(home: Path, database_url: str) -> None:
    with serving(home, database_url, *TWO_AND_TWO) as server:
        callers = Callers(server, pause_s=0.05)
        wait_for(lambda: len(callers.answers) > 40)
        [_, (number, killed)] = sorted(processes(server, "--scorer").items())
        killed.kill()
        gone = time.monotonic()
        wait_for(lambda: samples(server, "gatehouse_workers_ready") == {(): 3.0})
        wait_for(lambda: samples(server, "gatehouse_workers_ready") == {(): 4.0})
        back = time.monotonic()
        before = len(callers.answers)
        wait_for(lambda: len(callers.answers) > before + 40)
        callers.stop()
        assert callers.failures == []  # those that it had were UNAVAILABLE, and asked again as they were
        assert len([at for at, _ in callers.answers if gone + 0.5 < at < back]) > 10  # the other one went on
        assert samples(server, "gatehouse_worker_restarts_total") == {(): 1.0}
        assert processes(server, "--scorer")[number].pid != killed.pid
        kept(server, [answer for _, answer in callers.answers])


def test_while_the_only_scorer_is_gone_calls_are_told_to_try_again_and_health_says_so(
    home: Path, database_url: str
) -> None:
    with serving(home, database_url, *ONE_AND_ONE, GATEHOUSE_MODEL_POLL_S="0.1") as server, server.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        first = stub.ScoreAccount(asked("first", 1), timeout=TIMEOUT).assessment
        processes(server, "--scorer")[1].kill()
        codes: list[grpc.StatusCode] = []

        def refused() -> bool:
            try:
                stub.ScoreAccount(asked(f"lost-{len(codes)}", 2), timeout=TIMEOUT)
            except grpc.RpcError as error:
                codes.append(error.code())
            return bool(codes)

        wait_for(refused)
        wait_for(lambda: health(server) == health_pb2.HealthCheckResponse.NOT_SERVING)
        kept(server, [first])  # what needs no scorer is answered
        wait_for(lambda: health(server) == health_pb2.HealthCheckResponse.SERVING)
        assert stub.ScoreAccount(asked("second", 3), timeout=TIMEOUT).assessment.account_id == "second"
        assert codes == [grpc.StatusCode.UNAVAILABLE]


def test_sigterm_under_load_is_a_clean_end_of_all_and_what_was_answered_is_kept(home: Path, sqlite_url: str) -> None:
    server = serve(home, sqlite_url, *TWO_AND_TWO)
    crew = everyone(server)
    assert len(crew) == 4
    callers = Callers(server)
    wait_for(lambda: len(callers.answers) > 20)
    assert stop_server(server) == 0
    callers.stop()
    assert callers.failures == []
    assert not any(process.is_running() for process in crew)
    assert [event["calls"] for event in logged(server, "scorer_gone")] == []  # none left while it was still asked
    with App.open(Settings(database_url=sqlite_url, data_dir=home), upgrade=False) as app:
        for _, answer in callers.answers:
            stored = app.store.assessment(answer.assessment_id)
            assert (stored.account_id, stored.request_id, stored.score) == (
                answer.account_id,
                answer.request_id,
                answer.score,
            )


def test_calls_that_a_scorer_has_when_sigterm_comes_are_all_answered(home: Path, sqlite_url: str) -> None:
    server = serve(home, sqlite_url, *ONE_AND_ONE)
    scorer = processes(server, "--scorer")[1]
    with server.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        scorer.suspend()
        calls = [stub.ScoreAccount.future(asked(f"under-way-{i}", i), timeout=60) for i in range(40)]
        under_way = {(("method", SCORE), ("worker", "0")): 40.0}
        wait_for(lambda: samples(server, "gatehouse_rpc_under_way") == under_way)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: [event["calls"] for event in logged(server, "server_draining")] == [40])
        scorer.resume()
        answers = [call.result().assessment for call in calls]
    assert [answer.account_id for answer in answers] == [f"under-way-{i}" for i in range(40)]
    assert stop_server(server) == 0


def test_workers_and_scorers_end_when_the_process_that_watches_over_them_is_killed(home: Path, sqlite_url: str) -> None:
    server = serve(home, sqlite_url, *ONE_AND_ONE)
    crew = everyone(server)
    assert len(crew) == 2
    server.process.kill()
    server.process.wait()
    wait_for(lambda: not any(process.is_running() for process in crew), 30)
    stop_server(server)
