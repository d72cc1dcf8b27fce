"""Exchanges, a day at a time: who is there, in which sessions, from where, with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.worlds.pace import chance_of_use, day_factor
from benchmarks.worlds.people import MODELS
from benchmarks.worlds.prompts import LENGTHIEST, CrewTable, ask
from benchmarks.worlds.roster import Roster, World
from training.simulate.rng import DAY, HOUR, Bools, Floats, Ints, Words, generator, pair, unit

STATUS = ("ok", "error", "rate_limited")
_NEWEST = MODELS.index("lm-next")


@dataclass(frozen=True, slots=True)
class Exchanges:
    """One day's exchanges in order of time; indices into the roster, CLIENTS, MODELS and STATUS."""

    row: Ints
    happened_at: Ints
    address: Ints
    client: Ints
    model: Ints
    input_tokens: Ints
    output_tokens: Ints
    status: Ints
    template: Words
    simhash: Words


def days_of(world: World) -> Iterator[Exchanges]:
    """Every day of the period; sessions that run past midnight stay with the day on which they began."""
    crews = CrewTable.of(world.crews, world.span.days)
    tempo = np.ones((len(world.crews) + 1, world.span.days))
    for index, crew in enumerate(world.crews):
        tempo[index] = 1.0 if crew.tempo is None else crew.tempo
    for day in range(world.span.days):
        yield _one_day(world, crews, tempo[:, day], day)


def _one_day(world: World, crews: CrewTable, tempo: Floats, day: int) -> Exchanges:
    roster, span, rng = world.roster, world.span, generator(world.seed, "worlds-day", day)
    rows = np.flatnonzero(
        (roster.first_use < span.start + (day + 1) * DAY) & (roster.last_use > span.start + day * DAY)
    )
    rows = rows[rng.random(len(rows)) < chance_of_use(roster, span, day, rows)]
    mean = roster.rate[rows] * day_factor(roster, span, day, rows) * tempo[roster.crew[rows]]
    shape = 1 / np.maximum(roster.spread[rows], 0.05) ** 2
    counts = rng.poisson(mean * rng.gamma(shape, 1 / shape))
    rows, counts = rows[counts > 0], counts[counts > 0]
    sessions = np.minimum(1 + rng.poisson((counts - 1) / roster.session[rows]), counts)
    begins, address = _sessions(world, rng, np.repeat(rows, sessions), day)
    first = np.cumsum(sessions) - sessions
    row = np.repeat(rows, counts)
    session = np.repeat(first, counts) + (rng.random(len(row)) * np.repeat(sessions, counts)).astype(np.int64)
    length = np.repeat(counts / sessions, counts) * roster.gap[row] * 1e6
    moment = begins[session] + (rng.random(len(row)) * np.minimum(length, 5.0 * HOUR)).astype(np.int64)
    within = (moment >= roster.first_use[row]) & (moment < span.end) & (moment >= span.start)
    order = np.flatnonzero(within)[np.argsort(moment[within], kind="stable")]
    row, moment, session = row[order], moment[order], session[order]
    prompts = ask(roster, crews, span, rng, row, moment, world.seed)
    told = np.exp(prompts.input_log + rng.normal(0, 0.02, len(row)))
    said = np.exp(
        np.where(prompts.listed, crews.token_z[roster.crew[row], 2], roster.output_mean[row])
        + rng.normal(0, 0.7, len(row))
    )
    u = rng.random(len(row))
    return Exchanges(
        row=row,
        happened_at=moment,
        address=address[session],
        client=np.where(rng.random(len(row)) < roster.second_share[row], roster.second_client[row], roster.client[row]),
        model=_models(roster, rng, row, moment),
        input_tokens=np.clip(told, 1, LENGTHIEST).astype(np.int64),
        output_tokens=np.where(u < roster.errors[row], 0, np.clip(said, 1, 16_000)).astype(np.int64),
        status=np.where(u < roster.errors[row], 1, np.where(u > 0.996, 2, 0)),
        template=_not_zero(prompts.template),
        simhash=_not_zero(prompts.simhash),
    )


def _sessions(world: World, rng: np.random.Generator, owner: Ints, day: int) -> tuple[Ints, Ints]:
    """When each session begins (microseconds), and from which address."""
    roster, size = world.roster, len(owner)
    hour = (roster.peak[owner] + rng.vonmises(0, np.maximum(roster.kappa[owner], 0.01), size) * 24 / (2 * np.pi)) % 24
    u, v = rng.random(size), rng.random(size)
    for index, crew in enumerate(world.crews):
        if not (crew.windows or crew.shifts):
            continue
        mine: Bools = roster.crew[owner] == index
        if crew.windows:
            windows = np.array(crew.windows)
            chosen = windows[(u[mine] * len(windows)).astype(np.int64)]
            hour[mine] = (chosen[:, 0] + v[mine] * chosen[:, 1]) % 24
        else:
            team = (roster.place[owner[mine]] + day) % crew.shifts
            hour[mine] = (team + v[mine]) * 24 / crew.shifts
    begins = world.span.start + day * DAY + (hour * HOUR).astype(np.int64)
    slot = (rng.random(size)[:, None] > roster.weights[owner]).sum(axis=1)
    address = roster.own[owner, np.minimum(slot, roster.own.shape[1] - 1)]
    length, kept = roster.pool_length[owner], roster.pool_days[owner]
    shared = (length > 0) & (rng.random(size) < roster.pool_share[owner]) & (begins < roster.pool_until[owner])
    period = np.where(kept > 0, day // np.maximum(kept, 1), rng.integers(0, 2**30, size))
    nth = (unit(pair(owner, period, 17)) * length).astype(np.int64)
    pool = world.pool if len(world.pool) else np.zeros(1, np.int64)
    return begins, np.where(shared, pool[np.where(shared, roster.pool_first[owner] + nth, 0)], address)


def _models(roster: Roster, rng: np.random.Generator, row: Ints, moment: Ints) -> Ints:
    found = np.minimum((rng.random(len(row))[:, None] > roster.models[row]).sum(axis=1), len(MODELS) - 1)
    return np.where((found == _NEWEST) & (moment < roster.adopts[row]), 1, found)


def _not_zero(words: Words) -> Words:
    """0 would mean "not said"."""
    return np.where(words == 0, np.uint64(1), words)
