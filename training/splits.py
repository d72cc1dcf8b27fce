"""Splits by time with whole campaigns on one side: train, then calibrate, then test.

A campaign is on the side of its earliest member. Its members created after that side's end are dropped from every
side: kept, they would let the test ask about accounts whose fellows were learned from; moved, they would split the
campaign. Fraud without a campaign is its own group. What no split can know is that two unlabelled accounts belong
together, so a campaign's unlabelled members may stand on any side.

Where all accounts share one creation time (a snapshot without dates) time cannot split; groups are then dealt out by a
hash. Nor can it where campaigns run side by side, a few members a day: those that began first have hardly a member from
before the next ones began (of 645 labelled members of five such campaigns 5 were left to learn from). Then whole
campaigns are dealt out, each side its share, and other accounts by a hash: no campaign stands on two sides, but what is
learned is not older than what it is tried on. The report says which it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import mix64
from service.domain.facts import Float64s, Int64s

DROPPED, TRAIN, CALIBRATION, TEST = -1, 0, 1, 2
SHARES = (0.65, 0.175, 0.175)  # of the fraud, by its weight, on each side
KEPT = 0.1  # of the fraud of the first side's campaigns, by its weight: the least that may be left to learn from

Sides = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Split:
    """``side`` of each account, shape (n,), and how it was made."""

    side: Sides  # DROPPED, TRAIN, CALIBRATION or TEST
    by: str  # ``time``, ``campaign`` or ``hash``
    cuts: tuple[int, ...]  # moments between the sides; empty where it is not by time
    dropped: int  # accounts past their campaign's side

    def on(self, side: int) -> NDArray[np.bool_]:
        """Which accounts are on ``side``."""
        out: NDArray[np.bool_] = self.side == side
        return out


def split(
    created_at: Int64s,
    group: Int64s,
    weight: Float64s,
    *,
    shares: tuple[float, ...] = SHARES,
    seed: int = 0,
) -> Split:
    """Sides of ``n`` accounts, as many as there are ``shares``, in order of time.

    ``group`` is one number a campaign (and a number of its own for an account without one), ``weight`` what an account
    adds to the shares: 0 but for fraud, where cuts by all accounts could leave a side without any.
    """
    start = _group_start(created_at, group)
    if not (weight > 0).any():
        weight = np.ones(len(created_at))
    cuts = _cuts(start, weight, shares)
    side = np.searchsorted(cuts, start, "right").astype(np.int8)
    if len(np.unique(side[weight > 0])) < len(shares) or len(np.unique(cuts)) < len(cuts):
        return Split(_by_hash(group, shares, seed), "hash", (), 0)
    late = np.searchsorted(cuts, created_at, "right") > side
    learned = weight * (side == TRAIN)
    if learned[~late].sum() < KEPT * learned.sum():
        return Split(_by_campaign(group, weight, shares, seed), "campaign", (), 0)
    side[late] = DROPPED
    return Split(side, "time", tuple(int(cut) for cut in cuts), int(late.sum()))


def _group_start(created_at: Int64s, group: Int64s) -> Int64s:
    _, place = np.unique(group, return_inverse=True)
    earliest = np.full(place.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, place, created_at)
    out: Int64s = earliest[place]
    return out


def _cuts(start: Int64s, weight: Float64s, shares: tuple[float, ...]) -> Int64s:
    """A group that starts at a cut or later is past it."""
    order = np.argsort(start, kind="stable")
    running = np.cumsum(weight[order])
    wanted = np.cumsum(shares)[:-1] / np.sum(shares) * running[-1]
    place = np.minimum(np.searchsorted(running, wanted, "left") + 1, len(start) - 1)
    out: Int64s = start[order][place]
    return out


def _by_campaign(group: Int64s, weight: Float64s, shares: tuple[float, ...], seed: int) -> Sides:
    """Groups with weight to the side that lacks most of its share, the heaviest first; all others by a hash."""
    side = _by_hash(group, shares, seed)
    names, place = np.unique(group, return_inverse=True)
    heavy = np.bincount(place, weight, minlength=len(names))
    lacking = np.array(shares) / np.sum(shares) * heavy.sum()
    of = np.full(len(names), DROPPED, np.int8)
    for i in np.lexsort((mix64(names ^ np.int64(seed)), -heavy)).tolist():
        if heavy[i] <= 0:
            break
        of[i] = int(np.argmax(lacking))
        lacking[of[i]] -= heavy[i]
    return np.where(of[place] == DROPPED, side, of[place]).astype(np.int8)


def _by_hash(group: Int64s, shares: tuple[float, ...], seed: int) -> Sides:
    part = mix64(group ^ np.int64(seed)) / float(2**64)
    edges = np.cumsum(shares)[:-1] / np.sum(shares)
    return np.searchsorted(edges, part, "right").astype(np.int8)
