"""How much is expected of whom on which day."""

from __future__ import annotations

import numpy as np

from benchmarks.worlds.roster import NEVER, Roster, Span
from training.simulate.rng import DAY, Floats, Ints


def day_factor(roster: Roster, span: Span, day: int, rows: Ints) -> Floats:
    """Factor of each account's volume on a day of use: what of the day it is there, its ramp, a model's release."""
    begin = span.start + day * DAY
    first = roster.first_use[rows]
    lived = np.minimum(roster.last_use[rows], begin + DAY).astype(np.float64) - np.maximum(first, begin)
    share = np.clip(lived / DAY, 0.0, 1.0)
    age = (begin + DAY / 2 - np.where(first == NEVER, begin, first)) / DAY
    ramp = roster.ramp[rows]
    climbed = np.where(ramp > 0, np.clip(0.25 + 1.25 * age / np.maximum(ramp, 1e-9), 0.25, 1.5), 1.0)
    released = np.where(day in {span.release, span.release + 1}, roster.boost[rows], 1.0)
    return share * climbed * released


def chance_of_use(roster: Roster, span: Span, day: int, rows: Ints) -> Floats:
    """Chance that each account uses the day."""
    weekday = (span.start // DAY + day + 3) % 7
    return np.clip(roster.active[rows] * (roster.weekend[rows] if weekday >= 5 else 1.0), 0.0, 1.0)


def expected(roster: Roster, span: Span, day: int, rows: Ints, tempo: Floats | None) -> float:
    """Exchanges of ``rows`` together on one day."""
    volume = roster.rate[rows] * chance_of_use(roster, span, day, rows) * day_factor(roster, span, day, rows)
    return float(volume.sum()) * (1.0 if tempo is None else float(tempo[day]))


def pace_of(volume: Floats) -> Floats:
    """Share of all work that is done by the beginning of each day and at the end, shape (days + 1,)."""
    total = max(float(volume.sum()), 1e-9)
    return np.concatenate([[0.0], np.cumsum(volume) / total])
