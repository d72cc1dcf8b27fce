"""Distinct counts by bitmaps and linear counting, beside HyperLogLog of Apache DataSketches and the exact count.

Why tiles hold bitmaps: at the sizes that matter their error is as small, and they are integers that merge in any
engine's group-by. Prints the mean absolute error in per cent, and what a merge of 24 hourly partials costs.
"""

from __future__ import annotations

import time

import numpy as np
from datasketches import hll_sketch, hll_union, tgt_hll_type

from service.domain.codes import mix64
from service.features.arithmetic import distinct

TRIALS = 300
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 400)
HOURS = 24


def bitmap(hashes: np.ndarray, words: int) -> list[int]:
    """The words of a bitmap of these hashes, as the tile makes them."""
    scattered = mix64(hashes)
    out = [0] * words
    for value in scattered.tolist():
        out[(value >> 6) % words] |= 1 << (value & 63)
    return out


def estimated(words: list[int]) -> float:
    """What the feature reads from it."""
    return float(distinct([np.array([word], np.uint64).view(np.int64) for word in words])[0])


def merging(rng: np.random.Generator) -> None:
    """Prints what merging a day of hourly partials costs."""
    many = rng.integers(-(2**62), 2**62, (100_000, 4))
    at = time.perf_counter()
    np.bitwise_or.reduceat(many, np.arange(0, len(many), HOURS), axis=0)
    each = (time.perf_counter() - at) / (len(many) / HOURS)
    print(f"merging {HOURS} hourly bitmaps of 256 bits: {each * 1e6:.2f} us")
    parts = []
    for _ in range(HOURS):
        part = hll_sketch(8, tgt_hll_type.HLL_4)
        for value in rng.integers(1, 2**62, 10).tolist():
            part.update(value)
        parts.append(part.serialize_compact())
    at = time.perf_counter()
    for _ in range(200):
        union = hll_union(8)
        for part in parts:
            union.update(hll_sketch.deserialize(part))
        union.get_estimate()
    print(f"merging {HOURS} serialised HLL sketches:        {(time.perf_counter() - at) / 200 * 1e6:.2f} us")


def main() -> int:
    """Prints the table."""
    rng = np.random.default_rng(5)
    print(f"{'distinct':>9}{'64 bits':>10}{'128 bits':>10}{'256 bits':>10}{'HLL lgK=8':>11}   mean absolute error, %")
    for size in SIZES:
        errors: dict[str, list[float]] = {"1": [], "2": [], "4": [], "hll": []}
        for _ in range(TRIALS):
            hashes = rng.integers(1, 2**62, size)
            for words in (1, 2, 4):
                errors[str(words)].append(abs(estimated(bitmap(hashes, words)) - size) / size)
            sketch = hll_sketch(8, tgt_hll_type.HLL_4)
            for value in hashes.tolist():
                sketch.update(value)
            errors["hll"].append(abs(sketch.get_estimate() - size) / size)
        shown = "".join(f"{100 * float(np.mean(e)):>10.1f}" for e in errors.values())
        print(f"{size:>9}{shown}")
    merging(rng)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
