"""User agents: what kind of client says it is there, and how old it is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import ua_parser

from service.domain.time import DAY

LONGEST = 4096

_CHROME, _SAFARI, _FIREFOX, _EDGE, _OPERA, _SAMSUNG, _BROWSER, _SCRIPT, _HEADLESS, _BOT = range(1, 11)
_FAMILIES = (  # the first that the family's name contains
    ("Edge", _EDGE),
    ("Opera", _OPERA),
    ("Samsung", _SAMSUNG),
    ("Firefox", _FIREFOX),
    ("Chrom", _CHROME),
    ("Safari", _SAFARI),
)
_SYSTEMS = {
    "Windows": 1, "Mac OS X": 2, "macOS": 2, "Linux": 3, "Ubuntu": 3, "Debian": 3, "Fedora": 3, "Android": 4, "iOS": 5,
    "Chrome OS": 6,
}  # fmt: skip
_OTHER_SYSTEM = 7
_HEADLESS_SAYS = re.compile(
    r"headless|phantomjs|puppeteer|playwright|selenium|webdriver|slimerjs|cypress", re.IGNORECASE
)
_SCRIPT_SAYS = re.compile(
    r"python|aiohttp|httpx|curl|wget|go-http|okhttp|axios|node-fetch|undici|got \(|java/|apache-httpclient|libwww|perl|"
    r"ruby|php|guzzle|postman|insomnia|httpie|scrapy|mechanize|powershell|dart:|reqwest|winhttp|restsharp|faraday|bun/",
    re.IGNORECASE,
)
# Cubot makes phones.
_BOT_SAYS = re.compile(r"(?<!cu)bot\b|crawl|spider|slurp|archiver|facebookexternalhit", re.IGNORECASE)
_MOBILE_SAYS = re.compile(r"mobi|android|iphone|ipad|tablet", re.IGNORECASE)

# (first major of the cadence, its release, days between majors), newest cadence first. Days between majors are
# averages of published calendars; a faster cadence in future makes browsers look newer than they are, never older.
_MONTH = 30.4375
_CHROMIUM = ((94, 18_891, 31.0), (0, 14_943, 42.0))
_RELEASES: dict[int, tuple[tuple[int, int, float], ...]] = {
    _CHROME: _CHROMIUM,
    _EDGE: _CHROMIUM,
    _FIREFOX: ((72, 18_268, 29.3), (5, 15_146, 46.0)),
    _SAFARI: ((26, 20_346, 365.25), (10, 17_064, 364.75)),
}


class Agent(NamedTuple):
    """One user agent, without its age, which depends on the day."""

    automated: float
    family: float
    system: float
    mobile: float
    superseded_on: float  # day since 1970 on which the next major came out; NaN: not known


class AgentFacts(NamedTuple):
    """Profile facts of one user agent at one signup, in the profile's order."""

    agent_given: float
    agent_automated: float
    agent_family: float
    agent_system: float
    agent_mobile: float
    agent_months_behind: float


NO_AGENT = AgentFacts(0.0, np.nan, np.nan, np.nan, np.nan, np.nan)


@lru_cache(maxsize=20_000)
def read_agent(text: str) -> Agent:
    """What the user agent says it is. Parsing takes time linear in its length, whatever it holds."""
    found = ua_parser.parse(text).with_defaults()
    family = _family(text, found.user_agent.family)
    if found.device.family == "Spider" and family not in (_SCRIPT, _HEADLESS):
        family = _BOT
    system = found.os.family
    return Agent(
        float(family in (_SCRIPT, _HEADLESS, _BOT)),
        float(family),
        float(_SYSTEMS.get(system, 0 if system == "Other" else _OTHER_SYSTEM)),
        float(_MOBILE_SAYS.search(text) is not None),
        _superseded(family, found.user_agent.major),
    )


def agent_facts(text: str | None, created_at: int) -> AgentFacts:
    """Profile facts of a user agent, if one was named, at the moment ``created_at``."""
    if text is None:
        return NO_AGENT
    agent = read_agent(text)
    behind = max(0.0, created_at / DAY - agent.superseded_on) / _MONTH if agent.superseded_on > 0 else np.nan
    return AgentFacts(1.0, agent.automated, agent.family, agent.system, agent.mobile, behind)


def _family(text: str, name: str) -> int:
    if _HEADLESS_SAYS.search(text):
        return _HEADLESS
    if _BOT_SAYS.search(text):
        return _BOT
    if _SCRIPT_SAYS.search(text):
        return _SCRIPT
    for part, family in _FAMILIES:
        if part in name:
            return family
    return 0 if name == "Other" else _BROWSER


def _superseded(family: int, major: str | None) -> float:
    """The day on which the major version after ``major`` came out."""
    if family not in _RELEASES or major is None or not major.isdigit() or len(major) > 4:
        return np.nan
    number = int(major) + 1
    for first, day, days in _RELEASES[family]:
        if number >= first:
            return day + (number - first) * days
    return float(_RELEASES[family][-1][1])
