"""When and where accounts sign up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.members import Crowd
from training.simulate.places import places
from training.simulate.rng import DAY, HOUR, Floats, Ints, generator, pick
from training.simulate.traces import hour_table

HOUSEHOLDS = 0.05  # of people on their own share a line, and often a device or a card, with somebody at home
LONGEST_SPAN = 0.35  # of the period: a split by time must find whole campaigns on each side


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When and where from: one element per account, but ``main``, one per group.

    ``created`` is in microseconds, countries are indices into places, ``household`` is a number that people on their
    own have in common when they live under one roof, -1 for others.
    """

    created: Ints
    country: Ints
    main: Ints
    household: Ints


def arrive(crowd: Crowd, start: int, days: int) -> Arrivals:
    """Signup moments within [start, start + days) and countries."""
    rng = generator(crowd.seed, "arrivals")
    size = crowd.population.size
    main = pick(rng, places().shares, len(crowd.groups))
    country = crowd.follow("country", pick(rng, places().shares, size), main)
    weekday = (start // DAY + np.arange(days) + 3) % 7  # the epoch was a Thursday; 0 is Monday
    day = pick(rng, np.where(weekday >= 5, 0.65, 1.0), size)
    local = np.interp(rng.random(size), hour_table(1.6), np.arange(25.0))
    created = start + day * DAY + _utc(local, places().offsets[country])
    for group, cohesion in crowd.groups:
        own = generator(crowd.seed, "arrivals-of-group", group.index)
        span = min(cohesion.span_days, LONGEST_SPAN * days)
        count = len(group.members)
        at = group.begins * days + span * own.beta(own.uniform(0.6, 1.6), own.uniform(0.8, 2.5), count)
        moment = start + (at * DAY).astype(np.int64)
        if span > 1:
            office = own.random(count) < cohesion.office_hours
            hour = np.where(
                office, own.uniform(8.5, 18, count), np.interp(own.random(count), hour_table(1.0), np.arange(25.0))
            )
            offset = np.full(count, places().offsets[main[group.index]])
            moment = start + (at.astype(np.int64)) * DAY + _utc(hour, offset)
        latest = start + days * DAY - 1 - (own.random(count) * 6 * HOUR).astype(np.int64)
        created[group.members] = np.minimum(moment, latest)
    return Arrivals(created, country, main, _households(crowd, country))


def _households(crowd: Crowd, country: Ints) -> Ints:
    """Couples, flatmates and families, always in one country."""
    rng = generator(crowd.seed, "households")
    size = crowd.population.size
    shares = (crowd.population.group < 0) & (rng.random(size) < HOUSEHOLDS)
    homes = np.maximum(np.bincount(country[shares], minlength=len(places().countries)) // 2, 1)
    number = country * 2**24 + (rng.random(size) * homes[country]).astype(np.int64)
    return np.where(shares, number, -1)


def _utc(local_hour: Floats, offset: Floats) -> Ints:
    """Microseconds into the UTC day of a local hour."""
    return (((local_hour - offset) % 24.0) * HOUR).astype(np.int64)
