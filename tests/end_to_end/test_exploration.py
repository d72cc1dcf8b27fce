"""A real server that lets some of whom it would challenge through: always the same ones, and it says so."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from service.app import App
from service.domain.enums import Decision
from service.settings import Settings
from tests.end_to_end.conftest import RunningServer, environment, gatehouse, start_server, stop_server
from tests.small_models import a_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

RATE, ACCOUNTS = 0.2, 80
SERVER = {"GATEHOUSE_EXPLORE": str(RATE)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation whose model challenges everybody."""
    made = Settings(database_url=environment(tmp_path)["GATEHOUSE_DATABASE_URL"], explore=RATE)
    with App.open(made, upgrade=True) as app:
        app.store.add_model(a_model("m-all", ("mail_length", "device_others_life"), 0.0, tmp_path / "models"))
        app.promote_model("m-all", why="test", now=1)
    return made


def answers(server: RunningServer, call: str, created: Timestamp) -> dict[str, scoring_pb2.Assessment]:
    """What each account is told; one that is not known signs up."""
    out = {}
    with server.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        for i in range(ACCOUNTS):
            form = facts_pb2.Signup(created_at=created, email=f"lane{i}@example.org", device_id=f"d-{i}")
            request = scoring_pb2.ScoreAccountRequest(
                request_id=f"{call}-{i}", account_id=f"a-{i}", purpose=scoring_pb2.PURPOSE_SIGNUP, signup=form
            )
            given = stub.ScoreAccount(request, timeout=20).assessment
            kept = stub.GetAssessment(
                scoring_pb2.GetAssessmentRequest(assessment_id=given.assessment_id), timeout=20
            ).assessment
            assert kept == given
            out[request.account_id] = given
    return out


def let_through(told: dict[str, scoring_pb2.Assessment]) -> set[str]:
    """Who was; everything about the answers is as it should be."""
    lucky = {name for name, given in told.items() if given.HasField("explored_from")}
    for name, given in told.items():
        if name in lucky:
            assert (given.decision, given.explored_from) == (
                scoring_pb2.DECISION_ALLOW,
                scoring_pb2.DECISION_CHALLENGE,
            )
            assert given.propensity == RATE
        else:
            assert (given.decision, given.propensity) == (scoring_pb2.DECISION_CHALLENGE, 1 - RATE)
    return lucky


def test_whoever_is_let_in_at_signup_is_let_in_by_the_next_server_and_by_the_job(
    settings: Settings, tmp_path: Path
) -> None:
    created = Timestamp(seconds=int(time.time()) - 60)
    told = []
    for call in ("first", "second"):  # of two servers, one after the other
        server = start_server(tmp_path, extra=SERVER)
        try:
            told.append(answers(server, call, created))
        finally:
            assert stop_server(server) == 0
    lucky = let_through(told[0])
    assert 1 <= len(lucky) <= 40  # 16 expected; outside once in ten million installations
    assert let_through(told[1]) == lucky
    with App.open(settings, upgrade=False) as app:
        report = app.rescore(as_of=int(time.time() * 1e6))
    assert report.decisions == {Decision.CHALLENGE: ACCOUNTS - len(lucky), Decision.ALLOW: len(lucky)}
    assert report.changed == 0
    said = json.loads(gatehouse("doctor", "--json", home=tmp_path, check=False).stdout.splitlines()[-1])
    assert said["exploration"]["let_through"] == len(lucky)
    assert said["exploration"]["passed_by"] == ACCOUNTS - len(lucky)
