"""What a world is made of before it is written: accounts with their habits, and crews that do one work together.

Everybody begins as a person of their own. A group, honest or not, then overwrites some columns of its members' rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from training.simulate.rng import DAY, Bools, Floats, Ints, Words

Objects = NDArray[np.object_]
SLOTS = 4  # addresses of one's own: home, home after the line was renewed, phone, elsewhere
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Span:
    """The period that usage covers, in microseconds; signups begin ``earlier`` days before it."""

    start: int
    days: int
    earlier: int = 60

    @property
    def end(self) -> int:
        """First moment after the period."""
        return self.start + self.days * DAY

    @property
    def opening(self) -> int:
        """First moment of signups."""
        return self.start - self.earlier * DAY

    @property
    def release(self) -> int:
        """Day on which the new model comes out, which honest people look at, too."""
        return int(self.days * 0.44)

    @property
    def scale(self) -> float:
        """How long things take, against the 45 days that durations in days are meant for; at most 1."""
        return min(1.0, self.days / 45)


class Mode(IntEnum):
    """How a crew's list of prompts is dealt out."""

    POOL = 0  # anybody takes any item at any time
    SHARDS = 1  # each member has a part of it, and parts overlap
    SWEEP = 2  # each shard's members go through their part together, a window at a time
    ECHO = 3  # the same, and items are asked again days later by whoever is at work then


@dataclass(frozen=True, slots=True)
class Crew:
    """Members that do one work: a course, a company, a campaign. Hours are UTC; shares are the roster's, by account."""

    name: str
    members: Ints  # rows
    mode: Mode = Mode.POOL
    items: int = 40  # prompts on the list
    window: int = 40  # items of a part that are open at a time, for SWEEP and ECHO
    shards: int = 1
    overlap: int = 1  # shards that each member reads
    lag: int = 0  # days until an item is asked again, for ECHO
    pace: Floats | None = None  # days + 1 values: share of the list done by each day's beginning; None: evenly
    reworded: float = 0.5  # chance that an item is sent slightly changed
    templates: int = 1
    public_template: int = -1  # the framework it builds on; -1: templates of its own
    renewed: int = 0  # days after which it writes new templates; 0: never
    prefixed: bool = True  # its items are sent behind its template; False: an item's own beginning is the prefix
    windows: tuple[tuple[float, float], ...] = ()  # (first hour, hours) at work each day; empty: members' own hours
    shifts: int = 0  # teams that take turns around the clock; 0: no teams
    tempo: Floats | None = None  # factor of each day's volume, shape (days,); None: all alike
    trends: int = 0  # well-known prompts that it picked to mix in; 0: members' own favourites
    token_z: tuple[float, float, float] = (6.0, 0.8, 5.0)  # log mean and spread of its items' input, log mean output


@dataclass(frozen=True, slots=True)
class Roster:
    """One element per account in each array; rows are in no order that reaches the files."""

    # signup
    created: Ints
    country: Ints  # index into places
    given: Ints
    family: Ints
    shape: Ints  # of the mailbox's name, index into names.SHAPES
    domain: Objects  # of the mail; None: a free provider of the country
    device: Words  # 0: none was read
    agent: Ints
    plan: Ints
    source: Ints
    haste: Floats  # seconds over the form; NaN: not measured
    # payment
    pays: Bools
    method: Ints
    card: Words
    card_bin: Ints
    card_country: Ints
    funding: Ints
    next_card: Words  # used from the second week on; 0: the same one
    declines: Floats
    disputes: Floats
    # usage
    rate: Floats  # exchanges on a day of use
    active: Floats  # chance of using a day
    weekend: Floats  # factor of that chance
    first_use: Ints  # NEVER: not at all
    last_use: Ints
    spread: Floats  # coefficient of variation of a day's volume
    ramp: Floats  # days until the full volume; 0: from the first
    boost: Floats  # factor on the day on which a model comes out and the next
    peak: Floats  # UTC hour of the day's middle
    kappa: Floats  # how far the day is from flat (von Mises)
    session: Floats  # mean exchanges of a session
    gap: Floats  # mean seconds between them
    own: Ints  # addresses, (n, SLOTS); see addresses.written
    weights: Floats  # cumulative, (n, SLOTS)
    pool_first: Ints  # shared addresses: the slice of Ground.pool, by first and length
    pool_length: Ints  # 0: none
    pool_days: Ints  # days that a member keeps one; 0: another one each session
    pool_share: Floats
    pool_until: Ints  # no longer used from then on
    client: Ints
    second_client: Ints
    second_share: Floats
    models: Floats  # cumulative, (n, len(MODELS))
    adopts: Ints  # when it begins to use the new model
    errors: Floats
    input_mean: Floats  # of log tokens
    input_spread: Floats
    output_mean: Floats
    templates: Ints
    framework: Ints  # public template; -1: none
    framework_share: Floats
    bare: Bools  # talks without a system prompt, so that its prompts begin each in their own way
    repeats: Floats  # share of own prompts that are sent again and again
    repertoire: Ints  # how many of those it has
    public: Floats  # share of well-known prompts
    favourites: Ints  # how many of those it knows
    # togetherness
    crew: Ints  # index into World.crews; -1: none
    place: Ints  # number within the crew
    listed: Floats  # share of exchanges from the crew's list
    crew_template: Floats  # share of the others behind the crew's template
    resale: Floats  # share of the others that pass on strangers' traffic
    fixed: Bools  # volume is as said and not scaled to the world's total

    @property
    def size(self) -> int:
        """How many accounts."""
        return len(self.created)


@dataclass(slots=True)
class World:
    """Everything that is written. ``kind``, ``group`` and ``campaign`` are the truth; links are (row, type, value)."""

    seed: int
    span: Span
    roster: Roster
    pool: Ints  # shared addresses that rosters point into
    crews: list[Crew] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    group: list[str | None] = field(default_factory=list)
    campaign: list[str | None] = field(default_factory=list)
    links: list[tuple[int, str, str]] = field(default_factory=list)

    def share_addresses(
        self, rows: Ints, addresses: Ints, share: float, *, days: int = 0, until: int = NEVER, slots: bool = False
    ) -> None:
        """Let members use common addresses for a share of sessions; ``slots`` gives each one of them as its own."""
        roster = self.roster
        if slots:
            roster.own[rows] = addresses[np.arange(len(rows) * SLOTS).reshape(-1, SLOTS) % len(addresses)]
            return
        roster.pool_first[rows] = len(self.pool)
        roster.pool_length[rows] = len(addresses)
        roster.pool_days[rows] = days
        roster.pool_share[rows] = share
        roster.pool_until[rows] = until
        self.pool = np.concatenate([self.pool, addresses])

    def join(self, crew: Crew, *, listed: float, template: float) -> None:
        """Add a crew whose members' shares lie around these (each member differs by up to a third)."""
        roster, rows = self.roster, crew.members
        rng = np.random.default_rng([self.seed, len(self.crews), 77])
        personal = rng.uniform(0.67, 1.33, len(rows))
        roster.crew[rows] = len(self.crews)
        roster.place[rows] = np.arange(len(rows))
        roster.listed[rows] = np.minimum(listed * personal, 0.95)
        roster.crew_template[rows] = np.minimum(template * personal[::-1], 0.98)
        self.crews.append(crew)
