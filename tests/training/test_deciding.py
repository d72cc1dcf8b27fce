"""The policy of a model where the store is at hand: whole lives, groups and segments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from service.domain.codes import hash64
from service.domain.enums import Decision, Verdict
from service.domain.facts import Float32s, Float64s
from service.domain.raw import Label
from service.domain.time import DAY, HOUR
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from tests.factories import NOON, make_signups
from training.dataset import Dataset, build
from training.deciding import Decided, decide_on, membership, segment_threshold
from training.silence import Silence, campaign_share, weigh_silence
from training.splits import split
from training.thresholds import Counted, Lived

T = NOON + 30 * DAY
ALONE, OFFICES, DESKS, FRAUDS = 900, 10, 30, 30
BUDGET = 0.02


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """People on their own, offices with one card each, and labelled frauds; one office's device wakes up on day 2."""
    opened = open_store(sqlite_url, upgrading=True)
    rng = np.random.default_rng(7)
    names = (
        [f"h{i}" for i in range(ALONE)] + [f"o{i}" for i in range(OFFICES * DESKS)] + [f"f{i}" for i in range(FRAUDS)]
    )
    signups, links = [], []
    for name in names:
        at, number = NOON + int(rng.integers(0, 20 * DAY)), int(name[1:])
        signups.append((name, at))
        if name[0] == "o":
            links.append((name, "card", 10**6 + number // DESKS, at))
        links.append((name, "device", 5 if name[0] == "o" and number < DESKS else hash64(name), at))
    opened.write([Arrival(None, signups=make_signups(signups, links))])
    when = dict(signups)
    opened.record_labels([Label(f"f{i}", Verdict.FRAUD, when[f"f{i}"] + DAY, "ann") for i in range(FRAUDS)])
    yield opened
    opened.close()


def decided(store: Store, feature: str, *, source: bool, segment_times: float | None = None) -> tuple[Decided, Dataset]:
    """With a model that is one feature, scaled into 0 to 1 with a little of the account's number to break ties."""
    dataset = build(store, store.labels_at(T), as_of=T, seed=1)
    place = [one.name for one in dataset.features].index(feature)
    share = campaign_share(dataset.accounts.group)
    sides = split(dataset.accounts.created_at, dataset.accounts.group, np.zeros(len(share)), seed=1)
    silence: Silence = weigh_silence(dataset, sides, share, 1)

    def score(rows: Float32s) -> Float64s:
        out: Float64s = np.tanh(np.nan_to_num(rows[:, place].astype(np.float64)) / 50)
        return out

    made = decide_on(
        dataset,
        np.ones(len(dataset.accounts), bool),
        silence,
        membership(dataset),
        score,
        score(dataset.matrix),
        budget=BUDGET,
        source=store if source else None,
        segment_times=segment_times,
    )
    return made, dataset


def test_without_the_store_probes_stand_for_lives_and_there_are_no_segments(store: Store) -> None:
    made, dataset = decided(store, "device_others_life", source=False)
    assert made.segments == ()
    assert made.about["accounts"] == int((dataset.accounts.verdict != 1).sum())


def test_with_the_store_lives_are_looked_at_every_six_hours_and_offices_are_groups(store: Store) -> None:
    made, _ = decided(store, "device_others_life", source=True)
    account, created_at = store.signups_between(0, T)
    frauds = [hash64(f"f{i}") for i in range(FRAUDS)]
    honest = ~np.isin(account, frauds)
    assert made.about["looks"] == int(((T - created_at[honest]) // (6 * HOUR) + 1).sum())
    assert (made.about["groups"], made.about["in_groups"]) == (OFFICES, OFFICES * DESKS)
    assert 5 < float(str(made.about["life_days"])) < 30


def test_an_office_that_scores_as_one_is_counted_as_one_and_raises_the_threshold(store: Store) -> None:
    """One office is 2.5 % of the accounts: with a budget of 2 % its scores cannot lie above."""
    made, _ = decided(store, "device_others_life", source=True)
    challenge = made.thresholds[0]
    assert challenge.by_account.value > np.tanh((DESKS - 2) / 50)
    assert challenge.by_group.value < challenge.by_account.value or np.isinf(challenge.by_account.value)


def test_every_segment_of_honest_accounts_is_reported(store: Store) -> None:
    made, _ = decided(store, "device_others_life", source=True)
    by_name = {(one.segment, one.value): one for one in made.segments}
    assert {one.segment for one in made.segments} == {"country", "plan", "mail", "group"}
    offices = by_name["group", "card, 20 or more accounts"]
    assert offices.accounts == pytest.approx(OFFICES * DESKS, rel=0.2)  # some may be fraud that nobody found
    assert offices.low <= offices.share <= offices.high
    for name in ("country", "plan", "mail", "group"):
        total = sum(one.accounts for one in made.segments if one.segment == name)
        assert total == pytest.approx(sum(one.accounts for one in made.segments if one.segment == "group"))


def test_a_segment_that_is_clearly_touched_too_often_raises_the_threshold_and_one_that_may_be_chance_does_not() -> None:
    n = 2_000
    none, ones = np.zeros(n, np.int64), np.ones(n)
    country = ("AA",) * 200 + ("BB",) * 20 + ("CC",) * (n - 220)
    score = np.linspace(0.5, 0.1, n)
    score[:20] = 0.9  # a tenth of AA
    score[200] = 0.95  # one of the few of BB
    lived = Lived.of(np.arange(n), none, score, none, length=none + DAY, drawn=ones)
    counted = Counted(ones, ones, np.arange(n), np.ones(n, bool))
    firsts = lived.at_level(Decision.CHALLENGE)
    assert segment_threshold(firsts, lived, counted, {"country": country}, 0.02) == (0.9, "country AA")
    assert segment_threshold(firsts, lived, counted, {"country": country}, 0.2)[0] < 0.5


def test_bounding_segments_never_lowers_a_threshold(store: Store) -> None:
    free, _ = decided(store, "device_others_life", source=True)
    bound, _ = decided(store, "device_others_life", source=True, segment_times=0.5)
    assert all(after >= before for before, after in zip(free.policy.thresholds, bound.policy.thresholds, strict=True))
