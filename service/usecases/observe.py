"""What a detection looks at: signups, links and raw usage as known at a moment, held as arrays.

Exchanges are held without their ids, 32 bytes each. An ``Observer`` that is asked for a later moment reads only what
was learned since; a fresh one reads everything, and takes near-duplicate prompts over from the run before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.domain.codes import code32
from service.domain.facts import Float32s, Int32s, Int64s
from service.domain.profile import PROFILE_INDEX
from service.domain.time import DAY
from service.keys.kinds import KIND_BY_CODE
from service.linking.find import Accounts
from service.linking.prompts import NO_PROMPTS, PromptIds, Words, distinct, extend
from service.linking.sightings import Rows, Sightings, prompt_rows, sightings

LOOKBACK = 60 * DAY  # raw usage that a run looks at
CACHE = "prompts"
_COLUMNS = ("account", "happened", "simhash", "input_tokens", "output_tokens")
_EVER = -(2**62)


class Facts(Protocol):
    """What observing reads."""

    def link_rows(self, as_of: int, since: int = _EVER) -> tuple[Int64s, Int64s, Int32s, Int64s]: ...

    def signup_rows(self, as_of: int) -> tuple[Int64s, Int64s, Int64s, Float32s]: ...

    def usage_rows(self, as_of: int, since: int | None = None, columns: Sequence[str] = ()) -> Iterator[pa.Table]: ...

    def names(self, space: str) -> dict[int, str]: ...

    def linking_cache(self, name: str) -> tuple[int, bytes] | None: ...

    def put_linking_cache(self, name: str, content: bytes, as_of: int) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """Exchanges of known accounts; one element each, any order."""

    account: Int32s  # place among the accounts
    happened: Int64s
    tokens_in: Int32s
    tokens_out: Int32s


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Everything that one detection works on."""

    accounts: Accounts
    profile: Float32s
    seen: Sightings
    usage: Usage


class _Exchanges(NamedTuple):
    """Raw usage as read; ``account`` is the hash."""

    account: Int64s
    happened: Int64s
    words: Words
    tokens_in: Int32s
    tokens_out: Int32s

    def take(self, rows: NDArray[np.bool_]) -> _Exchanges:
        """Some of them."""
        return _Exchanges(
            self.account[rows], self.happened[rows], self.words[rows], self.tokens_in[rows], self.tokens_out[rows]
        )


def _joined(parts: list[_Exchanges]) -> _Exchanges:
    return _Exchanges(
        np.concatenate([part.account for part in parts]),
        np.concatenate([part.happened for part in parts]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.tokens_in for part in parts]),
        np.concatenate([part.tokens_out for part in parts]),
    )


