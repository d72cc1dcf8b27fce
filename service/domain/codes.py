"""Stable integer codes for identifiers and names.

Everything inside joins and groups by integers. The codes are hashes, not counters, so that two servers and an import
that first hear of an account agree on its number without asking anyone.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]


def hash64(text: str) -> int:
    """A signed 64-bit code of ``text`` (BLAKE2b); at ten million texts two collide with chance 3e-6."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def hash64_many(texts: list[str]) -> Int64s:
    """``hash64`` of each text, shape (n,)."""
    return hash64_encoded([text.encode() for text in texts])


def hash64_encoded(texts: list[bytes]) -> Int64s:
    """``hash64`` of texts that are UTF-8 already, shape (n,). A copied state costs two thirds of a new one."""
    copied = blake2b(digest_size=8).copy
    digests = []
    for text in texts:
        state = copied()
        state.update(text)
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


@lru_cache(maxsize=4096)
def code32(name: str) -> int:
    """A signed 32-bit code of a short name (a link kind, a signal), of which there are dozens, not millions."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "little", signed=True)


def mix64(values: Int64s) -> NDArray[np.uint64]:
    """Scatters integers evenly over 64 bits (the SplitMix64 finaliser; Steele, Lea, Flood, OOPSLA 2014)."""
    z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
