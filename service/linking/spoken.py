"""Who sent which prompts, kept up as exchanges come and go.

Most words (SimHashes of prompts) are said once and are like no other: four fifths of two million. Those are held with
who said them and are only counted; the others as rows (prompt, account), of which there is one for every fifteen
exchanges. So a look costs what was said since the last one, and one pass over those rows.

Accounts are slots here: numbers from 0 in the order in which they were first heard of, which stay.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Int32s, Int64s
from service.domain.time import HOUR
from service.linking.prompts import NO_PROMPTS, PromptIds, extend
from service.linking.sightings import Bools, Number, grown, runs
from service.linking.words import Words, distinct, within

AT_ONCE = 2_000_000  # exchanges that are taken in together: 100 bytes each meanwhile
_UNSAID = -1  # in place of a word's owner until it is taken in

_NOBODY = np.empty(0, np.int32)
_NO_WORDS = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Exchanges, any order: slot of the account, its word (0: not known), and when it happened."""

    slot: Int32s
    word: Words
    happened: Int64s

    @classmethod
    def joined(cls, parts: list[Said]) -> Said:
        """All of several."""
        none = cls(_NOBODY, _NO_WORDS, np.empty(0, np.int64))
        return cls(*(np.concatenate([getattr(part, name) for part in [none, *parts]]) for name in _SAID))


_SAID = ("slot", "word", "happened")
_Rows: TypeAlias = tuple[Words, Int32s, Int32s]  # prompts by one of their words, slots, exchanges


