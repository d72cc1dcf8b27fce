"""Who sent which prompts, look by look."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.time import HOUR
from service.linking import spoken as room
from service.linking.prompts import NO_PROMPTS, PromptIds, extend
from service.linking.spoken import Said, Spoken
from service.linking.words import distinct

Row: TypeAlias = tuple[int, int, int]  # slot, word, hour

SLOTS = 5
# Few bits that vary, far apart: so words are full of pairs that are near, and of pairs that nearly are.
near_words = st.lists(st.sampled_from(range(0, 64, 5)), max_size=8).map(lambda bits: sum(1 << bit for bit in set(bits)))
far_words = st.integers(0, 9).map(lambda number: number and int(np.random.default_rng(number).integers(1, 2**63)))


def rows_of(words: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[Row]]]:
    row = st.tuples(st.integers(0, SLOTS - 1), words, st.integers(0, 20))
    return st.lists(st.lists(row, max_size=15), max_size=6)


def said(rows: list[Row]) -> Said:
    slot, word, hour = ([row[i] for row in rows] for i in range(3))
    return Said(np.array(slot, np.int32), np.array(word, np.uint64), np.array(hour, np.int64) * HOUR)


def by_hand(rows: list[Row], ids: PromptIds, place: list[int]) -> tuple[set[tuple[int, int]], list[int]]:
    """(account, prompt) of prompts that two accounts sent, and how many others each sent."""
    senders: dict[int, set[int]] = defaultdict(set)
    for slot, word, _ in rows:
        if word and place[slot] >= 0:
            senders[int(ids.of(np.array([word], np.uint64))[0])].add(place[slot])
    shared = {(who, prompt) for prompt, people in senders.items() if len(people) > 1 for who in people}
    alone = [sum(people == {who} for people in senders.values()) for who in range(SLOTS)]
    return shared, alone


def check(spoken: Spoken, rows: list[Row], ids: PromptIds, place: list[int]) -> None:
    account, prompt, alone = spoken.rows(np.array(place, np.int64), SLOTS)
    shared, others = by_hand(rows, ids, place)
    found = list(zip(account.tolist(), prompt.tolist(), strict=True))
    assert set(found) == shared
    assert len(found) == len(shared)
    assert account.tolist() == sorted(account.tolist())
    assert alone.tolist() == others


@settings(max_examples=50, deadline=None)
@given(rows_of(near_words))
def test_words_that_come_look_by_look_are_the_prompts_of_all_at_once(looks: list[list[Row]]) -> None:
    spoken, rows = Spoken(), []
    for each in looks:
        spoken.add([said(each)], SLOTS)
        rows += each
        words = distinct(np.array([word for _, word, _ in rows if word], np.uint64))
        ids = extend(NO_PROMPTS, words[:0], words)
        check(spoken, rows, ids, [3, 1, 0, 4, 2])
        check(spoken, rows, ids, [1, -1, 0, -1, 2])  # two of them have not signed up, or were erased
        assert spoken.word.tolist() == words.tolist()


@settings(max_examples=50, deadline=None)
@given(rows_of(far_words), st.lists(st.integers(0, 20), min_size=6, max_size=6))
def test_what_is_taken_out_again_was_never_said(looks: list[list[Row]], until: list[int]) -> None:
    spoken, rows, oldest = Spoken(), [], -1
    for each, hour in zip(looks, until, strict=False):
        oldest = max(oldest, hour)
        spoken.remove(said([row for row in rows if row[2] < oldest]), oldest * HOUR)
        rows = [row for row in rows if row[2] >= oldest]
        fresh = [row for row in each if row[2] >= oldest]
        spoken.add([said(fresh)], SLOTS)
        rows += fresh
        check(spoken, rows, NO_PROMPTS, list(range(SLOTS)))
    assert set(spoken.word.tolist()) == {word for _, word, _ in rows if word}


@settings(max_examples=50, deadline=None)
@given(rows_of(near_words), st.integers(0, 6))
def test_one_that_was_left_for_others_and_told_everything_says_the_same(looks: list[list[Row]], split: int) -> None:
    spoken, rows = Spoken(), []
    for each in looks[:split]:
        spoken.add([said(each)], SLOTS)
        rows += each
    taken = Spoken.unpacked(spoken.packed())
    assert taken.compared == len(spoken.word)
    later = [row for each in looks[split:] for row in each]
    taken.add([said(rows + later)], SLOTS)
    spoken.add([said(later)], SLOTS)
    for one, other in zip(taken.rows(np.arange(SLOTS), SLOTS), spoken.rows(np.arange(SLOTS), SLOTS), strict=True):
        np.testing.assert_array_equal(one, other)
    assert taken.word.tolist() == spoken.word.tolist()


@settings(max_examples=50, deadline=None)
@given(rows_of(near_words), rows_of(near_words), st.integers(1, 6))
def test_exchanges_taken_in_part_by_part_are_those_taken_in_together(
    before: list[list[Row]], looks: list[list[Row]], at_once: int
) -> None:
    one, other = Spoken(), Spoken()
    with pytest.MonkeyPatch.context() as patch:
        for each in (before, looks):
            one.add([said([row for rows in each for row in rows])], SLOTS)
        patch.setattr(room, "AT_ONCE", at_once)
        for each in (before, looks):
            other.add([said(rows) for rows in each], SLOTS)
    for left, right in zip(one.rows(np.arange(SLOTS), SLOTS), other.rows(np.arange(SLOTS), SLOTS), strict=True):
        np.testing.assert_array_equal(left, right)
    assert other.packed() == one.packed()
    gone = [row for rows in (*before, *looks) for row in rows if row[2] < 9]
    for each in (one, other):
        each.remove(said(gone), 9 * HOUR)
    for left, right in zip(one.rows(np.arange(SLOTS), SLOTS), other.rows(np.arange(SLOTS), SLOTS), strict=True):
        np.testing.assert_array_equal(left, right)


@settings(max_examples=50, deadline=None)
@given(rows_of(near_words))
def test_one_that_forgot_who_said_what_gives_the_same_rows_and_leaves_the_same_prompts(looks: list[list[Row]]) -> None:
    spoken, forgetful = Spoken(), Spoken()
    for each in (spoken, forgetful):
        each.add([said(rows) for rows in looks], SLOTS)
    forgetful.forget_who()
    for one, other in zip(forgetful.rows(np.arange(SLOTS), SLOTS), spoken.rows(np.arange(SLOTS), SLOTS), strict=True):
        np.testing.assert_array_equal(one, other)
    assert forgetful.packed() == spoken.packed()


def test_a_prompt_whose_least_word_is_forgotten_keeps_its_name_and_takes_in_more() -> None:
    spoken = Spoken()
    spoken.add([said([(0, 0b001, 1), (1, 0b011, 5), (2, 0b011, 5)])], SLOTS)
    spoken.remove(said([(0, 0b001, 1)]), 2 * HOUR)
    assert spoken.word.tolist() == [0b011]
    spoken.add([said([(3, 0b111, 6)])], SLOTS)
    account, prompt, _ = spoken.rows(np.arange(SLOTS), SLOTS)
    assert account.tolist() == [1, 2, 3]
    assert prompt.tolist() == [0b001] * 3
