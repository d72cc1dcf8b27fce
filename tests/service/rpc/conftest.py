# ruff: noqa: ARG002 - these deeds have the signatures of the use cases
"""A real server on a free port of this machine, over deeds that keep what they are told in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import grpc
import pytest
from gatehouse.risk.v1 import (
    campaigns_pb2_grpc,
    facts_pb2,
    labels_pb2_grpc,
    models_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    signals_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from service.domain.campaigns import (
    CampaignMember,
    CampaignRecord,
    CampaignState,
    ReviewAsked,
    ReviewReceipt,
    ReviewRecord,
    ReviewState,
)
from service.domain.codes import hash64
from service.domain.enums import Decision
from service.domain.errors import (
    AlreadyExists,
    GatehouseError,
    UnknownAccount,
    UnknownAssessment,
    UnknownCampaign,
    UnknownModel,
)
from service.domain.raw import Label
from service.domain.records import Assessment, ErasureRecord, LabelRecord, ModelRecord
from service.domain.requests import Event, EventRejection, Item, LabelReceipt, Page, RecordedEvents, ScoreRequest
from service.rpc.ports import UseCases
from service.rpc.scorers import Scorers
from service.rpc.server import GatehouseServer, Limits
from service.telemetry import Telemetry
from service.usecases.campaigns import CampaignFile
from service.usecases.export_indicators import Indicators
from tests.factories import NOON

DIRECT = (("grpc.enable_http_proxy", 0),)


@dataclass
class Memory:
    """Deeds without a database or a model: enough of them to see what the wire does with their answers."""

    accounts: set[str] = field(default_factory=set)
    assessments: dict[str, Assessment] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    campaigns: dict[str, CampaignFile] = field(default_factory=dict)
    members: dict[str, list[CampaignMember]] = field(default_factory=dict)
    asked: list[ReviewAsked] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)  # how many requests each call of score_accounts had
    failures: list[GatehouseError] = field(default_factory=list)  # raised one after the other before anything is done
    hold: threading.Event | None = None  # scoring waits for it
    asking: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8))
    waits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))  # one for each that waits
    promised: list[Future[list[Assessment | GatehouseError]]] = field(default_factory=list)  # by ask_scores

    def score_accounts(
        self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float
    ) -> list[Assessment | GatehouseError]:
        self.batches.append(len(requests))
        if self.failures:
            raise self.failures.pop(0)
        if self.hold is not None:
            self.waits.release()
            self.hold.wait(60)
        return [self._score(request, now) for request in requests]

    def ask_scores(self, requests: Sequence[ScoreRequest], *, now: int) -> Future[list[Assessment | GatehouseError]]:
        done = self.asking.submit(self.score_accounts, requests, now=now, timeout_s=60)
        self.promised.append(done)
        return done

    def _score(self, request: ScoreRequest, now: int) -> Assessment | GatehouseError:
        if request.account_id == "defect":
            raise ZeroDivisionError("no caller may read this")
        if request.signup is not None:
            self.accounts.add(request.account_id)
        if request.account_id not in self.accounts:
            return UnknownAccount(request.account_id)
        made = Assessment(
            assessment_id=f"a-{request.request_id}",
            account_id=request.account_id,
            account=hash64(request.account_id),
            assessed_at=now,
            purpose=request.purpose,
            score=0.25,
            decision=Decision.ALLOW,
            recommended_limit=None,
            model_version="m1",
            policy_version="p1",
            feature_fingerprint="f1",
            features=b"",
            request_id=request.request_id,
            request_content=request.content,
        )
        kept = self.assessments.setdefault(made.assessment_id, made)
        return kept if kept.request_content == made.request_content else AlreadyExists("request", request.request_id)

    def get_assessment(self, assessment_id: str, *, explain: bool) -> Assessment:
        if assessment_id not in self.assessments:
            raise UnknownAssessment(assessment_id)
        return self.assessments[assessment_id]

    def list_assessments(self, account_id: str, *, page_size: int, page_token: str) -> Page[Assessment]:
        mine = [item for item in self.assessments.values() if item.account_id == account_id]
        return _page(mine, page_size, page_token)

    def record_signals(self, events: Sequence[Event], *, now: int) -> Future[RecordedEvents]:
        done: Future[RecordedEvents] = Future()
        done.set_result(self._record(events))
        return done

    def _record(self, events: Sequence[Event]) -> RecordedEvents:
        recorded = duplicates = 0
        rejections = []
        for position, event in enumerate(events):
            known = self.events.setdefault(event.event_id or "", event)
            if known is event:
                recorded += 1
            elif known == event:
                duplicates += 1
            else:
                text = "came before with different content"
                rejections.append(EventRejection(event.event_id or "", text, position, "event_id", conflict=True))
        return RecordedEvents(recorded, duplicates, len(rejections), tuple(rejections))

    def erase_account(self, account_id: str, *, reason: str, now: int) -> ErasureRecord:
        if account_id not in self.accounts:
            raise UnknownAccount(account_id)
        return ErasureRecord(account_id, reason, now, 1, 2, 3, 4, 5)

    def record_labels(self, labels: Sequence[Label], *, now: int) -> LabelReceipt:
        return LabelReceipt(len(labels), 0, tuple(label.campaign_id for label in labels if label.campaign_id))

    def retract_label(self, account_id: str, analyst: str, decided_at: int, *, reason: str, now: int) -> LabelRecord:
        raise UnknownAccount(account_id)

    def list_labels(self, **filters: object) -> Page[LabelRecord]:
        return Page(())

    def list_models(self, **filters: object) -> Page[ModelRecord]:
        return Page(())

    def get_model(self, version: str) -> ModelRecord:
        raise UnknownModel(version)

    def promote_model(self, version: str, *, why: str, now: int) -> ModelRecord:
        raise UnknownModel(version)

    def roll_back_model(self, *, why: str, now: int) -> ModelRecord:
        raise UnknownModel("none")

    def list_campaigns(
        self, *, states: frozenset[CampaignState], min_members: int, page_size: int, page_token: str
    ) -> Page[CampaignRecord]:
        records = [file.record for file in self.campaigns.values()]
        return _page(
            [each for each in records if each.members >= min_members and (not states or each.state in states)],
            page_size,
            page_token,
        )

    def get_campaign(self, campaign_id: str) -> CampaignFile:
        if campaign_id not in self.campaigns:
            raise UnknownCampaign(campaign_id)
        return self.campaigns[campaign_id]

    def list_campaign_members(self, campaign_id: str, *, page_size: int, page_token: str) -> Page[CampaignMember]:
        self.get_campaign(campaign_id)
        return _page(self.members[campaign_id], page_size, page_token)

    def review_campaign(self, asked: ReviewAsked, *, now: int) -> ReviewReceipt:
        self.asked.append(asked)
        if self.failures:
            raise self.failures.pop(0)
        record = self.get_campaign(asked.campaign_id).record
        pending = ReviewState.PENDING_SECOND_ANALYST
        review = ReviewRecord(
            "v-1", record.campaign_id, asked.action, pending, asked.analyst, None, asked.reason, now, 7
        )
        return ReviewReceipt(review, record, 0)

    def export_indicators(self, campaign_id: str, *, now: int) -> Indicators:
        self.get_campaign(campaign_id)
        return Indicators("application/stix+json;version=2.1", b'{"x": "' + b"y" * 150_000 + b'"}', 1)

    def use_cases(self) -> UseCases:
        return UseCases(**{name: getattr(self, name) for name in UseCases.__dataclass_fields__})


def _page(items: Sequence[Item], page_size: int, page_token: str) -> Page[Item]:
    at = int(page_token or 0)
    until = at + page_size
    return Page(tuple(items[at:until]), str(until) if until < len(items) else "")


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def limits() -> Limits:
    return Limits(threads=4, max_concurrent=4, max_streams=4)


@pytest.fixture
def server(memory: Memory, telemetry: Telemetry, limits: Limits) -> Iterator[GatehouseServer]:
    made = GatehouseServer("127.0.0.1:0", memory.use_cases(), telemetry, lambda: NOON, limits)
    made.start()
    made.set_ready(ready=True)
    yield made
    if memory.hold is not None:
        memory.hold.set()
    made.drain(0)


@pytest.fixture
def channel(server: GatehouseServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address, options=DIRECT) as made:
        yield made


@pytest.fixture
def stubs(channel: grpc.Channel) -> SimpleNamespace:
    return SimpleNamespace(
        scoring=scoring_pb2_grpc.ScoringServiceStub(channel),
        signals=signals_pb2_grpc.SignalServiceStub(channel),
        campaigns=campaigns_pb2_grpc.CampaignServiceStub(channel),
        labels=labels_pb2_grpc.LabelServiceStub(channel),
        models=models_pb2_grpc.ModelServiceStub(channel),
    )


@contextmanager
def channel_of(
    memory: Memory, telemetry: Telemetry, limits: Limits, scorers: Scorers | None = None
) -> Iterator[grpc.Channel]:
    """A channel to a server of its own, which at the end lets go whoever is held and drains."""
    server = GatehouseServer("127.0.0.1:0", memory.use_cases(), telemetry, lambda: NOON, limits, scorers)
    server.start()
    try:
        with grpc.insecure_channel(server.address, options=DIRECT) as channel:
            yield channel
    finally:
        if memory.hold is not None:
            memory.hold.set()
        server.drain(5)


@contextmanager
def scoring_of(
    memory: Memory, telemetry: Telemetry, limits: Limits, scorers: Scorers | None = None
) -> Iterator[scoring_pb2_grpc.ScoringServiceStub]:
    """A stub of such a server."""
    with channel_of(memory, telemetry, limits, scorers) as channel:
        yield scoring_pb2_grpc.ScoringServiceStub(channel)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it did not come about within 30 s"
        time.sleep(0.005)


def at(micros: int) -> Timestamp:
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1_000)


def make_score_request(
    account: str = "ada", request: str = "r1", kind: type = scoring_pb2.ScoreAccountRequest, **more: object
) -> scoring_pb2.ScoreAccountRequest:
    """A signup to be scored."""
    said = {"signup": facts_pb2.Signup(created_at=at(NOON)), **more}
    return kind(request_id=request, account_id=account, purpose=scoring_pb2.PURPOSE_SIGNUP, **said)


def details_of(error: grpc.RpcError | status_pb2.Status) -> dict[str, object]:
    """A failure's google.rpc details by the name of their type, as a caller would unpack them."""
    status = error if isinstance(error, status_pb2.Status) else rpc_status.from_call(error)
    found = {}
    for packed in status.details:
        kind = getattr(error_details_pb2, packed.type_url.rpartition(".")[2])
        found[kind.__name__] = detail = kind()
        assert packed.Unpack(detail)
    return found


def wrong_fields(error: grpc.RpcError | status_pb2.Status) -> list[str]:
    """Paths of the fields that a failure blames."""
    return [violation.field for violation in details_of(error)["BadRequest"].field_violations]


def ended_calls(telemetry: Telemetry, method: str, code: str) -> float:
    labels = {"method": method, "code": code}
    return telemetry.registry.get_sample_value("gatehouse_rpc_ended_total", labels) or 0.0
