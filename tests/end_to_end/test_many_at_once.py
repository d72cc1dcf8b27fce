"""Many callers at once: everybody gets the answer that they would have got alone, once, and for good."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np
import pytest
from gatehouse.risk.v1 import scoring_pb2, scoring_pb2_grpc

from service.app import App
from service.domain.codes import hash64
from service.domain.enums import Purpose
from service.domain.records import Assessment
from service.settings import Settings
from service.usecases.assess import Asked, assess
from tests.end_to_end.conftest import RunningServer, gatehouse, start_server, stop_server
from tests.end_to_end.test_main_street import TIMEOUT, signup

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CLIENTS = 64
KNOWN = 320  # accounts, imported: families of five that share a device, an address and a mail domain

_Result = TypeVar("_Result")


def imported(home: Path) -> list[str]:
    """Ids of accounts that were known before, of whom many share keys."""
    world = home / "world"
    world.mkdir()
    lines = ["account_id,created_at,email,country,ip,device_id"]
    for i in range(KNOWN):
        mail = f"person{i}@house{i // 5}.example"
        lines.append(f"known-{i},2026-10-{1 + i % 28:02d}T10:00:00Z,{mail},DE,84.56.{i // 5}.9,tablet-{i // 5}")
    (world / "accounts.csv").write_text("\n".join(lines) + "\n")
    gatehouse("import", str(world), home=home)
    return [f"known-{i}" for i in range(KNOWN)]


def request_of(i: int, known: Sequence[str]) -> scoring_pb2.ScoreAccountRequest:
    """Three in four about a known account, one in four a signup that shares nothing with anybody."""
    made = scoring_pb2.ScoreAccountRequest(request_id=f"many-{i}", purpose=scoring_pb2.PURPOSE_MANUAL)
    if i % 4:
        made.account_id = known[i * 7 % len(known)]
    else:
        made.account_id = f"new-{i}"
        form = signup(email=f"lone{i}@shop{i}.example", ip=f"91.{i % 200}.{i // 200}.3", device_id=f"phone-{i}")
        made.signup.CopyFrom(form)
    return made


def all_at_once(
    server: RunningServer, ask: Callable[[scoring_pb2_grpc.ScoringServiceStub, int], _Result]
) -> list[_Result]:
    """What each of the clients, on a connection of its own, got."""
    ready = threading.Barrier(CLIENTS)

    def client(number: int) -> _Result:
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(server.grpc, options=options) as channel:
            grpc.channel_ready_future(channel).result(TIMEOUT)
            ready.wait(TIMEOUT)
            return ask(scoring_pb2_grpc.ScoringServiceStub(channel), number)

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(client, range(CLIENTS)))


def test_sixty_four_clients_get_the_answers_of_one_batch_to_the_last_bit(home: Path) -> None:
    known = imported(home)
    server = start_server(home)
    rounds = 12

    def ask(stub: scoring_pb2_grpc.ScoringServiceStub, number: int) -> list[scoring_pb2.Assessment]:
        asked = (request_of(number * rounds + i, known) for i in range(rounds))
        return [stub.ScoreAccount(request, timeout=60).assessment for request in asked]

    try:
        answers = [answer for mine in all_at_once(server, ask) for answer in mine]
    finally:
        assert stop_server(server) == 0
    settings = Settings(database_url=server.database, data_dir=home, explore=0)
    with App.open(settings, upgrade=False) as app:
        app.load_model()
        stored = [app.store.assessment(answer.assessment_id) for answer in answers]
        batch = in_one_batch(app, stored)

    assert len({answer.assessment_id for answer in answers}) == CLIENTS * rounds == len(answers)
    for i, (answer, kept, alone) in enumerate(zip(answers, stored, batch, strict=True)):
        assert (answer.request_id, answer.account_id) == (f"many-{i}", request_of(i, known).account_id)
        assert (answer.score, answer.decision) == (kept.score, decision_on_the_wire(kept))
        assert (kept.score, kept.decision, kept.features) == (alone.score, alone.decision, alone.features)
        assert (kept.links, kept.rules) == (alone.links, alone.rules)
    assert len({kept.features for kept in stored}) > KNOWN / 4  # else it would compare one answer with itself


def in_one_batch(app: App, stored: Sequence[Assessment]) -> list[Assessment]:
    """What one batch says of each account at the moment at which it was answered."""
    accounts = np.unique(np.array([hash64(each.account_id) for each in stored], np.int64))
    (history,) = app.store.histories(accounts=accounts)
    asked = [Asked(each.account_id, Purpose.MANUAL, each.request_id) for each in stored]
    moments = np.array([each.assessed_at for each in stored], np.int64)
    made = assess(app.models.current(), history, asked, moments)
    assert all(made)
    return [each for each in made if each is not None]


def decision_on_the_wire(kept: Assessment) -> int:
    return scoring_pb2.Decision.Value(f"DECISION_{kept.decision.value.upper()}")


def test_one_request_sent_by_everybody_at_once_is_answered_alike_and_recorded_once(server: RunningServer) -> None:
    form = signup(device_id="at-once")

    def ask(stub: scoring_pb2_grpc.ScoringServiceStub, _number: int) -> scoring_pb2.Assessment:
        request = scoring_pb2.ScoreAccountRequest(
            request_id="at-once", account_id="at-once", purpose=scoring_pb2.PURPOSE_SIGNUP, signup=form
        )
        return stub.ScoreAccount(request, timeout=60).assessment

    answers = all_at_once(server, ask)

    assert all(answer == answers[0] for answer in answers)
    assert [each.assessment_id for each in kept_of(server, "at-once")] == [answers[0].assessment_id]


def test_of_requests_that_sign_up_one_account_in_different_words_at_once_one_is_taken(server: RunningServer) -> None:
    def ask(stub: scoring_pb2_grpc.ScoringServiceStub, number: int) -> str:
        request = scoring_pb2.ScoreAccountRequest(
            request_id=f"torn-{number}",
            account_id="torn",
            purpose=scoring_pb2.PURPOSE_SIGNUP,
            signup=signup(device_id=f"torn-{number}"),
        )
        try:
            return stub.ScoreAccount(request, timeout=60).assessment.request_id
        except grpc.RpcError as error:
            return error.code().name

    answers = all_at_once(server, ask)

    taken = [answer for answer in answers if answer.startswith("torn-")]
    assert len(taken) == 1
    assert set(answers) == {"ALREADY_EXISTS", taken[0]}
    assert [each.request_id for each in kept_of(server, "torn")] == taken


def kept_of(server: RunningServer, account: str) -> list[scoring_pb2.Assessment]:
    with server.channel() as channel:
        asked = scoring_pb2.ListAssessmentsRequest(account_id=account)
        return list(scoring_pb2_grpc.ScoringServiceStub(channel).ListAssessments(asked, timeout=TIMEOUT).assessments)


def test_what_was_answered_before_a_kill_is_there_after_it(home: Path) -> None:
    server = start_server(home)
    answered: dict[str, scoring_pb2.Assessment] = {}
    enough = threading.Event()

    def ask(stub: scoring_pb2_grpc.ScoringServiceStub, number: int) -> None:
        for i in range(10_000):
            name = f"killed-{number}-{i}"
            request = scoring_pb2.ScoreAccountRequest(
                request_id=name, account_id=name, purpose=scoring_pb2.PURPOSE_SIGNUP, signup=signup(device_id=name)
            )
            try:
                answered[name] = stub.ScoreAccount(request, timeout=60).assessment
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017  it was killed
                return
            if len(answered) > 3 * CLIENTS:
                enough.set()

    with ThreadPoolExecutor(1) as running:
        asking = running.submit(all_at_once, server, ask)
        assert enough.wait(120)
        server.process.send_signal(signal.SIGKILL)
        asking.result(120)
    assert stop_server(server) == -signal.SIGKILL
    with App.open(Settings(database_url=server.database, data_dir=home), upgrade=False) as app:
        for name, answer in answered.items():
            kept = app.store.assessment(answer.assessment_id)
            assert (kept.request_id, kept.score) == (name, answer.score)
