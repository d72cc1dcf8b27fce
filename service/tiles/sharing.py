"""The fold of link keys: with how many other accounts an account shared each kind of key, as of a moment.

Counts are to the second and from first-seen rows. Of several keys of one kind the most shared counts (the maximum,
which needs no distinct count over keys). An account never counts itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.domain.facts import Int64s
from service.tiles.fold import WINDOWS, expand, search
from service.tiles.history import (
    FRAUD,
    LEGITIMATE,
    OWN_KEYS_CAP,
    SHARING_CAP,
    History,
    KeyCounts,
    KeyRows,
    OwnLinks,
    VerdictSpans,
    places_among,
)

_WIDTHS = np.array(list(WINDOWS.values()), np.int64)

MEASURES = ("keys", *(f"others_{window}" for window in WINDOWS), "fraud", "legitimate")
_PLACE = {measure: place for place, measure in enumerate(MEASURES)}


@dataclass(frozen=True, slots=True)
class Sharing:
    """``values[i, k, m]``: probe i, kind k of ``kinds``, measure m of ``MEASURES``; int64."""

    kinds: tuple[int, ...]
    values: Int64s

    def column(self, kind: int, measure: str) -> Int64s:
        """Shape (probes,)."""
        return np.ascontiguousarray(self.values[:, self.kinds.index(kind), _PLACE[measure]])

    def several(self, wanted: Sequence[tuple[int, str]]) -> Int64s:
        """The columns of some (kind, measure), shape (probes, wanted)."""
        place_of = {kind: place for place, kind in enumerate(self.kinds)}
        kinds, measures = [place_of[kind] for kind, _ in wanted], [_PLACE[measure] for _, measure in wanted]
        out: Int64s = self.values[:, kinds, measures]
        return out


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """One row per (probe, one of its account's keys known by then), grouped by (probe, kind)."""

    probe: Int64s
    kind: Int64s  # position in the kinds asked for
    own: Int64s  # place of the row among the accounts' own keys
    key: Int64s
    learned: Int64s


def fold_sharing(history: History, account: Int64s, as_of: Int64s, kinds: Sequence[int]) -> Sharing:
    """Sharing of ``account[i]`` as of ``as_of[i]`` for each of ``kinds`` (codes of their names)."""
    out = np.zeros((len(account), len(kinds), len(MEASURES)), np.int64)
    pairs = known_keys(history.own, account, as_of, np.asarray(kinds, np.int64))
    if len(pairs.probe):
        measured = np.empty((len(pairs.probe), len(MEASURES)), np.int64)
        at = as_of[pairs.probe]
        measured[:, 0] = 1
        measured[:, 1 : 1 + len(WINDOWS)] = _others(history, pairs, at)
        seen = np.flatnonzero(measured[:, len(WINDOWS)])  # on a key that nobody else has shown nobody else was judged
        measured[:, 1 + len(WINDOWS) :] = 0
        measured[seen, 1 + len(WINDOWS) :] = _verdicts(history, pairs.key[seen], account[pairs.probe[seen]], at[seen])
        np.minimum(measured, SHARING_CAP, out=measured)
        # pairs come grouped by (probe, kind)
        group = pairs.probe * len(kinds) + pairs.kind
        starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        best = np.maximum.reduceat(measured, starts, axis=0)
        best[:, 0] = np.diff(np.append(starts, len(group)))
        out[pairs.probe[starts], pairs.kind[starts]] = best
    return Sharing(tuple(kinds), out)


def known_keys(own: OwnLinks, account: Int64s, as_of: Int64s, kinds: Int64s) -> KnownKeys:
    """For each probe its account's latest ``OWN_KEYS_CAP`` keys of each of ``kinds`` that were known by then."""
    order = np.argsort(kinds, kind="stable")
    place = np.searchsorted(kinds[order], own.kind.astype(np.int64))
    asked = np.flatnonzero((place < len(kinds)) & (kinds[order][np.minimum(place, len(kinds) - 1)] == own.kind))
    kind, places = order[place[asked]], asked
    if not _ordered(own):
        by = in_order(own.account[asked], kind, own.learned[asked], own.key[asked])
        kind, places = kind[by], asked[by]
    who, learned = own.account[places], own.learned[places]
    probe, row = expand(np.searchsorted(who, account, "left"), np.searchsorted(who, account, "right"))
    seen = learned[row] <= as_of[probe]
    probe, row = probe[seen], row[seen]
    if _fullest(who, kind) > OWN_KEYS_CAP:
        group = probe * len(kinds) + kind[row]
        fresh = np.flatnonzero(np.concatenate([np.ones(min(1, len(group)), bool), group[1:] != group[:-1]]))
        rank = np.arange(len(group)) - np.repeat(fresh, np.diff(np.append(fresh, len(group))))
        kept = rank < OWN_KEYS_CAP
        probe, row = probe[kept], row[kept]
    own_row = places[row]
    return KnownKeys(probe, kind[row], own_row, own.key[own_row], learned[row])


def in_order(account: Int64s, kind: Int64s, learned: Int64s, key: Int64s) -> Int64s:
    """Places of the rows by account, then kind, then the latest first, then key.

    A bulk read has them by account, and of most kinds an account has one key: then one sort of whole numbers does, and
    but the few that have several are looked at again; all four took twice as long.
    """
    if len(account) and not (account[1:] < account[:-1]).any():
        group = np.append(0, np.cumsum(account[1:] != account[:-1])) * (int(kind.max()) + 1) + kind
        by = np.argsort(group, kind="stable")
        same = group[by[1:]] == group[by[:-1]]
        several = np.flatnonzero(np.append(False, same) | np.append(same, False))
        rows = by[several]
        by[several] = rows[np.lexsort((key[rows], -learned[rows], group[rows]))]
        return by
    return np.lexsort((key, -learned, kind, account))


def _ordered(own: OwnLinks) -> bool:
    """Whether they come by account, then kind, then the latest first, as a bulk read has them; else they are sorted."""
    if (own.account[1:] < own.account[:-1]).any():
        return False
    same = np.flatnonzero(own.account[1:] == own.account[:-1])
    before, after = own.kind[same], own.kind[same + 1]
    if (after < before).any():
        return False
    same = same[after == before]
    before, after = own.learned[same], own.learned[same + 1]
    same = same[after == before]
    return not (after > before).any() and not (own.key[same + 1] < own.key[same]).any()


def _fullest(who: Int64s, kind: Int64s) -> int:
    """The most rows that any (account, kind), given in order, has."""
    ends = np.flatnonzero((who[1:] != who[:-1]) | (kind[1:] != kind[:-1])) + 1
    return int(np.diff(ends, prepend=0, append=len(who)).max(initial=0))


def _others(history: History, pairs: KnownKeys, at: Int64s) -> Int64s:
    """Other accounts first seen on each pair's key in each window before ``at``; shape (pairs, windows).

    Where they are more than ``SHARING_CAP``, some number above it: the fold needs to know no more of a hub. Raises
    ValueError for counts that were made for another moment.
    """
    rows = history.sharing
    if isinstance(rows, KeyCounts):
        if (at != rows.at).any():
            raise ValueError(f"keys were counted at {rows.at} and are asked about at another moment")
        return np.maximum(rows.of(pairs.key) - (pairs.learned[:, None] > at[:, None] - _WIDTHS), 0)
    key, learned = _by_key(rows)
    low, high = _bounds(key, history.own, pairs)
    several = np.flatnonzero(high - low > 1)  # most keys are one account's alone
    low, high, at, own = low[several], high[several], at[several], pairs.learned[several]
    stop = search(learned, low, high, at)
    low = np.maximum(low, stop - (SHARING_CAP + 2))
    found = np.empty((len(several), len(WINDOWS)), np.int64)
    for i, width in reversed(list(enumerate(WINDOWS.values()))):  # a window begins no earlier than the next longer one
        start = at - width
        low = search(learned, low, stop, start)
        found[:, i] = stop - low - (own > start)
    out = np.zeros((len(pairs.key), len(WINDOWS)), np.int64)
    out[several] = found
    return out


def _by_key(rows: KeyRows) -> tuple[Int64s, Int64s]:
    """Key and moment of each row, by key and then moment; as they are where storage had them in this order."""
    key, learned = rows.key, rows.learned
    same = key[1:] == key[:-1]
    if ((key[1:] > key[:-1]) | (same & (learned[1:] >= learned[:-1]))).all():
        return key, learned
    by = np.lexsort((learned, key))
    return key[by], learned[by]


def _bounds(key: Int64s, own: OwnLinks, pairs: KnownKeys) -> tuple[Int64s, Int64s]:
    """Where each pair's key begins and ends in ``key``, ascending; shape (pairs,) each.

    Searched for once an own key, which is asked about by all probes of its account.
    """
    low, high = np.searchsorted(key, own.key, "left"), np.searchsorted(key, own.key, "right")
    return low[pairs.own], high[pairs.own]


def _verdicts(history: History, asked: Int64s, account: Int64s, at: Int64s) -> Int64s:
    """Accounts but ``account`` on each key under a fraud, and under a legitimate, verdict at ``at``; shape (n, 2)."""
    out = np.zeros((len(asked), 2), np.int64)
    if not len(history.spans.account) or not len(asked):
        return out
    key, time, delta = _verdict_steps(history.marked, history.spans)
    if not len(key):
        return out
    running = np.zeros((len(key) + 1, 2), np.int64)
    np.cumsum(delta, axis=0, out=running[1:])
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    place = np.minimum(places_among(key[starts], asked), len(starts) - 1)
    told = np.flatnonzero(key[starts[place]] == asked)  # on any other key nobody was ever judged, the account neither
    low, high, at = starts[place[told]], np.append(starts[1:], len(key))[place[told]], at[told]
    count = running[search(time, low, high, at)] - running[low]
    out[told] = count - standing_verdict(history.spans, account[told], at)
    return out


def _verdict_steps(rows: KeyRows, spans: VerdictSpans) -> tuple[Int64s, Int64s, Int64s]:
    """Changes of (fraud, legitimate) counts per key, sorted by (key, time)."""
    by = np.argsort(spans.account, kind="stable")
    who = spans.account[by]
    row, at = expand(np.searchsorted(who, rows.account, "left"), np.searchsorted(who, rows.account, "right"))
    span = by[at] if len(at) else at
    start = np.maximum(spans.start[span], rows.learned[row])
    end = spans.end[span]
    real = start < end
    row, span, start, end = row[real], span[real], start[real], end[real]
    sign = np.stack([spans.verdict[span] == FRAUD, spans.verdict[span] == LEGITIMATE], axis=1).astype(np.int64)
    key = np.concatenate([rows.key[row], rows.key[row]])
    time = np.concatenate([start, end])
    order = np.lexsort((time, key))
    return key[order], time[order], np.concatenate([sign, -sign])[order]


def standing_verdict(spans: VerdictSpans, account: Int64s, at: Int64s) -> Int64s:
    """Whether each account itself stands under (fraud, legitimate) at ``at``; shape (n, 2), 0 or 1."""
    by = np.lexsort((spans.start, spans.account))
    who, start, end, verdict = spans.account[by], spans.start[by], spans.end[by], spans.verdict[by]
    low, high = np.searchsorted(who, account, "left"), np.searchsorted(who, account, "right")
    out = np.zeros((len(account), 2), np.int64)
    if len(by):
        last = search(start, low, high, at) - 1
        inside = (last >= low) & (at < end[np.maximum(last, 0)])
        for i, value in enumerate((FRAUD, LEGITIMATE)):
            out[:, i] = inside & (verdict[np.maximum(last, 0)] == value)
    return out
