"""Which prompt and which template each exchange carries, as the two hashes that reach the product.

A prompt is a 64-bit word; sent with a slight change, up to two of its bits are turned over, so that two versions of one
prompt differ in at most four. Its length belongs to the prompt, whoever sends it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from benchmarks.worlds.people import FRAMEWORKS
from benchmarks.worlds.roster import Crew, Mode, Roster, Span
from training.simulate.rng import DAY, Bools, Floats, Ints, Words, mix, pair, salt, unit

WELL_KNOWN = 420  # prompts that anybody has read about
NEWS = 40  # prompts that go round each week
LENGTHIEST = 120_000
_OWN, _ITEM, _KNOWN, _USER, _FRAME, _CREW = (np.uint64(n << 60) for n in (1, 2, 3, 4, 5, 6))
# Most have some dozens of friends; greetings and the like, the first eight, have hundreds.
_POPULARITY = np.cumsum((np.arange(WELL_KNOWN) + 12.0) ** -0.35 * np.where(np.arange(WELL_KNOWN) < 8, 3.0, 1.0))


@dataclass(frozen=True, slots=True)
class Prompts:
    """Hashes of one stretch of exchanges, and the log of each prompt's tokens; ``listed`` is from a crew's list."""

    template: Words
    simhash: Words
    input_log: Floats
    listed: Bools


@dataclass(frozen=True, slots=True)
class CrewTable:
    """The crews' columns, one element each and a last one, which index -1 finds, for accounts without any."""

    mode: Ints
    items: Ints
    window: Ints
    shards: Ints
    overlap: Ints
    lag: Ints
    pace: Floats  # (crews + 1, days + 1)
    reworded: Floats
    templates: Ints
    public_template: Ints
    renewed: Ints
    prefixed: Bools
    trends: Ints
    token_z: Floats  # (crews + 1, 3)

    @classmethod
    def of(cls, crews: list[Crew], days: int) -> CrewTable:
        """The table of these crews in a period of ``days``."""
        everyone = [*crews, Crew("nobody", np.zeros(0, np.int64))]
        even = np.linspace(0, 1, days + 1)

        def ints(name: str) -> Ints:
            return np.array([int(getattr(crew, name)) for crew in everyone], np.int64)

        return cls(
            mode=ints("mode"),
            items=ints("items"),
            window=ints("window"),
            shards=ints("shards"),
            overlap=ints("overlap"),
            lag=ints("lag"),
            pace=np.array([even if crew.pace is None else crew.pace for crew in everyone]),
            reworded=np.array([crew.reworded for crew in everyone]),
            templates=ints("templates"),
            public_template=ints("public_template"),
            renewed=ints("renewed"),
            prefixed=ints("prefixed").astype(np.bool_),
            trends=ints("trends"),
            token_z=np.array([crew.token_z for crew in everyone]),
        )


def well_known(words: Words) -> Words:
    """Numbers of well-known prompts for random words, the popular ones more often."""
    found = np.searchsorted(_POPULARITY, unit(words) * _POPULARITY[-1], side="right")
    numbers: Words = np.minimum(found, WELL_KNOWN - 1).astype(np.uint64)
    return numbers


