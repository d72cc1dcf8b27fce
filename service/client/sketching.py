"""Two hashes of a prompt, made where the prompt already is, so that the prompt itself never leaves.

Clients in other languages must make the same ones:

1. Normalise: Unicode NFKC, case folded, every run of decimal digits one ``0``; words are the maximal runs of letters
   and digits, except that each character of scripts written without spaces (Han, Kana) is a word of its own.
2. A hash of a text is the BLAKE2b of its UTF-8 with an 8-byte digest, read as an unsigned little-endian integer.
3. The prefix hash is the hash of the first 16 words, joined by single spaces.
4. The SimHash (Charikar, STOC 2002) is over the distinct words and distinct pairs of neighbouring words (joined by a
   space): bit i is set where more than half of their hashes have bit i set. Words beyond the first 20,000 do not count.
5. A hash of 0 would mean "not said", so 0 becomes 1. A text without any word has both hashes 0.

A prompt in which one word of a hundred was changed mostly differs in 4 bits or fewer; unrelated ones in about 30 of 64.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np

PREFIX_WORDS = 16
MAX_WORDS = 20_000
MAX_CHARACTERS = 1_000_000

_DIGITS = re.compile(r"\d+")
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


class Sketch(NamedTuple):
    """What Usage takes of a prompt; both are unsigned 64-bit, and 0 where the prompt has no word."""

    prompt_prefix_hash: int
    prompt_simhash: int


def sketch(text: str) -> Sketch:
    """Hashes of a prompt: of its normalised leading part (its template), and the SimHash of the whole."""
    words = _words(text)
    if not words:
        return Sketch(0, 0)
    prefix = int.from_bytes(_digest(" ".join(words[:PREFIX_WORDS])), "little")
    return Sketch(prefix or 1, _simhash(words) or 1)


def _words(text: str) -> list[str]:
    normal = _DIGITS.sub("0", unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).casefold())
    return _WORDS.findall(normal)[:MAX_WORDS]


def _simhash(words: list[str]) -> int:
    shingles = {*words, *(f"{one} {next_one}" for one, next_one in pairwise(words))}
    digests = b"".join([_digest(shingle) for shingle in shingles])
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    majority = bits.sum(axis=0, dtype=np.int64) * 2 > len(shingles)
    return int.from_bytes(np.packbits(majority, bitorder="little").tobytes(), "little")


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
