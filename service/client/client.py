"""A client with deadlines, retries, and an answer of its own for when the service gives none."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

import grpc
from gatehouse.risk.v1 import (
    campaigns_pb2,
    campaigns_pb2_grpc,
    labels_pb2_grpc,
    models_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    signals_pb2,
    signals_pb2_grpc,
)
from google.rpc import error_details_pb2
from grpc_status import rpc_status

DEFAULT_TIMEOUT_S = 2.0

# The service's fault or the network's, and it may pass. Anything else is for the caller to mend and is always raised.
NO_ANSWER = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }
)

# Every call but RollBackModel may safely be repeated: ids make them idempotent. Retries stop when most calls fail
# (throttling), so that a service in trouble is not asked four times as much.
_REPEATABLE = ["ScoringService", "SignalService", "CampaignService", "LabelService"]
SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": f"gatehouse.risk.v1.{name}"} for name in _REPEATABLE],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 3,
                    # CANCELLED: it came to a server that had begun to stop, which never began it.
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ],
        "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
    }
)


class FailureMode(StrEnum):
    """What to do about an account when the service gives no answer in time."""

    OPEN = "open"  # let it in: fraud may slip through while the service is away
    CLOSED = "closed"  # keep it out: nobody signs up while the service is away


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do about an account."""

    decision: scoring_pb2.Decision.ValueType
    assessment: scoring_pb2.Assessment | None  # None: the service gave no answer, and the failure mode decided
    problem: Problem | None = None  # why there is no assessment

    @property
    def answered(self) -> bool:
        """Whether the service decided, and not the failure mode."""
        return self.assessment is not None


@dataclass(frozen=True, slots=True)
class Problem:
    """A failed call in words."""

    code: grpc.StatusCode
    message: str
    reason: str = ""  # of google.rpc.ErrorInfo, such as ``UNKNOWN_ACCOUNT``; empty: the failure was not the service's
    fields: tuple[tuple[str, str], ...] = ()  # path and description of each field that is wrong
    reference: str = ""  # where the server's log tells more, for INTERNAL


