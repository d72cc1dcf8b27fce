"""Stable integer codes for identifiers and names.

Everything inside joins and groups by integers. The codes are hashes, not counters, so that two servers and an import
that first hear of an account agree on its number without asking anyone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

_AT_ONCE = 512  # hashes begun: what a cache holds


def hash64(text: str) -> int:
    """A signed 64-bit code of ``text`` (BLAKE2b); at ten million texts two collide with chance 3e-6."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def hash64_many(texts: list[str]) -> Int64s:
    """``hash64`` of each text, shape (n,)."""
    return hash64_encoded([text.encode() for text in texts])


def hash64_encoded(texts: list[bytes]) -> Int64s:
    """``hash64`` of texts that are UTF-8 already, shape (n,)."""
    return np.frombuffer(digests(blake2b(digest_size=8), texts), dtype="<i8").astype(np.int64)


def digests(begun: blake2b, messages: Sequence[bytes]) -> bytes:
    """Hashes of messages that all begin with what ``begun`` has taken in already, one hash after the other.

    A copied state costs two thirds of a new one, and the interpreter's loop a quarter more than its maps.
    """
    copied, parts = begun.copy, []
    for low in range(0, len(messages), _AT_ONCE):
        some = messages[low : low + _AT_ONCE]
        states = [copied() for _ in some]
        deque(map(blake2b.update, states, some), 0)
        parts.append(b"".join(map(blake2b.digest, states)))
    return b"".join(parts)


@lru_cache(maxsize=4096)
def code32(name: str) -> int:
    """A signed 32-bit code of a short name (a link kind, a signal), of which there are dozens, not millions."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "little", signed=True)


def mix64(values: Int64s | NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatters integers evenly over 64 bits (the SplitMix64 finaliser; Steele, Lea, Flood, OOPSLA 2014)."""
    z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
