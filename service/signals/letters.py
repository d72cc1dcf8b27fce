"""Measures of letters that mail addresses and names share."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import numpy as np
from confusable_homoglyphs import categories, confusables

_NOT_VOWELS = re.compile(r"[^aeiouy]+")
_NOT_LETTERS = re.compile(r"[^a-z]+")
_CONSONANTS = re.compile(r"[b-df-hj-np-tvwxz]+")
_NO_SCRIPT = frozenset({"COMMON", "INHERITED", "UNKNOWN"})
# Writing systems that one honest word mixes: Japanese and Korean.
_ONE_SCRIPT = {"HIRAGANA": "HAN", "KATAKANA": "HAN", "HANGUL": "HAN", "BOPOMOFO": "HAN"}


@lru_cache(maxsize=20_000)
def script(character: str) -> str:
    """The writing system of a letter, ``LATIN`` or another of Unicode's names; empty for digits and punctuation."""
    name = categories.alias(character) or "UNKNOWN"
    return "" if name in _NO_SCRIPT else _ONE_SCRIPT.get(name, name)


@lru_cache(maxsize=20_000)
def latin_lookalike(character: str) -> str:
    """The Latin letter that a letter of another script is easily taken for; empty where there is none."""
    if character.isascii() or not character.isalpha() or script(character) == "LATIN":
        return ""
    found = confusables.is_confusable(character, preferred_aliases=["latin"])
    if not found:
        return ""
    letters = [glyph["c"] for glyph in found[0]["homoglyphs"]]
    return next((letter for letter in letters if len(letter) == 1 and letter.isascii() and letter.isalpha()), "")


def scripts(text: str) -> int:
    """How many writing systems the letters of a text are from."""
    if text.isascii():
        return int(_NOT_LETTERS.sub("", text.lower()) != "")
    return len({script(c) for c in text if c.isalpha()} - {""})


def homoglyphs(text: str) -> int:
    """Letters that only look like Latin ones: in a word that mixes them with Latin, or that has nothing but them.

    A name in Cyrillic has none: some of its letters look like nothing Latin.
    """
    if text.isascii():
        return 0
    count = 0
    for word in re.findall(r"[^\W\d_]+", text):
        lookalikes = sum(bool(latin_lookalike(letter)) for letter in word)
        if lookalikes and (lookalikes == len(word) > 2 or any(script(letter) == "LATIN" for letter in word)):
            count += lookalikes
    return count


def unmasked(word: str) -> str:
    """``word`` with lookalike letters replaced by the Latin ones, where it mixes both."""
    if word.isascii() or not any(script(letter) == "LATIN" for letter in word):
        return word
    return "".join(latin_lookalike(letter) or letter for letter in word)


def plain(text: str) -> str:
    """Lower case without accents."""
    folded = text.casefold()
    if folded.isascii():
        return folded
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


def vowel_share(text: str) -> float:
    """Share of vowels among the letters a-z of ``plain`` text; NaN without such letters."""
    letters = len(_NOT_LETTERS.sub("", text))
    return len(_NOT_VOWELS.sub("", text)) / letters if letters else np.nan


def longest_consonants(text: str) -> int:
    """Length of the longest run of consonants a-z in ``plain`` text."""
    return max(map(len, _CONSONANTS.findall(text)), default=0)


def entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits a character; 0 for an empty text."""
    n, total = len(text), 0.0
    for c in sorted(set(text)):  # added up in a fixed order, and plainly: newer Pythons' sum() compensates
        total += _bits(text.count(c), n)
    return total


@lru_cache(maxsize=20_000)
def _bits(k: int, n: int) -> float:
    """What ``k`` of ``n`` characters add to the entropy; a text has few different counts, and its logarithm is dear."""
    return float(-(k / n) * np.log2(k / n))
