"""Exchanges, one local day at a time, so that a world of any length fits in memory.

An account uses some days of its life; a day's exchanges come in sessions, sessions begin at the hours by which the account
lives (or its group works), and gaps inside a session are gamma-distributed with the burstiness of real clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.simulate.habits import DAY, HOUR, MODELS, NEVER, Habits
from training.simulate.members import Crowd
from training.simulate.prompts import PromptLaw, prompt_law
from training.simulate.rng import Bools, Floats, Ints, Words, generator, unit, mix, pair, salt
from training.simulate.traces import hour_table, traces

PIECE = 400_000  # exchanges worked on at a time
LIMIT = 400  # exchanges in an hour beyond which some are refused


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Columns of some exchanges; ``row`` is the account's row, ``slot`` its address slot, ``status`` 0 ok, 1 error, 2 limited."""

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


def exchanges(crowd: Crowd, habits: Habits, address_counts: Ints, start: int, days: int) -> Iterator[Exchanges]:
    """All exchanges with start <= time < start + days, day after day, each piece in order of time."""
    law, key = prompt_law(crowd), salt(crowd.seed, "usage")
    common = generator(crowd.seed, "calendar")
    count = max(len(crowd.groups), 1)
    calendar = Calendar(common.uniform(0, 24, (count, 3)), common.random((count, days)) < common.uniform(0.4, 0.9, (count, 1)))
    for day in range(days):
        rng = generator(crowd.seed, "usage", day)
        rows, amounts = _active(crowd, habits, calendar, rng, start, day)
        edges = np.searchsorted(np.cumsum(amounts), np.arange(PIECE, int(amounts.sum()) + PIECE, PIECE))
        low = 0
        for edge in edges.tolist():
            high = min(edge + 1, len(rows))
            if high > low:
                yield _piece(crowd, habits, law, calendar, key, address_counts, rng, rows[low:high], amounts[low:high], start, days, day)
            low = high