class Spoken:
    """Words, their prompts, and who sent them. Not for several threads at once."""

    def __init__(self, compared: Words = _NO_WORDS, ids: PromptIds = NO_PROMPTS) -> None:
        """``ids`` joins words of ``compared`` (ascending, distinct), as an earlier run left them."""
        self.ids = ids
        self.word: Words = _NO_WORDS  # ascending, distinct: all that were said and are not forgotten
        self._compared = compared  # with each other; nothing once own words are known
        self._owner = _NOBODY  # who said a word that was said once
        self._once = np.empty(0, bool)  # said once, and like no other
        self._last = _NOBODY  # hour in which it was said last
        self._prompt: Words = _NO_WORDS  # (rows,) of words that are not ``_once``, ordered by prompt and slot
        self._slot = _NOBODY
        self._count = _NOBODY  # exchanges of the row
        self._alone = _NOBODY  # (slots,) words of each account that are ``_once``

    @property
    def compared(self) -> int:
        """Words that have been compared with each other."""
        return max(len(self.word), len(self._compared))

    def add(self, said: Sequence[Said], slots: int) -> None:
        """Takes in exchanges; ``slots`` accounts are known by now.

        All new words are compared in one go: when ten million exchanges came at a time, each time's were compared with
        all before, and fifty million took minutes. Who said them is taken in part by part.
        """
        self._alone = grown(self._alone, slots, 0)
        fresh = _new(_distinct([part.word for part in said]), self.word)
        before = self.ids.word
        self._compare(fresh)
        joined, there = _find(self.word, self.ids.word[~within(self.ids.word, before)])
        joined = joined[there]
        del before, there
        rows = [self._no_longer_once(joined[self._once[joined]])]
        self._insert(fresh)
        del fresh, joined
        rows += [self._take_in(part) for part in _portions(said)]
        word, slot, count = (np.concatenate(column) for column in zip(*rows, strict=True))
        del rows
        self._say(word, slot, count)

    def forget_who(self) -> None:
        """Lets go of what only more exchanges, or taking some out, would need: half of what is held."""
        self._owner, self._last, self._once = _NOBODY, _NOBODY, np.empty(0, bool)

    def _take_in(self, said: Said) -> _Rows:
        """Notes who said which words, all of them known; rows of those that are not ``_once``."""
        spoken = np.flatnonzero(said.word)
        order = spoken[np.argsort(said.word[spoken])]
        word, slot, hour = said.word[order], said.slot[order], (said.happened[order] // HOUR).astype(np.int32)
        start, length = runs(word.view(np.int64))
        place = np.searchsorted(self.word, word[start])
        if len(start):
            self._last[place] = np.maximum(self._last[place], np.maximum.reduceat(hour, start))
        again = self._no_longer_once(place[self._once[place]])
        new = self._owner[place] == _UNSAID
        once = new & (length == 1)
        once[once] = ~within(word[start[once]], self.ids.word)
        self._owner[place[new]] = slot[start[new]]
        self._once[place[once]] = True
        np.add.at(self._alone, slot[start[once]], 1)
        rows = np.repeat(~once, length)
        return (
            np.concatenate([again[0], word[rows]]),
            np.concatenate([again[1], slot[rows]]),
            np.concatenate([again[2], np.ones(int(rows.sum()), np.int32)]),
        )

    def _no_longer_once(self, place: Int64s) -> _Rows:
        """Rows of words that were said once and have been said again, or are like another one now."""
        word, owner = self.word[place], self._owner[place]
        self._once[place] = False
        np.subtract.at(self._alone, owner, 1)
        return word, owner, np.ones(len(place), np.int32)

    def remove(self, said: Said, forgotten: int) -> None:
        """Takes out exchanges that were added before, and forgets words that nobody said since ``forgotten``."""
        spoken = said.word != 0
        if not spoken.any():
            return
        word, slot = said.word[spoken], said.slot[spoken]
        place, there = _find(self.word, word)
        place, word, slot = place[there], word[there], slot[there]
        once = self._once[place]
        np.subtract.at(self._alone, slot[once], 1)
        gone = self._last < forgotten // HOUR
        gone &= ~self._once
        gone[place[once]] = True
        self._say(word[~once], slot[~once], np.full(int((~once).sum()), -1, np.int32))
        if not gone.any():
            return
        kept = ~gone
        self.word, self._owner = self.word[kept], self._owner[kept]
        self._once, self._last = self._once[kept], self._last[kept]
        self._forget_prompts()

    def rows(self, place: Int64s, n: int) -> tuple[Int64s, Int64s, Int32s]:
        """Rows (account, prompt), each once, of prompts that two accounts sent; ordered by account.

        ``place`` of shape (slots,) is where each account stands among ``n``, -1: nowhere. Third, shape (n,): prompts
        of each account that are not among the rows.
        """
        at = place[self._slot]
        known = np.flatnonzero(at >= 0)
        at, prompt = at[known], self._prompt[known]
        _, length = runs(prompt.view(np.int64))
        shared = np.repeat(length >= 2, length)
        alone = np.bincount(at[~shared], minlength=n)
        inside = np.flatnonzero(place >= 0)
        alone[place[inside]] += self._alone[inside]
        at, prompt = at[shared], prompt[shared]
        order = np.argsort(at, kind="stable")
        return at[order], prompt[order].view(np.int64), alone.astype(np.int32)

    def _compare(self, fresh: Words) -> None:
        """Joins words that were not known before with those that they are near to."""
        known = self.word if len(self.word) else self._compared
        self.ids = extend(self.ids, known, _new(fresh, known))
        self._compared = _NO_WORDS

    def _insert(self, word: Words) -> None:
        """Puts words in their places that nobody has said yet; ``word`` is ascending, and none of them is there."""
        if not len(word):
            return
        at = np.searchsorted(self.word, word)
        at += np.arange(len(word))
        old = np.ones(len(self.word) + len(word), bool)
        old[at] = False
        self.word = _merged(self.word, word, old, at)
        self._owner = _merged(self._owner, _UNSAID, old, at)
        self._once = _merged(self._once, False, old, at)
        self._last = _merged(self._last, np.iinfo(np.int32).min, old, at)

    def _say(self, word: Words, slot: Int32s, count: Int32s) -> None:
        """Adds to the rows, whose prompts may have been joined since; rows without an exchange go."""
        prompt = np.concatenate([self.ids.least(self._prompt), self.ids.least(word)])
        slot, count = np.concatenate([self._slot, slot]), np.concatenate([self._count, count])
        order = np.lexsort((slot, prompt))
        prompt, slot, count = prompt[order], slot[order], count[order]
        begins = np.ones(len(prompt), bool)
        begins[1:] = (prompt[1:] != prompt[:-1]) | (slot[1:] != slot[:-1])
        start = np.flatnonzero(begins)
        total = np.add.reduceat(count, start) if len(start) else count
        there = total > 0
        self._prompt, self._slot, self._count = prompt[start][there], slot[start][there], total[there].astype(np.int32)

    def _forget_prompts(self) -> None:
        """Drops which words are one prompt, of those that are forgotten."""
        # A prompt goes by its least word, which may be gone while others of it are not.
        alive = within(self.ids.word, self.word)
        alive |= within(self.ids.word, distinct(self.ids.prompt[alive]))
        self.ids = PromptIds(self.ids.word[alive], self.ids.prompt[alive])

    def packed(self) -> bytes:
        """The words and which are one prompt, for an observer that has to read everything."""
        self._forget_prompts()
        parts = (self.word, self.ids.word, self.ids.prompt)  # hashes: they cannot be compressed
        begin = struct.pack("<QQ", len(self.word), len(self.ids.word))
        return b"".join([begin, *(part.data for part in parts)])

    @classmethod
    def unpacked(cls, content: bytes) -> Spoken:
        """One that knows which words are one prompt, and not yet who said them."""
        known, joined = struct.unpack("<QQ", content[:16])
        words = np.frombuffer(content, np.uint64, offset=16)
        return cls(words[:known], PromptIds(words[known : known + joined], words[known + joined :]))


def _distinct(parts: list[Words]) -> Words:
    """The words in all of the parts, ascending, each once; not 0."""
    words = np.concatenate([_NO_WORDS, *parts])
    words.sort()
    first = np.ones(len(words), bool)
    np.not_equal(words[1:], words[:-1], out=first[1:])
    first &= words != 0
    return words[first]


def _new(words: Words, known: Words) -> Words:
    """Those of ``words`` that are not among the known ones, which are ascending."""
    return words[~within(words, known)] if len(known) else words


def _portions(said: Sequence[Said]) -> Iterator[Said]:
    """All of ``said``, about AT_ONCE at a time."""
    some: list[Said] = []
    for part in said:
        some.append(part)
        if sum(len(each.slot) for each in some) >= AT_ONCE:
            yield Said.joined(some)
            some = []
    yield Said.joined(some)


def _merged(old: NDArray[Number], new: NDArray[Number] | int, is_old: Bools, at: Int64s) -> NDArray[Number]:
    """Both in one, the new ones ``at`` their places."""
    out = np.empty(len(is_old), old.dtype)
    out[is_old], out[at] = old, new
    return out


def _find(known: Words, words: Words) -> tuple[Int64s, Bools]:
    """Where each word stands among the known ones (ascending), and whether it does."""
    if not len(known):
        return np.zeros(len(words), np.int64), np.zeros(len(words), bool)
    place = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return place, np.equal(known[place], words)
