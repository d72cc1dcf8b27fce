"""Exchanges, one local day at a time, so that a world of any length fits in memory.

An account uses some days of its life; a day's exchanges come in sessions, sessions begin at the hours by which the
account lives (or its group works), and gaps inside a session are gamma-distributed with the burstiness of real
clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.simulate.habits import MODELS, NEVER, Habits
from training.simulate.members import Crowd
from training.simulate.prompts import PromptLaw, prompt_law
from training.simulate.rng import DAY, HOUR, Bools, Floats, Ints, Words, generator, mix, pair, salt, unit
from training.simulate.traces import hour_table, traces

STATUS = ("ok", "error", "rate_limited")
PIECE = 400_000  # exchanges worked on at a time
LIMIT = 400  # exchanges in an hour beyond which some are refused


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Columns of some exchanges: ``row`` is the account's, ``slot`` its address slot, ``status`` is in STATUS."""

    row: Ints
    happened_at: Ints
    slot: Ints
    client: Ints
    model: Ints
    input_tokens: Ints
    output_tokens: Ints
    status: Ints
    template: Words
    prompt: Words


@dataclass(frozen=True, slots=True)
class Calendar:
    """What groups do together: an hour of work (local to UTC, 0 to 24) and whether each day is a working day."""

    window: Floats
    on: Bools


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a day's exchanges are drawn from; ``address_counts`` has one element per account."""

    crowd: Crowd
    habits: Habits
    law: PromptLaw
    calendar: Calendar
    address_counts: Ints
    key: int
    start: int
    days: int

    @property
    def end(self) -> int:
        """The first microsecond after the period."""
        return self.start + self.days * DAY


def exchanges(crowd: Crowd, habits: Habits, address_counts: Ints, *, start: int, days: int) -> Iterator[Exchanges]:
    """All exchanges with start <= time < start + days, day after day, each piece in order of time."""
    common = generator(crowd.seed, "calendar")
    count = max(len(crowd.groups), 1)
    on = common.random((count, days)) < common.uniform(0.4, 0.9, (count, 1))
    calendar = Calendar(common.uniform(0, 24, (count, 3)), on)
    key = salt(crowd.seed, "usage")
    scene = Scene(crowd, habits, prompt_law(crowd), calendar, address_counts, key=key, start=start, days=days)
    for day in range(days):
        rng = generator(crowd.seed, "usage", day)
        rows, amounts = _active(scene, rng, day)
        edges = np.searchsorted(np.cumsum(amounts), np.arange(PIECE, int(amounts.sum()) + PIECE, PIECE))
        low = 0
        for edge in edges.tolist():
            high = min(edge + 1, len(rows))
            if high > low:
                yield _piece(scene, rng, day, rows[low:high], amounts[low:high])
            low = high