class Observer:
    """Reads what is known, and remembers it for the next, later moment. Not for several threads at once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._forget()

    def _forget(self) -> None:
        none = np.empty(0, np.int64)
        self._until = _EVER
        self._links = (none, none, none.astype(np.int32))
        self._usage = _Exchanges(none, none, none.astype(np.uint64), none.astype(np.int32), none.astype(np.int32))
        self._known: Words = none.astype(np.uint64)  # distinct words that prompt ids were made of
        self._ids: PromptIds = NO_PROMPTS

    def __call__(self, as_of: int) -> Observed:
        """What was known at ``as_of``. An earlier moment than the last one reads everything anew."""
        fresh = self._until == _EVER or as_of < self._until
        if fresh:
            self._forget()
        read = self._read(as_of)
        account, created, _, profile = self.facts.signup_rows(as_of)
        self._join_prompts(as_of, read, fresh=fresh)
        place, is_known = _places(account, self._usage.account)
        place = place[is_known]
        happened = self._usage.happened[is_known]
        return Observed(
            accounts=Accounts(
                account=account,
                created=created,
                country=np.nan_to_num(profile[:, PROFILE_INDEX["country"]]).astype(np.int64),
                active_days=_active_days(len(account), place, happened),
                as_of=as_of,
            ),
            profile=profile,
            seen=self._sightings(account, place, self._usage.words[is_known]),
            usage=Usage(
                place.astype(np.int32), happened, self._usage.tokens_in[is_known], self._usage.tokens_out[is_known]
            ),
        )

    def keep(self) -> None:
        """Leaves the prompts found for the next fresh observer. Asked for an earlier moment it leaves what is there."""
        held = self.facts.linking_cache(CACHE)
        if held is None or held[0] <= self._until:
            self.facts.put_linking_cache(CACHE, _packed(self._known, self._ids), self._until)

    def _read(self, as_of: int) -> Words:
        """Takes in what was learned since; the words among it."""
        since = self._until
        account, key, kind, _ = self.facts.link_rows(as_of, since)
        held = self._links
        self._links = (
            np.concatenate([held[0], account]),
            np.concatenate([held[1], key]),
            np.concatenate([held[2], kind]),
        )
        parts: list[_Exchanges] = []
        first = max(since, as_of - LOOKBACK) if since == _EVER else since
        for table in self.facts.usage_rows(as_of, first, _COLUMNS):
            owner, happened, simhash, tokens_in, tokens_out = (table[name].to_numpy() for name in _COLUMNS)
            parts.append(_Exchanges(owner, happened, simhash.view(np.uint64), _small(tokens_in), _small(tokens_out)))
        if parts:
            self._usage = _joined([self._usage, *parts])
        recent = self._usage.happened > as_of - LOOKBACK
        if not recent.all():
            self._usage = self._usage.take(recent)
        self._until = as_of
        return _joined(parts).words if parts else np.empty(0, np.uint64)

    def _join_prompts(self, as_of: int, read: Words, *, fresh: bool) -> None:
        words = distinct(read[read != 0])
        if fresh:
            held = self.facts.linking_cache(CACHE)
            if held is not None and held[0] <= as_of:
                self._known, self._ids = _unpacked(held[1])
        added = words[~_within(words, self._known)] if len(self._known) else words
        if len(added):
            self._ids = extend(self._ids, self._known, added)
            self._known = distinct(np.concatenate([self._known, added])) if len(self._known) else added

    def _sightings(self, account: Int64s, place: Int64s, words: Words) -> Sightings:
        owner, key, kind = self._links
        owner_place, is_known = _places(account, owner)
        codes, of = np.unique(kind[is_known], return_inverse=True)
        names = {code: each.name for code, each in KIND_BY_CODE.items()} | self.facts.names("kind")
        kinds = tuple(names.get(code, f"kind {code}") for code in codes.tolist())
        spoken = np.flatnonzero(words)
        spoken = spoken[np.argsort(words[spoken])]  # looked up in order, five times as fast as at random
        prompts = self._ids.of(words[spoken])
        sender, prompt, alone = prompt_rows(len(account), place[spoken], prompts)
        rows = Rows(
            np.concatenate([owner_place[is_known], sender]),
            np.concatenate([key[is_known], prompt ^ code32("prompt")]),
            np.concatenate([of.astype(np.int64), np.full(len(sender), len(kinds), np.int64)]),
        )
        unshared = np.zeros((len(kinds) + 1, len(account)), np.int32)
        unshared[-1] = alone
        return sightings(len(account), (*kinds, "prompt"), rows, unshared)


def _small(tokens: NDArray[np.generic]) -> Int32s:
    return np.clip(np.nan_to_num(tokens.astype(np.float64)), 0, 2**31 - 1).astype(np.int32)


def _places(accounts: Int64s, wanted: Int64s) -> tuple[Int64s, NDArray[np.bool_]]:
    """Where each wanted account stands among the accounts (ascending), and whether it is there at all."""
    if not len(accounts):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(accounts, wanted), len(accounts) - 1)
    return place, np.equal(accounts[place], wanted)


def _within(words: Words, known: Words) -> NDArray[np.bool_]:
    place = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return np.equal(known[place], words)


def _active_days(n: int, place: Int64s, happened: Int64s) -> Int64s:
    """(n,) days with an exchange."""
    if not len(place):
        return np.zeros(n, np.int64)
    day = happened // DAY
    first = int(day.min())
    width = int(day.max()) - first + 1
    active = np.zeros(n * width, bool)  # 60 days of a million accounts: 60 MB
    active[place * width + (day - first)] = True
    days: Int64s = active.reshape(n, width).sum(axis=1).astype(np.int64)
    return days


def _packed(known: Words, ids: PromptIds) -> bytes:
    parts = (known, ids.word, ids.prompt)  # hashes: they cannot be compressed
    return struct.pack("<QQ", len(known), len(ids.word)) + b"".join(part.tobytes() for part in parts)


def _unpacked(content: bytes) -> tuple[Words, PromptIds]:
    known, joined = struct.unpack("<QQ", content[:16])
    words = np.frombuffer(content, np.uint64, offset=16)
    return words[:known], PromptIds(words[known : known + joined], words[known + joined :])
