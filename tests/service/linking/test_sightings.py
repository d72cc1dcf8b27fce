from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.linking.sightings import Rows, counted, runs, sightings, summed

ACCOUNTS = 6
KINDS = ("device", "prompt")
# (account, key); the key's kind is its last digit but one, so that keys of two kinds differ
shown_sets = st.sets(st.tuples(st.integers(0, ACCOUNTS - 1), st.sampled_from([-7, 3, 5, 11, 12, 2**62])), max_size=30)
exchanges = st.lists(st.tuples(st.integers(0, ACCOUNTS - 1), st.integers(-3, 3)), max_size=40)


def rows_of(shown: list[tuple[int, int]]) -> Rows:
    account, key = np.array(shown, np.int64).reshape(-1, 2).T
    return Rows(account, key, np.where(key > 10, 1, 0))


@given(shown_sets)
def test_keys_that_two_accounts_showed_are_kept_and_others_only_counted(shown: set[tuple[int, int]]) -> None:
    seen = sightings(ACCOUNTS, KINDS, rows_of(sorted(shown)))
    having = defaultdict(set)
    for account, key in shown:
        having[key].add(account)
    shared = {key: who for key, who in having.items() if len(who) > 1}
    assert seen.hashes.tolist() == sorted(shared)
    assert {
        key: set(seen.account[seen.key == place].tolist()) for place, key in enumerate(seen.hashes.tolist())
    } == shared
    assert seen.degree.tolist() == [len(shared[key]) for key in seen.hashes.tolist()]
    assert seen.kind.tolist() == [int(key > 10) for key in seen.hashes.tolist()]
    for account in range(ACCOUNTS):
        mine = [key for who, key in shown if who == account]
        assert seen.shown[:, account].tolist() == [sum(key <= 10 for key in mine), sum(key > 10 for key in mine)]


@given(shown_sets, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(shown: set[tuple[int, int]], order: object) -> None:
    mixed = sorted(shown)
    order.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = (sightings(ACCOUNTS, KINDS, rows_of(rows)) for rows in (sorted(shown), mixed))
    for name in ("hashes", "kind", "degree", "shown", "key", "first"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    pairs = [sorted(zip(each.key.tolist(), each.account.tolist(), strict=True)) for each in (one, other)]
    assert pairs[0] == pairs[1]


@given(shown_sets)
def test_rows_of_a_key_lie_together_and_first_says_where(shown: set[tuple[int, int]]) -> None:
    seen = sightings(ACCOUNTS, KINDS, rows_of(sorted(shown)))
    for place in range(len(seen.degree)):
        assert (seen.key[seen.first[place] : seen.first[place + 1]] == place).all()
    assert seen.first[-1] == len(seen.key)


@given(shown_sets)
def test_keys_left_out_because_one_account_showed_them_are_counted_when_told(shown: set[tuple[int, int]]) -> None:
    whole = sightings(ACCOUNTS, KINDS, rows_of(sorted(shown)))
    times = Counter(key for _, key in shown)
    alone = np.zeros((len(KINDS), ACCOUNTS), np.int32)
    for account, key in shown:
        alone[int(key > 10), account] += times[key] == 1
    told = sightings(ACCOUNTS, KINDS, rows_of(sorted(each for each in shown if times[each[1]] > 1)), alone)
    for name in ("account", "key", "hashes", "shown"):
        np.testing.assert_array_equal(getattr(told, name), getattr(whole, name))


@given(st.lists(st.integers(-2, 2)))
def test_values_are_counted_where_they_stand(values: list[int]) -> None:
    times = Counter(values)
    assert counted(np.array(values, np.int64)).tolist() == [times[value] for value in values]


@given(st.lists(st.integers(-2, 2)))
def test_runs_put_together_again_are_the_values(values: list[int]) -> None:
    ordered = np.sort(np.array(values, np.int64))
    start, length = runs(ordered)
    np.testing.assert_array_equal(np.repeat(ordered[start], length), ordered)
    assert len(np.unique(ordered[start])) == len(start)


def test_sums_have_a_place_for_what_nobody_showed() -> None:
    assert summed(np.array([2, 0, 2]), np.array([1.0, 2.0, 4.0]), 4).tolist() == [2.0, 0.0, 5.0, 0.0]
