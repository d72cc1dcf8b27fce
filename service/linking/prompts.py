"""Prompts that are one prompt: near duplicates by SimHash, so that rewording one a little hides nobody.

Two 64-bit SimHashes within 4 bits of difference are near duplicates (Manku, Jain, Das Sarma: Detecting
Near-Duplicates for Web Crawling, WWW 2007). Words are cut into blocks; of ``b`` blocks at most 4 differ, so some
``c = b - 4`` are equal, and sorting by every choice of ``c`` blocks brings each pair together once at least. A prompt
id stands for all words that are joined by such pairs.

Not one word a time at ingest, as the plan had it, but by the job, which holds all words anyway: 13 million distinct
ones take 11 s of a processor the first time, 40 million 50 s (35 choices instead of 15); afterwards new words are
compared with those old ones that share a block with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from threading import local
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Int64s
from service.linking.together import Together
from service.linking.words import Words, distinct, within
from service.linking.workers import shared_out

NEAR_BITS = 4
REACH = 48  # neighbours in sorted order that a word is compared with; the rest is joined through other choices
FEW = 1 << 24  # words, up to which two of six blocks tell enough; above, three of seven
_CACHED = 1 << 14  # words that are worked on at once: they stay in the processor's cache, which is twice as fast
_IN_CACHE = 1 << 17  # the same where they are in order
_DENSE = 4  # a share of words above one in so many is faster looked at as a whole
_TABLE_BITS = 24  # of the table that says which blocks new words have


class _Move(NamedTuple):
    """``width`` bits from ``low`` go to ``to``."""

    low: int
    width: int
    to: int


@dataclass(frozen=True, slots=True, eq=False)
class PromptIds:
    """Which words are one prompt. A word that is not among ``word`` is a prompt of its own, and is its own id."""

    word: Words  # ascending, distinct
    prompt: Words  # the least word of its prompt

    def of(self, words: Words) -> Int64s:
        """The prompt id of each word, as the signed number that keys are."""
        return self.least(words).view(np.int64)

    def least(self, words: Words) -> Words:
        """The least word of each word's prompt."""
        if not len(self.word):
            return words
        place = np.minimum(np.searchsorted(self.word, words), len(self.word) - 1)
        return np.where(self.word[place] == words, self.prompt[place], words)


NO_PROMPTS = PromptIds(np.empty(0, np.uint64), np.empty(0, np.uint64))


def extend(known: PromptIds, old: Words, new: Words) -> PromptIds:
    """Prompt ids of ``old`` and ``new`` words together (both ascending, distinct); ``known`` are those of ``old``."""
    together = Together()
    for left, right in near_pairs(new, old):
        together.join(known.least(left), known.least(right))
    now = PromptIds(*together.groups())
    if not len(known.word) or not len(now.word):
        return now if len(now.word) else known
    added = now.word[~within(now.word, known.word)]
    word = np.concatenate([known.word, added])
    order = np.argsort(word, kind="stable")
    return PromptIds(word[order], now.least(np.concatenate([known.prompt, added])[order]))


def near_pairs(new: Words, old: Words) -> Iterator[tuple[Words, Words]]:
    """Pairs of words within NEAR_BITS that have a new one among them, enough of them to join all that are near.

    For one choice of blocks after the other. ``new`` and ``old`` are ascending and distinct; a word may stand in both.
    """
    if not len(new):
        return
    blocks, chosen = (6, 2) if len(new) + len(old) < FEW else (7, 3)
    edges = [round(64 * i / blocks) for i in range(blocks + 1)]
    own = _Room()
    yield from shared_out(
        lambda choice: _near_by(choice, edges, new, old, own.of(new)), itertools.combinations(range(blocks), chosen)
    )


class _Room(local):
    """Room for the words of one choice of blocks, of each thread its own; having it anew costs as much as sorting."""

    words: Words | None = None

    def of(self, words: Words) -> Words:
        """As much as these words need, and always the same."""
        if self.words is None:
            self.words = np.empty_like(words)
        return self.words


def _near_by(choice: tuple[int, ...], edges: list[int], new: Words, old: Words, room: Words) -> tuple[Words, Words]:
    """The pairs that one choice of blocks brings together; ``room`` is as large as ``new``, and overwritten."""
    moves, width = _moves(edges, choice)
    fresh = _shuffle(new, moves, room)
    fresh.sort()
    shuffled = fresh
    if len(old):
        among = old[_meets(old, fresh, moves[: len(choice)], width)]
        shuffled = distinct(np.concatenate([fresh, _shuffle(among, moves)]))
    first, second = _neighbours(shuffled, np.uint64(64 - width))
    if len(old):  # five of six pairs are old words', which were joined when the later one came
        known = within(first, fresh) | within(second, fresh)
        first, second = first[known], second[known]
    return _unshuffle(first, moves), _unshuffle(second, moves)