def ask(
    roster: Roster, crews: CrewTable, span: Span, rng: np.random.Generator, row: Ints, moment: Ints, seed: int
) -> Prompts:
    """Prompts of exchanges by accounts ``row`` at ``moment`` (microseconds)."""
    size, key, crew = len(row), salt(seed, "worlds-prompts"), roster.crew[row]
    day = np.clip((moment - span.start) // DAY, 0, span.days - 1)
    listed = rng.random(size) < roster.listed[row]
    resold = ~listed & (rng.random(size) < roster.resale[row])
    known = ~listed & ~resold & (rng.random(size) < roster.public[row])
    again = ~listed & ~resold & ~known & (rng.random(size) < roster.repeats[row])
    fresh = rng.integers(0, 2**63, size).astype(np.uint64)
    slot = (rng.random(size) ** 1.5 * roster.repertoire[row]).astype(np.uint64)
    base = np.where(again, pair(_OWN + row.astype(np.uint64), slot, key), mix(fresh, key))
    theirs, their_template = _strangers(roster, rng, row, fresh, key)
    base = np.where(resold, theirs, base)
    base = np.where(known, _known(roster, crews, rng, row, day, key), base)
    number = _item(roster, crews, rng, row, day, (moment - span.start) % DAY / DAY)
    base = np.where(listed, pair(_ITEM + crew.astype(np.uint64), number.astype(np.uint64), key), base)
    likely = np.where(listed, crews.reworded[crew], np.where(known, 0.15, np.where(again, 0.3, 0.0)))
    template = np.where(resold, their_template, _templates(roster, crews, rng, row, day, base, listed, resold, key))
    z = ndtri(np.clip(unit(mix(base, 99)), 1e-6, 1 - 1e-6))
    token = crews.token_z[crew]
    mean = np.where(listed, token[:, 0], np.where(known | resold, 5.8, roster.input_mean[row]))
    spread = np.where(listed, token[:, 1], np.where(known | resold, 0.7, roster.input_spread[row]))
    return Prompts(template, _turned(rng, base, rng.random(size) < likely), mean + spread * z, listed)


def _item(roster: Roster, crews: CrewTable, rng: np.random.Generator, row: Ints, day: Ints, hour: Floats) -> Ints:
    """The number of an item on the list of each exchange's crew; nonsense where there is no crew."""
    crew = roster.crew[row]
    mode, items, window = crews.mode[crew], crews.items[crew], crews.window[crew]
    u, v = rng.random(len(row)), rng.random(len(row))
    shards = crews.shards[crew]
    part = np.maximum(items // shards, 1)
    shard = (roster.place[row] + (rng.random(len(row)) ** 2 * crews.overlap[crew]).astype(np.int64)) % shards
    asked = np.where((mode == Mode.ECHO) & (v < 0.45), day - crews.lag[crew], day)
    asked = np.where(asked < 0, day, asked)
    done = crews.pace[crew, asked] + hour * (crews.pace[crew, asked + 1] - crews.pace[crew, asked])
    swept = shard * part + (done * np.maximum(part - window, 0)).astype(np.int64) + (u * window).astype(np.int64)
    found = np.where(mode == Mode.SHARDS, shard * part + (u * part).astype(np.int64), (u * items).astype(np.int64))
    return np.where((mode == Mode.SWEEP) | (mode == Mode.ECHO), swept, found)


def _known(roster: Roster, crews: CrewTable, rng: np.random.Generator, row: Ints, day: Ints, key: int) -> Words:
    """Well-known prompts: a person's favourites, a crew's picks, and what goes round this week."""
    crew, u = roster.crew[row], rng.random(len(row))
    trends = crews.trends[crew]
    by_crew = trends > 0
    count = np.where(by_crew, trends, np.maximum(roster.favourites[row], 1))
    owner = np.where(by_crew, _CREW + crew.astype(np.uint64), _OWN + row.astype(np.uint64))
    number = well_known(pair(owner, (u * count).astype(np.uint64), key + 5))
    news = np.uint64(10_000) + (day // 7 * NEWS + (rng.random(len(row)) * NEWS).astype(np.int64)).astype(np.uint64)
    return mix(_KNOWN + np.where(rng.random(len(row)) < 0.04, news, number), key)


def _strangers(roster: Roster, rng: np.random.Generator, row: Ints, fresh: Words, key: int) -> tuple[Words, Words]:
    """Prompts and templates of people to whom access was resold.

    Each of them mostly comes through one account. What they ask was mostly never seen before; some of it is their own
    again and again. Their programs are their own, or well-known ones.
    """
    crew, size = roster.crew[row], len(row)
    member = roster.place[row] + np.where(rng.random(size) < 0.12, rng.integers(1, 4, size), 0)
    user = _USER + ((crew * 8192 + member) * 3 + rng.integers(0, 3, size)).astype(np.uint64)
    base = np.where(rng.random(size) < 0.15, pair(user, fresh & np.uint64(7), key), mix(fresh, key))
    popular = unit(mix(user, 3))
    frame = mix(_FRAME + (popular**2 * 2 * FRAMEWORKS).astype(np.uint64) % np.uint64(FRAMEWORKS), key)
    return base, np.where(popular < 0.4, frame, pair(user, np.zeros(size, np.uint64), key + 3))


def _templates(
    roster: Roster,
    crews: CrewTable,
    rng: np.random.Generator,
    row: Ints,
    day: Ints,
    base: Words,
    listed: Bools,
    resold: Bools,
    key: int,
) -> Words:
    size, crew = len(row), roster.crew[row]
    u = rng.random(size)
    own = pair(_OWN + row.astype(np.uint64), (u**2 * roster.templates[row]).astype(np.uint64), key + 1)
    frame = mix(_FRAME + np.clip(roster.framework[row], 0, FRAMEWORKS).astype(np.uint64), key)
    framed = (roster.framework[row] >= 0) & (rng.random(size) < roster.framework_share[row])
    itself = mix(base, key + 2)  # the prompt's own beginning
    found = np.where(framed, frame, np.where(roster.bare[row], itself, own))
    renewed = crews.renewed[crew]
    period = np.where(renewed > 0, day // np.maximum(renewed, 1), 0)
    nth = (u**2 * crews.templates[crew]).astype(np.int64) + 16 * period
    crews_own = pair(_CREW + crew.astype(np.uint64), nth.astype(np.uint64), key + 1)
    public = crews.public_template[crew]
    crews_own = np.where(public >= 0, mix(_FRAME + np.maximum(public, 0).astype(np.uint64), key), crews_own)
    through = ~listed & ~resold & (rng.random(size) < roster.crew_template[row])
    behind = listed & crews.prefixed[crew]
    return np.where(behind | through, crews_own, np.where(listed, itself, found))


def _turned(rng: np.random.Generator, words: Words, which: Bools) -> Words:
    """Words with one or two bits turned over where ``which`` (the same bit twice leaves one as it was)."""
    found = words.copy()
    count = int(which.sum())
    for _ in range(2):
        found[which] ^= np.uint64(1) << rng.integers(0, 64, count).astype(np.uint64)
    return found
