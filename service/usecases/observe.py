"""What a detection looks at: signups, links and raw usage as known at a moment, held as arrays.

Exchanges are held without their ids, 40 bytes each. An ``Observer`` that is asked for a later moment reads only what
was learned since; a fresh one reads everything, and takes near-duplicate prompts over from the run before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from service.domain.codes import code32
from service.domain.facts import Float32s, Int32s, Int64s
from service.domain.profile import PROFILE_INDEX
from service.domain.time import DAY
from service.keys.kinds import KIND_BY_CODE
from service.linking.accounts import Accounts
from service.linking.derived import Shown, Signups, as_rows, derived_rows
from service.linking.habits import Keys, habit_rows
from service.linking.prompts import NO_PROMPTS, PromptIds, Words, distinct, extend
from service.linking.sightings import Bools, Rows, Sightings, prompt_rows, sightings

LOOKBACK = 60 * DAY  # raw usage that a run looks at
HABITS = 30 * DAY  # of which habits are made of so much
CACHE = "prompts"
WORTH_KEEPING = 1.02  # times as many words as were left for others last
_COLUMNS = ("account", "happened", "simhash", "input_tokens", "output_tokens", "client", "model")
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
    tokens_in: Int32s  # -1: not said
    tokens_out: Int32s

    def of(self, wanted: Bools) -> Usage:
        """The exchanges of some accounts; ``wanted`` is (n,)."""
        rows = np.flatnonzero(wanted[self.account])
        return Usage(self.account[rows], self.happened[rows], self.tokens_in[rows], self.tokens_out[rows])


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
    tokens_in: Int32s  # -1: not said
    tokens_out: Int32s
    client: Int32s  # part of the name's hash; 0: not said
    model: Int32s

    def take(self, rows: NDArray[np.bool_]) -> _Exchanges:
        """Some of them."""
        return _Exchanges(
            self.account[rows],
            self.happened[rows],
            self.words[rows],
            self.tokens_in[rows],
            self.tokens_out[rows],
            self.client[rows],
            self.model[rows],
        )


def _joined(parts: list[_Exchanges]) -> _Exchanges:
    return _Exchanges(
        np.concatenate([part.account for part in parts]),
        np.concatenate([part.happened for part in parts]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.tokens_in for part in parts]),
        np.concatenate([part.tokens_out for part in parts]),
        np.concatenate([part.client for part in parts]),
        np.concatenate([part.model for part in parts]),
    )


class Observer:
    """Reads what is known, and remembers it for the next, later moment. Not for several threads at once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._forget()

    def _forget(self) -> None:
        none = np.empty(0, np.int64)
        self._until = _EVER
        self._links = Shown(none, none, none.astype(np.int32), none)
        small = none.astype(np.int32)
        self._usage = _Exchanges(none, none, none.astype(np.uint64), small, small, small, small)
        self._known: Words = none.astype(np.uint64)  # distinct words that prompt ids were made of
        self._ids: PromptIds = NO_PROMPTS
        self._kept = 0  # words of what was left for others last

    def __call__(self, as_of: int) -> Observed:
        """What was known at ``as_of``. An earlier moment than the last one reads everything anew."""
        fresh = self._until == _EVER or as_of < self._until
        if fresh:
            self._forget()
        read = self._read(as_of)
        account, created, learned, profile = self.facts.signup_rows(as_of)
        self._join_prompts(as_of, read, fresh=fresh)
        place, is_known = _places(account, self._usage.account)
        place = place[is_known]
        used = self._usage if is_known.all() else self._usage.take(is_known)
        happened = used.happened
        signups = Signups(created, learned)
        return Observed(
            accounts=Accounts(
                account=account,
                created=created,
                country=np.nan_to_num(profile[:, PROFILE_INDEX["country"]]).astype(np.int64),
                active_days=_active_days(len(account), place, happened),
                begun=_begun(created, place, happened),
                as_of=as_of,
            ),
            profile=profile,
            seen=self._sightings(account, signups, place, used, as_of),
            usage=Usage(place.astype(np.int32), happened, used.tokens_in, used.tokens_out),
        )

    def keep(self) -> None:
        """Leaves the prompts found for the next fresh observer, where it would else have much to join anew.

        Tens of megabytes, so not for every look: the last look of a day is soon made again from that of the morning.
        """
        if len(self._known) < self._kept * WORTH_KEEPING:
            return
        held = self.facts.linking_cache(CACHE)
        if held is None or held[0] <= self._until:
            self.facts.put_linking_cache(CACHE, _packed(self._known, self._ids), self._until)
        self._kept = max(len(self._known), 1)

    def _read(self, as_of: int) -> Words:
        """Takes in what was learned since; the words among it."""
        since = self._until
        account, key, kind, learned = self.facts.link_rows(as_of, since)
        held = self._links
        self._links = Shown(
            np.concatenate([held.account, account]),
            np.concatenate([held.key, key]),
            np.concatenate([held.kind, kind]),
            np.concatenate([held.learned, learned]),
        )
        parts: list[_Exchanges] = []
        first = max(since, as_of - LOOKBACK) if since == _EVER else since
        for table in self.facts.usage_rows(as_of, first, _COLUMNS):
            owner, happened, simhash, *rest = (table[name].to_numpy() for name in _COLUMNS)
            tokens_in, tokens_out, client, model = rest
            parts.append(
                _Exchanges(
                    owner,
                    happened,
                    simhash.view(np.uint64),
                    _tokens(tokens_in),
                    _tokens(tokens_out),
                    client.astype(np.int32),
                    model.astype(np.int32),
                )
            )
        if parts:
            self._usage = _joined([self._usage, *parts])
        recent = self._usage.happened > as_of - LOOKBACK
        if not recent.all():
            self._usage = self._usage.take(recent)
        self._until = as_of
        return np.concatenate([np.empty(0, np.uint64), *(part.words for part in parts)])

    def _join_prompts(self, as_of: int, read: Words, *, fresh: bool) -> None:
        words = distinct(read[read != 0])
        if fresh:
            held = self.facts.linking_cache(CACHE)
            if held is not None and held[0] <= as_of:
                self._known, self._ids = _unpacked(held[1])
                self._kept = len(self._known)
        added = words[~_within(words, self._known)]
        if len(added):
            self._ids = extend(self._ids, self._known, added)
            self._known = distinct(np.concatenate([self._known, added])) if len(self._known) else added

    def _sightings(self, account: Int64s, signups: Signups, place: Int64s, used: _Exchanges, as_of: int) -> Sightings:
        owner, is_known = _places(account, self._links.account)
        shown = Shown(owner, self._links.key, self._links.kind, self._links.learned).take(is_known)
        codes, of = np.unique(shown.kind, return_inverse=True)
        names = {code: each.name for code, each in KIND_BY_CODE.items()} | self.facts.names("kind")
        stored = tuple(names.get(code, f"kind {code}") for code in codes.tolist())
        made = derived_rows(shown, signups) | self._habits(place, used, as_of)
        kinds = (*stored, *made, "prompt")
        sender, prompt, alone = self._prompts(len(account), place, used.words)
        rows = Rows.joined(
            [
                Rows(shown.account, shown.key, of.astype(np.int64)),
                as_rows(made, kinds),
                Rows(sender, prompt ^ code32("prompt"), np.full(len(sender), len(kinds) - 1, np.int64)),
            ]
        )
        unshared = np.zeros((len(kinds), len(account)), np.int32)
        unshared[-1] = alone
        return sightings(len(account), kinds, rows, unshared)

    def _prompts(self, n: int, place: Int64s, words: Words) -> tuple[Int64s, Int64s, Int32s]:
        """See ``prompt_rows``. Most words were said once and are like no other: those are counted and left at once."""
        spoken = np.flatnonzero(words)
        spoken = spoken[np.argsort(words[spoken])]  # looked up in order, five times as fast as at random
        words = words[spoken]
        differs = np.concatenate([[True], words[1:] != words[:-1], [True]])
        lone = differs[1:] & differs[:-1] if len(words) else differs[:0]
        lone[lone] = ~_within(words[lone], self._ids.word)
        alone = np.bincount(place[spoken[lone]], minlength=n).astype(np.int32)
        rest = np.flatnonzero(~lone)
        sender, prompt, also = prompt_rows(n, place[spoken[rest]], self._ids.of(words[rest]))
        return sender, prompt, alone + also

    @staticmethod
    def _habits(place: Int64s, used: _Exchanges, as_of: int) -> dict[str, Keys]:
        recent = np.flatnonzero(used.happened > as_of - HABITS)
        return habit_rows(
            place[recent],
            used.happened[recent],
            used.tokens_in[recent].astype(np.int64),
            used.tokens_out[recent].astype(np.int64),
            used.client[recent].astype(np.int64),
            used.model[recent].astype(np.int64),
            as_of=as_of,
        )


