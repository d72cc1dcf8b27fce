"""Habits of use as link keys: accounts that one program drives ask for the same lengths, in the same hours.

All are made from exchanges of the last 30 days, afresh at each run (9 million take 1.5 s of a processor). Partial
aggregates would not be simpler: a window that slides needs one for each day, and which client is an account's main one
cannot be told from those of its days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import code32, mix64
from service.domain.facts import Int64s
from service.domain.time import DAY, HOUR, MINUTE
from service.linking.sightings import Bools, runs

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
_CELLS_PER_ROW = 4  # of a table of counts, above which sorting takes less memory


@dataclass(frozen=True, slots=True, eq=False)
class Exchanges:
    """Exchanges in any order; all of shape (rows,)."""

    account: Int64s  # place of the account
    happened: Int64s
    input_tokens: Int64s  # -1: not said
    output_tokens: Int64s
    client: Int64s  # hash64 of the SDK's name; 0: not said
    model: Int64s


def habit_rows(
    account: Int64s,
    happened: Int64s,
    input_tokens: Int64s,
    output_tokens: Int64s,
    client: Int64s,
    model: Int64s,
    *,
    as_of: int,
) -> dict[str, Keys]:
    """Accounts and their keys for each kind of ``KEYS``, accounts ascending; ``account`` holds places from 0.

    The exchanges are those known at ``as_of`` of the 30 days before it, in any order.
    """
    exchanges = Exchanges(account, happened, input_tokens, output_tokens, client, model)
    return {key.__name__: key(exchanges, as_of) for key in KEYS}


def token_profile(exchanges: Exchanges, as_of: int) -> Keys:  # noqa: ARG001  one signature for all kinds
    """How long an account's prompts and answers are, with its main client and model.

    Medians of input and output tokens in half octaves, for accounts with 20 exchanges that said both. Programs ask and
    answer at their own length whatever the words are. Honest sharing: everyone with the same tool and the same task,
    such as the users of one coding agent; the commoner the profile, the less it says.
    """
    said = (exchanges.input_tokens >= 0) & (exchanges.output_tokens >= 0)
    kept, place, who = _enough(exchanges.account, said)
    if not len(who):
        return who, who
    total = np.bincount(place, minlength=len(who))
    parts = [_median_bin(place, column[kept], total) for column in (exchanges.input_tokens, exchanges.output_tokens)]
    parts += [_most_used(place, column[kept], len(who)) for column in (exchanges.client, exchanges.model)]
    return who, mixed("token_profile", *parts)


def active_hours(exchanges: Exchanges, as_of: int) -> Keys:  # noqa: ARG001  one signature for all kinds
    """The fewest three-hour slots of the day (UTC) that hold four fifths of an account's exchanges.

    For accounts with 20 exchanges. A crew's shift and a scheduler's run stay where they are when everything else
    rotates. Honest sharing: office hours in one time zone, a class, everything that runs all day.
    """
    kept, place, who = _enough(exchanges.account, np.ones(len(exchanges.account), bool))
    slot = exchanges.happened[kept] % DAY // SLOT
    count = np.bincount(place * _SLOTS + slot, minlength=len(who) * _SLOTS).reshape(-1, _SLOTS)
    busiest = np.argsort(-count, axis=1, kind="stable")  # of slots as busy the earlier one
    ordered = np.take_along_axis(count, busiest, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    needed = before < MOST_EXCHANGES * ordered.sum(axis=1, keepdims=True)
    mask = (needed.astype(np.int64) << busiest).sum(axis=1)
    return who, mixed("active_hours", mask)


def co_activity(exchanges: Exchanges, as_of: int) -> Keys:
    """The quarter hours of the last seven days in which an account was active, as MinHash bands of them.

    For accounts active in six of them; two keys each, and accounts with much the same quarter hours have one in common
    (SynchroTrap: Cao, Yang, Yu, Palow, CCS 2014). One program that drives many accounts wakes them together, whatever
    each then asks. Honest sharing: jobs that a scheduler starts on the hour, a class at its exercise, a team at work.
    """
    last = as_of // WINDOW
    window = last - exchanges.happened // WINDOW
    recent = (window >= 0) & (window < WINDOWS)
    code = np.sort(exchanges.account[recent] * WINDOWS + window[recent])
    first, _ = runs(code)
    place, window = np.divmod(code[first], WINDOWS)
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


KEYS: tuple[Callable[[Exchanges, int], Keys], ...] = (token_profile, active_hours, co_activity)


def mixed(kind: str, *parts: Int64s) -> Int64s:
    """One key of ``kind`` from several numbers, (rows,) each; the same numbers in another order are another key."""
    out = np.full(len(parts[0]), code32(kind), np.int64)
    for part in parts:
        out = mix64(out ^ part).view(np.int64)
    return out


def _enough(account: Int64s, said: Bools) -> tuple[Bools, Int64s, Int64s]:
    """Rows among ``said`` of accounts with FEWEST_EXCHANGES of them; each one's place among those accounts; them."""
    counted = np.bincount(account if said.all() else account[said])
    enough = counted >= FEWEST_EXCHANGES
    who = np.flatnonzero(enough)
    number = np.cumsum(enough) - 1
    kept = said.copy()
    kept[said] = enough[account[said]]
    return kept, number[account[kept]], who


def _median_bin(place: Int64s, tokens: Int64s, total: Int64s) -> Int64s:
    """For each account the half octave of its (lower) median of ``tokens``; ``total`` counts its rows.

    The bin is read off a float's bits, which no machine rounds otherwise: the exponent and half of the octave.
    """
    octave = (tokens + 1.0).view(np.int64)
    octave >>= 51
    octave -= 2 * 1023
    np.minimum(octave, _BINS - 1, out=octave)
    octave += place * _BINS
    count = np.bincount(octave, minlength=len(total) * _BINS).reshape(-1, _BINS)
    np.cumsum(count, axis=1, out=count)
    out: Int64s = np.argmax(count >= ((total + 1) // 2)[:, None], axis=1)
    return out


def _most_used(place: Int64s, names: Int64s, accounts: int) -> Int64s:
    """For each account the name that most of its rows have, of names as frequent the least; hashes' leading bits."""
    code = (names.view(np.uint64) >> np.uint64(64 - _NAME_BITS)).view(np.int64)
    known = np.flatnonzero(np.bincount(code, minlength=1 << _NAME_BITS))
    if accounts * len(known) > _CELLS_PER_ROW * len(place):
        return _most_used_of_many(place, code)
    number = np.zeros(1 << _NAME_BITS, np.int64)
    number[known] = np.arange(len(known))
    count = np.bincount(place * len(known) + number[code], minlength=accounts * len(known)).reshape(accounts, -1)
    main: Int64s = known[np.argmax(count, axis=1)]
    return main


def _most_used_of_many(place: Int64s, code: NDArray[np.int64]) -> Int64s:
    """The same by sorting; every account has a row."""
    pair = place << _NAME_BITS
    pair |= code
    pair.sort()
    start, length = runs(pair)
    pair = pair[start]
    first, names = runs(pair >> _NAME_BITS)
    most = np.flatnonzero(length == np.repeat(np.maximum.reduceat(length, first), names))
    pair = pair[most]
    first, _ = runs(pair >> _NAME_BITS)
    main: Int64s = pair[first] & (1 << _NAME_BITS) - 1
    return main
