from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import structlog
from gatehouse.risk.v1 import (
    campaigns_pb2,
    facts_pb2,
    labels_pb2,
    models_pb2,
    models_pb2_grpc,
    scoring_pb2,
    signals_pb2,
)
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_status import rpc_status

from service.domain.errors import UnknownModel
from service.domain.records import ModelRecord
from service.domain.time import SECOND
from service.log import configure
from service.rpc.convert.words import micros_from_wire, micros_to_wire
from service.rpc.server import GatehouseServer, Limits
from service.telemetry import Telemetry
from tests.factories import NOON
from tests.service.rpc.conftest import (
    DIRECT,
    Memory,
    at,
    details_of,
    ended_calls,
    make_score_request,
    scoring_of,
    wrong_fields,
)

SCORE = "/gatehouse.risk.v1.ScoringService/ScoreAccount"


def refused(call: Callable[..., object], request: object, **options: object) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=10, **options)
    return caught.value


def test_a_signup_is_scored_and_the_answer_is_the_recorded_assessment(stubs: SimpleNamespace) -> None:
    answer = stubs.scoring.ScoreAccount(make_score_request("ada", "r1"), timeout=10).assessment

    assert (answer.account_id, answer.score, answer.decision) == ("ada", 0.25, scoring_pb2.DECISION_ALLOW)
    assert answer.assessed_at == at(NOON)
    again = stubs.scoring.GetAssessment(scoring_pb2.GetAssessmentRequest(assessment_id=answer.assessment_id))
    assert again.assessment == answer


def test_the_same_request_again_answers_the_same_even_if_it_now_asks_for_reasons(stubs: SimpleNamespace) -> None:
    first = stubs.scoring.ScoreAccount(make_score_request(), timeout=10)

    assert stubs.scoring.ScoreAccount(make_score_request(explain=True), timeout=10) == first


def test_the_same_request_id_with_another_content_already_exists(stubs: SimpleNamespace) -> None:
    stubs.scoring.ScoreAccount(make_score_request(request="r1"), timeout=10)

    error = refused(stubs.scoring.ScoreAccount, make_score_request("ada", "r1", links=[make_link()]))

    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert details_of(error)["ResourceInfo"].resource_name == "r1"


def make_link(**more: Any) -> facts_pb2.Link:
    return facts_pb2.Link(**{"happened_at": at(NOON), "key_type": "referral_code", "key_value": "x", **more})


def test_an_account_that_nobody_knows_is_not_found_and_the_mend_is_said(stubs: SimpleNamespace) -> None:
    request = scoring_pb2.ScoreAccountRequest(request_id="r", account_id="bob", purpose=scoring_pb2.PURPOSE_PERIODIC)

    error = refused(stubs.scoring.ScoreAccount, request)

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "send its signup" in error.details()
    info = details_of(error)["ErrorInfo"]
    assert (info.reason, info.domain) == ("UNKNOWN_ACCOUNT", "gatehouse")
    assert details_of(error)["ResourceInfo"].resource_name == "bob"


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (scoring_pb2.ScoreAccountRequest(), ["request_id", "account_id", "purpose"]),
        (make_score_request(signup=facts_pb2.Signup()), ["signup.created_at"]),
        (make_score_request(signup=facts_pb2.Signup(created_at=at(NOON), ip="300.1.1.1")), ["signup.ip"]),
        (make_score_request(signup=facts_pb2.Signup(created_at=at(NOON), country="GER")), ["signup.country"]),
        (make_score_request(signup=facts_pb2.Signup(created_at=Timestamp(seconds=10**15))), ["signup.created_at"]),
        (
            make_score_request(signup=facts_pb2.Signup(created_at=Timestamp(seconds=1, nanos=-1))),
            ["signup.created_at.nanos"],
        ),
        (make_score_request(account="a" * 201), ["account_id"]),
        (
            make_score_request(payments=[facts_pb2.Payment(happened_at=at(NOON), kind=1, method=1)]),
            ["payments[0].event_id"],
        ),
        (
            make_score_request(payments=[facts_pb2.Payment(event_id="e", happened_at=at(NOON), kind=77, method=1)]),
            ["payments[0].kind"],
        ),
        (make_score_request(links=[make_link(), make_link(key_value="")]), ["links[1].key_value"]),
        (make_score_request(links=[make_link()] * 1001), ["links"]),
        (
            make_score_request(signals=[facts_pb2.Signal(name="n", value=float("nan"), happened_at=at(NOON))]),
            ["signals[0].value"],
        ),
        (make_score_request(signals=[facts_pb2.Signal(name="n", value=1)]), ["signals[0].happened_at"]),
    ],
)
def test_bad_input_is_refused_and_the_field_is_named(
    stubs: SimpleNamespace, memory: Memory, request_: Message, fields: list[str]
) -> None:
    error = refused(stubs.scoring.ScoreAccount, request_)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert wrong_fields(error) == fields
    assert fields[0] in error.details()
    assert memory.batches == []


