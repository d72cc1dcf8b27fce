"""Training where the detection job has found a campaign that nobody has labelled yet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from service.domain.campaigns import CampaignEvidence, CampaignState
from service.domain.codes import hash64, hash64_many
from service.domain.detection import FoundCampaign
from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.time import DAY
from service.policy.policy import Policy
from service.policy.rules import CAMPAIGN_RULES
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from tests.factories import NOON, make_signups
from training.dataset import build
from training.pipeline import Trained, train

T = NOON + 60 * DAY
HONEST, LABELLED, FOUND = 900, 60, 120
BUDGET = 0.02


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """Honest accounts, labelled frauds in small groups on one device each, and accounts of a campaign to be found."""
    opened = open_store(sqlite_url, upgrading=True)
    rng = np.random.default_rng(5)
    names = [f"h{i}" for i in range(HONEST)] + [f"f{i}" for i in range(LABELLED)] + [f"c{i}" for i in range(FOUND)]
    signups, links = [], []
    for name in rng.permutation(names).tolist():
        at = NOON + int(rng.integers(0, 50 * DAY))
        signups.append((name, at))
        links.append((name, "device", int(name[1:]) // 6 + 10**6 if name[0] == "f" else hash64(name), at))
    opened.write([Arrival(None, signups=make_signups(signups, links))])
    when = dict(signups)
    opened.record_labels(
        [
            Label(f"f{i}", Verdict.FRAUD, when[f"f{i}"] + 5 * DAY, "ann", campaign_id=f"known-{i // 6}")
            for i in range(LABELLED)
        ]
    )
    yield opened
    opened.close()


def trained(store: Store) -> Trained:
    dataset = build(store, store.labels_at(T), as_of=T, seed=1)
    return train(dataset, seed=1, budget=BUDGET, origin="trained", created_at=T, code_version="0")


def detect(store: Store, members: list[str]) -> None:
    sure, at = np.ones(len(members), np.float32), NOON + 25 * DAY
    found = FoundCampaign(
        "c-new", hash64_many(members), sure, [""] * len(members), 0.999, CampaignState.DETECTED, CampaignEvidence()
    )
    store.record_detection([found], run=store.begin_detection(at, "host", at), as_of=at)


def challenge(made: Trained) -> float:
    return Policy.from_json(made.artefact.manifest.policy).thresholds[0]


def test_a_campaign_that_nobody_labelled_yet_does_not_use_up_the_friction_budget(store: Store) -> None:
    before = trained(store)
    detect(store, [f"c{i}" for i in range(FOUND)])
    after = trained(store)
    assert challenge(after) == pytest.approx(challenge(before), rel=0.01)  # infinite where its members count as honest
    cost = {rule["code"]: rule["legitimate_share"] for rule in after.report["rules"]}
    assert 0 < cost["campaign_member_beyond_doubt"] < 0.001


def test_an_honest_member_of_a_campaign_counts_in_full_against_the_friction_budget(store: Store) -> None:
    honest = [f"h{i}" for i in range(0, HONEST, 10)]
    store.record_labels([Label(name, Verdict.LEGITIMATE, T - DAY, "ann") for name in honest])
    detect(store, honest)
    cost = {rule["code"]: rule["legitimate_share"] for rule in trained(store).report["rules"]}
    assert cost["campaign_member_beyond_doubt"] > 0.05


def test_every_new_policy_has_the_rules_of_campaigns(store: Store) -> None:
    made = trained(store)
    policy = Policy.from_json(made.artefact.manifest.policy)
    assert policy.rules[-len(CAMPAIGN_RULES) :] == CAMPAIGN_RULES
    assert policy.with_rules(CAMPAIGN_RULES) == policy
