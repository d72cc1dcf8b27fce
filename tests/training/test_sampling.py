from __future__ import annotations

import numpy as np
import pytest

from training.sampling import sampled, sampled_campaigns

RNG = np.random.default_rng(1)


def numbers(n: int) -> np.ndarray:
    return RNG.integers(-(2**60), 2**60, n)


def test_a_sample_stands_for_all_and_is_the_same_for_the_same_seed() -> None:
    account = numbers(1_000)
    drawn, stands_for = sampled(account, 300, 1)
    assert drawn.sum() == 300
    assert stands_for[drawn].sum() == pytest.approx(1_000)
    assert (sampled(account, 300, 1)[0] == drawn).all()
    assert (sampled(account, 300, 2)[0] != drawn).any()


def test_nothing_is_left_out_where_there_is_room() -> None:
    account = numbers(300)
    for drawn, stands_for in (sampled(account, 300, 1), sampled_campaigns(account, account, 300, 1)):
        assert drawn.all()
        assert (stands_for == 1).all()


def test_a_large_campaign_is_cut_before_a_small_one_loses_a_member() -> None:
    group = np.repeat([1, 2, 3, 4], [5_000, 40, 30, 20])
    drawn, stands_for = sampled_campaigns(numbers(len(group)), group, 200, 1)
    kept = np.bincount(group[drawn])
    assert kept[2:].tolist() == [40, 30, 20]
    assert kept[1] == 110
    assert stands_for[drawn & (group == 1)].sum() == pytest.approx(5_000)
    assert (stands_for[group > 1] == 1).all()


def test_of_more_campaigns_than_there_is_room_some_are_drawn_and_stand_for_the_others() -> None:
    group = np.repeat(np.arange(500), 3)
    drawn, stands_for = sampled_campaigns(numbers(len(group)), group, 100, 1)
    assert drawn.sum() == 100
    assert stands_for[drawn].sum() == pytest.approx(1_500)
