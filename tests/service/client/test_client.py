from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest
from gatehouse.risk.v1 import campaigns_pb2, facts_pb2, scoring_pb2, signals_pb2

from service.client import FailureMode, GatehouseClient, problem_of
from service.domain.campaigns import CampaignMember
from service.domain.errors import NotReady
from service.rpc.server import GatehouseServer
from tests.factories import NOON
from tests.service.rpc.conftest import DIRECT, Memory, at, make_score_request
from tests.service.rpc.test_campaigns import make_file, review_request


@pytest.fixture
def client(server: GatehouseServer) -> Iterator[GatehouseClient]:
    with GatehouseClient(server.address, timeout_s=20, options=DIRECT) as made:
        yield made


def test_an_answer_is_the_services_own(client: GatehouseClient) -> None:
    outcome = client.score_account(make_score_request("ada"))

    assert outcome.answered
    assert outcome.decision == scoring_pb2.DECISION_ALLOW
    assert outcome.assessment is not None
    assert outcome.assessment.account_id == "ada"


def test_a_service_that_is_still_starting_is_asked_again(client: GatehouseClient, memory: Memory) -> None:
    memory.failures = [NotReady("no model yet"), NotReady("no model yet")]

    assert client.score_account(make_score_request("ada")).answered
    assert len(memory.batches) == 3


@pytest.mark.parametrize(
    ("mode", "decision"),
    [(FailureMode.OPEN, scoring_pb2.DECISION_ALLOW), (FailureMode.CLOSED, scoring_pb2.DECISION_BLOCK)],
)
def test_without_a_service_the_failure_mode_decides_and_says_so(
    mode: FailureMode, decision: scoring_pb2.Decision.ValueType
) -> None:
    with GatehouseClient("127.0.0.1:1", timeout_s=2, failure_mode=mode, options=DIRECT) as client:
        outcome = client.score_account(make_score_request())

    assert not outcome.answered
    assert outcome.decision == decision
    assert outcome.problem is not None
    assert outcome.problem.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def test_an_answer_that_comes_too_late_is_no_answer(client: GatehouseClient, memory: Memory) -> None:
    memory.hold = threading.Event()

    outcome = client.score_account(make_score_request(), timeout_s=0.2)

    assert not outcome.answered
    assert outcome.problem is not None
    assert outcome.problem.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_defect_of_the_service_is_no_answer_and_its_reference_is_kept(client: GatehouseClient) -> None:
    outcome = client.score_account(make_score_request("defect"))

    assert outcome.problem is not None
    assert outcome.problem.code is grpc.StatusCode.INTERNAL
    assert outcome.problem.reference in outcome.problem.message


def test_the_callers_own_mistake_is_raised_and_never_waved_through(client: GatehouseClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.score_account(make_score_request(signup=facts_pb2.Signup(created_at=at(NOON), ip="nonsense")))

    problem = problem_of(caught.value)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert problem.reason == "INVALID_INPUT"
    assert problem.fields == (("signup.ip", "must be an IPv4 or IPv6 address"),)


def test_many_accounts_and_many_events_go_over_one_stream_each(client: GatehouseClient) -> None:
    items = (make_score_request(f"a{i}", f"r{i}", scoring_pb2.ScoreAccountsRequest) for i in range(50))
    assert len({answer.request_id for answer in client.score_accounts(items)}) == 50

    events = (
        signals_pb2.RecordSignalsRequest(
            event_id=f"e{i}", account_id="a1", happened_at=at(NOON), usage=facts_pb2.Usage(input_tokens=i)
        )
        for i in range(50)
    )
    assert client.record_signals(events).recorded == 50


def test_campaigns_and_members_come_whole_however_many_pages_they_take(client: GatehouseClient, memory: Memory) -> None:
    memory.campaigns = {f"c{i}": make_file(f"c{i}", members=i) for i in range(250)}
    memory.members["c0"] = [CampaignMember(i, f"a{i}", NOON + i, None, ()) for i in range(250)]
    of_size = campaigns_pb2.ListCampaignsRequest(page_size=7, min_members=50)

    assert len(list(client.list_campaigns())) == 250
    assert [each.members for each in client.list_campaigns(of_size)] == list(range(50, 250))
    assert of_size.page_token == ""
    assert [each.account_id for each in client.list_campaign_members("c0")] == [f"a{i}" for i in range(250)]


def test_a_verdict_that_is_sent_again_is_the_same_verdict(client: GatehouseClient, memory: Memory) -> None:
    memory.campaigns["ring"] = make_file()
    memory.failures = [NotReady("starting"), NotReady("starting")]

    client.review_campaign(review_request())
    client.review_campaign(review_request(request_id="mine"))

    first, second, third, mine = (asked.request_id for asked in memory.asked)
    assert first
    assert first == second == third != mine == "mine"


def test_an_export_is_one_document(client: GatehouseClient, memory: Memory) -> None:
    memory.campaigns["ring"] = make_file()

    assert client.export_indicators("ring") == b'{"x": "' + b"y" * 150_000 + b'"}'
