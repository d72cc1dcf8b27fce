"""gRPC's own client for Node, which knows the service from its .proto files alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import RunningServer

HERE = Path(__file__).parent / "node"
PROTO = Path(__file__).parents[3] / "proto"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene beside its installed packages."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed, so Node's client cannot be tried")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "scene.js"):
        shutil.copy(HERE / name, folder / name)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"npm could not install Node's client: {done.stderr[-500:]}")
    return folder


@pytest.fixture(scope="module")
def scene(node_client: Path, server: RunningServer) -> dict[str, Any]:
    """What Node's client got."""
    done = subprocess.run(
        ["node", "scene.js", server.grpc, str(PROTO)],
        cwd=node_client,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_node_scores_a_signup_and_reads_the_recorded_assessment(scene: dict[str, Any]) -> None:
    assessment = scene["scored"]["assessment"]

    assert assessment["account_id"] == f"{scene['run']}-ada"
    assert 0 <= assessment["score"] <= 1
    assert assessment["decision"].startswith("DECISION_")
    assert assessment["reasons"]
    assert scene["found"]["assessment"]["assessment_id"] == assessment["assessment_id"]
    assert [item["assessment_id"] for item in scene["listed"]["assessments"]] == [assessment["assessment_id"]]


def test_node_asking_again_under_the_same_id_gets_the_same_answer(scene: dict[str, Any]) -> None:
    assert scene["again"] == scene["scored"]


def test_node_is_told_which_field_is_wrong(scene: dict[str, Any]) -> None:
    assert scene["invalid"]["code"] == "INVALID_ARGUMENT"
    assert scene["invalid"]["fields"] == ["signup.ip"]


def test_node_is_told_that_an_account_is_not_known(scene: dict[str, Any]) -> None:
    assert scene["unknown"]["code"] == "NOT_FOUND"


def test_node_streams_accounts_and_one_bad_one_fails_alone(scene: dict[str, Any]) -> None:
    assert scene["stream"] == {"bob": "assessment", "cyd": "error", "dan": "assessment"}


def test_node_records_exchanges_with_hashes_of_64_bits_once(scene: dict[str, Any]) -> None:
    recorded = scene["recorded"]

    assert (recorded["recorded"], recorded["duplicates"], recorded["rejected"]) == ("1", "1", "1")
    assert recorded["rejections"][0]["field"] == "usage.input_tokens"


def test_node_is_told_which_campaign_is_not_there(scene: dict[str, Any]) -> None:
    assert scene["missing"]["code"] == "NOT_FOUND"
    assert "no-such-ring" in scene["missing"]["message"]
