"""Organised and honest: none of the groups that share everything is taken for a campaign, while campaigns are found.

One world, imported and looked at as time passes by the job and with the thresholds that ship. Campaigns beside the
groups borrow honest people's home addresses, prompts and card issuers, and use tactics that nobody tuned on.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.honest_groups import Looked, look, named_world
from benchmarks.worlds.groups import NAMED_SIZES
from service.app import App
from service.linking.judge import DETECTED
from service.settings import Settings
from tests.end_to_end.conftest import environment, gatehouse

pytestmark = pytest.mark.timeout(900)  # the first test waits for the world, over a minute on two quiet cores

SEED = 1
LOOKS = (10, 20, 30, 45)  # days from the period's beginning
MOST_TOUCHED = 0.02  # of a group's members
FEWEST_CAUGHT = 0.85  # of a campaign's members

GROUPS = {
    "university-named": "a university of 800 behind two addresses on one mail domain",
    "agency-named": "an agency whose 100 accounts share one card and one device",
    "hackathon-named": "600 hackathon signups in 36 hours from one hall with a promo code",
    "rollout-named": "a company's roll-out of 700 through single sign-on",
    "carrier_nat-named": "2,000 people behind a carrier's gateways",
    "remote_company-named": "a remote-only company of 260 in nine countries",
    "course-named": "a worldwide course of 700 with the same exercises",
    "agent_users-named": "5,000 users of one open-source agent with the same system prompt",
    "reseller-named": "a reseller's 240 client accounts on one card in the same template",
    "university-heavy": "the university, using as much as a campaign",
    "agency-heavy": "the agency, using as much as a campaign",
    "hackathon-heavy": "the hackathon, using as much as a campaign",
    "rollout-heavy": "the roll-out, using as much as a campaign",
    "carrier_nat-heavy": "people behind a carrier's gateways, using as much as a campaign",
    "remote_company-heavy": "the remote-only company, using as much as a campaign",
    "course-heavy": "the course, using as much as a campaign",
}
each_group = pytest.mark.parametrize("group", GROUPS, ids=GROUPS.values())


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """22,000 accounts, of which 15,560 in the groups, over 45 days."""
    home: Path = tmp_path_factory.mktemp("honest")
    named_world(home / "world", seed=SEED, accounts=22_000, exchanges=3_200_000, campaigns=2)
    gatehouse("import", str(home / "world"), home=home)
    settings = Settings(database_url=environment(home)["GATEHOUSE_DATABASE_URL"])
    with App.open(settings, upgrade=True) as app:
        return look(app, home / "world", seed=SEED, days=LOOKS)


def test_every_group_is_there_at_its_size(looked: Looked) -> None:
    sizes = {name: each.size for name, each in looked.groups.items() if name in GROUPS}
    assert sizes == {name: NAMED_SIZES[name.split("-")[0]] for name in GROUPS}


@each_group
def test_no_part_of_an_honest_group_is_scored_as_a_campaign_at_any_look(looked: Looked, group: str) -> None:
    each = looked.groups[group]
    assert each.highest < DETECTED, f"{each.highest_size} accounts on day {each.highest_day}: {each.drove}"


@each_group
def test_hardly_any_member_of_an_honest_group_is_ever_in_a_campaign_or_tied_to_one(looked: Looked, group: str) -> None:
    assert looked.groups[group].touched <= MOST_TOUCHED


def test_the_campaigns_beside_them_are_detected(looked: Looked) -> None:
    assert len(looked.caught) == 2
    assert min(looked.caught.values()) >= FEWEST_CAUGHT, looked.caught
