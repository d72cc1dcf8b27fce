"""Scores of many rows, some trees at a time: the same sum in the same order, in two thirds of the time.

LightGBM takes one row through all trees and then the next. Five hundred trees are larger than a core's nearer caches,
and each row fetches them anew. A few trees for all rows, and then the next few, stay in them. Sums of slices would be
rounded otherwise than one sum; so each slice says which leaf a row falls into, and leaves are added here one by one,
as LightGBM adds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float32s, Float64s

LEAVES_AT_ONCE = 1_280  # with their splits some 100 KB
_LEAVES = re.compile(r"^leaf_value=(.*)$", re.MULTILINE)

Leaf = NDArray[np.int32]


class Slices:
    """A booster's trees in slices."""

    def __init__(self, text: str) -> None:
        """``text`` is the booster's; raises ValueError where its answer is not the plain sum of its leaves."""
        if "\nnum_tree_per_iteration=1\n" not in text or "\naverage_output" in text or "\nis_linear=1" in text:
            raise ValueError("this booster's answer is not the sum of one leaf of each tree")
        self._values = [np.array(line.split(), np.float64) for line in _LEAVES.findall(text)]
        sizes = np.cumsum([len(values) for values in self._values])
        slices = np.flatnonzero(np.diff(sizes // LEAVES_AT_ONCE)) + 1
        self._bounds = list(pairwise([0, *slices.tolist(), len(self._values)]))

    def __len__(self) -> int:
        return len(self._bounds)

    def raw(self, rows: Float32s, leaves: Callable[[Float32s, int, int], Leaf]) -> Float64s:
        """Log-odds, shape (n,); ``leaves(rows, first, trees)`` says which leaf of those trees each row falls into."""
        out = np.zeros(len(rows))
        for first, end in self._bounds:
            leaf = leaves(rows, first, end - first).reshape(len(rows), end - first)
            for place in range(end - first):
                out += self._values[first + place][leaf[:, place]]
        return out
