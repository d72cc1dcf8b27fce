"""One more probe an account: the moment before analysts decided, when a model would have been of most use.

A fraud's is a microsecond before its campaign was confirmed (before its own verdict, where it has no campaign or signed
up later). Nothing that the decision brought about is known then. Probes of that kind for fraud alone would teach that
an odd age is fraud: an account between one day and three would be nothing else. So every other account is asked once
more as well, at the age at which one of the campaigns was confirmed. Which one it follows is drawn by the highest of
many hashes (rendezvous hashing; Thaler and Ravishankar, 1998): a later campaign changes the draw of few accounts, and
rows that were computed for an earlier training can be used again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import mix64
from service.domain.facts import Int64s

NEVER = -1  # an age: there is no such probe
FOLLOWED = 64  # campaigns, and frauds without one, whose ages others are asked at

Bools = NDArray[np.bool_]


def ages_before_confirmation(
    account: Int64s, created_at: Int64s, fraud: Bools, learned_at: Int64s, group: Int64s, as_of: int
) -> Int64s:
    """The age of each account at that probe, shape (n,); NEVER: it has none, or its signup's is the same moment.

    ``learned_at`` is of the verdict in force; only that of fraud is read. ``group`` is one number a campaign.
    """
    out = np.full(len(account), NEVER, np.int64)
    if not fraud.any():
        return out
    told = _earliest(learned_at[fraud], group[fraud])
    told = np.where(created_at[fraud] < told - 1, told, learned_at[fraud])
    out[fraud] = np.maximum(told - 1 - created_at[fraud], 0)
    out[fraud] = np.where(out[fraud] > 0, out[fraud], NEVER)
    pool = _one_of_each(account, np.where(fraud, out, NEVER), group)
    if len(pool):
        others = np.flatnonzero(~fraud)
        out[others] = _followed(account[others], created_at[others], account[pool], out[pool], as_of)
    return out


def _earliest(learned_at: Int64s, group: Int64s) -> Int64s:
    _, place = np.unique(group, return_inverse=True)
    first = np.full(int(place.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, place, learned_at)
    out: Int64s = first[place]
    return out


def _one_of_each(account: Int64s, age: Int64s, group: Int64s) -> Int64s:
    """Places of one account of each group that has such a probe: of the FOLLOWED groups whose hashes are lowest."""
    there = np.flatnonzero(age != NEVER)
    by = there[np.lexsort((mix64(account[there]), mix64(group[there])))]
    first = np.ones(len(by), bool)
    first[1:] = group[by][1:] != group[by][:-1]
    return by[first][:FOLLOWED]


def _followed(account: Int64s, created_at: Int64s, leader: Int64s, age: Int64s, as_of: int) -> Int64s:
    """Of the ages that lie by ``as_of`` that of the leader with the highest hash beside each account."""
    best = np.zeros(len(account), np.uint64)
    out = np.full(len(account), NEVER, np.int64)
    for one, its_age in zip(mix64(leader).view(np.int64).tolist(), age.tolist(), strict=True):
        rank = mix64(account ^ np.int64(one))
        better = (created_at + its_age <= as_of) & ((rank > best) | (out == NEVER))
        best[better], out[better] = rank[better], its_age
    return out
