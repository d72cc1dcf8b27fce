"""Full names."""

from __future__ import annotations

import re
from math import nan
from typing import NamedTuple

from service.domain.parsed import ParsedName
from service.signals import letters

LONGEST = 1000

_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")


class NameFacts(NamedTuple):
    """Profile facts of one name, in the profile's order."""

    name_words: float
    name_length: float
    name_scripts: float
    name_homoglyphs: float
    name_case: float
    name_digits: float
    name_vowels: float


NO_NAME = NameFacts._make(7 * [nan])


def read_name(text: str) -> tuple[NameFacts, ParsedName | None]:
    """Facts of a name and its words; None where it has no letters."""
    text = " ".join(text.split())
    words = _WORD.findall(text)
    folded = tuple(letters.plain(letters.unmasked(word)) for word in words)
    facts = NameFacts(
        float(len(words)),
        float(len(text)),
        float(letters.scripts(text)),
        float(letters.homoglyphs(text)),
        float(_case(words)),
        float(sum(map(str.isdigit, text))),
        letters.vowel_share(" ".join(folded)),
    )
    return facts, ParsedName(folded) if folded else None


def _case(words: list[str]) -> int:
    """0 capitalised (first and last word), 1 lower, 2 capitals, 3 otherwise, 4 a script without case or no letters."""
    together = "".join(words)
    if together.lower() == together.upper():
        return 4
    if together.islower():
        return 1
    if together.isupper() and len(together) > 2:
        return 2
    ends = (words[0], words[-1])
    return 0 if all(word[0].isupper() and not (word.isupper() and len(word) > 1) for word in ends) else 3