def _active(scene: Scene, rng: np.random.Generator, day: int) -> tuple[Ints, Ints]:
    """Rows that use this day, and how often."""
    crowd, habits = scene.crowd, scene.habits
    size, begins = crowd.population.size, scene.start + day * DAY
    weekend = (begins // DAY + 3) % 7 >= 5  # the epoch was a Thursday
    chance = habits.active * (habits.weekends if weekend else 1.0)
    uses = rng.random(size) < chance
    follows = (rng.random(size) < crowd.share("days")) & (rng.random(size) < 0.75)
    together = scene.calendar.on[crowd.population.group, day] & (unit(mix(np.arange(size), day)) < 2 * chance)
    uses = np.where(follows, together, uses)
    opening = (habits.first_use >= begins) & (habits.first_use < begins + DAY)
    alive = (habits.first_use != NEVER) & (habits.first_use < begins + DAY) & (habits.last_use >= begins)
    rows = np.flatnonzero(alive & (uses | opening))
    shape = 1 / np.maximum(habits.day_spread[rows], 0.05) ** 2
    amounts = rng.poisson(habits.volume[rows] * rng.gamma(shape, 1 / shape))
    return rows, np.maximum(amounts, 1)


def _piece(scene: Scene, rng: np.random.Generator, day: int, rows: Ints, amounts: Ints) -> Exchanges:
    habits, begins = scene.habits, scene.start + day * DAY
    row = np.repeat(rows, amounts)
    session, moment = _moments(scene, rng, begins, rows, amounts)
    opens = habits.first_use[row]
    # An account that came at noon has no morning: what was drawn before its first use comes soon after it.
    early = (opens >= begins) & (opens < begins + DAY) & (moment < opens)
    soon = opens + (rng.exponential(1.0, len(row)) * habits.gap[row] * 4).astype(np.int64)
    moment = np.where(early, soon, moment)
    keep = (moment >= np.maximum(opens, scene.start)) & (moment < scene.end)
    keep &= early | (moment <= habits.last_use[row] + DAY)
    order = np.flatnonzero(keep)
    order = order[np.argsort(moment[order], kind="stable")]
    row, session, moment = row[order], session[order], moment[order]
    size = len(row)
    place = unit(pair(row, session + np.uint64(day << 16), scene.key))
    code = rng.random(size) < habits.code[row]
    template, prompt = scene.law.hashes(habits, row, rng)
    limited = (habits.volume[row] > LIMIT) & (rng.random(size) < 0.05) | (rng.random(size) < 0.004)
    status = np.where(limited, 2, (rng.random(size) < habits.errors[row]).astype(np.int64))
    second = rng.random(size) < habits.second_share[row]
    inputs = _tokens(rng, code, 0, habits.input_scale[row])
    outputs = _tokens(rng, code, 1, habits.output_scale[row])
    return Exchanges(
        row=row,
        happened_at=moment,
        slot=(place**1.7 * scene.address_counts[row]).astype(np.int64),
        client=np.where(second, habits.second_client[row], habits.client[row]),
        model=_models(habits, rng, row, moment),
        input_tokens=inputs,
        output_tokens=np.where(status > 0, 0, outputs),
        status=status,
        template=template,
        prompt=prompt,
    )


def _moments(scene: Scene, rng: np.random.Generator, begins: int, rows: Ints, amounts: Ints) -> tuple[Words, Ints]:
    """Session numbers and times of the exchanges of ``rows`` on the local day from ``begins``, row after row."""
    habits = scene.habits
    row = np.repeat(rows, amounts)
    size = len(row)
    rank = np.arange(size) - np.repeat(np.cumsum(amounts) - amounts, amounts)
    sessions = np.maximum(1, np.round(amounts / np.maximum(habits.session[rows], 1.0))).astype(np.int64)
    session = rank * np.repeat(sessions, amounts) // np.repeat(amounts, amounts)
    new = np.ones(size, dtype=bool)
    new[1:] = (session[1:] != session[:-1]) | (row[1:] != row[:-1])
    shape = 1 / habits.burst[row] ** 2
    total = np.cumsum(np.where(new, 0.0, rng.gamma(shape, 1 / shape) * habits.gap[row]))
    firsts = np.flatnonzero(new)
    lengths = np.diff(np.concatenate([firsts, [size]]))
    within = total - np.repeat(total[firsts], lengths)
    hour = _opening_hours(scene, rng, row[firsts])
    return session.astype(np.uint64), np.repeat(begins + (hour * HOUR).astype(np.int64), lengths) + within.astype(
        np.int64
    )


def _opening_hours(scene: Scene, rng: np.random.Generator, owner: Ints) -> Floats:
    """Hours from the UTC day's begin at which sessions of ``owner`` begin: by the account's own day or its group's."""
    habits = scene.habits
    local = np.empty(len(owner))
    level = np.clip(np.round(habits.steepness[owner] * 2), 0, 10).astype(np.int64)
    u = rng.random(len(owner))
    for step in range(11):
        mine = level == step
        local[mine] = np.interp(u[mine], hour_table(step / 2), np.arange(25.0))
    works = rng.random(len(owner)) < scene.crowd.share("window")[owner]
    shift = scene.calendar.window[scene.crowd.population.group[owner], rng.integers(0, 3, len(owner))]
    hours: Floats = np.where(works, shift + rng.normal(0, 0.25, len(owner)), local - habits.zone[owner])
    return hours


def _tokens(rng: np.random.Generator, code: Bools, side: int, scale: Floats) -> Ints:
    u = rng.random(len(code))
    table, levels = traces().tokens, traces().levels
    drawn = np.where(code, np.interp(u, levels, table[1, side]), np.interp(u, levels, table[0, side]))
    tokens: Ints = np.maximum(1, np.round(drawn * scale)).astype(np.int64)
    return tokens


def _models(habits: Habits, rng: np.random.Generator, row: Ints, moment: Ints) -> Ints:
    """Models by each account's mix; before it moves to the newest one, that one's share goes to the first."""
    u = rng.random(len(row))
    chosen = (u[:, None] >= habits.models[row][:, :-1]).sum(axis=1)
    newest = len(MODELS) - 1
    drawn: Ints = np.where((chosen == newest) & (moment < habits.adopts[row]), 0, chosen)
    return drawn
