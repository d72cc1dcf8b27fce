"""Keyed hashes: link keys that name nobody, and content hashes that tell a repeat from a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from service.domain.codes import digests, mix64
from service.domain.facts import Int64s
from service.signals.batch import Mask, Numbers, Reals, Texts
from service.signals.keyring import Keyring

if TYPE_CHECKING:
    from hashlib import _Hash

    _Started: TypeAlias = tuple[_Hash, _Hash]

_HASH_BYTES = 8
_SHA256_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))  # RFC 2104, section 2
_BLOCK = 8_192  # rows laid out at once: what a cache holds
_BITS = np.left_shift(np.int64(1), np.arange(64))


class Pseudonymiser:
    """Turns (kind, value) into signed 64-bit link keys by HMAC-SHA256 (RFC 2104). Safe to share between threads."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._start = lru_cache(maxsize=1024)(_started)

    def link_keys(self, kind: str, values: Sequence[str], now: int) -> list[list[int]]:
        """One list of len(values) per secret active at ``now``, the current secret's first. No key is 0.

        Two kinds never share a key for the same value: the HMAC is of the kind's name, a zero byte and the value.
        """
        return [_cut(self._start(secret.secret, kind), values) for secret in self._keyring.active(now)]

    def secrets(self, now: int) -> tuple[str, ...]:
        """Ids of the secrets active at ``now``, the current one first."""
        return tuple(secret.id for secret in self._keyring.active(now))

    def link_key_arrays(self, kind: str, values: Sequence[str], now: int) -> Int64s:
        """The same as one array of shape (active secrets, len(values))."""
        keys = self.link_keys(kind, values, now)
        return np.array(keys, np.int64).reshape(len(keys), len(values))


def _cut(start: _Started, values: Sequence[str]) -> list[int]:
    """The first 64 bits of the HMAC of each value, as a signed integer other than 0."""
    inner, outer = (state.copy for state in start)
    cut = []
    for value in values:
        message = inner()
        message.update(value.encode())
        mac = outer()
        mac.update(message.digest())
        cut.append(int.from_bytes(mac.digest()[:_HASH_BYTES], "little", signed=True) or 1)
    return cut


def _started(secret: bytes, kind: str) -> _Started:
    """An HMAC-SHA256 that has taken in the kind's name: its inner and its outer hash; they are copied, never updated.

    The standard library's HMAC says the same and takes twice the time: it is an object around an object.
    """
    block = (secret if len(secret) <= _SHA256_BLOCK else sha256(secret).digest()).ljust(_SHA256_BLOCK, b"\0")
    return sha256(block.translate(_INNER) + kind.encode() + b"\0"), sha256(block.translate(_OUTER))


class ContentHasher:
    """Keyed 64-bit hashes of rows as said.

    A row is laid out as fixed 64-bit words, the same from a gRPC message and from a file: text by its own keyed hash
    (BLAKE2b, RFC 7693), moments as microseconds, floats as IEEE 754 doubles, flags as 0 and 1, and one word whose bits
    tell what was said. The hash of a row is BLAKE2b's, too; that of an exchange, of which there are hundreds of
    millions, a chain of mixers that takes all rows at once and a tenth of the time. It names nobody either: its words
    of text are keyed hashes. It need not withstand whoever knows the key: the first that came is kept in any case.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key[:64]  # BLAKE2b's longest key

    def columns(self, table: str, columns: Sequence[Texts | Numbers | Reals]) -> Int64s:
        """The hash of each row of ``table`` that consists of ``columns``; shape (n,), never 0."""
        return self.hashed(table, self.words(columns))

    def words(self, columns: Sequence[Texts | Numbers | Reals]) -> Int64s:
        """Rows of at most 64 ``columns``, one word of each and one more; shape (columns + 1, n)."""
        texts, codes, first, messages = [], [], [], [b""]  # the empty message stands in where no text was said
        numbers, words, there = [], [], []
        for place, column in enumerate(columns):
            if isinstance(column, Texts):
                texts.append(place)
                codes.append(column.codes)
                first.append([len(messages)])
                messages += [value.encode() for value in column.values]
            else:
                numbers.append(place)
                # Adding 0.0 makes the two zeros of IEEE 754 one.
                words.append((column.values + 0.0).view(np.int64) if isinstance(column, Reals) else column.values)
                there.append(column.said)
        of_text = np.frombuffer(self._hashed("text", messages), "<i8")
        n = len(columns[0].said)
        whole = np.empty((len(columns) + 1, n), "<i8")
        for low in range(0, n, _BLOCK):
            rows = slice(low, low + _BLOCK)
            laid = whole[:, rows]
            laid[-1] = 0
            if texts:
                coded = np.array([each[rows] for each in codes])
                said = coded >= 0
                laid[texts] = of_text[(coded + first) * said] * said
                laid[-1] += _bits(texts, said)
            if numbers:
                said = np.array([each[rows] for each in there])
                laid[numbers] = np.array([each[rows] for each in words]) * said
                laid[-1] += _bits(numbers, said)
        return whole

    def hashed(self, table: str, words: Int64s) -> Int64s:
        """BLAKE2b's hash of each row of ``table``; shape (n,), never 0."""
        hashes = []
        for low in range(0, words.shape[1], _BLOCK):
            rows = np.ascontiguousarray(words[:, low : low + _BLOCK].T)
            hashes.append(self._hashed(table, rows.view(f"V{8 * len(words)}").ravel().tolist()))
        whole = np.frombuffer(b"".join(hashes), "<i8").astype(np.int64)
        whole[whole == 0] = 1
        return whole

    def mixed(self, table: str, words: Int64s) -> Int64s:
        """The chain's hash of each row of ``table``; shape (n,), never 0."""
        key = np.frombuffer(self._hashed(f"{table}, mixed", [b"start"]), np.uint64)[0]
        whole = np.empty(words.shape[1], np.int64)
        for low in range(0, len(whole), _BLOCK):
            rows = words[:, low : low + _BLOCK].view(np.uint64)
            chain = np.full(rows.shape[1], key)
            for word in rows:
                chain ^= word
                chain = mix64(chain)
            whole[low : low + _BLOCK] = chain.view(np.int64)
        whole[whole == 0] = 1
        return whole

    def _hashed(self, domain: str, messages: Sequence[bytes]) -> bytes:
        """Keyed hashes of ``messages``, one after the other; those of two domains have nothing in common."""
        return digests(blake2b(domain.encode() + b"\0", digest_size=_HASH_BYTES, key=self._key), messages)


def _bits(places: list[int], said: Mask) -> Int64s:
    """For each row the bits of those columns that were said; ``said`` has shape (places, n)."""
    bits: Int64s = _BITS[places].sum() if said.all() else _BITS[places] @ said
    return bits
