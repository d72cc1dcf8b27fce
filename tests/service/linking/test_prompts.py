"""Which prompts are one prompt."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from service.linking import prompts, together
from service.linking.prompts import NEAR_BITS, NO_PROMPTS, PromptIds, extend, near_pairs
from service.linking.words import Words, distinct

NONE = np.empty(0, np.uint64)
layouts = pytest.mark.parametrize("few", [prompts.FEW, 0], ids=["two of six blocks", "three of seven blocks"])
# Few bits that vary, far apart: so sets of words are full of pairs that are near, and of pairs that nearly are.
near_words = st.lists(st.lists(st.sampled_from(range(0, 64, 5)), max_size=8), max_size=40).map(
    lambda sets: distinct(np.array([sum({1 << bit for bit in bits}) for bits in sets], np.uint64))
)


@layouts
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_of_planted_pairs_every_single_one_is_found(bits: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "FEW", few)
    rng = np.random.default_rng(bits)
    one = drawn(rng, 20_000)
    other = flipped(rng, one, np.full(len(one), bits))
    ids = full(distinct(np.concatenate([one, other, drawn(rng, 20_000)])))
    np.testing.assert_array_equal(ids.of(one), ids.of(other))


@layouts
def test_prompts_one_bit_too_far_apart_are_not_joined(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "FEW", few)
    rng = np.random.default_rng(7)
    one = drawn(rng, 20_000)
    other = flipped(rng, one, np.full(len(one), NEAR_BITS + 1))
    ids = full(distinct(np.concatenate([one, other])))
    assert (ids.of(one) != ids.of(other)).all()
    assert not len(ids.word)


@pytest.mark.parametrize(
    ("shape", "size", "allowed"),
    [
        ("rewordings of one", 5, 0.001),
        ("rewordings of one", 20, 0.001),
        ("rewordings of one", 100, 0.01),
        ("rewordings of one", 400, 0.001),
        ("each a rewording of the last", 5, 0.01),
        ("each a rewording of the last", 20, 0.03),
    ],
)
def test_of_planted_clusters_hardly_a_word_is_lost(shape: str, size: int, allowed: float) -> None:
    rng = np.random.default_rng(size)
    clusters = 8_000 // size
    words = [drawn(rng, clusters)]
    for _ in range(size - 1):
        of = words[0] if shape == "rewordings of one" else words[-1]
        words.append(flipped(rng, of, rng.integers(1, NEAR_BITS + 1, clusters)))
    ids = full(distinct(np.concatenate([*words, drawn(rng, 20_000)])))
    found = np.stack([ids.of(each) for each in words])
    lost = [1 - np.unique(cluster, return_counts=True)[1].max() / size for cluster in found.T]
    assert np.mean(lost) <= allowed


@settings(deadline=None)  # which waits for threads
@given(near_words, st.data())
def test_only_words_within_four_bits_are_joined_directly(words: Words, data: st.DataObject) -> None:
    new = data.draw(subsets(words))
    old = data.draw(subsets(words))
    for left, right in near_pairs(new, old):
        assert (np.bitwise_count(left ^ right) <= NEAR_BITS).all()
        assert (left != right).all()
        assert (np.isin(left, new) | np.isin(left, old)).all()


@settings(deadline=None)  # which waits for threads
@given(near_words)
def test_prompts_that_are_joined_are_joined_by_a_chain_of_near_ones(words: Words) -> None:
    ids = full(words)
    by_force = components(words)
    for prompt in np.unique(ids.of(words)):
        assert len(np.unique(by_force[ids.of(words) == prompt])) == 1


@settings(deadline=None)  # which waits for threads
@given(near_words)
def test_the_id_of_a_prompt_is_the_least_of_its_words(words: Words) -> None:
    ids = full(words)
    found = ids.of(words).view(np.uint64)
    for prompt in np.unique(found):
        assert words[found == prompt].min() == prompt
    assert np.all(ids.word[1:] > ids.word[:-1])


@settings(deadline=None)  # which waits for threads
@given(near_words, st.data())
def test_whatever_was_joined_stays_joined_when_words_are_added(words: Words, data: st.DataObject) -> None:
    old = data.draw(subsets(words))
    known = full(old)
    grown = extend(known, old, np.setdiff1d(words, old))
    for prompt in np.unique(known.of(old)):
        assert len(np.unique(grown.of(old[known.of(old) == prompt]))) == 1


@settings(deadline=None)  # which waits for threads
@given(near_words, st.data())
def test_joining_after_every_choice_of_blocks_gives_what_joining_at_the_end_gives(
    words: Words, data: st.DataObject
) -> None:
    old = data.draw(subsets(words))
    known, new = full(old), np.setdiff1d(words, old)
    at_the_end = extend(known, old, new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "AT_ONCE", 0)
        after_each = extend(known, old, new)
    np.testing.assert_array_equal(after_each.word, at_the_end.word)
    np.testing.assert_array_equal(after_each.prompt, at_the_end.prompt)


@settings(deadline=None)  # which waits for threads
@given(near_words, st.data())
def test_new_words_that_are_all_known_change_nothing(words: Words, data: st.DataObject) -> None:
    known = full(words)
    again = extend(known, words, data.draw(subsets(words)))
    np.testing.assert_array_equal(again.of(words), known.of(words))


@layouts
@pytest.mark.parametrize("share", [0.01, 0.5])
def test_adding_words_later_gives_the_prompts_of_all_at_once(
    share: float, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "FEW", few)
    rng = np.random.default_rng(11)
    one = drawn(rng, 10_000)
    other = flipped(rng, one, rng.integers(1, NEAR_BITS + 1, len(one)))
    words = distinct(np.concatenate([one, other, drawn(rng, 20_000)]))
    later = rng.random(len(words)) < share
    grown = extend(full(words[~later]), words[~later], words[later])
    np.testing.assert_array_equal(grown.of(words), full(words).of(words))


def test_adding_words_to_clusters_in_many_steps_gives_nearly_the_prompts_of_all_at_once() -> None:
    rng = np.random.default_rng(12)
    centres = np.repeat(drawn(rng, 500), 20)
    words = distinct(
        np.concatenate([flipped(rng, centres, rng.integers(0, NEAR_BITS + 1, len(centres))), drawn(rng, 5_000)])
    )
    step = rng.integers(0, 5, len(words))
    grown = NO_PROMPTS
    for number in range(5):
        grown = extend(grown, words[step < number], words[step == number])
    assert np.mean(grown.of(words) == full(words).of(words)) > 0.99


def test_a_word_that_is_like_no_other_is_a_prompt_of_its_own() -> None:
    rng = np.random.default_rng(13)
    words = distinct(drawn(rng, 1_000))
    ids = full(words)
    np.testing.assert_array_equal(ids.of(words), words.view(np.int64))
    unseen = np.array([2**64 - 1, 2**63], np.uint64)
    np.testing.assert_array_equal(ids.of(unseen), [-1, -(2**63)])


def test_no_words_are_no_prompts() -> None:
    assert len(full(NONE).word) == 0
    assert len(NO_PROMPTS.of(NONE)) == 0
    known = full(np.array([0, 1], np.uint64))
    np.testing.assert_array_equal(extend(known, np.array([0, 1], np.uint64), NONE).of(np.array([1], np.uint64)), [0])


def test_the_first_and_the_last_word_there_are_have_neighbours() -> None:
    words = np.array([0, 1 << 63, 2**64 - 1 - (1 << 63), 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(full(words).of(words).view(np.uint64), words[[0, 0, 2, 2]])


def full(words: Words) -> PromptIds:
    """The prompts of words that all come at once."""
    return extend(NO_PROMPTS, NONE, words)


def drawn(rng: np.random.Generator, count: int) -> Words:
    """Words at random, any bit."""
    return rng.integers(0, 2**64, count, dtype=np.uint64)


def flipped(rng: np.random.Generator, words: Words, bits: np.ndarray) -> Words:
    """The words with so many different bits of each turned over."""
    places = np.argsort(rng.random((len(words), 64)), axis=1).astype(np.uint64)
    turned = np.where(np.arange(64) < bits[:, None], np.uint64(1) << places, np.uint64(0))
    out: Words = words ^ np.bitwise_or.reduce(turned, axis=1)
    return out


def components(words: Words) -> np.ndarray:
    """The component of each word in the graph of all near pairs, each compared with each."""
    near = np.bitwise_count(words[:, None] ^ words) <= NEAR_BITS
    return np.asarray(connected_components(coo_array(near), directed=False)[1] if len(words) else [])


def subsets(words: Words) -> st.SearchStrategy[Words]:
    """Some of the words, ascending."""
    chosen = st.lists(st.booleans(), min_size=len(words), max_size=len(words))
    return chosen.map(partial(_chosen, words))


def _chosen(words: Words, mask: list[bool]) -> Words:
    out: Words = words[np.array(mask, bool)]
    return out
