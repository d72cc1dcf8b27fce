"""Words that are put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.linking import together as room
from service.linking.together import Together
from service.linking.words import Words

Pairs = list[tuple[int, int]]

pairs = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40)
batches = st.lists(pairs, max_size=6)
at_once = pytest.mark.parametrize("at_once", [0, 10, room.AT_ONCE])
# As they are, so that most are alone at their places in the table, and all of them at one place.
spreads = pytest.mark.parametrize("spreads", [room._SPREADS, np.uint64(0)], ids=["spread", "all at one place"])


@spreads
@at_once
@settings(deadline=None)
@given(batches)
def test_groups_are_those_that_pairs_make_one_by_one(at_once: int, spreads: np.uint64, said: list[Pairs]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "AT_ONCE", at_once)
        patch.setattr(room, "_EIGHTH", 1_000)
        patch.setattr(room, "_SPREADS", spreads)
        patch.setattr(room, "_FEWEST_BITS", 1)  # so that the table grows
        together = Together()
        for batch in said:
            together.join(*columns(batch))
        word, least = together.groups()
    assert dict(zip(word.tolist(), least.tolist(), strict=True)) == one_by_one(said)
    assert (word[1:] > word[:-1]).all()


def test_pairs_that_are_together_already_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 0)
    monkeypatch.setattr(room, "_EIGHTH", 1_000_000)
    together = Together()
    left, right = columns([(number, number + 1) for number in range(1_000)])
    together.join(left, right)
    monkeypatch.setattr(room, "AT_ONCE", 10_000)
    together.join(right, left)
    together.join(left[:-1], right[1:])
    assert not sum(len(some) for some, _ in together._waiting)
    together.join(right[-1:], right[-1:] + np.uint64(1))
    assert sum(len(some) for some, _ in together._waiting) == 1


def test_a_hundred_thousand_words_each_beside_the_next_are_one_and_any_others_are_not() -> None:
    rng = np.random.default_rng(3)
    words = np.unique(rng.integers(0, 2**64, 200_000, dtype=np.uint64))
    chain, others = words[::2], words[1::2][: len(words[::2]) // 2 * 2]
    order = rng.permutation(len(chain) - 1)
    together = Together()
    for part in np.array_split(order, 7):
        together.join(chain[part], chain[part + 1])
    together.join(others[::2], others[1::2])
    word, least = together.groups()
    np.testing.assert_array_equal(word, np.sort(np.concatenate([chain, others])))
    assert set(least[np.isin(word, chain)].tolist()) == {int(chain[0])}
    np.testing.assert_array_equal(least[np.isin(word, others)], np.repeat(others[::2], 2))


def test_nothing_put_together_makes_no_groups() -> None:
    together = Together()
    together.join(*columns([]))
    assert [len(each) for each in together.groups()] == [0, 0]


def columns(said: Pairs) -> tuple[Words, Words]:
    """The words left and right; words of full width."""
    table = np.array(said, np.uint64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def one_by_one(said: list[Pairs]) -> dict[int, int]:
    """Each word and the least one of its group, by relabelling the whole world for each pair."""
    of: dict[int, int] = {}
    for left, right in (pair for batch in said for pair in batch):
        one, other = of.setdefault(left, left), of.setdefault(right, right)
        of = {word: min(one, other) if least in (one, other) else least for word, least in of.items()}
    return of
