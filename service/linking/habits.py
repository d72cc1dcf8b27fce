"""Habits of use as link keys: accounts that one program drives ask for the same lengths, in the same hours.

All are made from counts over the exchanges of the last 30 days, which are kept up as exchanges come and go: a look at
50,000 accounts every six hours costs a twentieth of counting anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from service.domain.codes import code32, mix64
from service.domain.facts import Int32s, Int64s
from service.domain.time import DAY, HOUR, MINUTE
from service.linking.sightings import Bools, grown, runs

Keys: TypeAlias = tuple[Int64s, Int64s]  # (rows,) place of the account, and the key

FEWEST_EXCHANGES = 20  # fewer make no habit
SLOT = 3 * HOUR  # of the day
MOST_EXCHANGES = 0.8  # share of exchanges that an account's active hours hold
WINDOW = 15 * MINUTE
WINDOWS = 7 * DAY // WINDOW  # that co-activity looks back over
FEWEST_WINDOWS = 6  # of activity
BANDS, BAND_ROWS = 2, 2  # of MinHash: sets that are 80 % alike agree in a band with 87 %, those 10 % alike with 2 %

_SLOTS = DAY // SLOT
_BINS = 64  # of token counts, two for each doubling
_NAME_BITS = 20  # of a client's or model's hash that tell it from others; installations know a few hundred
_WINDOW_BITS = 24  # of the number of a quarter hour since 1970: until the year 2448


@dataclass(frozen=True, slots=True, eq=False)
class Exchanges:
    """Exchanges in any order; all of shape (rows,)."""

    account: Int64s  # place of the account
    happened: Int64s
    input_tokens: Int64s  # -1: not said
    output_tokens: Int64s
    client: Int64s  # hash64 of the SDK's name, or its lower half; 0: not said
    model: Int64s


class HabitCounts:
    """What habits are made of; the exchanges are those known of the last 30 days. Not for several threads at once."""

    def __init__(self) -> None:
        self.sent = np.zeros(0, np.int32)  # (n,) exchanges of each account
        self.slots = np.zeros((0, _SLOTS), np.int32)  # of those, in each slot of the day
        self.said = np.zeros(0, np.int32)  # those that said their tokens ...
        self.inputs = np.zeros((0, _BINS), np.int32)  # ... by half octaves
        self.outputs = np.zeros((0, _BINS), np.int32)
        self.clients, self.models = _Tally(), _Tally()  # of those
        self.windows = np.zeros(0, np.int64)  # ascending: account and quarter hour, each once, of the last seven days

    @classmethod
    def of(cls, exchanges: Exchanges, as_of: int) -> HabitCounts:
        """Counts of these exchanges alone."""
        out = cls()
        out.add(exchanges, as_of)
        return out

    def add(self, exchanges: Exchanges, as_of: int) -> None:
        """Takes in exchanges known at ``as_of``, in any order."""
        size = int(exchanges.account.max(initial=-1)) + 1
        for name in ("sent", "slots", "said", "inputs", "outputs"):
            setattr(self, name, grown(getattr(self, name), size, 0))
        self._change(exchanges, 1)
        oldest = as_of // WINDOW - WINDOWS + 1
        window = exchanges.happened // WINDOW
        kept = (window >= max(oldest, 0)) & (window < 1 << _WINDOW_BITS)
        code = np.concatenate([self.windows, exchanges.account[kept] << _WINDOW_BITS | window[kept]])
        code.sort(kind="stable")  # which merges what is in order already
        first, _ = runs(code)
        code = code[first]
        self.windows = code[code & (1 << _WINDOW_BITS) - 1 >= oldest]

    def remove(self, exchanges: Exchanges) -> None:
        """Takes out exchanges that were added; quarter hours go by themselves when they are a week old."""
        self._change(exchanges, -1)

    def _change(self, exchanges: Exchanges, by: int) -> None:
        account = exchanges.account
        self.sent += (by * np.bincount(account, minlength=len(self.sent))).astype(np.int32)
        np.add.at(self.slots.reshape(-1), account * _SLOTS + exchanges.happened % DAY // SLOT, np.int32(by))
        said = np.flatnonzero((exchanges.input_tokens >= 0) & (exchanges.output_tokens >= 0))
        account = account[said]
        self.said += (by * np.bincount(account, minlength=len(self.said))).astype(np.int32)
        for table, tokens in ((self.inputs, exchanges.input_tokens), (self.outputs, exchanges.output_tokens)):
            np.add.at(table.reshape(-1), account * _BINS + _half_octave(tokens[said]), np.int32(by))
        for tally, names in ((self.clients, exchanges.client), (self.models, exchanges.model)):
            tally.change(account << _NAME_BITS | names[said] & (1 << _NAME_BITS) - 1, by)

    def rows(self, as_of: int) -> dict[str, Keys]:
        """Accounts and their keys for each kind of ``KEYS``, accounts ascending."""
        return {key.__name__: key(self, as_of) for key in KEYS}


class _Tally:
    """How often each account used each name, by a code of both."""

    def __init__(self) -> None:
        self.code = np.zeros(0, np.int64)  # ascending: the account, and the last bits of the name's hash
        self.count = np.zeros(0, np.int64)

    def change(self, code: Int64s, by: int) -> None:
        """Counts ``code`` up or down."""
        code = np.sort(code)
        start, length = runs(code)
        each = code[start]
        place = np.searchsorted(self.code, each)
        there = np.zeros(len(each), bool)
        inside = place < len(self.code)
        there[inside] = self.code[place[inside]] == each[inside]
        self.count[place[there]] += by * length[there]
        if not there.all():
            self.code = np.insert(self.code, place[~there], each[~there])
            self.count = np.insert(self.count, place[~there], by * length[~there])
        if by < 0:
            left = self.count > 0
            self.code, self.count = self.code[left], self.count[left]

    def main(self, wanted: Bools) -> Int64s:
        """The name that each wanted account used most, accounts ascending; of names as frequent the least code."""
        rows = np.flatnonzero(wanted[self.code >> _NAME_BITS])
        order = rows[np.lexsort((self.code[rows], -self.count[rows], self.code[rows] >> _NAME_BITS))]
        first, _ = runs(self.code[order] >> _NAME_BITS)
        main: Int64s = self.code[order[first]] & (1 << _NAME_BITS) - 1
        return main


def token_profile(counts: HabitCounts, as_of: int) -> Keys:  # noqa: ARG001  one signature for all kinds
    """How long an account's prompts and answers are, with its main client and model.

    Medians of input and output tokens in half octaves, for accounts with 20 exchanges that said both. Programs ask and
    answer at their own length whatever the words are. Honest sharing: everyone with the same tool and the same task,
    such as the users of one coding agent; the commoner the profile, the less it says.
    """
    enough = counts.said >= FEWEST_EXCHANGES
    who = np.flatnonzero(enough)
    if not len(who):
        return who, who
    parts = [_median_bin(table[who], counts.said[who]) for table in (counts.inputs, counts.outputs)]
    parts += [tally.main(enough) for tally in (counts.clients, counts.models)]
    return who, mixed("token_profile", *parts)


def active_hours(counts: HabitCounts, as_of: int) -> Keys:  # noqa: ARG001  one signature for all kinds
    """The fewest three-hour slots of the day (UTC) that hold four fifths of an account's exchanges.

    For accounts with 20 exchanges. A crew's shift and a scheduler's run stay where they are when everything else
    rotates. Honest sharing: office hours in one time zone, a class, everything that runs all day.
    """
    who = np.flatnonzero(counts.sent >= FEWEST_EXCHANGES)
    count = counts.slots[who].astype(np.int64)
    busiest = np.argsort(-count, axis=1, kind="stable")  # of slots as busy the earlier one
    ordered = np.take_along_axis(count, busiest, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    needed = before < MOST_EXCHANGES * ordered.sum(axis=1, keepdims=True)
    mask = (needed.astype(np.int64) << busiest).sum(axis=1)
    return who, mixed("active_hours", mask)


def co_activity(counts: HabitCounts, as_of: int) -> Keys:
    """The quarter hours of the last seven days in which an account was active, as MinHash bands of them.

    For accounts active in six of them; two keys each, and accounts with much the same quarter hours have one in common
    (SynchroTrap: Cao, Yang, Yu, Palow, CCS 2014). One program that drives many accounts wakes them together, whatever
    each then asks. Honest sharing: jobs that a scheduler starts on the hour, a class at its exercise, a team at work.
    """
    last = as_of // WINDOW
    window = last - (counts.windows & (1 << _WINDOW_BITS) - 1)
    recent = (window >= 0) & (window < WINDOWS)
    place, window = counts.windows[recent] >> _WINDOW_BITS, window[recent]
    start, length = runs(place)
    many = length >= FEWEST_WINDOWS
    who = place[start[many]]
    if not len(who):
        return who, who
    kept = np.repeat(many, length)
    window, start = window[kept], np.cumsum(length[many]) - length[many]
    absolute = last - np.arange(WINDOWS)  # the same quarter hour has the same rank in the next run
    rank = [mixed(f"co_activity {row}", absolute) for row in range(BANDS * BAND_ROWS)]
    least = [np.minimum.reduceat(of[window], start) for of in rank]
    bands = [
        mixed("co_activity", np.full(len(who), band), *least[band * BAND_ROWS : (band + 1) * BAND_ROWS])
        for band in range(BANDS)
    ]
    return np.repeat(who, BANDS), np.stack(bands, axis=1).ravel()


KEYS: tuple[Callable[[HabitCounts, int], Keys], ...] = (token_profile, active_hours, co_activity)


def mixed(kind: str, *parts: Int64s) -> Int64s:
    """One key of ``kind`` from several numbers, (rows,) each; the same numbers in another order are another key."""
    out = np.full(len(parts[0]), code32(kind), np.int64)
    for part in parts:
        out = mix64(out ^ part).view(np.int64)
    return out


def _half_octave(tokens: Int64s) -> Int64s:
    """The half octave of each number, read off a float's bits, which no machine rounds otherwise."""
    octave = (tokens + 1.0).view(np.int64)  # the exponent and half of the octave
    octave >>= 51
    octave -= 2 * 1023
    np.minimum(octave, _BINS - 1, out=octave)
    return octave


def _median_bin(count: Int32s, total: Int32s) -> Int64s:
    """For each account the half octave of its (lower) median; ``count`` is (accounts, _BINS), ``total`` its sums."""
    out: Int64s = np.argmax(np.cumsum(count, axis=1, dtype=np.int32) >= ((total + 1) // 2)[:, None], axis=1)
    return out
