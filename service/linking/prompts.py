"""Prompts that are one prompt: near duplicates by SimHash, so that rewording one a little hides nobody.

Two 64-bit SimHashes within 4 bits of difference are near duplicates (Manku, Jain, Das Sarma: Detecting
Near-Duplicates for Web Crawling, WWW 2007). Words are cut into blocks; of ``b`` blocks at most 4 differ, so some
``c = b - 4`` are equal, and sorting by every choice of ``c`` blocks brings each pair together once at least. A prompt
id stands for all words that are joined by such pairs.

Not one word a time at ingest, as the plan had it, but by the job, which holds all words anyway: 5 million distinct ones
take 9 s the first time; afterwards new words are compared with those old ones that share a block with them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from service.domain.facts import Int64s

Words = NDArray[np.uint64]

NEAR_BITS = 4
REACH = 48  # neighbours in sorted order that a word is compared with; the rest is joined through other choices
FEW = 1 << 24  # words, up to which two of six blocks tell enough; above, three of seven
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
        if not len(self.word):
            return words.view(np.int64)
        place = np.minimum(np.searchsorted(self.word, words), len(self.word) - 1)
        return np.where(self.word[place] == words, self.prompt[place], words).view(np.int64)


NO_PROMPTS = PromptIds(np.empty(0, np.uint64), np.empty(0, np.uint64))


def extend(known: PromptIds, old: Words, new: Words) -> PromptIds:
    """Prompt ids of ``old`` and ``new`` words together (both ascending, distinct); ``known`` are those of ``old``."""
    left, right = near_pairs(new, old)
    left = np.concatenate([left, known.word])
    right = np.concatenate([right, known.prompt])
    if not len(left):
        return NO_PROMPTS
    word = distinct(np.concatenate([left, right]))
    places = (np.searchsorted(word, left), np.searchsorted(word, right))
    size = len(word)
    joined = coo_array((np.ones(len(left), np.int8), places), shape=(size, size))
    count, label = connected_components(joined, directed=False)
    least = np.full(count, size, np.int64)
    np.minimum.at(least, label, np.arange(size))
    return PromptIds(word, word[least[label]])


def distinct(words: NDArray[np.uint64]) -> Words:
    """``words`` ascending, each once. By sorting: at millions, numpy's own ``unique`` takes ten times as long."""
    ordered = np.sort(words)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def near_pairs(new: Words, old: Words) -> tuple[Words, Words]:
    """Pairs of words within NEAR_BITS that have a new one among them, enough of them to join all that are near.

    ``new`` and ``old`` are ascending and distinct; a word may stand in both.
    """
    if not len(new):
        return new, new
    blocks, chosen = (6, 2) if len(new) + len(old) < FEW else (7, 3)
    edges = [round(64 * i / blocks) for i in range(blocks + 1)]
    left: list[Words] = []
    right: list[Words] = []
    for choice in itertools.combinations(range(blocks), chosen):
        moves, width = _moves(edges, choice)
        shuffled = _shuffle(new, moves)
        if len(old):
            among = _shuffle(old, moves)
            shuffled = distinct(np.concatenate([shuffled, among[_meets(among, shuffled, width)]]))
        else:
            shuffled.sort()
        first, second = _neighbours(shuffled, np.uint64(64 - width))
        left.append(_unshuffle(first, moves))
        right.append(_unshuffle(second, moves))
    return np.concatenate(left), np.concatenate(right)


def _moves(edges: list[int], choice: tuple[int, ...]) -> tuple[list[_Move], int]:
    """How to bring the chosen blocks to the top, the others below them; and how many bits the chosen ones have."""
    order = [*choice, *(i for i in range(len(edges) - 1) if i not in choice)]
    moves, top = [], 64
    for i in order:
        top -= edges[i + 1] - edges[i]
        moves.append(_Move(edges[i], edges[i + 1] - edges[i], top))
    return moves, sum(edges[i + 1] - edges[i] for i in choice)


def _shuffle(words: Words, moves: list[_Move]) -> Words:
    out = np.zeros_like(words)
    for low, width, to in moves:
        out |= ((words >> np.uint64(low)) & np.uint64((1 << width) - 1)) << np.uint64(to)
    return out


def _unshuffle(words: Words, moves: list[_Move]) -> Words:
    return _shuffle(words, [_Move(to, width, low) for low, width, to in moves])


def _meets(among: Words, shuffled: Words, width: int) -> NDArray[np.bool_]:
    """Which of ``among`` may have their top ``width`` bits in common with one of ``shuffled``."""
    table = np.zeros(1 << _TABLE_BITS, bool)
    shift, mask = np.uint64(64 - width), np.uint64((1 << _TABLE_BITS) - 1)
    table[(shuffled >> shift) & mask] = True
    out: NDArray[np.bool_] = table[(among >> shift) & mask]
    return out


def _neighbours(ordered: Words, shift: np.uint64) -> tuple[Words, Words]:
    """Each word with the first near one after it that has the same top bits."""
    left: list[Words] = [ordered[:0]]
    right: list[Words] = [ordered[:0]]
    here = np.flatnonzero((ordered[1:] ^ ordered[:-1]) >> shift == 0)
    for step in range(1, REACH):
        if not len(here):
            break
        near = np.bitwise_count(ordered[here] ^ ordered[here + step]) <= NEAR_BITS
        left.append(ordered[here[near]])
        right.append(ordered[here[near] + step])
        here = here[~near]
        here = here[here + step + 1 < len(ordered)]
        here = here[(ordered[here] ^ ordered[here + step + 1]) >> shift == 0]
    return np.concatenate(left), np.concatenate(right)
