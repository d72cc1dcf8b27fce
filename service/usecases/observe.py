"""What a detection looks at: signups, links and raw usage as known at a moment, held as arrays.

An ``Observer`` that is asked for a later moment reads only what was learned since, and keeps up what is made of it:
counts of habits, who sent which prompts, keys in order. A fresh one reads everything, and takes near-duplicate prompts
over from the run before it. One that looks once holds of an exchange what a campaign's evidence is made of, and not
what a later look would have to take out again; one that nobody asks for evidence holds nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

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
from service.linking.derived import NO_ASN, Shown, Signups, as_rows, derived_rows
from service.linking.given_back import give_back
from service.linking.habits import Exchanges, HabitCounts, Keys
from service.linking.sightings import Bools, Rows, Sightings, runs, sightings
from service.linking.spoken import Said, Spoken
from service.linking.usage_log import NEVER, NOTHING_HELD, Held, UsageLog

LOOKBACK = 60 * DAY  # raw usage that a run looks at
HABITS = 30 * DAY  # of which habits are made of so much
CACHE = "prompts"
WORTH_KEEPING = 1.02  # times as many words as were left for others last, by one that had to read everything ...
WORTH_MORE = 1.5  # ... and by one that remembers, and may look again in a moment
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
class Used:
    """Exchanges of some accounts; one element each, any order."""

    account: Int64s  # place among the accounts
    happened: Int64s
    tokens_in: Int32s  # -1: not said
    tokens_out: Int32s


class Usage:
    """Exchanges of known accounts, until the observer looks again."""

    def __init__(self, log: UsageLog, place: Int64s) -> None:
        """``place`` of shape (slots,): where each account stands among those known, -1: nowhere."""
        self._log, self._place = log, place
        self.exchanges = int(log.count[place >= 0].sum())

    def of(self, wanted: Bools) -> Used:
        """The exchanges of some accounts; ``wanted`` is (n,). RuntimeError where the observer holds none."""
        found = self._log.of(np.append(wanted, False)[self._place])  # the last one is for -1
        return Used(self._place[found.slot], found.happened, found.tokens_in, found.tokens_out)


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Everything that one detection works on. ``usage`` may be asked until the observer looks again."""

    accounts: Accounts
    profile: Float32s
    seen: Sightings
    usage: Usage


