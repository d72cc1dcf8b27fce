"""The features of a block of assessments, packed: column by column in groups of rows, each group compressed by itself.

So one assessment's features cost the unpacking of a small group, and an erasure writes one group anew. Of 100 features,
most of them counts or unknown, 400 bytes become 90.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from service.domain.facts import Float32s

GROUP = 256  # rows
_CODEC = ("zstd", 1)


@dataclass(frozen=True, slots=True)
class _Packed:
    """Rows and features in all, and where each group begins and ends in the packed value."""

    rows: int
    width: int
    bounds: tuple[tuple[int, int], ...]


def pack(features: Float32s) -> bytes:
    """Features of shape (rows, features of the model), row by row the same bits when read."""
    groups = [_squeezed(features[at : at + GROUP]) for at in range(0, len(features), GROUP)]
    sizes = [len(group) for group in groups]
    return b"".join([struct.pack(f"<III{len(sizes)}I", *features.shape, len(sizes), *sizes), *groups])


def one(packed: bytes, row: int) -> bytes:
    """One row as an assessment keeps it: little-endian float32."""
    return some(packed, [row])[0]


def some(packed: bytes, rows: list[int]) -> list[bytes]:
    """Several rows, in the order asked for."""
    shape = _read(packed)
    groups = {number: _group(packed, shape, number) for number in {row // GROUP for row in rows}}
    return [groups[row // GROUP][row % GROUP].tobytes() for row in rows]


def without(packed: bytes, row: int) -> bytes:
    """The same with a row unknown throughout."""
    shape = _read(packed)
    number = row // GROUP
    kept = _group(packed, shape, number).copy()
    kept[row % GROUP] = np.nan
    groups = [packed[low:high] for low, high in shape.bounds]
    groups[number] = _squeezed(kept)
    sizes = [len(group) for group in groups]
    return b"".join([struct.pack(f"<III{len(sizes)}I", shape.rows, shape.width, len(sizes), *sizes), *groups])


def _squeezed(rows: Float32s) -> bytes:
    columns = np.ascontiguousarray(rows.T, "<f4")
    out: bytes = pa.Codec(_CODEC[0], _CODEC[1]).compress(columns, asbytes=True)
    return out


def _read(packed: bytes) -> _Packed:
    rows, width, groups = struct.unpack_from("<III", packed)
    sizes = struct.unpack_from(f"<{groups}I", packed, 12)
    ends = np.cumsum([12 + 4 * groups, *sizes]).tolist()
    return _Packed(rows, width, tuple(pairwise(ends)))


def _group(packed: bytes, shape: _Packed, number: int) -> Float32s:
    """Rows of one group, shape (rows, features)."""
    low, high = shape.bounds[number]
    rows = min(GROUP, shape.rows - number * GROUP)
    plain = pa.Codec(_CODEC[0]).decompress(packed[low:high], 4 * rows * shape.width)
    return np.ascontiguousarray(np.frombuffer(plain, "<f4").reshape(shape.width, rows).T).astype(np.float32, copy=False)
