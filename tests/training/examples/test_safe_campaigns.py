"""The largest real campaign through a running server and the command line: what is answered, not how fast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from gatehouse.risk.v1 import campaigns_pb2 as pb
from gatehouse.risk.v1 import labels_pb2

from benchmarks.campaign_size import WALLETS, Installation, Steps, by_command, by_rpc, install, serving
from tests.training.examples.conftest import shared

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

MEMBERS = 5_511


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(shared("safe_airdrop"), tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="module")
def taken(installation: Installation) -> Iterator[tuple[Steps, Steps]]:
    """All steps, through the server first."""
    with serving(installation) as client:
        yield by_rpc(installation, client, repeats=1), by_command(installation, repeats=1)


@pytest.fixture(scope="module")
def asked(taken: tuple[Steps, Steps]) -> dict[str, object]:
    return taken[0].answers


@pytest.fixture(scope="module")
def typed(taken: tuple[Steps, Steps]) -> dict[str, str]:
    return taken[1].answers


def test_all_68_campaigns_are_listed_and_the_largest_is_one_of_them(
    asked: dict[str, list[pb.Campaign]], typed: dict[str, str], installation: Installation
) -> None:
    sizes = {each.campaign_id: each.members for each in asked["list"]}
    assert len(asked["list"]) == len(sizes) == 68
    assert sizes[installation.campaign_id] == max(sizes.values()) == len(installation.members) == MEMBERS
    listed = json.loads(typed["list"])
    assert {each["id"]: each["members"] for each in listed["campaigns"]} == sizes


def test_pages_hold_every_member_once(
    asked: dict[str, list[pb.CampaignMember]], typed: dict[str, str], installation: Installation
) -> None:
    members = [each.account_id for each in asked["all pages of members"]]
    assert len(members) == MEMBERS
    assert set(members) == installation.members
    accounts = [each["account_id"] for each in json.loads(typed["members"])["accounts"]]
    assert sorted(accounts) == sorted(members)


def test_one_page_is_of_the_size_asked_for_and_names_the_next(asked: dict[str, pb.ListCampaignMembersResponse]) -> None:
    page = asked["one page of members"]
    assert len(page.members) == 1000
    assert page.next_page_token


def test_it_is_shown_with_its_size_and_its_wallets(
    asked: dict[str, pb.GetCampaignResponse], typed: dict[str, str], installation: Installation
) -> None:
    assert asked["show"].campaign.members == MEMBERS
    shown = json.loads(typed["show, json"])
    wallets = [key for key in shown["evidence"]["keys"] if key["key_type"] == "custom.wallet"]
    assert len(wallets) == WALLETS
    assert (sum(key["members"] for key in wallets), sum(key["others"] for key in wallets)) == (MEMBERS, 0)
    assert f"{MEMBERS:,} members" in typed["show, text"]
    assert installation.campaign_id in typed["show, text"]


class Page(HTMLParser):
    """The words of a page, and whether it asks for anything outside itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.outside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" or any(name == "src" and not (value or "").startswith("data:") for name, value in attrs):
            self.outside.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_its_page_says_how_large_it_is_and_needs_nothing_from_outside(
    typed: dict[str, str], installation: Installation
) -> None:
    page = Page(typed["show, html"])
    assert installation.campaign_id in " ".join(page.words)
    assert f"{MEMBERS:,}" in " ".join(page.words)
    assert page.outside == []


def test_the_first_analyst_changes_nothing_and_the_second_one_labels_every_member(
    asked: dict[str, pb.ReviewCampaignResponse],
) -> None:
    first, second = asked["confirm, first analyst"], asked["confirm, second analyst"]
    assert first.state == pb.REVIEW_STATE_PENDING_SECOND_ANALYST
    assert first.labels_recorded == 0
    assert second.state == pb.REVIEW_STATE_APPLIED
    assert second.labels_recorded == second.campaign.members == MEMBERS
    assert second.campaign.state == pb.CAMPAIGN_STATE_CONFIRMED


def test_once_confirmed_it_shows_who_confirmed_it_and_once_reopened_it_is_what_it_was(
    asked: dict[str, pb.GetCampaignResponse],
) -> None:
    confirmed = asked["show, confirmed"]
    assert {confirmed.reviews[0].analyst, confirmed.reviews[0].second_analyst} == {"ann", "bob"}
    reopened: object = asked["reopen"]
    assert isinstance(reopened, pb.ReviewCampaignResponse)
    assert reopened.labels_recorded == MEMBERS
    assert reopened.campaign.state == asked["show"].campaign.state


def test_confirming_at_the_terminal_asks_for_two_analysts_too(
    typed: dict[str, str], installation: Installation
) -> None:
    first, second = json.loads(typed["confirm, ann"]), json.loads(typed["confirm, bob"])
    assert (first["state"], first["labels_recorded"]) == ("pending_second_analyst", 0)
    assert (second["state"], second["labels_recorded"]) == ("applied", MEMBERS)
    words = " ".join(Page(typed["show, html, confirmed"]).words)
    assert "ann" in words
    assert "bob" in words
    listed = json.loads(installation.gatehouse("campaigns", "list", "--state", "confirmed", "--json"))
    assert installation.campaign_id in [each["id"] for each in listed["campaigns"]]


def test_its_export_has_each_wallet_as_an_indicator_and_none_in_clear(
    asked: dict[str, bytes], typed: dict[str, str], installation: Installation
) -> None:
    bundle = json.loads(asked["export"])
    indicators = [each for each in bundle["objects"] if each["type"] == "indicator"]
    assert bundle["type"] == "bundle"
    wallets = [each for each in indicators if "custom.wallet" in json.dumps(each)]
    assert len(wallets) == WALLETS
    assert b"wallet-1" not in asked["export"]
    written = json.loads((installation.home / "campaign.stix.json").read_text())
    again = [each for each in written["objects"] if each["type"] == "indicator"]
    assert json.loads(typed["export"])["indicators"] == len(again) == len(indicators)


def test_every_label_of_the_verdict_is_there_and_taken_back_again(
    asked: dict[str, object], installation: Installation
) -> None:
    assert asked  # the verdicts were given
    with serving(installation) as client:
        account = min(installation.members)
        answer = client.labels.ListLabels(labels_pb2.ListLabelsRequest(account_id=account), timeout=20)
    by = [(label.analyst, label.HasField("retracted_at")) for label in answer.labels]
    assert sorted(by).count(("reviewers", False)) == 1  # those of the data stay
    assert len([each for each in by if each[0] != "reviewers"]) == 2  # by RPC, taken back; by command
    assert [taken_back for analyst, taken_back in by if analyst != "reviewers"].count(True) == 1