class Observer:
    """Reads what is known, and remembers it for the next, later moment. Not for several threads at once."""

    def __init__(self, facts: Facts, *, once: bool = False, usage: bool = True) -> None:
        """``once``: it need not remember, and reads everything at every other moment that it is asked for.

        ``usage`` False: nobody will ask for anybody's exchanges, and so it looks once.
        """
        self.facts = facts
        self._once, self._usage = once or not usage, usage
        self._forget()

    def _forget(self) -> None:
        none = np.empty(0, np.int64)
        self._until = _EVER
        self._account = none  # by slot: numbers from 0 in the order in which accounts were first heard of
        self._links = Shown(none, none, none.astype(np.int32), none)  # of slots, ordered by key
        self._log = UsageLog(once=self._once, counts_only=not self._usage)
        self._habits, self._spoken = HabitCounts(), Spoken()
        self._kept = 0  # words of what was left for others last
        self._looks = 0

    def __call__(self, as_of: int) -> Observed:
        """What was known at ``as_of``. An earlier moment than the last one reads everything anew."""
        if self._until == _EVER or as_of < self._until or (self._once and as_of > self._until):
            self._begin(as_of)
        try:
            self._read_links(as_of)
            self._drop(as_of)
            self._read_usage(as_of)
        except BaseException:  # half of it is taken in: the next look must not take it in again
            self._forget()
            raise
        self._until = as_of
        self._looks += 1
        account, created, learned, profile = self.facts.signup_rows(as_of)
        place = _places(account, self._account)
        asn = np.nan_to_num(profile[:, PROFILE_INDEX["ip_asn"]], nan=NO_ASN).astype(np.int64)
        return Observed(
            accounts=Accounts(
                account=account,
                created=created,
                country=np.nan_to_num(profile[:, PROFILE_INDEX["country"]]).astype(np.int64),
                active_days=_at(place, self._log.days, len(account), 0),
                begun=_begun(created, _at(place, self._log.first, len(account), NEVER)),
                as_of=as_of,
            ),
            profile=profile,
            seen=self._sightings(len(account), place, Signups(created, learned, asn), as_of),
            usage=Usage(self._log, place),
        )

    def keep(self) -> None:
        """Leaves the prompts found for the next fresh observer, where it would else have much to join anew.

        Tens of megabytes, so not for every look: the last look of a day is soon made again from that of the morning.
        """
        words = len(self._spoken.word)
        if words < self._kept * (WORTH_KEEPING if self._looks == 1 else WORTH_MORE):
            return
        held = self.facts.linking_cache(CACHE)
        if held is None or held[0] <= self._until:
            self.facts.put_linking_cache(CACHE, self._spoken.packed(), self._until)
        self._kept = max(words, 1)

    def _begin(self, as_of: int) -> None:
        self._forget()
        held = self.facts.linking_cache(CACHE)
        if held is not None and held[0] <= as_of:
            self._spoken = Spoken.unpacked(held[1])
            self._kept = self._spoken.compared

    def _slots(self, account: Int64s) -> Int64s:
        """The slot of each account, new ones at the end."""
        # By a table of hashes: at millions four times as fast as a binary search for each.
        found = pc.index_in(pa.array(account), value_set=pa.array(self._account))
        if found.null_count:
            unknown = found.is_null().to_numpy(zero_copy_only=False)
            self._account = np.concatenate([self._account, np.unique(account[unknown])])
            found = pc.index_in(pa.array(account), value_set=pa.array(self._account))
        slots: Int64s = found.to_numpy().astype(np.int64)
        return slots

    def _read_links(self, as_of: int) -> None:
        """Takes in links learned since; all stay in the order of their keys."""
        account, key, kind, learned = self.facts.link_rows(as_of, self._until)
        if not len(account):
            return
        order = np.argsort(key)
        held = self._links
        at = np.searchsorted(held.key, key[order])
        self._links = Shown(
            np.insert(held.account, at, self._slots(account)[order]),
            np.insert(held.key, at, key[order]),
            np.insert(held.kind, at, kind[order]),
            np.insert(held.learned, at, learned[order]),
        )

    def _drop(self, as_of: int) -> None:
        """Takes out usage that is too old to be looked at now; a first look has taken in none."""
        if self._once:
            return
        habits = self._log.happened(self._until - HABITS, as_of - HABITS)
        self._habits.remove(_of_habits(habits))
        gone = self._log.drop(as_of - LOOKBACK)
        self._spoken.remove(Said(gone.slot, gone.word, gone.happened), as_of - LOOKBACK)

    def _read_usage(self, as_of: int) -> None:
        """Takes in exchanges learned since."""
        if self._once and as_of == self._until:
            return
        said: list[Said] = []
        tables = self.facts.usage_rows(as_of, max(self._until, as_of - LOOKBACK), _COLUMNS)
        while (table := next(tables, None)) is not None:
            some = self._held(table)
            del table  # before the next one is read
            recent = some.happened > as_of - LOOKBACK
            some = some if recent.all() else some.take(recent)
            said += [Said(part.slot, part.word, part.happened) for part in self._log.add(some, len(self._account))]
            recent = some.happened > as_of - HABITS
            self._habits.add(_of_habits(some if recent.all() else some.take(recent)), as_of)
            del some
        self._log.add(NOTHING_HELD, len(self._account))
        give_back()
        self._spoken.add(said, len(self._account))
        said.clear()
        if self._once:
            self._spoken.forget_who()
        else:
            self._log.settle()
        give_back()

    def _held(self, table: pa.Table) -> Held:
        """Exchanges as they were read, with the slots of their accounts."""
        tokens_in, tokens_out = (_tokens(table[name].to_numpy()) for name in ("input_tokens", "output_tokens"))
        client, model = (table[name].to_numpy().astype(np.int32) for name in ("client", "model"))
        return Held(
            self._slots(table["account"].to_numpy()).astype(np.int32),
            table["happened"].to_numpy(),
            table["simhash"].to_numpy().view(np.uint64),
            tokens_in,
            tokens_out,
            client,
            model,
        )

    def _sightings(self, n: int, place: Int64s, signups: Signups, as_of: int) -> Sightings:
        owner = place[self._links.account]
        known = owner >= 0
        held = self._links if known.all() else self._links.take(known)
        shown = Shown(owner[known], held.key, held.kind, held.learned)
        codes, of = np.unique(shown.kind, return_inverse=True)
        names = {code: each.name for code, each in KIND_BY_CODE.items()} | self.facts.names("kind")
        stored = tuple(names.get(code, f"kind {code}") for code in codes.tolist())
        made = derived_rows(shown, signups) | self._habit_rows(place, as_of)
        kinds = (*stored, *made, "prompt")
        # Most addresses and cards are one account's alone: those are counted, and not sorted among the others.
        _, length = runs(shown.key)
        shared = np.repeat(length >= 2, length)
        unshared = np.zeros((len(kinds), n), np.int32)
        alone = np.bincount(of[~shared] * n + shown.account[~shared], minlength=len(stored) * n)
        unshared[: len(stored)] = alone.reshape(len(stored), n)
        sender, prompt, unshared[-1] = self._spoken.rows(place, n)
        rows = Rows.joined(
            [
                Rows(shown.account[shared], shown.key[shared], of[shared].astype(np.int64)),
                as_rows(made, kinds),
                Rows(sender, prompt ^ code32("prompt"), np.full(len(sender), len(kinds) - 1, np.int64)),
            ]
        )
        return sightings(n, kinds, rows, unshared)

    def _habit_rows(self, place: Int64s, as_of: int) -> dict[str, Keys]:
        found = {}
        for kind, (slot, key) in self._habits.rows(as_of).items():
            at = place[slot]
            found[kind] = (at[at >= 0], key[at >= 0])
        return found


def _of_habits(held: Held) -> Exchanges:
    return Exchanges(*(part.astype(np.int64) for part in held.counted()))


def _tokens(tokens: NDArray[np.generic]) -> Int32s:
    if tokens.dtype.kind == "i":  # none is missing, or there would be NaN
        whole: Int32s = np.clip(tokens, -1, 2**31 - 1).astype(np.int32)
        return whole
    return np.clip(np.nan_to_num(tokens.astype(np.float64), nan=-1.0), -1, 2**31 - 1).astype(np.int32)


def _places(accounts: Int64s, wanted: Int64s) -> Int64s:
    """Where each wanted account stands among the accounts (ascending), -1: nowhere."""
    if not len(accounts):
        return np.full(len(wanted), -1, np.int64)
    place = np.minimum(np.searchsorted(accounts, wanted), len(accounts) - 1)
    return np.where(accounts[place] == wanted, place, -1)


def _at(place: Int64s, values: Int64s, n: int, fill: int) -> Int64s:
    """(n,) what slots have, at the places of their accounts; accounts without a slot have ``fill``."""
    out = np.full(n, fill, np.int64)
    inside = np.flatnonzero(place >= 0)
    out[place[inside]] = values[inside]
    return out


def _begun(created: Int64s, first: Int64s) -> Int64s:
    """(n,) the first exchange looked at, or the signup where there is none."""
    return np.where(first == NEVER, created, np.maximum(first, created))
