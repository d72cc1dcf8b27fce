"""Accounts that one program drives have habits in common."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.codes import hash64
from service.domain.time import DAY, HOUR, MINUTE
from service.linking.habits import (
    KEYS,
    WINDOW,
    WINDOWS,
    Exchanges,
    HabitCounts,
    Keys,
    active_hours,
    co_activity,
    token_profile,
)

Row: TypeAlias = tuple[int, int, int, int, int, int]  # account, happened, input tokens, output tokens, client, model

AS_OF = 20_000 * DAY + 7 * HOUR
# Names as detection holds them: the lower half of their hash, with its sign. Leading bits of those say the sign alone,
# and once two clients and two models were all that profiles told apart.
SDK, OTHER_SDK, MODEL, *MORE = (int(np.int64(hash64(f"client {i}")).astype(np.int32)) for i in range(8))

clients = st.sampled_from([0, SDK, OTHER_SDK, MODEL, *MORE])
exchanges = st.tuples(
    st.integers(0, 3),
    st.integers(AS_OF - 9 * DAY, AS_OF),
    st.integers(-1, 5) | st.sampled_from([2**20, 2**62]),
    st.integers(-1, 3),
    clients,
    clients,
)
worlds = st.lists(st.tuples(exchanges, st.integers(1, 25)), max_size=12).map(
    lambda runs: [row for row, times in runs for _ in range(times)]
)


@given(worlds)
def test_two_accounts_have_one_token_profile_exactly_when_lengths_client_and_model_agree(rows: list[Row]) -> None:
    assert_same_partition(token_profile(columns(rows), AS_OF), by_hand(rows, profile_by_hand))


@given(worlds)
def test_two_accounts_have_the_same_active_hours_exactly_when_their_busiest_slots_agree(rows: list[Row]) -> None:
    assert_same_partition(active_hours(columns(rows), AS_OF), by_hand(rows, slots_by_hand))


@given(worlds, st.randoms())
def test_the_order_of_exchanges_does_not_matter(rows: list[Row], random: Random) -> None:
    mixed = rows.copy()
    random.shuffle(mixed)
    one, other = found_in(rows), found_in(mixed)
    for kind in one:
        np.testing.assert_array_equal(one[kind], other[kind])


@given(worlds, st.integers(0, 3))
def test_an_account_has_the_habits_that_it_has_alone(rows: list[Row], account: int) -> None:
    alone = found_in([(0, *row[1:]) for row in rows if row[0] == account])
    for kind, (accounts, keys) in found_in(rows).items():
        np.testing.assert_array_equal(keys[accounts == account], alone[kind][1])


@pytest.mark.parametrize("key", [token_profile, active_hours], ids=lambda key: key.__name__)
def test_nineteen_exchanges_are_no_habit(key: Callable[[HabitCounts, int], Keys]) -> None:
    row = (0, AS_OF, 100, 100, SDK, MODEL)
    assert not len(key(columns([row] * 19), AS_OF)[0])
    assert len(key(columns([row] * 20), AS_OF)[0]) == 1


def test_exchanges_that_do_not_say_their_tokens_make_no_token_profile() -> None:
    rows: list[Row] = [(0, AS_OF, 100, 100, SDK, MODEL)] * 19 + [(0, AS_OF, -1, 100, SDK, MODEL)] * 50
    assert not len(token_profile(columns(rows), AS_OF)[0])


def test_a_longer_answer_now_and_then_does_not_change_a_token_profile() -> None:
    steady = [(0, AS_OF, 100, 100, SDK, MODEL)] * 30
    varied = [(1, AS_OF, 100, 100, SDK, MODEL)] * 30 + [(1, AS_OF, 9_000, 9_000, OTHER_SDK, MODEL)] * 10
    longer = [(2, AS_OF, 200, 100, SDK, MODEL)] * 30
    other = [(3, AS_OF, 100, 100, OTHER_SDK, MODEL)] * 30
    _, keys = token_profile(columns([*steady, *varied, *longer, *other]), AS_OF)
    assert keys[0] == keys[1]
    assert len(set(keys.tolist())) == 3


def test_accounts_active_in_the_same_quarter_hours_share_both_keys_whatever_else_they_do() -> None:
    rows = at_windows(0, range(0, 60, 7)) + at_windows(1, range(0, 60, 7), shift=3 * MINUTE) + at_windows(2, range(9))
    accounts, keys = co_activity(columns(rows), AS_OF)
    assert accounts.tolist() == [0, 0, 1, 1, 2, 2]
    assert keys[:2].tolist() == keys[2:4].tolist()
    assert not set(keys[:2].tolist()) & set(keys[4:].tolist())


@pytest.mark.parametrize(
    "windows", [range(5), [*range(5), WINDOWS], [-1, *range(5)]], ids=["five", "one too old", "one to come"]
)
def test_five_quarter_hours_of_the_last_week_are_too_few(windows: range | list[int]) -> None:
    assert not len(co_activity(columns(at_windows(0, windows) * 3), AS_OF)[0])


def test_the_first_and_the_last_quarter_hour_of_the_week_count() -> None:
    assert len(co_activity(columns(at_windows(0, [*range(5), WINDOWS - 1])), AS_OF)[0]) == 2


def test_the_same_quarter_hours_give_the_same_keys_in_the_next_run() -> None:
    rows = columns(at_windows(0, range(0, 80, 9)))
    np.testing.assert_array_equal(co_activity(rows, AS_OF)[1], co_activity(rows, AS_OF + 6 * HOUR)[1])


@pytest.mark.parametrize("alike", [0.1, 0.5, 0.8])
def test_sets_of_quarter_hours_meet_as_often_as_min_hash_promises(alike: float) -> None:
    rng = np.random.default_rng(3)
    pairs, union = 2_000, 40
    both = round(alike * union)
    rows = []
    for pair in range(pairs):
        windows = rng.permutation(WINDOWS)[:union]
        half = (union - both) // 2
        sides = (windows[: both + half], np.concatenate([windows[:both], windows[both + half :]]))
        for side, some in enumerate(sides):
            rows.append(np.stack([np.full(len(some), 2 * pair + side), AS_OF - some * WINDOW]))
    account, happened = np.concatenate(rows, axis=1)
    same = np.zeros(len(account), np.int64)
    _, keys = co_activity(HabitCounts.of(Exchanges(account, happened, same, same, same, same), AS_OF), AS_OF)
    meet = (keys.reshape(pairs, 2, 2)[:, 0] == keys.reshape(pairs, 2, 2)[:, 1]).any(axis=1).mean()
    assert meet == pytest.approx(1 - (1 - alike**2) ** 2, abs=0.04)


@given(worlds, worlds, st.integers(0, 12))
def test_counts_that_are_kept_up_are_those_of_what_is_left(gone: list[Row], left: list[Row], first: int) -> None:
    """Looks at growing times: what comes, then what goes for its age, which is more than a week."""
    old = [(account, happened - 30 * DAY, *rest) for account, happened, *rest in gone]
    counts = HabitCounts.of(exchanges_of([*old, *left[:first]]), AS_OF - HOUR)
    counts.remove(exchanges_of(old))
    counts.add(exchanges_of(left[first:]), AS_OF)
    for kind, (accounts, keys) in found_in(left).items():
        held, made = counts.rows(AS_OF)[kind]
        np.testing.assert_array_equal(held, accounts)
        np.testing.assert_array_equal(made, keys)


def test_no_exchanges_are_no_habits() -> None:
    found = found_in([])
    assert list(found) == [key.__name__ for key in KEYS]
    assert not any(len(keys) or len(accounts) for accounts, keys in found.values())


def exchanges_of(rows: list[Row]) -> Exchanges:
    return Exchanges(*np.array(rows, np.int64).reshape(-1, 6).T.copy())


def columns(rows: list[Row]) -> HabitCounts:
    return HabitCounts.of(exchanges_of(rows), AS_OF)


def found_in(rows: list[Row]) -> dict[str, Keys]:
    return columns(rows).rows(AS_OF)


def at_windows(account: int, windows: range | list[int], shift: int = 0) -> list[Row]:
    """One exchange in each quarter hour, counted back from the one that AS_OF is in."""
    return [(account, AS_OF - window * WINDOW + shift, 1, 1, SDK, MODEL) for window in windows]


def by_hand(rows: list[Row], what: Callable[[list[Row]], object]) -> dict[int, object]:
    """What each account has, where it has anything."""
    of = {account: what([row for row in rows if row[0] == account]) for account in {row[0] for row in rows}}
    return {account: value for account, value in of.items() if value is not None}


def profile_by_hand(rows: list[Row]) -> object:
    said = [row for row in rows if row[2] >= 0 and row[3] >= 0]
    if len(said) < 20:
        return None
    names = [Counter(row[column] for row in said) for column in (4, 5)]
    main = [min(name.items(), key=lambda item: (-item[1], item[0] % 2**20))[0] for name in names]
    return (*(half_octave(sorted(row[column] for row in said)[(len(said) - 1) // 2]) for column in (2, 3)), *main)


def half_octave(tokens: int) -> int:
    exponent = math.floor(math.log2(tokens + 1))
    return min(2 * exponent + int(tokens + 1 >= 1.5 * 2.0**exponent), 63)


def slots_by_hand(rows: list[Row]) -> object:
    if len(rows) < 20:
        return None
    chosen: set[int] = set()
    count = Counter(row[1] % DAY // (3 * HOUR) for row in rows)
    for slot in sorted(count, key=lambda slot: (-count[slot], slot)):
        if sum(count[each] for each in chosen) < 0.8 * len(rows):
            chosen.add(slot)
    return frozenset(chosen)


def assert_same_partition(found: Keys, expected: dict[int, object]) -> None:
    """The accounts are those expected, and two have one key exactly when one thing is expected of them."""
    accounts, keys = (column.tolist() for column in found)
    assert accounts == sorted(expected)
    values = [expected[account] for account in accounts]
    assert len(set(keys)) == len(set(values)) == len(set(zip(keys, values, strict=True)))