def _tokens(tokens: NDArray[np.generic]) -> Int32s:
    if tokens.dtype.kind == "i":  # none is missing, or there would be NaN
        whole: Int32s = np.clip(tokens, -1, 2**31 - 1).astype(np.int32)
        return whole
    return np.clip(np.nan_to_num(tokens.astype(np.float64), nan=-1.0), -1, 2**31 - 1).astype(np.int32)


def _places(accounts: Int64s, wanted: Int64s) -> tuple[Int64s, NDArray[np.bool_]]:
    """Where each wanted account stands among the accounts, and whether it is there at all."""
    if not len(accounts):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    # By a table of hashes: at millions four times as fast as a binary search for each.
    found = pc.index_in(pa.array(wanted), value_set=pa.array(accounts))
    is_known = np.ones(len(wanted), bool) if not found.null_count else found.is_valid().to_numpy(zero_copy_only=False)
    return found.fill_null(0).to_numpy().astype(np.int64), is_known


def _within(words: Words, known: Words) -> NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(words), bool)
    place = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return np.equal(known[place], words)


def _begun(created: Int64s, place: Int64s, happened: Int64s) -> Int64s:
    """(n,) the first exchange looked at, or the signup where there is none."""
    first = np.full(len(created), np.iinfo(np.int64).max)
    np.minimum.at(first, place, happened)
    return np.where(first == np.iinfo(np.int64).max, created, np.maximum(first, created))


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