def _moves(edges: list[int], choice: tuple[int, ...]) -> tuple[list[_Move], int]:
    """How to bring the chosen blocks to the top, the others below them; and how many bits the chosen ones have."""
    order = [*choice, *(i for i in range(len(edges) - 1) if i not in choice)]
    moves, top = [], 64
    for i in order:
        top -= edges[i + 1] - edges[i]
        moves.append(_Move(edges[i], edges[i + 1] - edges[i], top))
    return moves, sum(edges[i + 1] - edges[i] for i in choice)


def _shuffle(words: Words, moves: list[_Move], room: Words | None = None) -> Words:
    out = np.empty_like(words) if room is None else room
    for first in range(0, len(words), _CACHED):
        some = slice(first, first + _CACHED)
        out[some] = _moved(words[some], moves, 0)
    return out


def _moved(words: Words, moves: list[_Move], down: int) -> Words:
    """The bits that are moved, ``down`` places lower than they go."""
    out = np.zeros_like(words)
    for low, width, to in moves:
        out |= ((words >> np.uint64(low)) & np.uint64((1 << width) - 1)) << np.uint64(to - down)
    return out


def _unshuffle(words: Words, moves: list[_Move]) -> Words:
    return _shuffle(words, [_Move(to, width, low) for low, width, to in moves])


def _meets(among: Words, shuffled: Words, moves: list[_Move], width: int) -> NDArray[np.bool_]:
    """Which of ``among`` may have, once shuffled, their top ``width`` bits in common with one of ``shuffled``.

    ``moves`` are those that fill the top bits.
    """
    bits = min(width, _TABLE_BITS)
    table = np.zeros(1 << bits, bool)
    mask = np.uint64((1 << bits) - 1)
    table[(shuffled >> np.uint64(64 - width)) & mask] = True
    out = np.empty(len(among), bool)
    for first in range(0, len(among), _CACHED):
        some = slice(first, first + _CACHED)
        out[some] = table[_moved(among[some], moves, 64 - width) & mask]
    return out


def _neighbours(ordered: Words, shift: np.uint64) -> tuple[Words, Words]:
    """Each word with the first near one after it, and with the first near one before it, that have the same top bits.

    After it alone is not enough: of what is near to a prompt's centre but not to each other, one would be kept.
    """
    left: list[Words] = [ordered[:0]]
    right: list[Words] = [ordered[:0]]
    for some in _buckets(ordered, int(shift)):
        one, other = _neighbours_among(some, shift)
        left.append(one)
        right.append(other)
    return np.concatenate(left), np.concatenate(right)


def _buckets(ordered: Words, shift: int) -> Iterator[Words]:
    """Pieces of about _IN_CACHE words, cut where the bits above ``shift`` change: no pair is torn apart."""
    low = 0
    while low < len(ordered):
        high = low + _IN_CACHE
        if high < len(ordered):
            after = ((int(ordered[high]) >> shift) + 1) << shift
            high = int(np.searchsorted(ordered, np.uint64(after))) if after < 1 << 64 else len(ordered)
        yield ordered[low:high]
        low = high


def _neighbours_among(ordered: Words, shift: np.uint64) -> tuple[Words, Words]:
    left: list[Words] = [ordered[:0]]
    right: list[Words] = [ordered[:0]]
    limit = np.uint64(1) << shift
    has_after, has_before = np.zeros(len(ordered), bool), np.zeros(len(ordered), bool)
    here = np.arange(len(ordered))
    for step in range(1, REACH):
        if len(here) > len(ordered) // _DENSE:
            apart = ordered[step:] ^ ordered[:-step]
            here = np.flatnonzero(apart < limit)
            apart = apart[here]
        else:
            here = here[: np.searchsorted(here, len(ordered) - step)]
            apart = ordered[here] ^ ordered[here + step]
            same = apart < limit
            here, apart = here[same], apart[same]
        if not len(here):
            break
        one = here[np.bitwise_count(apart) <= NEAR_BITS]
        other = one + step
        first = ~(has_after[one] & has_before[other])
        has_after[one] = has_before[other] = True
        left.append(ordered[one[first]])
        right.append(ordered[other[first]])
    return np.concatenate(left), np.concatenate(right)
