from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from service.domain.facts import Int64s
from service.linking.communities import LARGE, communities, compact

N = 40
tie_sets = st.sets(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)).filter(lambda pair: pair[0] < pair[1]))
groups = st.lists(st.integers(-1, 5), max_size=40)


def grouped(ties: list[tuple[int, int]], weight: float | list[float] = 1.0, *, n: int = N, seed: int = 1) -> Int64s:
    left, right = np.array(ties, np.int64).reshape(-1, 2).T
    return communities(n, left, right, np.broadcast_to(np.array(weight, np.float64), len(left)).copy(), seed)


def clique(first: int, size: int) -> list[tuple[int, int]]:
    return list(combinations(range(first, first + size), 2))


def parts(group: Int64s) -> set[frozenset[int]]:
    """The groups without their numbers."""
    return {frozenset(np.flatnonzero(group == number).tolist()) for number in np.unique(group[group >= 0]).tolist()}


def test_without_ties_nobody_is_in_a_group() -> None:
    assert grouped([]).tolist() == [-1] * N


def test_few_who_are_tied_are_one_group_however_thinly() -> None:
    assert parts(grouped([(i, i + 1) for i in range(LARGE - 2)])) == {frozenset(range(LARGE - 1))}


def test_large_components_are_cut_where_ties_are_thin() -> None:
    ring, company, another = clique(0, 10), clique(10, 12), clique(22, 11)
    found = parts(grouped([*ring, *company, *another, (9, 10), (21, 22)]))
    assert found == {frozenset(range(10)), frozenset(range(10, 22)), frozenset(range(22, 33))}


def test_weak_ties_by_one_key_to_many_do_not_join_two_that_are_strong_within() -> None:
    rings = [clique(first, 10) for first in (0, 10, 20)]
    between = [(i, j) for i, j in combinations(range(30), 2) if i // 10 != j // 10]
    weight = [20.0] * 3 * len(rings[0]) + [0.5] * len(between)
    assert parts(grouped([*(pair for ring in rings for pair in ring), *between], weight)) == {
        frozenset(range(i, i + 10)) for i in (0, 10, 20)
    }


@pytest.mark.parametrize("others", [0, 1])
def test_a_campaign_that_is_most_of_what_is_tied_stays_whole(others: int) -> None:
    ties = [*clique(0, 30), *(clique(30, 10) if others else [])]
    assert frozenset(range(30)) in parts(grouped(ties))


@given(tie_sets, st.integers(0, 100))
def test_groups_lie_within_components_have_numbers_from_0_and_come_out_the_same_again(
    ties: set[tuple[int, int]], seed: int
) -> None:
    rows = sorted(ties)
    group = grouped(rows, seed=seed)
    tied = {account for pair in rows for account in pair}
    assert set(np.flatnonzero(group >= 0).tolist()) == tied
    assert sorted(set(group[group >= 0].tolist())) == list(range(group.max() + 1))
    left, right = np.array(rows, np.int64).reshape(-1, 2).T
    _, component = connected_components(coo_array((np.ones(len(rows)), (left, right)), shape=(N, N)), directed=False)
    assert all(len({int(component[account]) for account in part}) == 1 for part in parts(group))
    np.testing.assert_array_equal(grouped(rows, seed=seed), group)


@given(groups, st.integers(1, 5))
def test_small_groups_dissolve_and_the_others_stay_as_they_are(numbers: list[int], smallest: int) -> None:
    group = np.array(numbers, np.int64)
    left = compact(group, smallest)
    assert parts(left) == {part for part in parts(group) if len(part) >= smallest}
    assert sorted(set(left[left >= 0].tolist())) == list(range(left.max(initial=-1) + 1))
