"""The service as its callers meet it: a real server process, real calls."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path

import grpc
import pytest
from gatehouse.risk.v1 import (
    facts_pb2,
    labels_pb2,
    labels_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    signals_pb2,
    signals_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.end_to_end.conftest import RunningServer, gatehouse, start_server, stop_server
from tests.end_to_end.crews import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TIMEOUT = 20.0


def now() -> Timestamp:
    at = Timestamp()
    at.GetCurrentTime()
    return at


def signup(**fields: object) -> facts_pb2.Signup:
    return facts_pb2.Signup(
        **{
            "created_at": now(),
            "email": "harbour.lane@example.com",
            "country": "DE",
            "ip": "84.56.12.9",
            "device_id": "device-1",
            **fields,
        }
    )


def score(
    server: RunningServer, account: str, request_id: str, *, explain: bool = False, **parts: object
) -> scoring_pb2.Assessment:
    with server.channel() as channel:
        request = scoring_pb2.ScoreAccountRequest(
            request_id=request_id,
            account_id=account,
            purpose=scoring_pb2.PURPOSE_SIGNUP,
            explain=explain,
            **parts,
        )
        return scoring_pb2_grpc.ScoringServiceStub(channel).ScoreAccount(request, timeout=TIMEOUT).assessment


def test_a_signup_is_scored_and_the_same_request_gives_the_same_answer(server: RunningServer) -> None:
    form = signup(device_id="device-a")
    first = score(server, "street-1", "r-1", signup=form, explain=True)
    again = score(server, "street-1", "r-1", signup=form, explain=True)
    assert 0.0 <= first.score <= 1.0
    assert first.decision != scoring_pb2.DECISION_UNSPECIFIED
    assert first.model_version
    assert first.policy_version
    assert first.feature_fingerprint
    assert first.reasons
    assert first == again
    with server.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        kept = stub.ListAssessments(scoring_pb2.ListAssessmentsRequest(account_id="street-1"), timeout=TIMEOUT)
        recomputed = stub.GetAssessment(
            scoring_pb2.GetAssessmentRequest(assessment_id=first.assessment_id, explain=True), timeout=TIMEOUT
        ).assessment
    assert [each.assessment_id for each in kept.assessments] == [first.assessment_id]
    assert recomputed == first


def test_the_same_request_with_other_content_is_refused(server: RunningServer) -> None:
    form = signup(device_id="device-b")
    score(server, "street-2", "r-2", signup=form)
    with pytest.raises(grpc.RpcError) as refused:
        score(server, "street-2", "r-2", signup=signup(device_id="device-b2"))
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_a_second_signup_with_other_content_is_refused_and_the_first_kept(server: RunningServer) -> None:
    at = now()
    before = score(server, "street-3", "r-3", signup=signup(created_at=at, device_id="device-c"))
    with pytest.raises(grpc.RpcError) as refused:
        score(server, "street-3", "r-3b", signup=signup(created_at=at, device_id="device-other"))
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert score(server, "street-3", "r-3c").score == pytest.approx(before.score, abs=0.5)
    with server.channel() as channel:
        kept = scoring_pb2_grpc.ScoringServiceStub(channel).ListAssessments(
            scoring_pb2.ListAssessmentsRequest(account_id="street-3"), timeout=TIMEOUT
        )
    assert [each.request_id for each in kept.assessments] == ["r-3c", "r-3"]


def test_an_unknown_account_without_a_signup_is_not_found(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        score(server, "nobody", "r-4")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert "nobody" in (refused.value.details() or "")


def test_an_account_sees_at_once_who_shares_its_device_and_that_one_was_confirmed(server: RunningServer) -> None:
    for i in range(4):
        score(server, f"ring-{i}", f"ring-r{i}", signup=signup(device_id="device-ring", email=f"ring{i}@example.org"))
    with server.channel() as channel:
        labels_pb2_grpc.LabelServiceStub(channel).RecordLabels(
            labels_pb2.RecordLabelsRequest(
                labels=[
                    labels_pb2.Label(
                        account_id="ring-0", verdict=labels_pb2.VERDICT_FRAUD, decided_at=now(), analyst="ana"
                    )
                ]
            ),
            timeout=TIMEOUT,
        )
    seen = score(server, "ring-4", "ring-r4", signup=signup(device_id="device-ring", email="ring4@example.org"))
    device = next(link for link in seen.links if link.key_type == "device")
    assert device.linked_accounts == 4
    assert device.confirmed_accounts == 1


def event(event_id: str, account: str, tokens: int = 100) -> signals_pb2.RecordSignalsRequest:
    return signals_pb2.RecordSignalsRequest(
        event_id=event_id,
        account_id=account,
        happened_at=Timestamp(seconds=1_780_000_000),
        usage=facts_pb2.Usage(input_tokens=tokens, output_tokens=10, prompt_prefix_hash=77),
    )


def test_events_are_recorded_once_and_a_bad_one_is_rejected_alone(server: RunningServer) -> None:
    batch = [event(f"use-{i}", "early-bird") for i in range(50)]
    with server.channel() as channel:
        stub = signals_pb2_grpc.SignalServiceStub(channel)
        first = stub.RecordSignals(iter(batch), timeout=TIMEOUT)
        bad = event("use-bad", "early-bird")
        bad.happened_at.seconds += 10**9
        second = stub.RecordSignals(iter([*batch, event("use-0", "early-bird", tokens=101), bad]), timeout=TIMEOUT)
        none = stub.RecordSignals(iter([]), timeout=TIMEOUT)
    assert (first.recorded, first.duplicates) == (50, 0)
    assert (second.recorded, second.duplicates) == (0, 50)
    assert {rejection.event_id for rejection in second.rejections} == {"use-0", "use-bad"}
    assert none.recorded == 0


def test_metrics_and_health_are_there(server: RunningServer) -> None:
    score(server, "street-5", "r-5", signup=signup(device_id="device-m"))

    def shown() -> str:
        with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as page:
            return page.read().decode()

    assert 'gatehouse_rpc_ended_total{code="OK",method="/gatehouse.risk.v1.ScoringService/ScoreAccount"}' in shown()
    wait_for(lambda: "gatehouse_drift_measured_at_seconds" in shown())  # from the start on, beside the calls
    with server.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_erased_account_is_unknown_and_its_keys_link_nobody(server: RunningServer) -> None:
    score(server, "gone", "r-6", signup=signup(device_id="device-gone", email="gone@example.net"))
    with server.channel() as channel:
        signals_pb2_grpc.SignalServiceStub(channel).EraseAccount(
            signals_pb2.EraseAccountRequest(account_id="gone", reason="asked to"), timeout=TIMEOUT
        )
    with pytest.raises(grpc.RpcError) as refused:
        score(server, "gone", "r-6b")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    after = score(server, "stays", "r-6c", signup=signup(device_id="device-gone", email="stays@example.net"))
    assert [link for link in after.links if link.key_type == "device"] == []


def test_a_running_server_follows_a_promotion_and_a_roll_back_without_dropping_a_request(home: Path) -> None:
    server = start_server(home)
    try:
        world = home / "world"
        size = ("--accounts", "1500", "--days", "30", "--campaigns", "6", "--seed", "5")
        gatehouse("simulate", str(world), *size, home=home)
        gatehouse("import", str(world), home=home)
        before = score(server, "switch-0", "switch-r0", signup=signup(device_id="device-s")).model_version
        failures: list[Exception] = []
        versions: list[str] = []
        stop = threading.Event()

        def caller() -> None:
            i = 0
            while not stop.is_set():
                i += 1
                try:
                    versions.append(score(server, "switch-0", f"switch-{threading.get_ident()}-{i}").model_version)
                except grpc.RpcError as error:
                    failures.append(error)

        callers = [threading.Thread(target=caller) for _ in range(4)]
        for thread in callers:
            thread.start()
        trained = json.loads(
            gatehouse("train", "--promote", "always", "--as-of", "2026-05-22", "--json", home=home).stdout.splitlines()[
                -1
            ]
        )
        after = str(trained["model_version"])

        def seconds_until(version: str) -> float:
            """Until all callers are answered by this model; more than 10 s means never."""
            began = time.monotonic()
            while time.monotonic() - began < 10 and set(versions[-8:]) != {version}:
                time.sleep(0.05)
            return time.monotonic() - began

        promotion = seconds_until(after)
        gatehouse("models", "rollback", "--reason", "a try", home=home)
        return_ = seconds_until(before)
        stop.set()
        for thread in callers:
            thread.join()
        assert failures == []
        assert before != after
        assert max(promotion, return_) < 10  # the promise is 5 s on a machine that does nothing else
        changes = [version for i, version in enumerate(versions) if versions[i - 1 : i] != [version]]
        assert (changes[0], changes[-1], set(changes)) == (before, before, {before, after})
        with server.channel() as channel:
            models_pb2_grpc.ModelServiceStub(channel).PromoteModel(
                models_pb2.PromoteModelRequest(model_version=after, reason="test"), timeout=TIMEOUT
            )
        with server.channel() as channel:
            back = models_pb2_grpc.ModelServiceStub(channel).RollBackModel(
                models_pb2.RollBackModelRequest(reason="test"), timeout=TIMEOUT
            )
        assert back.model.model_version == before
    finally:
        assert stop_server(server) == 0


def test_sigterm_lets_calls_under_way_finish(home: Path) -> None:
    server = start_server(home)
    answers: list[str] = []

    def caller() -> None:
        for i in range(30):
            try:
                answers.append(score(server, f"drain-{i}", f"drain-r{i}", signup=signup()).assessment_id)
            except grpc.RpcError as error:
                # Only calls fail that came when it had begun to stop, or later: it never began them.
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)  # noqa: PT017
                return

    thread = threading.Thread(target=caller)
    thread.start()
    while len(answers) < 3:
        time.sleep(0.01)
    assert stop_server(server) == 0
    thread.join()
    again = start_server(home)
    try:
        with again.channel() as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            for assessment_id in answers:
                request = scoring_pb2.GetAssessmentRequest(assessment_id=assessment_id)
                assert stub.GetAssessment(request, timeout=TIMEOUT).assessment.assessment_id == assessment_id
    finally:
        stop_server(again)