class GatehouseClient:
    """One channel to the service; safe to share between threads, and to be closed (it is a context manager).

    Args:
        target: ``HOST:PORT``, or any target that gRPC knows.
        timeout_s: deadline of each call that is given none of its own, retries included.
        failure_mode: the answer of ``score_account`` where the service gives none.
        credentials: of the channel; None is plain text, for a service on this machine or behind a mesh.
        options: more channel options of gRPC.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        failure_mode: FailureMode = FailureMode.OPEN,
        credentials: grpc.ChannelCredentials | None = None,
        options: Sequence[tuple[str, int | str]] = (),
    ) -> None:
        settings = [("grpc.service_config", SERVICE_CONFIG), ("grpc.keepalive_time_ms", 60_000), *options]
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options=settings)
        else:
            self.channel = grpc.secure_channel(target, credentials, options=settings)
        self.scoring = scoring_pb2_grpc.ScoringServiceStub(self.channel)
        self.signals = signals_pb2_grpc.SignalServiceStub(self.channel)
        self.campaigns = campaigns_pb2_grpc.CampaignServiceStub(self.channel)
        self.labels = labels_pb2_grpc.LabelServiceStub(self.channel)
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)
        self._timeout_s = timeout_s
        self._failure_mode = failure_mode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the channel and the calls on it."""
        self.channel.close()

    def score_account(self, request: scoring_pb2.ScoreAccountRequest, *, timeout_s: float | None = None) -> Outcome:
        """Scores one account. Where the service gives no answer in time the failure mode decides, and says why.

        Raises grpc.RpcError where the request is at fault (see ``problem_of``).
        """
        try:
            answer = self.scoring.ScoreAccount(request, timeout=self._timeout(timeout_s))
        except grpc.RpcError as error:
            problem = problem_of(error)
            if problem.code not in NO_ANSWER:
                raise
            return Outcome(self._decision_without_answer(), None, problem)
        return Outcome(answer.assessment.decision, answer.assessment)

    def score_accounts(
        self, requests: Iterable[scoring_pb2.ScoreAccountsRequest], *, timeout_s: float | None = None
    ) -> Iterator[scoring_pb2.ScoreAccountsResponse]:
        """Scores many over one stream, in any order; an item's failure is in its answer.

        ``requests`` is read as fast as the service takes them in. Raises grpc.RpcError where the stream itself fails;
        items without an answer may be sent again under the same request_id. No deadline unless ``timeout_s`` is given.
        """
        return iter(self.scoring.ScoreAccounts(iter(requests), timeout=timeout_s))

    def record_signals(
        self, events: Iterable[signals_pb2.RecordSignalsRequest], *, timeout_s: float | None = None
    ) -> signals_pb2.RecordSignalsResponse:
        """Records events over one stream; durable when this returns.

        Raises grpc.RpcError where the call fails; sending the same events again is safe. No deadline unless
        ``timeout_s`` is given.
        """
        return self.signals.RecordSignals(iter(events), timeout=timeout_s)

    def list_campaigns(
        self, request: campaigns_pb2.ListCampaignsRequest | None = None, *, timeout_s: float | None = None
    ) -> Iterator[campaigns_pb2.Campaign]:
        """Campaigns, the latest to change first, page after page as they are taken; None: all but merged ones.

        ``timeout_s`` is for each page. Raises grpc.RpcError.
        """
        asked = campaigns_pb2.ListCampaignsRequest()
        if request is not None:
            asked.CopyFrom(request)
        while True:
            page = self.campaigns.ListCampaigns(asked, timeout=self._timeout(timeout_s))
            yield from page.campaigns
            asked.page_token = page.next_page_token
            if not page.next_page_token:
                return

    def list_campaign_members(
        self, campaign_id: str, *, page_size: int = 0, timeout_s: float | None = None
    ) -> Iterator[campaigns_pb2.CampaignMember]:
        """A campaign's members, the earliest to join first, page after page as they are taken.

        ``page_size`` 0 leaves it to the server; ``timeout_s`` is for each page. Raises grpc.RpcError.
        """
        asked = campaigns_pb2.ListCampaignMembersRequest(campaign_id=campaign_id, page_size=page_size)
        while True:
            page = self.campaigns.ListCampaignMembers(asked, timeout=self._timeout(timeout_s))
            yield from page.members
            asked.page_token = page.next_page_token
            if not page.next_page_token:
                return

    def review_campaign(
        self, request: campaigns_pb2.ReviewCampaignRequest, *, timeout_s: float | None = None
    ) -> campaigns_pb2.ReviewCampaignResponse:
        """Gives a verdict. Where ``request`` has no request_id it gets one, so that a retry is not a second verdict.

        Raises grpc.RpcError: with ABORTED another analyst was first, so look at the campaign again.
        """
        asked = campaigns_pb2.ReviewCampaignRequest()
        asked.CopyFrom(request)
        asked.request_id = asked.request_id or uuid.uuid4().hex
        return self.campaigns.ReviewCampaign(asked, timeout=self._timeout(timeout_s))

    def export_indicators(self, campaign_id: str, *, timeout_s: float | None = None) -> bytes:
        """A campaign's indicators as one STIX 2.1 document. Raises grpc.RpcError."""
        request = campaigns_pb2.ExportIndicatorsRequest(campaign_id=campaign_id)
        pieces = self.campaigns.ExportIndicators(request, timeout=self._timeout(timeout_s))
        return b"".join(piece.data for piece in pieces)

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    def _decision_without_answer(self) -> scoring_pb2.Decision.ValueType:
        is_open = self._failure_mode is FailureMode.OPEN
        return scoring_pb2.DECISION_ALLOW if is_open else scoring_pb2.DECISION_BLOCK


def problem_of(error: grpc.RpcError) -> Problem:
    """What a failed call says, with its google.rpc details unpacked."""
    fields: list[tuple[str, str]] = []
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # errors of calls are calls, too
    for detail in status.details if status is not None else ():
        bad = error_details_pb2.BadRequest()
        if detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
            fields += [(violation.field, violation.description) for violation in bad.field_violations]
        elif detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return Problem(error.code(), error.details() or "", info.reason, tuple(fields), info.metadata.get("reference", ""))
