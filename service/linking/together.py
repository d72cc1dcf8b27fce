"""Words that are put together, pair after pair, until it is known which of them are one.

A pair of words that are together already is let go as it comes, before anything is kept of it: every choice of blocks
finds much the same pairs, and of ninety million that 35 choices find among forty million words, hardly one in ten says
anything new. When all were kept and joined some million at a time, and all that was joined before put in order each
time, that was more than half of a detection at 300,000 accounts, and grew with the square of them.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from service.domain.facts import Int32s, Int64s
from service.linking.words import Words, distinct

AT_ONCE = 1 << 20  # pairs, 16 MiB, or an eighth of the words, that are gathered before they are joined
_EIGHTH = 8
_CACHED = 1 << 15  # words that are looked up at once
_FEWEST_BITS = 10  # of a place in the table
_SPREADS = np.uint64(0x9E3779B97F4A7C15)  # 2**64 by the golden ratio: near words go far apart (Knuth, TAOCP 3, 6.4)
_EMPTY = -1


class Together:
    """Groups of words; each is in one. Not for several threads at once.

    Where a word stands is told by a table of hashes with linear probing, at most half full: a binary search for each
    of millions of words in no order takes five times as long.
    """

    def __init__(self) -> None:
        self._word: Words = np.empty(0, np.uint64)  # in the order in which they came
        self._group = np.empty(0, np.int32)  # (words,) numbered from 0
        self._groups = 0
        self._bits = _FEWEST_BITS
        self._table = np.full(1 << self._bits, _EMPTY, np.int32)  # the place of a word, at its hash or soon after it
        self._waiting: list[tuple[Words, Words]] = []

    def join(self, left: Words, right: Words) -> None:
        """Puts each word of ``left`` together with that of ``right``."""
        for low in range(0, len(left), _CACHED):
            some, others = left[low : low + _CACHED], right[low : low + _CACHED]
            one, other = self._places(some), self._places(others)
            apart = (one == _EMPTY) | (other == _EMPTY)
            known = np.flatnonzero(~apart)
            apart[known] = self._group[one[known]] != self._group[other[known]]
            self._waiting.append((some[apart], others[apart]))
        if sum(len(some) for some, _ in self._waiting) > max(AT_ONCE, len(self._word) // _EIGHTH):
            self._settle()

    def groups(self) -> tuple[Words, Words]:
        """All words that were put together with any, ascending, and of each the least one of its group."""
        self._settle()
        order = np.argsort(self._word)
        word, group = self._word[order], self._group[order]
        least = np.empty(self._groups, np.uint64)
        least[group[::-1]] = word[::-1]  # the last one written stays
        return word, least[group]

    def _settle(self) -> None:
        """Joins the groups of the pairs that wait."""
        if not self._waiting:
            return
        left, right = (np.concatenate(side) for side in zip(*self._waiting, strict=True))
        self._waiting = []
        every = distinct(np.concatenate([left, right]))
        self._insert(every[self._places(every) == _EMPTY])
        ends = (self._group[self._places(left)], self._group[self._places(right)])
        graph = coo_array((np.ones(len(left), bool), ends), shape=(self._groups, self._groups))
        self._groups, number = connected_components(graph, directed=False)
        self._group = number[self._group]

    def _places(self, words: Words) -> Int32s:
        """The place of each word, _EMPTY: it is not there."""
        out = np.full(len(words), _EMPTY, np.int32)
        if not len(self._word):
            return out
        slot, asked = self._slots(words), np.arange(len(words))
        while len(asked):
            place = self._table[slot]
            # An empty slot shows the last word, which nobody finds there: whoever asks for it has met it before.
            found = self._word[place] == words
            out[asked[found]] = place[found]
            further = ~found & (place != _EMPTY)
            asked, words, slot = asked[further], words[further], self._next(slot[further])
        return out

    def _insert(self, words: Words) -> None:
        """Takes in words that are not there, each a group of its own."""
        first = len(self._word)
        self._word = np.concatenate([self._word, words])
        self._group = np.concatenate([self._group, np.arange(self._groups, self._groups + len(words), dtype=np.int32)])
        self._groups += len(words)
        if 2 * len(self._word) > len(self._table):
            self._bits = (2 * len(self._word)).bit_length()
            self._table, first = np.full(1 << self._bits, _EMPTY, np.int32), 0
        place = np.arange(first, len(self._word), dtype=np.int32)
        slot = self._slots(self._word[first:])
        while len(place):
            free = self._table[slot] == _EMPTY
            self._table[slot[free]] = place[free]
            taken = self._table[slot] != place
            place, slot = place[taken], self._next(slot[taken])

    def _slots(self, words: Words) -> Int64s:
        """Where in the table each word would stand."""
        return ((words * _SPREADS) >> np.uint64(64 - self._bits)).view(np.int64)

    def _next(self, slot: Int64s) -> Int64s:
        return (slot + 1) & (1 << self._bits) - 1
