"""ScoringService."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import grpc
from gatehouse.risk.v1 import scoring_pb2 as pb
from gatehouse.risk.v1 import scoring_pb2_grpc

from service.domain.errors import GatehouseError, InvalidInput
from service.domain.records import Assessment
from service.domain.requests import ScoreRequest
from service.rpc.calls import Caller, page_size
from service.rpc.convert.scoring import assessment_to_wire, say_assessment, score_request_from_wire
from service.rpc.decoding import MessageStream, RefusedMessage, decode
from service.rpc.errors import status_of
from service.rpc.intake import worked
from service.rpc.later import Later
from service.rpc.outflow import Outflow
from service.rpc.pace import FEW, Asking, Pace
from service.rpc.ports import AskScores, UseCases

METHOD = "/gatehouse.risk.v1.ScoringService/ScoreAccount"


def asked(
    ask_scores: AskScores, request: pb.ScoreAccountRequest, now: int
) -> tuple[Future[Any], Callable[[], pb.ScoreAccountResponse]]:
    """One account's answer: when it is durable, and what gives it then or raises why there is none."""
    done = ask_scores([score_request_from_wire(request)], now=now)

    def message() -> pb.ScoreAccountResponse:
        [answer] = done.result()
        if isinstance(answer, GatehouseError):
            raise answer
        said = pb.ScoreAccountResponse()
        say_assessment(answer, said.assessment)
        return said

    return done, message


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """Scores accounts; a stream is scored in batches of what has come, one account is a batch of one."""

    def __init__(self, use_cases: UseCases, caller: Caller, readers: Executor, asking: Asking) -> None:
        """``asking``: all who ask this server, those too whom other processes answer."""
        self._use_cases = use_cases
        self._caller = caller
        self._readers = readers
        self._asking = asking

    def ScoreAccount(self, request: pb.ScoreAccountRequest, context: grpc.ServicerContext) -> Later:  # type: ignore[override]  # see server.LATER
        """One account, as soon as its batch is durable."""
        self._asking.times += 1
        done, message = asked(self._use_cases.ask_scores, request, self._caller.now())
        return Later(done, message, self._caller.timeout_s(context))

    def ScoreAccounts(
        self, request_iterator: Iterator[pb.ScoreAccountsRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ScoreAccountsResponse]:
        """Many accounts; one bad item fails alone."""
        if not isinstance(request_iterator, MessageStream):
            raise TypeError("the stream has to come undecoded")
        pace, sent = Pace(self._asking), Outflow(context)

        def answered(batch: Sequence[bytes]) -> list[pb.ScoreAccountsResponse]:
            pace.begins()
            began = self._caller.now()
            read = [_read(item) for item in batch]
            asked = [item for item in read if isinstance(item, ScoreRequest)]
            answers = iter(self._score(asked, context) if asked else ())
            said = [
                _answer(*item) if isinstance(item, tuple) else _answer(item.request_id, next(answers)) for item in read
            ]
            pace.took(len(batch), self._caller.now() - began)
            return said

        for answers in worked(request_iterator.undecoded(), self._readers, answered, pace.most):
            yield from sent(answers)

    def GetAssessment(
        self, request: pb.GetAssessmentRequest, context: grpc.ServicerContext
    ) -> pb.GetAssessmentResponse:
        """One assessment as it was recorded."""
        found = self._use_cases.get_assessment(request.assessment_id, explain=request.explain)
        return pb.GetAssessmentResponse(assessment=assessment_to_wire(found))

    def ListAssessments(
        self, request: pb.ListAssessmentsRequest, context: grpc.ServicerContext
    ) -> pb.ListAssessmentsResponse:
        """An account's assessments."""
        page = self._use_cases.list_assessments(
            request.account_id, page_size=page_size(request.page_size), page_token=request.page_token
        )
        return pb.ListAssessmentsResponse(
            assessments=[assessment_to_wire(item) for item in page.items], next_page_token=page.next_page_token
        )

    def _score(self, asked: Sequence[ScoreRequest], context: grpc.ServicerContext) -> list[Assessment | GatehouseError]:
        # Reasons are a core's time each, and a step of a call has to end: of requests that want them few go at a time.
        at_once = len(asked) if sum(item.explain for item in asked) <= FEW else FEW
        answers: list[Assessment | GatehouseError] = []
        for at in range(0, len(asked), at_once):
            some, timeout_s = asked[at : at + at_once], self._caller.timeout_s(context)
            answers += self._use_cases.score_accounts(some, now=self._caller.now(), timeout_s=timeout_s)
        return answers


def _read(data: bytes) -> ScoreRequest | tuple[str, GatehouseError]:
    """What is asked, or whose item cannot be used and why."""
    request_id = ""
    try:
        item = decode(data, pb.ScoreAccountsRequest)
        request_id = item.request_id
        return score_request_from_wire(item)
    except RefusedMessage as error:
        return error.identifier, error
    except InvalidInput as error:
        return request_id, error


def _answer(request_id: str, answer: Assessment | GatehouseError) -> pb.ScoreAccountsResponse:
    if isinstance(answer, GatehouseError):
        return pb.ScoreAccountsResponse(request_id=request_id, error=status_of(answer))
    said = pb.ScoreAccountsResponse(request_id=request_id)
    say_assessment(answer, said.assessment)
    return said
