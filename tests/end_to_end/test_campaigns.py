"""Campaigns as analysts meet them: a real server process, the Python client, and the command line beside it."""

from __future__ import annotations

import json
import threading

import grpc
import pytest
from gatehouse.risk.v1 import campaigns_pb2, labels_pb2, scoring_pb2

from service.client import GatehouseClient, problem_of
from tests.end_to_end.conftest import RunningServer
from tests.end_to_end.test_main_street import now, score, signup

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TIMEOUT = 20.0
DIRECT = (("grpc.enable_http_proxy", 0),)


def make_ring(server: RunningServer, name: str, size: int, *, named: int = 1) -> list[str]:
    """Accounts that share one device, of which labels name the first few a campaign."""
    members = [f"{name}-{i}" for i in range(size)]
    for account in members:
        form = signup(device_id=f"device-{name}", email=f"{account}@example.org")
        score(server, account, f"{account}-r", signup=form)
    with client_of(server) as client:
        label = labels_pb2.VERDICT_LEGITIMATE  # the first look found nothing; the campaign is only suspected
        client.labels.RecordLabels(
            labels_pb2.RecordLabelsRequest(
                labels=[
                    labels_pb2.Label(
                        account_id=account, verdict=label, decided_at=now(), analyst="eve", campaign_id=name
                    )
                    for account in members[:named]
                ]
            ),
            timeout=TIMEOUT,
        )
    return members


def client_of(server: RunningServer) -> GatehouseClient:
    return GatehouseClient(server.grpc, timeout_s=TIMEOUT, options=DIRECT)


def review(campaign_id: str, action: campaigns_pb2.ReviewAction.ValueType, **more: object) -> object:
    said = {"analyst": "ann", "reason": "one device", **more}
    return campaigns_pb2.ReviewCampaignRequest(campaign_id=campaign_id, action=action, **said)


def newcomer(server: RunningServer, ring: str, account: str) -> tuple[int, float]:
    """Confirmed accounts on the ring's device as a new signup there sees them, and its score."""
    form = signup(device_id=f"device-{ring}", email=f"{account}@example.org")
    seen = score(server, account, f"{account}-r", signup=form)
    device = next(link for link in seen.links if link.key_type == "device")
    return device.confirmed_accounts, seen.score


def test_a_verdict_is_seen_by_the_next_signup_on_the_same_key_and_so_is_its_retraction(server: RunningServer) -> None:
    make_ring(server, "ring-a", 5, named=5)
    with client_of(server) as client:
        before, _ = newcomer(server, "ring-a", "late-1")
        done = client.review_campaign(review("ring-a", campaigns_pb2.REVIEW_ACTION_CONFIRM))
        confirmed, _ = newcomer(server, "ring-a", "late-2")
        undone = client.review_campaign(review("ring-a", campaigns_pb2.REVIEW_ACTION_REOPEN))
        again, _ = newcomer(server, "ring-a", "late-3")

    assert done.state == campaigns_pb2.REVIEW_STATE_APPLIED
    assert done.campaign.state == campaigns_pb2.CAMPAIGN_STATE_CONFIRMED
    assert done.labels_recorded == undone.labels_recorded == 5
    assert (before, confirmed, again) == (0, 5, 0)


def test_campaigns_are_listed_shown_and_exported_and_the_command_line_says_the_same(server: RunningServer) -> None:
    members = make_ring(server, "ring-b", 4, named=4)
    with client_of(server) as client:
        [listed] = [each for each in client.list_campaigns() if each.campaign_id == "ring-b"]
        shown = client.campaigns.GetCampaign(campaigns_pb2.GetCampaignRequest(campaign_id="ring-b"), timeout=TIMEOUT)
        accounts = [each.account_id for each in client.list_campaign_members("ring-b", page_size=3)]
        bundle = json.loads(client.export_indicators("ring-b"))

    assert listed == shown.campaign
    assert listed.members == 4
    assert not listed.HasField("score")
    assert sorted(accounts) == members
    assert bundle["type"] == "bundle"
    said = json.loads(server.gatehouse("campaigns", "show", "ring-b", "--json").stdout.splitlines()[-1])
    assert (said["members"], said["etag"]) == (4, listed.etag)


def test_of_analysts_who_review_at_the_same_moment_one_wins_and_the_others_are_told(server: RunningServer) -> None:
    make_ring(server, "ring-c", 3, named=3)
    with client_of(server) as client:
        request = campaigns_pb2.GetCampaignRequest(campaign_id="ring-c")
        etag = client.campaigns.GetCampaign(request, timeout=TIMEOUT).campaign.etag
        outcomes: list[str] = []
        start = threading.Barrier(6)

        def analyst(i: int) -> None:
            action = campaigns_pb2.REVIEW_ACTION_REFUTE if i % 2 else campaigns_pb2.REVIEW_ACTION_CONFIRM
            start.wait()
            try:
                client.review_campaign(review("ring-c", action, analyst=f"analyst-{i}", etag=etag))
                outcomes.append("won")
            except grpc.RpcError as error:
                outcomes.append(problem_of(error).reason)

        threads = [threading.Thread(target=analyst, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reviews = client.campaigns.GetCampaign(request, timeout=TIMEOUT).reviews

    assert sorted(outcomes) == ["CAMPAIGN_CHANGED"] * 5 + ["won"]
    assert len(reviews) == 1


def test_the_same_verdict_again_is_answered_the_same_and_another_one_under_its_id_is_refused(
    server: RunningServer,
) -> None:
    make_ring(server, "ring-d", 3, named=3)
    with client_of(server) as client:
        request = review("ring-d", campaigns_pb2.REVIEW_ACTION_CONFIRM, request_id="q-1")
        first = client.review_campaign(request)
        again = client.review_campaign(request)
        with pytest.raises(grpc.RpcError) as caught:
            client.review_campaign(review("ring-d", campaigns_pb2.REVIEW_ACTION_REFUTE, request_id="q-1"))

    assert first == again
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_an_assessment_of_a_member_is_given_while_it_is_reviewed(server: RunningServer) -> None:
    members = make_ring(server, "ring-e", 3, named=3)
    with client_of(server) as client:
        client.review_campaign(review("ring-e", campaigns_pb2.REVIEW_ACTION_CONFIRM))
        request = scoring_pb2.ScoreAccountRequest(
            request_id="ring-e-manual", account_id=members[0], purpose=scoring_pb2.PURPOSE_MANUAL
        )
        seen = client.score_account(request).assessment

    assert seen is not None
    assert next(link for link in seen.links if link.key_type == "device").confirmed_accounts == 2
