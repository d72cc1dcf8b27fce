from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.time import DAY
from training.splits import CALIBRATION, DROPPED, TEST, TRAIN, split

worlds = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12) | st.none()),  # day of signup, campaign
    min_size=1,
    max_size=150,
)


def arrays(world: list[tuple[int, int | None]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    created = np.array([day * DAY + i for i, (day, _) in enumerate(world)], np.int64)
    group = np.array([1_000 + i if campaign is None else campaign for i, (_, campaign) in enumerate(world)], np.int64)
    return created, group, (group < 1_000).astype(np.float64)


@given(worlds)
@settings(max_examples=300, deadline=None)
def test_no_campaign_stands_on_two_sides(world: list[tuple[int, int | None]]) -> None:
    created, group, weight = arrays(world)
    made = split(created, group, weight)
    for campaign in np.unique(group):
        assert len(set(made.side[group == campaign]) - {DROPPED}) <= 1


@given(worlds)
@settings(max_examples=300, deadline=None)
def test_sides_follow_each_other_in_time(world: list[tuple[int, int | None]]) -> None:
    created, group, weight = arrays(world)
    made = split(created, group, weight)
    if made.by == "time":
        latest = [created[made.on(side)].max(initial=-1) for side in (TRAIN, CALIBRATION)]
        for side, before in ((CALIBRATION, latest[0]), (TEST, max(latest))):
            assert created[made.on(side)].min(initial=2**62) > before


@given(worlds)
@settings(max_examples=200, deadline=None)
def test_only_members_that_came_after_their_campaigns_side_are_dropped(world: list[tuple[int, int | None]]) -> None:
    created, group, weight = arrays(world)
    made = split(created, group, weight)
    assert made.dropped == int(made.on(DROPPED).sum())
    for i in np.flatnonzero(made.on(DROPPED)):
        start = created[group == group[i]].min()
        assert any(start < cut <= created[i] for cut in made.cuts)


def test_a_campaign_is_on_the_side_of_its_earliest_member() -> None:
    created = np.arange(100, dtype=np.int64) * DAY
    group = np.arange(100, dtype=np.int64) + 1_000
    group[[10, 20, 95]] = 1  # one campaign that begins early and ends late
    weight = np.ones(100)
    made = split(created, group, weight)
    assert made.side[10] == made.side[20] == TRAIN
    assert made.side[95] == DROPPED
    assert made.dropped == 1


def test_every_side_gets_its_share_of_the_fraud() -> None:
    rng = np.random.default_rng(3)
    created = np.sort(rng.integers(0, 60 * DAY, 5_000))
    group = np.arange(5_000, dtype=np.int64)
    fraud = rng.random(5_000) < 0.1
    made = split(created, group, fraud.astype(float), shares=(0.6, 0.2, 0.2))
    shares = [fraud[made.on(side)].sum() / fraud.sum() for side in (TRAIN, CALIBRATION, TEST)]
    np.testing.assert_allclose(shares, (0.6, 0.2, 0.2), atol=0.01)


def test_a_snapshot_without_dates_is_split_by_hash_and_says_so() -> None:
    created = np.zeros(4_000, np.int64)
    group = np.arange(4_000, dtype=np.int64) // 2
    made = split(created, group, np.ones(4_000), seed=7)
    assert made.by == "hash"
    assert made.dropped == 0
    assert (made.side[0::2] == made.side[1::2]).all()
    assert 0.6 < made.on(TRAIN).mean() < 0.7
    assert (split(created, group, np.ones(4_000), seed=7).side == made.side).all()


def test_campaigns_that_run_side_by_side_are_dealt_out_whole_and_every_side_has_some() -> None:
    days = np.arange(40)
    created = np.concatenate([days * DAY + campaign for campaign in range(5)] + [np.sort(days * DAY + 7)])
    group = np.concatenate([np.repeat(np.arange(5), 40), np.arange(1_000, 1_040)])
    weight = (group < 1_000).astype(np.float64)
    made = split(created, group, weight, seed=1)
    assert made.by == "campaign"
    assert made.dropped == 0
    sides = [np.unique(made.side[group == campaign]).tolist() for campaign in range(5)]
    assert all(len(side) == 1 for side in sides)
    assert sorted(side[0] for side in sides) == [TRAIN, TRAIN, TRAIN, CALIBRATION, TEST]
    assert (split(created, group, weight, seed=1).side == made.side).all()


def test_campaigns_that_follow_one_another_are_split_by_time() -> None:
    created = np.concatenate([(np.arange(20) / 4 + 6 * campaign) * DAY for campaign in range(6)]).astype(np.int64)
    group = np.repeat(np.arange(6), 20)
    made = split(created, group, np.ones(120), seed=1)
    assert made.by == "time"
