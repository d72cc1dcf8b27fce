"""Exchanges that are held from look to look."""

from __future__ import annotations

from dataclasses import fields
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.time import DAY, HOUR
from service.linking.usage_log import NEVER, NOTHING_HELD, Held, UsageLog

Row: TypeAlias = tuple[int, int]  # slot, hour

SLOTS = 4
rows_of_looks = st.lists(
    st.lists(st.tuples(st.integers(0, SLOTS - 1), st.integers(-30, 200)), max_size=12), max_size=12
)


def held(rows: list[Row], first: int = 0) -> Held:
    slot, hour = np.array(rows, np.int64).reshape(-1, 2).T
    number = np.arange(first, first + len(rows))
    small = number.astype(np.int32)
    return Held(slot.astype(np.int32), hour * HOUR, number.astype(np.uint64), small, small, small, small)


def as_rows(some: Held) -> list[Row]:
    return sorted(zip(some.slot.tolist(), (some.happened // HOUR).tolist(), strict=True))


@settings(deadline=None)
@given(rows_of_looks, st.lists(st.integers(-40, 210), max_size=12))
def test_a_log_holds_what_was_added_and_is_not_too_old(looks: list[list[Row]], until: list[int]) -> None:
    log, left, oldest = UsageLog(), [], -(10**6)
    for number, come in enumerate(looks):
        for hour in until[number : number + 1]:
            oldest = max(oldest, hour)
            gone = log.drop(oldest * HOUR)
            assert as_rows(gone) == sorted(row for row in left if row[1] <= oldest)
            left = [row for row in left if row[1] > oldest]
        rows = [row for row in come if row[1] > oldest]
        taken = log.add(held(rows), SLOTS)
        assert sorted(row for part in taken for row in as_rows(part)) == sorted(rows)
        log.settle()
        left += rows
    log.add(NOTHING_HELD, SLOTS)
    assert log.count.tolist() == [sum(slot == each for slot, _ in left) for each in range(SLOTS)]
    assert log.days.tolist() == [
        len({hour * HOUR // DAY for slot, hour in left if slot == each}) for each in range(SLOTS)
    ]
    first = [min((hour * HOUR for slot, hour in left if slot == each), default=NEVER) for each in range(SLOTS)]
    assert log.first.tolist() == first
    assert as_rows(log.of(np.array([True, False, True, False]))) == sorted(row for row in left if row[0] in {0, 2})
    assert as_rows(log.happened(3 * HOUR, 50 * HOUR)) == sorted(row for row in left if 3 < row[1] <= 50)


def test_a_log_that_is_looked_at_once_gives_the_same_exchanges_without_their_words_and_names() -> None:
    log, once = UsageLog(), UsageLog(once=True)
    rows = [(i % SLOTS, i * 7 % 90) for i in range(60)]
    for first in range(0, 60, 5):
        some = held(rows[first : first + 5], first)
        for one, other in zip(log.add(some, SLOTS), once.add(some, SLOTS), strict=True):
            np.testing.assert_array_equal(other.word, one.word)  # of what has just come, all is given
        log.settle()
        once.settle()
    for name in ("count", "days", "first"):
        np.testing.assert_array_equal(getattr(once, name), getattr(log, name))
    wanted = np.array([True, False, True, False])
    whole, found = log.of(wanted), once.of(wanted)
    for name in ("slot", "happened", "tokens_in", "tokens_out"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert whole.word.any()
    assert not found.word.any()
    assert not found.client.any()


def test_a_log_that_only_counts_counts_the_same_gives_what_came_by_day_and_refuses_to_be_asked_for_more() -> None:
    log, counting = UsageLog(), UsageLog(counts_only=True)
    rows = [(i % SLOTS, i * 7 % 90) for i in range(60)]
    for first in range(0, 60, 5):
        some = held(rows[first : first + 5], first)
        for one, other in zip(log.add(some, SLOTS), counting.add(some, SLOTS), strict=True):
            for each in fields(one):
                np.testing.assert_array_equal(getattr(other, each.name), getattr(one, each.name))
    for name in ("count", "days", "first"):
        np.testing.assert_array_equal(getattr(counting, name), getattr(log, name))
    assert not counting._days
    with pytest.raises(RuntimeError, match="not held"):
        counting.of(np.ones(SLOTS, bool))


def test_what_is_held_of_each_exchange_takes_as_many_bytes_as_is_said() -> None:
    for once, expected in ((False, 36), (True, 20)):
        log = UsageLog(once=once)
        log.add(held([(i % SLOTS, i % 24) for i in range(1_000)]), SLOTS)  # of one day
        (part,) = (part for parts in log._days.values() for part in parts)
        columns = [getattr(part, each.name) for each in fields(part)]
        assert sum(column.nbytes for column in columns if column.strides != (0,)) == expected * 1_000


def test_columns_of_an_exchange_stay_together() -> None:
    log = UsageLog()
    rows = [(i % SLOTS, i * 7 % 90) for i in range(60)]
    for first in range(0, 60, 5):
        log.add(held(rows[first : first + 5], first), SLOTS)
        log.settle()
    found = log.of(np.ones(SLOTS, bool))
    for name in ("word", "tokens_in", "tokens_out", "client", "model"):
        at = getattr(found, name).astype(np.int64)
        assert [rows[i] for i in at.tolist()] == list(
            zip(found.slot.tolist(), (found.happened // HOUR).tolist(), strict=True)
        )
