"""From an analyst's verdict to a model that learned from it, on a running server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gatehouse.risk.v1 import campaigns_pb2, scoring_pb2

from tests.end_to_end.conftest import RunningServer, gatehouse, start_server, stop_server
from tests.end_to_end.test_campaigns import client_of
from tests.end_to_end.test_main_street import score, signup

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

AS_OF = "2026-06-01T00:00:00Z"
SWITCHED_WITHIN_S = 15


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Path:
    """A home whose database knows a month of accounts, what labels there were, and the campaigns found by its end."""
    home = tmp_path_factory.mktemp("verdict")
    (home / "models").mkdir()
    shutil.copytree(starter_model, home / "models" / "starter")
    options = ("--accounts", "4000", "--days", "40", "--campaigns", "12", "--seed", "7")
    gatehouse("simulate", str(home / "world"), *options, home=home)
    gatehouse("import", str(home / "world"), home=home)
    gatehouse("detect", "--as-of", AS_OF, home=home)
    return home


@pytest.fixture
def server(world: Path) -> Iterator[RunningServer]:
    running = start_server(world)
    yield running
    assert stop_server(running) == 0


def test_a_confirmed_campaign_counts_at_once_and_the_next_model_has_learned_it_while_the_server_runs(
    server: RunningServer,
) -> None:
    with client_of(server) as client:
        found = [each for each in client.list_campaigns() if each.state == campaigns_pb2.CAMPAIGN_STATE_DETECTED]
        campaign = max(found, key=lambda each: each.members)
        members = [each.account_id for each in client.list_campaign_members(campaign.campaign_id)]
        member = members[-1]
        before = score(server, member, "member-1")
        stranger = signup(email="somebody.else@example.org", device_id="a-device-of-its-own")
        aside = score(server, "stranger", "stranger-1", signup=stranger)

        done = client.review_campaign(
            campaigns_pb2.ReviewCampaignRequest(
                campaign_id=campaign.campaign_id,
                action=campaigns_pb2.REVIEW_ACTION_CONFIRM,
                analyst="ann",
                reason="one list of prompts, dealt out",
                account_ids=members[:-1],
            )
        )
        after = score(server, member, "member-2")

    assert before.decision in (scoring_pb2.DECISION_CHALLENGE, scoring_pb2.DECISION_THROTTLE)
    assert done.labels_recorded == len(members) - 1 > 5
    assert after.decision == scoring_pb2.DECISION_REVIEW  # nobody has judged this one, and its campaign is one
    assert after.model_version == before.model_version  # nothing was trained in between
    assert aside.decision == scoring_pb2.DECISION_ALLOW

    said = json.loads(server.gatehouse("train", "--promote", "auto", "--json").stdout.splitlines()[-1])
    assert said["promoted"], said["why"]
    deadline, tries = time.monotonic() + SWITCHED_WITHIN_S, 0
    while True:
        tries += 1
        seen = score(server, member, f"member-3-{tries}")
        if seen.model_version == said["model_version"]:
            break
        assert time.monotonic() < deadline, "the server goes on with the model before"
        time.sleep(0.2)
    assert seen.decision == scoring_pb2.DECISION_REVIEW
    again = score(server, "stranger", "stranger-2")
    assert (again.model_version, again.decision) == (said["model_version"], scoring_pb2.DECISION_ALLOW)
