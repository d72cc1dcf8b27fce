"""Which accounts are learned from where there are more than memory should hold: a sample that stands for all of them.

Drawn by a hash of the account's number, so that the same accounts and seed give the same sample. Campaigns are cut to a
size that all share (the members of one are near-duplicates), and lose no campaign as long as there is room for one
member of each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import mix64
from service.domain.facts import Float64s, Int64s

Bools = NDArray[np.bool_]


def sampled(account: Int64s, most: int, seed: int) -> tuple[Bools, Float64s]:
    """Which of ``n`` accounts are drawn, at most ``most``, and how many each of these stands for; shape (n,) each."""
    if len(account) <= most:
        return np.ones(len(account), bool), np.ones(len(account))
    rank = mix64(account ^ np.int64(seed))
    drawn = rank <= np.partition(rank, most - 1)[most - 1]
    return drawn, np.full(len(account), len(account) / drawn.sum())


def sampled_campaigns(account: Int64s, group: Int64s, most: int, seed: int) -> tuple[Bools, Float64s]:
    """The same, but of each group at most as many as leaves ``most`` in all."""
    if len(account) <= most:
        return np.ones(len(account), bool), np.ones(len(account))
    _, place, size = np.unique(group, return_inverse=True, return_counts=True)
    bound = _bound(size, most)
    rank = mix64(account ^ np.int64(seed))
    by = np.lexsort((rank, place))
    start = np.cumsum(size) - size
    within = np.empty(len(account), np.int64)
    within[by] = np.arange(len(account)) - np.repeat(start, size)
    drawn = within < bound
    stands_for = np.maximum(size / bound, 1.0)[place]
    if drawn.sum() > most:  # more groups than room
        some, more = sampled(account[drawn], most, seed + 1)
        stands_for[drawn] *= more
        drawn[np.flatnonzero(drawn)[~some]] = False
    return drawn, stands_for


def _bound(size: Int64s, most: int) -> int:
    """The largest size, 1 at least, such that groups cut to it have no more than ``most`` members in all."""
    low, high = 1, int(size.max())
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(size, middle).sum() <= most:
            low = middle
        else:
            high = middle - 1
    return low
