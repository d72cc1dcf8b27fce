"""A challenger beside the champion of a real server: what callers are told is what they are told without it."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from tests.end_to_end.conftest import RunningServer, gatehouse, start_server, stop_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TIMEOUT = 20.0
AS_OF = "2026-05-22"
KNOWN, NEW = 30, 30


def answer(*words: str, home: Path) -> Any:
    return json.loads(gatehouse(*words, "--json", home=home).stdout.splitlines()[-1])


@pytest.fixture
def homes(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Two installations with the same past and the same challenger, which shadows in the second one."""
    world = home / "world"
    gatehouse(
        *("simulate", str(world), "--accounts", "1500", "--days", "30", "--campaigns", "6", "--seed", "5"), home=home
    )
    gatehouse("import", str(world), home=home)
    challenger = answer("train", "--promote", "never", "--as-of", AS_OF, home=home)["model_version"]
    beside = tmp_path_factory.mktemp("beside") / "home"
    shutil.copytree(home, beside)
    assert answer("models", "shadow", challenger, "--reason", "a try", home=beside)["state"] == "shadow"
    return home, beside, challenger


def requests(names: list[str]) -> Iterator[scoring_pb2.ScoreAccountRequest]:
    """Accounts of the world once more, and new ones, some on one device, that signed up two hours ago."""
    created = Timestamp(seconds=int(time.time()) - 7_200)
    for i, name in enumerate(names):
        yield scoring_pb2.ScoreAccountRequest(
            request_id=f"known-{i}", account_id=name, purpose=scoring_pb2.PURPOSE_MANUAL, explain=True
        )
    for i in range(NEW):
        form = facts_pb2.Signup(
            created_at=created, email=f"lane{i}@example.org", country="DE", ip="84.56.12.9", device_id=f"d-{i % 5}"
        )
        yield scoring_pb2.ScoreAccountRequest(
            request_id=f"new-{i}", account_id=f"new-{i}", purpose=scoring_pb2.PURPOSE_SIGNUP, signup=form, explain=True
        )


def told(server: RunningServer, asked: list[scoring_pb2.ScoreAccountRequest]) -> list[bytes]:
    """Everything that was answered but for the assessment's id and its moment."""
    out = []
    with server.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        for request in asked:
            given = stub.ScoreAccount(request, timeout=TIMEOUT).assessment
            assert given.decision != scoring_pb2.DECISION_UNSPECIFIED
            given.ClearField("assessment_id")
            given.ClearField("assessed_at")
            out.append(given.SerializeToString(deterministic=True))
    return out


def compared(home: Path, scored: int) -> Any:
    """The comparison, once so many are scored; after 20 s as it is."""
    began = time.monotonic()
    while (found := answer("models", "shadow", home=home))["scored"] < scored and time.monotonic() - began < 20:
        time.sleep(0.2)
    return found


def test_with_a_challenger_beside_it_a_server_answers_byte_for_byte_what_it_answers_alone(
    homes: tuple[Path, Path, str], tmp_path: Path
) -> None:
    alone, beside, challenger = homes
    gatehouse("rescore", "--as-of", AS_OF, "--all", "--out", str(tmp_path / "names.jsonl"), home=alone)
    lines = (tmp_path / "names.jsonl").read_text().splitlines()
    names = [json.loads(line)["account_id"] for line in lines][:: len(lines) // KNOWN][:KNOWN]
    asked = list(requests(names))
    gatehouse("rescore", "--as-of", AS_OF, "--all", home=beside)
    by_job = compared(beside, len(lines))
    assert (by_job["version"], by_job["running"], by_job["scored"], by_job["missed"]) == (
        challenger,
        True,
        len(lines),
        0,
    )
    servers = [start_server(folder) for folder in (alone, beside)]
    try:
        first, second = (told(server, asked) for server in servers)
        assert first == second
        found = compared(beside, len(lines) + len(asked))
        with urllib.request.urlopen(f"http://{servers[1].metrics}/metrics", timeout=10) as page:
            text = page.read().decode()
    finally:
        codes = [stop_server(server) for server in servers]
    assert codes == [0, 0]
    assert f'gatehouse_shadow_accounts_total{{outcome="scored"}} {float(len(asked))}' in text
    assert (found["scored"], found["missed"]) == (len(lines) + len(asked), 0)
    assert found["champion"] != challenger
    assert sum(sum(row.values()) for row in found["agreement"].values()) == found["scored"]
    assert found["why"]
    # the job, at a moment that both have in common: the same file, byte for byte
    for folder in (alone, beside):
        gatehouse("rescore", "--as-of", "2026-05-20", "--all", "--out", str(folder / "scores.csv"), home=folder)
    assert (alone / "scores.csv").read_bytes() == (beside / "scores.csv").read_bytes()
    stopped = answer("models", "shadow", "--stop", home=beside)
    assert (stopped["version"], stopped["state"]) == (challenger, "challenger")
    after = answer("models", "shadow", home=beside)
    assert (after["running"], after["scored"] > found["scored"]) == (False, True)
    assert gatehouse("models", "shadow", "--stop", home=beside, check=False).returncode == 2
    assert gatehouse("models", "shadow", home=alone, check=False).returncode == 2
    assert "beside" in gatehouse("models", "shadow", home=beside).stdout