def test_merging_a_campaign_without_saying_into_which_names_the_missing_field(stubs: SimpleNamespace) -> None:
    request = campaigns_pb2.ReviewCampaignRequest(
        campaign_id="c", action=campaigns_pb2.REVIEW_ACTION_MERGE, analyst="ann", reason="same cards"
    )

    assert wrong_fields(refused(stubs.campaigns.ReviewCampaign, request)) == ["merge_into_campaign_id"]


def test_text_that_is_not_utf8_is_blamed_on_its_field(channel: grpc.Channel) -> None:
    data = make_score_request("ada", "r1", links=[make_link(key_value="QQQQ")]).SerializeToString()
    send_bytes = channel.unary_unary(SCORE)

    error = refused(send_bytes, data.replace(b"QQQQ", b"\xff\xfe\xfd\xfc"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert wrong_fields(error) == ["links[0].key_value"]


def test_bytes_that_are_no_message_are_the_callers_mistake_not_ours(channel: grpc.Channel) -> None:
    error = refused(channel.unary_unary(SCORE), b"\xff" * 9)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "gatehouse.risk.v1.ScoreAccountRequest" in error.details()


def test_a_message_over_the_limit_is_refused_with_both_sizes(stubs: SimpleNamespace, limits: Limits) -> None:
    error = refused(stubs.scoring.ScoreAccount, make_score_request(account="a" * 10_000_000))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(limits.max_message_bytes) in error.details()


def test_a_thousand_wrong_fields_fit_into_the_answer(stubs: SimpleNamespace) -> None:
    error = refused(stubs.scoring.ScoreAccount, make_score_request(links=[facts_pb2.Link()] * 1000))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "more" in details_of(error)["BadRequest"].field_violations[-1].description


def test_a_defect_tells_the_caller_a_reference_that_is_in_the_log_and_nothing_else(stubs: SimpleNamespace) -> None:
    with structlog.testing.capture_logs() as events:
        error = refused(stubs.scoring.ScoreAccount, make_score_request("defect"))

    assert error.code() is grpc.StatusCode.INTERNAL
    reference = details_of(error)["ErrorInfo"].metadata["reference"]
    assert error.details() == f"internal error, reference {reference}"
    [logged] = [event for event in events if event["event"] == "rpc_failed"]
    assert logged["reference"] == reference
    assert logged["exc_info"] is True


def test_the_log_of_a_defect_says_which_call_and_holds_the_traceback(stubs: SimpleNamespace) -> None:
    lines = Lines()
    configure("info", lines)
    try:
        refused(stubs.scoring.ScoreAccount, make_score_request("defect", "r77"))
    finally:
        structlog.reset_defaults()

    [event] = [line for line in map(json.loads, lines.text) if line["event"] == "rpc_failed"]
    assert event["method"] == SCORE
    assert event["request_id"] == "r77"
    assert "ZeroDivisionError" in json.dumps(event)


class Lines:
    """A stream for logs."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def write(self, text: str) -> None:
        if text.strip():
            self.text.append(text)

    def flush(self) -> None:
        pass


def test_the_callers_request_id_comes_back_and_one_is_made_where_there_is_none(stubs: SimpleNamespace) -> None:
    said = (("x-request-id", "trace-7"),)
    _, call = stubs.scoring.ScoreAccount.with_call(make_score_request(), metadata=said, timeout=10)
    assert ("x-request-id", "trace-7") in [tuple(pair) for pair in call.trailing_metadata()]

    error = refused(stubs.scoring.ScoreAccount, scoring_pb2.ScoreAccountRequest())
    [made] = [value for key, value in error.trailing_metadata() if key == "x-request-id"]
    assert len(made) == 16


def test_calls_are_counted_by_method_and_code(stubs: SimpleNamespace, telemetry: Telemetry) -> None:
    stubs.scoring.ScoreAccount(make_score_request(), timeout=10)
    refused(stubs.scoring.ScoreAccount, scoring_pb2.ScoreAccountRequest())

    assert ended_calls(telemetry, SCORE, "OK") == 1
    assert ended_calls(telemetry, SCORE, "INVALID_ARGUMENT") == 1


def test_a_call_over_the_limit_is_shed_at_once_and_served_when_asked_again(
    stubs: SimpleNamespace, memory: Memory, limits: Limits, telemetry: Telemetry
) -> None:
    memory.hold = threading.Event()
    with ThreadPoolExecutor(limits.max_concurrent) as callers:
        held = [
            callers.submit(stubs.scoring.ScoreAccount, make_score_request(f"a{i}", f"r{i}"))
            for i in range(limits.max_concurrent)
        ]
        for _ in held:
            assert memory.waits.acquire(timeout=30)

        error = refused(stubs.scoring.ScoreAccount, make_score_request("late", "late"))

        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details_of(error)["ErrorInfo"].reason == "OVERLOADED"
        assert ended_calls(telemetry, SCORE, "RESOURCE_EXHAUSTED") == 1
        memory.hold.set()
        assert {future.result(30).assessment.account_id for future in held} == {"a0", "a1", "a2", "a3"}
    assert stubs.scoring.ScoreAccount(make_score_request("late", "late"), timeout=10).assessment.account_id == "late"


def test_where_too_much_is_under_way_in_all_grpc_turns_calls_away_before_they_are_looked_at(
    memory: Memory, telemetry: Telemetry
) -> None:
    memory.hold = threading.Event()
    limits = Limits(threads=1, max_concurrent=1, max_streams=1, max_aside=0)
    with scoring_of(memory, telemetry, limits) as stub:
        held = stub.ScoreAccount.future(make_score_request("a", "r1"))
        assert memory.waits.acquire(timeout=30)
        error = refused(stub.ScoreAccount, make_score_request("b", "r2"))
        assert details_of(error)["ErrorInfo"].reason == "OVERLOADED"
        outbox: queue.Queue[scoring_pb2.ScoreAccountsRequest | None] = queue.Queue()
        stream = stub.ScoreAccounts(iter(outbox.get, None))

        while rpc_status.from_call(error := refused(stub.ScoreAccount, make_score_request("c", "r3"))) is not None:
            time.sleep(0.01)  # until the stream has come in

        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        outbox.put(None)
        stream.cancel()
        memory.hold.set()
        assert held.result(30).assessment.account_id == "a"


def test_a_call_whose_deadline_passes_before_a_thread_is_free_is_not_begun(
    memory: Memory, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, asked = threading.Event(), list[str]()

    def get_model(version: str) -> ModelRecord:
        asked.append(version)
        memory.waits.release()
        hold.wait(60)
        raise UnknownModel(version)

    monkeypatch.setattr(memory, "get_model", get_model)
    server = GatehouseServer("127.0.0.1:0", memory.use_cases(), telemetry, lambda: NOON, Limits(threads=1))
    server.start()
    try:
        with grpc.insecure_channel(server.address, options=DIRECT) as channel:
            models = models_pb2_grpc.ModelServiceStub(channel)
            held = models.GetModel.future(models_pb2.GetModelRequest(model_version="m"))
            assert memory.waits.acquire(timeout=30)
            with pytest.raises(grpc.RpcError) as caught:
                models.GetModel(models_pb2.GetModelRequest(model_version="too late"), timeout=0.1)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            hold.set()
            assert held.exception(30).code() is grpc.StatusCode.NOT_FOUND
    finally:
        hold.set()
        server.drain(5)
    assert asked == ["m"]


def test_labels_and_models_and_erasure_walk_through_their_servicers(stubs: SimpleNamespace) -> None:
    label = labels_pb2.Label(account_id="a", verdict=1, decided_at=at(NOON), analyst="ann", campaign_id="ring")
    told = stubs.labels.RecordLabels(labels_pb2.RecordLabelsRequest(labels=[label]), timeout=10)
    assert (told.recorded, list(told.created_campaign_ids)) == (1, ["ring"])

    assert not stubs.labels.ListLabels(labels_pb2.ListLabelsRequest(page_size=7), timeout=10).labels
    assert not stubs.models.ListModels(models_pb2.ListModelsRequest(), timeout=10).models
    error = refused(stubs.models.GetModel, models_pb2.GetModelRequest(model_version="x"))
    assert details_of(error)["ResourceInfo"].resource_type == "model"

    stubs.scoring.ScoreAccount(make_score_request("ada"), timeout=10)
    erased = stubs.signals.EraseAccount(signals_pb2.EraseAccountRequest(account_id="ada", reason="asked"), timeout=10)
    assert {item.kind: item.count for item in erased.erased}["usage_events"] == 5


def test_a_page_size_beyond_the_limit_is_refused_and_pages_follow_each_other(stubs: SimpleNamespace) -> None:
    for number in range(5):
        stubs.scoring.ScoreAccount(make_score_request("ada", f"r{number}"), timeout=10)
    error = refused(stubs.scoring.ListAssessments, scoring_pb2.ListAssessmentsRequest(account_id="ada", page_size=1001))
    assert wrong_fields(error) == ["page_size"]

    seen, token = [], ""
    while True:
        page = stubs.scoring.ListAssessments(
            scoring_pb2.ListAssessmentsRequest(account_id="ada", page_size=2, page_token=token), timeout=10
        )
        seen += [item.request_id for item in page.assessments]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["r0", "r1", "r2", "r3", "r4"]
    everything = stubs.scoring.ListAssessments(scoring_pb2.ListAssessmentsRequest(account_id="ada"), timeout=10)
    assert len(everything.assessments) == 5


def test_moments_are_kept_to_the_microsecond() -> None:
    assert micros_from_wire(Timestamp(seconds=5, nanos=1_999), "x") == 5 * SECOND + 1
    assert micros_from_wire(micros_to_wire(NOON + 1), "x") == NOON + 1
