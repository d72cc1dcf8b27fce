"""Where an account says it lives: the hour there, and the languages spoken there."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from math import nan
from typing import TypeAlias
from zoneinfo import ZoneInfo

from service.domain.time import DAY, HOUR, SECOND
from service.signals.reference.tables import HERE

LONGEST_LANGUAGE = 1000

Languages: TypeAlias = tuple[tuple[str, str], ...]  # (language, region in capitals or empty)

_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?(?:[-_]([A-Za-z]{2})\b)?")
# Codes that browsers still send, and members of a language that the tables know by its whole.
_SAME_LANGUAGE = {"iw": "he", "in": "id", "ji": "yi", "no": "nb", "nn": "nb", "cmn": "zh", "yue": "zh", "fil": "tl"}


class Countries:
    """Time zone of the largest city and the languages of each ISO 3166-1 country."""

    def __init__(self) -> None:
        table = json.loads((HERE / "countries.json").read_text())
        self._languages = {
            code: frozenset(_SAME_LANGUAGE.get(name, name) for name in about["languages"])
            for code, about in table.items()
        }
        self._zones = {code: ZoneInfo(about["zone"]) for code, about in table.items() if about["zone"]}
        self.offsets = lru_cache(maxsize=50_000)(self._offsets)

    def problem(self, text: str) -> str | None:
        """Why the door refuses ``text`` as a country, in either case."""
        if text.upper() in self._languages:
            return None
        return "must be an ISO 3166-1 alpha-2 code (the United Kingdom is GB)"

    def language_facts(self, country: str | None, languages: Languages | None) -> tuple[float, float, float]:
        """``language_given``, ``language_count`` and ``language_agrees``; a region says as much as a language."""
        if languages is None:
            return 0.0, nan, nan
        if not country or not languages:
            agrees = nan
        else:
            spoken = self._languages[country]
            agrees = float(any(name in spoken or region == country for name, region in languages))
        return 1.0, float(len({name for name, _ in languages})), agrees

    def clock(self, country: str, at: int) -> tuple[float, float, float] | None:
        """Local hour of the day (0 to 24), weekday (0 Monday) and standard offset from UTC in hours.

        The hour keeps summer time; the offset does not, since it would tell summer from winter.
        """
        if country not in self._zones:
            return None
        offset, standard = self.offsets(country, at // HOUR)
        local = at + offset * SECOND
        return (local % DAY) / HOUR, float((local // DAY + 3) % 7), standard / 3600

    def _offsets(self, country: str, hour: int) -> tuple[int, int]:
        """Seconds east of UTC in that hour since 1970, with and without summer time."""
        at = datetime.fromtimestamp(hour * 3600, UTC).astimezone(self._zones[country])
        offset, summer = at.utcoffset(), at.dst()
        seconds = int(offset.total_seconds()) if offset else 0
        return seconds, seconds - (int(summer.total_seconds()) if summer else 0)


@lru_cache(maxsize=20_000)
def read_languages(header: str) -> Languages:
    """Distinct (language, region in capitals or empty) of an Accept-Language header, in its order."""
    found: dict[tuple[str, str], None] = {}
    for part in header.split(","):
        tag = _TAG.match(part.strip())
        if tag:
            name = tag[1].lower()
            found[_SAME_LANGUAGE.get(name, name), (tag[2] or "").upper()] = None
    return tuple(found)
