"""Seeded randomness: a generator per purpose, and a hash that makes opaque numbers out of counters.

Every generator is keyed by the world's seed and a purpose, so that one part can change without moving the others.
"""

from __future__ import annotations

import zlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]

DAY = 86_400_000_000  # microseconds
HOUR = 3_600_000_000
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A generator for one purpose (and one entity of it) in the world of ``seed`` (0 or more)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *index])))


def salt(seed: int, purpose: str) -> int:
    """A 64-bit number that belongs to one purpose in one world."""
    return int(generator(seed, purpose).integers(0, 2**63))


def mix(values: Words | Ints, key: int = 0) -> Words:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): one-to-one on words, so distinct counters stay distinct."""
    words = values.astype(np.uint64) + np.uint64((key * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & (2**64 - 1))
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed


def pair(left: Ints | Words, right: Ints | Words, key: int = 0) -> Words:
    """One word for each (left, right); unlike ``mix`` it may collide, about once in 2**64 pairs."""
    return mix(mix(left, key) ^ right.astype(np.uint64), key)


def unit(words: Words) -> Floats:
    """Words as numbers in [0, 1)."""
    return (words >> np.uint64(11)).astype(np.float64) / float(2**53)


def opaque_ids(words: Words, prefix: str) -> pa.Array:
    """Strings of ``prefix`` and 16 hex digits, one for each word, without a Python object for each."""
    head = np.frombuffer(prefix.encode("ascii"), dtype=np.uint8)
    width = len(head) + 16
    text = np.empty((len(words), width), dtype=np.uint8)
    text[:, : len(head)] = head
    for digit in range(16):
        text[:, len(head) + digit] = _HEX[(words >> np.uint64(60 - 4 * digit)) & np.uint64(15)]
    offsets = np.arange(len(words) + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(len(words), pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))


def pick(rng: np.random.Generator, weights: Floats, size: int) -> Ints:
    """``size`` indices drawn with these weights (any scale)."""
    edges = np.cumsum(weights)
    drawn: Ints = np.searchsorted(edges, rng.random(size) * edges[-1], side="right").astype(np.int64)
    return drawn


def zipf(rng: np.random.Generator, count: int, size: int, exponent: float = 1.0) -> Ints:
    """``size`` ranks in [0, count), the r-th with weight (r + 1) ** -exponent."""
    return pick(rng, np.arange(1, count + 1, dtype=np.float64) ** -exponent, size)
