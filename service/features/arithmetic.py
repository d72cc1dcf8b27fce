"""Small arithmetic on columns, bit for bit the same for one row and for a million.

Every operation is element by element: a sum along an axis may be split differently for another shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.features.columns import Column, Int64s

FIXED_POINT = 1024.0

Floats = NDArray[np.float64]


def share(part: Int64s, whole: Int64s) -> Column:
    """Part / whole; NaN where there is nothing to have a share of."""
    return ratio(part.astype(np.float64), whole.astype(np.float64))


def ratio(part: Floats, whole: Floats) -> Column:
    """Part / whole as float32; NaN where ``whole`` is not positive."""
    positive = whole > 0
    return np.where(positive, part / np.where(positive, whole, 1.0), np.nan).astype(np.float32)


def known_where(condition: NDArray[np.bool_], values: NDArray[np.generic]) -> Column:
    """``values`` as float32 where the condition holds, else NaN."""
    return np.where(condition, values.astype(np.float64), np.nan).astype(np.float32)


def spread(total: Int64s, squares: Int64s, count: Int64s) -> Column:
    """Standard deviation of fixed-point logarithms, in log2 units; NaN below two."""
    n = np.maximum(count, 1).astype(np.float64)
    mean = total / n
    variance = np.maximum(squares / n - mean * mean, 0.0)
    return known_where(count >= 2, np.sqrt(variance) / FIXED_POINT)


def distinct(words: Sequence[Int64s]) -> Column:
    """Distinct values behind a bitmap of 64-bit words, by linear counting; 0 where no bit is set."""
    size = 64 * len(words)
    ones = np.zeros(len(words[0]), np.int64)
    for word in words:
        ones += np.bitwise_count(word.view(np.uint64)).astype(np.int64)
    return _estimates(size)[ones]


def _estimates(size: int) -> Column:
    table = _ESTIMATES.get(size)
    if table is None:
        ones = np.arange(size + 1, dtype=np.float64)
        free = np.maximum(size - ones, 1.0) / size
        table = _ESTIMATES[size] = (-size * np.log(free)).astype(np.float32)
    return table


_ESTIMATES: dict[int, Column] = {}


def entropy(counts: Sequence[Int64s]) -> Column:
    """Entropy in bits of how a total spreads over the given counts; NaN where the total is 0."""
    total = np.zeros(len(counts[0]), np.int64)
    for count in counts:
        total = total + count
    whole = np.maximum(total, 1).astype(np.float64)
    bits = np.zeros(len(total), np.float64)
    for count in counts:
        part = count / whole
        bits -= part * np.log2(np.where(part > 0, part, 1.0))
    return known_where(total > 0, bits)
