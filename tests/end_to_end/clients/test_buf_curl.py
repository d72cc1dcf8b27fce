"""``buf curl``, which learns the service from the server itself through reflection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.end_to_end.conftest import RunningServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCORING = "gatehouse.risk.v1.ScoringService"


def buf_curl(*arguments: str, said: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs ``buf curl``; ``said`` is the request, several JSON objects for a stream."""
    buf = Path(sys.executable).parent / "buf"
    if not buf.exists():
        pytest.skip("buf-bin, a development dependency, is not installed")
    data = () if said is None else ("-d", "@-")
    return subprocess.run(
        [buf, "curl", "--http2-prior-knowledge", "--protocol", "grpc", *data, *arguments],
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        input=said or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def call(server: RunningServer, method: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of a call that succeeds."""
    said = "".join(json.dumps(request) for request in requests)
    done = buf_curl(f"http://{server.grpc}/{method}", said=said)
    assert done.returncode == 0, done.stderr
    decoder, rest, answers = json.JSONDecoder(), done.stdout.strip(), []
    while rest:
        answer, end = decoder.raw_decode(rest)
        answers.append(answer)
        rest = rest[end:].strip()
    return answers


def fail(server: RunningServer, method: str, request: dict[str, Any]) -> dict[str, Any]:
    """The error of a call that fails."""
    done = buf_curl(f"http://{server.grpc}/{method}", said=json.dumps(request))
    assert done.returncode != 0, done.stdout
    error: dict[str, Any] = json.loads(done.stderr)
    return error


def signup(account: str, **more: Any) -> dict[str, Any]:
    form = {"createdAt": datetime.now(UTC).isoformat(), "email": f"{account}@example.com", "country": "FR", **more}
    return {"requestId": f"r-{account}", "accountId": account, "purpose": "PURPOSE_SIGNUP", "signup": form}


def test_reflection_lists_the_services_of_the_contract(server: RunningServer) -> None:
    done = buf_curl("--list-services", f"http://{server.grpc}")

    assert done.returncode == 0, done.stderr
    listed = done.stdout.split()
    for name in ("Scoring", "Signal", "Campaign", "Label", "Model"):
        assert f"gatehouse.risk.v1.{name}Service" in listed
    assert "grpc.health.v1.Health" in listed


def test_a_signup_is_scored_through_reflection_alone(server: RunningServer) -> None:
    account = uuid4().hex

    [answer] = call(server, f"{SCORING}/ScoreAccount", {**signup(account), "explain": True})

    assessment = answer["assessment"]
    assert assessment["accountId"] == account
    assert 0 <= assessment.get("score", 0.0) <= 1
    assert assessment["decision"].startswith("DECISION_")
    assert assessment["modelVersion"]
    assert {"code", "analystText", "customerText", "direction"} <= set(assessment["reasons"][0])
    [found] = call(server, f"{SCORING}/GetAssessment", {"assessmentId": assessment["assessmentId"], "explain": True})
    assert found == answer


def test_a_wrong_field_is_named_with_its_details(server: RunningServer) -> None:
    error = fail(server, f"{SCORING}/ScoreAccount", signup(uuid4().hex, country="France"))

    assert error["code"] == "invalid_argument"
    assert "signup.country" in error["message"]
    assert {detail["type"] for detail in error["details"]} == {"google.rpc.ErrorInfo", "google.rpc.BadRequest"}


def test_an_unknown_account_is_not_found(server: RunningServer) -> None:
    request = {"requestId": uuid4().hex, "accountId": uuid4().hex, "purpose": "PURPOSE_MANUAL"}

    assert fail(server, f"{SCORING}/ScoreAccount", request)["code"] == "not_found"


def test_a_stream_of_accounts_answers_each_and_one_bad_one_fails_alone(server: RunningServer) -> None:
    good, bad, other = uuid4().hex, uuid4().hex, uuid4().hex

    answers = call(server, f"{SCORING}/ScoreAccounts", signup(good), signup(bad, ip="nonsense"), signup(other))

    by_request = {answer["requestId"]: answer for answer in answers}
    assert by_request[f"r-{good}"]["assessment"]["accountId"] == good
    assert by_request[f"r-{other}"]["assessment"]["accountId"] == other
    assert by_request[f"r-{bad}"]["error"]["code"] == 3
    assert by_request[f"r-{bad}"]["error"]["details"][1]["fieldViolations"][0]["field"] == "signup.ip"


def test_events_are_recorded_once(server: RunningServer) -> None:
    event = {
        "eventId": uuid4().hex,
        "accountId": uuid4().hex,
        "happenedAt": datetime.now(UTC).isoformat(),
        "usage": {"inputTokens": "12", "promptSimhash": "18446744073709551615"},
    }
    method = "gatehouse.risk.v1.SignalService/RecordSignals"

    assert call(server, method, event, event) == [{"recorded": "1", "duplicates": "1"}]


def test_models_are_listed_with_the_one_that_decides(server: RunningServer) -> None:
    [answer] = call(server, "gatehouse.risk.v1.ModelService/ListModels", {"states": ["MODEL_STATE_CHAMPION"]})

    [champion] = answer["models"]
    assert champion["modelVersion"]
    assert champion["featureFingerprint"]


def test_labels_are_recorded_listed_and_retracted(server: RunningServer) -> None:
    labels = "gatehouse.risk.v1.LabelService"
    account, decided_at = uuid4().hex, datetime.now(UTC).isoformat()
    call(server, f"{SCORING}/ScoreAccount", signup(account))
    label = {"accountId": account, "verdict": "VERDICT_FRAUD", "decidedAt": decided_at, "analyst": "ann"}

    [told] = call(server, f"{labels}/RecordLabels", {"labels": [label]})
    assert told == {"recorded": "1"}
    [listed] = call(server, f"{labels}/ListLabels", {"accountId": account})
    assert [found["verdict"] for found in listed["labels"]] == ["VERDICT_FRAUD"]

    key = {"accountId": account, "analyst": "ann", "decidedAt": listed["labels"][0]["decidedAt"]}
    [retracted] = call(server, f"{labels}/RetractLabel", {**key, "reason": "mistaken identity"})
    assert retracted["label"]["retractedAt"]


def test_campaigns_are_listed_and_an_unknown_one_is_named(server: RunningServer) -> None:
    campaigns = "gatehouse.risk.v1.CampaignService"
    account, decided_at = uuid4().hex, datetime.now(UTC).isoformat()
    name = f"ring-{uuid4().hex}"
    call(server, f"{SCORING}/ScoreAccount", signup(account))
    label = {"accountId": account, "verdict": "VERDICT_FRAUD", "decidedAt": decided_at, "analyst": "ann"}
    call(server, "gatehouse.risk.v1.LabelService/RecordLabels", {"labels": [{**label, "campaignId": name}]})

    [listed] = call(server, f"{campaigns}/ListCampaigns", {"states": ["CAMPAIGN_STATE_CONFIRMED"]})
    assert name in {found["campaignId"] for found in listed["campaigns"]}
    [members] = call(server, f"{campaigns}/ListCampaignMembers", {"campaignId": name})
    assert [member["accountId"] for member in members["members"]] == [account]

    error = fail(server, f"{campaigns}/GetCampaign", {"campaignId": "no-such-ring"})
    assert error["code"] == "not_found"
    assert "no-such-ring" in error["message"]
