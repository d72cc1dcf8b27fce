from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from service.domain.campaigns import CampaignEvidence, CampaignState, ReviewAction, ReviewAsked
from service.domain.codes import hash64, hash64_many
from service.domain.detection import FoundCampaign
from service.domain.raw import Signup
from service.domain.time import DAY, MINUTE
from service.linking.judge import Judge, shipped
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import Store
from service.usecases.judged import FEWEST, judge_now, when_judged
from tests.factories import NOON

NOW = NOON + DAY


def found(name: str, score: float) -> FoundCampaign:
    accounts = np.sort(hash64_many([f"{name}-{i}" for i in range(3)]))
    return FoundCampaign(
        campaign_id=name,
        accounts=accounts,
        membership=np.full(3, 0.9, np.float32),
        key_types=["card"] * 3,
        score=score,
        state=CampaignState.DETECTED,
        evidence=CampaignEvidence(),
    )


def detect(store: Store, names: Sequence[str], score: float, at: int) -> None:
    run = store.begin_detection(at, "test", at)
    store.record_detection([found(name, score) for name in names], run=run, as_of=at)
    store.finish_detection(run, at, "{}")


def review(store: Store, name: str, action: ReviewAction, at: int) -> None:
    store.review(ReviewAsked(name, action, "ann", "one card"), at=at, two_above=100)


@pytest.fixture
def names(store: Store) -> list[str]:
    """As many campaigns as it takes, found with a score of 0.95."""
    names = [f"c-{i}" for i in range(FEWEST)]
    door = Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables())
    signups, _ = door.signups([Signup(f"{name}-{i}", NOON) for name in names for i in range(3)], NOON)
    with store.bulk() as bulk:
        bulk.signups(signups)
    detect(store, names, 0.95, NOON + 1)
    return names


def now_judged(store: Store, as_of: int = NOW + DAY) -> Judge:
    return judge_now(store, shipped(), store.standing(as_of))


def test_verdicts_of_analysts_calibrate_the_judge_once_there_are_enough_of_them(store: Store, names: list[str]) -> None:
    for i, name in enumerate(names[1:]):
        review(store, name, ReviewAction.REFUTE, NOW + i * MINUTE)
    assert now_judged(store) == shipped()

    review(store, names[0], ReviewAction.REFUTE, NOW + 30 * MINUTE)

    judge = now_judged(store)
    slope = judge.weights[0] / shipped().weights[0]
    before = np.log(0.95 / 0.05)
    assert slope * (before - shipped().bias) + judge.bias < before  # the same group would be judged less likely now


def test_taking_a_verdict_back_takes_the_calibration_back(store: Store, names: list[str]) -> None:
    for i, name in enumerate(names):
        review(store, name, ReviewAction.REFUTE, NOW + i * MINUTE)
    review(store, names[3], ReviewAction.REOPEN, NOW + 40 * MINUTE)
    assert now_judged(store) == shipped()


def test_verdicts_count_from_when_they_were_given(store: Store, names: list[str]) -> None:
    for i, name in enumerate(names):
        review(store, name, ReviewAction.REFUTE, NOW + i * MINUTE)
    assert now_judged(store, NOW + 3 * MINUTE) == shipped()


def test_what_runs_make_of_a_confirmed_campaign_later_says_nothing(store: Store, names: list[str]) -> None:
    for i, name in enumerate(names):
        review(store, name, ReviewAction.CONFIRM if i < 4 else ReviewAction.REFUTE, NOW + i * MINUTE)
    before = now_judged(store)

    detect(store, names[:4], 0.2, NOW + DAY // 2)

    assert store.campaign(names[0]).score == 0.2
    assert now_judged(store) == before
    rows = store.campaign_rows(keys=np.empty(0, np.int64))
    log_odds, confirmed = when_judged(rows, hash64_many(names), NOW + DAY)
    assert log_odds.tolist() == pytest.approx([np.log(0.95 / 0.05)] * FEWEST)
    assert confirmed.sum() == 4


def test_a_campaign_that_stands_by_a_label_alone_has_no_score_to_calibrate_by(store: Store, names: list[str]) -> None:
    rows = store.campaign_rows(keys=np.empty(0, np.int64))
    log_odds, _ = when_judged(rows, np.array([hash64("no-such")]), NOW)
    assert len(log_odds) == 0
    assert len(when_judged(rows, hash64_many(names), NOW)[0]) == 0  # nobody has judged any
