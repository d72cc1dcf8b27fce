"""Keyed hashes: link keys that name nobody, and content hashes that tell a repeat from a conflict."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Int64s
from service.signals.batch import Numbers, Reals, Texts
from service.signals.keyring import Keyring

_HASH_BYTES = 8


class Pseudonymiser:
    """Turns (kind, value) into signed 64-bit link keys by HMAC-SHA256 (RFC 2104). Safe to share between threads."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def link_keys(self, kind: str, values: Sequence[str], now: int) -> Int64s:
        """Shape (secrets active at ``now``, len(values)); row 0 is under the current secret. Never 0.

        Two kinds never share a key for the same value: the HMAC is of the kind's name, a zero byte and the value.
        """
        active = self._keyring.active(now)
        prefix = kind.encode() + b"\0"
        keys = np.empty((len(active), len(values)), np.int64)
        for row, secret in enumerate(active):
            start = hmac.new(secret.secret, prefix, "sha256")
            digests = bytearray()
            for value in values:
                mac = start.copy()
                mac.update(value.encode())
                digests += mac.digest()[:_HASH_BYTES]
            keys[row] = np.frombuffer(bytes(digests), "<i8")
        keys[keys == 0] = 1
        return keys


class ContentHasher:
    """Keyed BLAKE2b-64 (RFC 7693) of rows as said.

    A row is laid out as fixed 64-bit words, the same from a gRPC message and from a file: text by its own keyed hash,
    moments as microseconds, floats as IEEE 754 doubles, flags as 0 and 1, and one word whose bits tell what was said.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key[:64]  # BLAKE2b's longest key

    def _texts(self, values: Sequence[str]) -> Int64s:
        """The hash of each text, shape (len(values),)."""
        start = blake2b(digest_size=_HASH_BYTES, key=self._key, person=b"text")
        digests = bytearray()
        for value in values:
            state = start.copy()
            state.update(value.encode())
            digests += state.digest()
        return np.frombuffer(bytes(digests), "<i8").astype(np.int64)

    def columns(self, table: str, columns: Sequence[Texts | Numbers | Reals]) -> Int64s:
        """The hash of each row of ``table`` that consists of ``columns``; shape (n,), never 0."""
        words: list[Int64s] = []
        for column in columns:
            if isinstance(column, Texts):
                words.append(column.spread(self._texts(column.values), 0))
            else:
                # Adding 0.0 makes the two zeros of IEEE 754 one.
                words.append((column.values + 0.0).view(np.int64) if isinstance(column, Reals) else column.values)
        return self._rows(table, words, [column.said for column in columns])

    def _rows(self, table: str, words: Sequence[Int64s], said: Sequence[NDArray[np.bool_]]) -> Int64s:
        """``words`` and ``said`` hold one array of shape (n,) per column, 64 columns at most."""
        n = len(words[0])
        laid = np.empty((n, len(words) + 1), "<i8")
        mask = np.zeros(n, np.int64)
        for column, (values, given) in enumerate(zip(words, said, strict=True)):
            laid[:, column] = np.where(given, values, 0)
            mask |= given.astype(np.int64) << column
        laid[:, -1] = mask
        start = blake2b(digest_size=_HASH_BYTES, key=self._key, person=table.encode())
        view, width = laid.tobytes(), 8 * laid.shape[1]
        digests = bytearray()
        for at in range(0, len(view), width):
            state = start.copy()
            state.update(view[at : at + width])
            digests += state.digest()
        hashes = np.frombuffer(bytes(digests), "<i8").astype(np.int64)
        hashes[hashes == 0] = 1
        return hashes