def _active(crowd: Crowd, habits: Habits, calendar: Calendar, rng: np.random.Generator, start: int, day: int) -> tuple[Ints, Ints]:
    """Rows that use this day, and how often."""
    size, begins = crowd.population.size, start + day * DAY
    weekend = (begins // DAY + 3) % 7 >= 5
    chance = habits.active * (habits.weekends if weekend else 1.0)
    uses = rng.random(size) < chance
    follows = (rng.random(size) < crowd.share("days")) & (rng.random(size) < 0.75)
    uses = np.where(follows, calendar.on[crowd.population.group, day] & (unit(mix(np.arange(size), day)) < 2 * chance), uses)
    opening = (habits.first_use >= begins) & (habits.first_use < begins + DAY)
    alive = (habits.first_use != NEVER) & (habits.first_use < begins + DAY) & (habits.last_use >= begins)
    rows = np.flatnonzero(alive & (uses | opening))
    spread = np.maximum(habits.day_spread[rows], 0.05)
    shape = 1 / spread**2
    amounts = rng.poisson(habits.volume[rows] * rng.gamma(shape, 1 / shape))
    return rows, np.maximum(amounts, 1)


def _piece(
    crowd: Crowd, habits: Habits, law: PromptLaw, calendar: Calendar, key: int, address_counts: Ints, rng: np.random.Generator,
    rows: Ints, amounts: Ints, start: int, days: int, day: int,
) -> Exchanges:  # fmt: skip
    row = np.repeat(rows, amounts)
    size = len(row)
    session, moment = _moments(crowd, habits, calendar, rng, rows, amounts, start, day)
    opens = habits.first_use[row]
    keep = (moment >= opens) & (moment < start + days * DAY) & (moment >= start) & (moment <= habits.last_use[row] + DAY)
    opening_day = (opens >= start + day * DAY) & (opens < start + (day + 1) * DAY)
    # The first day's sessions begin with the first use; without this an account that came at noon lost its morning's exchanges.
    late = opening_day & (moment < opens)
    moment = np.where(late, opens + (rng.exponential(1.0, size) * habits.gap[row] * 4).astype(np.int64), moment)
    keep = (keep | late) & (moment < start + days * DAY) & (moment >= start)
    order = np.flatnonzero(keep)
    order = order[np.argsort(moment[order], kind="stable")]
    row, session, moment = row[order], session[order], moment[order]
    size = len(row)
    place = unit(pair(row, session + np.uint64(day << 16), key))
    code = rng.random(size) < habits.code[row]
    template, prompt = law.hashes(habits, row, rng)
    limited = (habits.volume[row] > LIMIT) & (rng.random(size) < 0.05) | (rng.random(size) < 0.004)
    status = np.where(limited, 2, (rng.random(size) < habits.errors[row]).astype(np.int64))
    inputs = _tokens(rng, code, 0, habits.input_scale[row])
    outputs = np.where(status > 0, 0, _tokens(rng, code, 1, habits.output_scale[row]))
    return Exchanges(
        row=row, happened_at=moment, slot=(place**1.7 * address_counts[row]).astype(np.int64),
        client=np.where(rng.random(size) < habits.second_share[row], habits.second_client[row], habits.client[row]),
        model=_models(habits, rng, row, moment), input_tokens=inputs, output_tokens=outputs, status=status,
        template=template, prompt=prompt,
    )  # fmt: skip


def _moments(
    crowd: Crowd, habits: Habits, calendar: Calendar, rng: np.random.Generator, rows: Ints, amounts: Ints, start: int, day: int
) -> tuple[Words, Ints]:
    """Session numbers and times of the exchanges of ``rows`` on the local ``day``, exchange after exchange within a row."""
    row = np.repeat(rows, amounts)
    size = len(row)
    ends = np.cumsum(amounts)
    begins = np.repeat(ends - amounts, amounts)
    rank = np.arange(size) - begins
    sessions = np.maximum(1, np.round(amounts / np.maximum(habits.session[rows], 1.0))).astype(np.int64)
    session = rank * np.repeat(sessions, amounts) // np.repeat(amounts, amounts)
    new = np.concatenate([[True], (session[1:] != session[:-1]) | (row[1:] != row[:-1])]) if size else np.zeros(0, dtype=bool)
    shape = 1 / habits.burst[row] ** 2
    gaps = np.where(new, 0.0, rng.gamma(shape, 1 / shape) * habits.gap[row])
    total = np.cumsum(gaps)
    firsts = np.flatnonzero(new)
    lengths = np.diff(np.concatenate([firsts, [size]]))
    within = total - np.repeat(total[firsts], lengths)
    owner = row[firsts]
    hour = np.empty(len(firsts))
    level = np.clip(np.round(habits.steepness[owner] * 2), 0, 10).astype(np.int64)
    u = rng.random(len(firsts))
    for step in range(11):
        mine = level == step
        hour[mine] = np.interp(u[mine], hour_table(step / 2), np.arange(25.0))
    hour = hour - habits.zone[owner]
    works = rng.random(len(firsts)) < crowd.share("window")[owner]
    pace = calendar.window[crowd.population.group[owner], rng.integers(0, 3, len(firsts))]
    hour = np.where(works, pace + rng.normal(0, 0.25, len(firsts)), hour)
    opening = start + day * DAY + (hour * HOUR).astype(np.int64)
    return session.astype(np.uint64), np.repeat(opening, lengths) + within.astype(np.int64)


def _tokens(rng: np.random.Generator, code: Bools, side: int, scale: Floats) -> Ints:
    u = rng.random(len(code))
    table, levels = traces().tokens, traces().levels
    drawn = np.where(code, np.interp(u, levels, table[1, side]), np.interp(u, levels, table[0, side]))
    return np.maximum(1, np.round(drawn * scale)).astype(np.int64)


def _models(habits: Habits, rng: np.random.Generator, row: Ints, moment: Ints) -> Ints:
    """Models by each account's mix; before it moves to the newest one, that one's share goes to the first."""
    u = rng.random(len(row))
    chosen = (u[:, None] >= habits.models[row][:, :-1]).sum(axis=1)
    newest = len(MODELS) - 1
    return np.where((chosen == newest) & (moment < habits.adopts[row]), 0, chosen)
