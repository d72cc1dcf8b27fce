"""How each account uses the service: one law for everybody, then groups pull their members together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.members import Crowd
from training.simulate.places import places
from training.simulate.population import CAMPAIGN
from training.simulate.rng import DAY, HOUR, Bools, Floats, Ints, generator, pick, zipf
from training.simulate.signup import Arrivals
from training.simulate.traces import from_quantiles, traces

MEAN_PER_ACTIVE_DAY = 26.0
LEVELS = np.array([0.94, 0.045, 0.015])  # everyday, heavy, batch
LEVEL_FACTORS = np.array([1.0, 6.0, 16.0])
MEAN_FACTOR = 1.35  # of the levels, less what a first day that begins at noon loses; measured: 26 on a day of use
CLIENTS = (
    "python/2.4.1",
    "python/2.3.0",
    "web",
    "node/5.2.0",
    "node/4.9.3",
    "curl/8.5.0",
    "go/1.7.0",
    "rest",
    "java/3.1.2",
    "python/1.9.7",
    "dotnet/2.0.4",
    "rust/0.6.1",
)
CLIENT_WEIGHTS = np.array([26, 11, 20, 13, 5, 5, 5, 6, 4, 3, 1.5, 0.5])
MODELS = ("lm-mini", "lm-base", "lm-large", "lm-code", "lm-next")
FRAMEWORKS = 40  # templates of popular open-source frameworks
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Habits:
    """One element per account. Times in microseconds; ``first_use`` is NEVER for accounts that are never used."""

    volume: Floats  # exchanges on an average active day
    day_spread: Floats  # coefficient of variation of a day's volume
    active: Floats  # chance of using a day
    weekends: Floats  # factor of that chance on Saturday and Sunday
    first_use: Ints
    last_use: Ints
    zone: Floats  # hours from UTC by which the account lives
    steepness: Floats  # of its day
    automated: Bools  # machine pacing
    gap: Floats  # mean microseconds between exchanges of a session
    burst: Floats  # coefficient of variation of those gaps
    session: Floats  # mean exchanges of a session
    code: Floats  # share of code-like requests
    input_scale: Floats
    output_scale: Floats
    models: Floats  # accounts x len(MODELS), cumulative
    adopts: Ints  # when it begins to use the newest model
    client: Ints  # main client
    second_client: Ints
    second_share: Floats
    addresses: Ints  # number of addresses
    templates: Ints  # number of own templates
    framework: Ints  # which public template it uses
    public: Floats  # share of exchanges through that template
    fresh: Floats  # share of prompts never sent before
    prompts: Ints  # own prompts that it repeats
    errors: Floats  # share of exchanges that fail
    heavy: Bools
    batch: Bools
    popular: Bools  # mostly through a public framework


def draw_habits(crowd: Crowd, arrivals: Arrivals, *, start: int, end: int, mean: float) -> Habits:
    """Habits of accounts in a world from ``start`` to ``end`` (microseconds), ``mean`` exchanges on a day of use."""
    created, country = arrivals.created, arrivals.country
    size, groups = crowd.population.size, len(crowd.population.groups)
    rng = generator(crowd.seed, "habits")
    common = generator(crowd.seed, "common-habits")

    def normal(cohesion: str) -> Floats:
        return crowd.pull(cohesion, rng.standard_normal(size), common.standard_normal(groups))

    level = pick(rng, LEVELS, size)
    volume = mean * np.exp(normal("profile") * 0.9 - 0.405) * LEVEL_FACTORS[level] / MEAN_FACTOR
    automated = (rng.random(size) < 0.2) | (level == 2)
    unused = rng.random(size) < 0.2
    later = rng.random(size) < 0.12  # signed up for a name or a free month, and came back
    delay = np.exp(rng.normal(np.log(np.where(later, 6.0 * DAY, 3.0 * HOUR)), np.where(later, 0.7, 2.0), size))
    first = (created + delay).astype(np.int64)
    latest = int(start + (end - start) * 0.95)
    meets = np.array([_meeting(common, created[g.members], one.wake_days, latest) for g, one in crowd.groups], np.int64)
    first = np.where(crowd.followers("wake"), _at_group_day(rng, first, meets, crowd, created), first)
    life = np.where(rng.random(size) < 0.45, np.exp(rng.normal(np.log(4.0 * DAY), 1.2, size)), 400.0 * DAY)
    last = first + life.astype(np.int64)
    stops = meets + (np.exp(common.normal(np.log(5.0), 0.7, groups)) * DAY).astype(np.int64)
    if groups:
        last = np.where(crowd.followers("stop"), np.maximum(stops[crowd.population.group], first + HOUR), last)
    offsets = places().offsets[country]
    shares = np.abs(rng.dirichlet([0.8, 0.9, 0.35, 0.4, 0.35], size))
    shares = _together(crowd, shares, common.dirichlet([0.8, 0.9, 0.35, 0.4, 0.35], max(groups, 1)))
    release = start + int((end - start) * 0.4)
    wait = np.exp(rng.normal(np.log(2.0 * DAY), 1.3, size)).astype(np.int64)
    shared_wait = np.exp(common.normal(np.log(2.0 * DAY), 1.3, groups)).astype(np.int64)
    popular = rng.random(size) < 0.09
    worked = _worked(crowd)
    pace, keen, begins = _pace(crowd, generator(crowd.seed, "work"), mean)
    volume = np.where(worked, pace, volume)
    first = np.where(worked & ~crowd.followers("wake"), created + begins, first)
    last = np.where(worked & ~crowd.followers("stop"), first + np.int64(400 * DAY), last)
    return Habits(
        volume=volume,
        day_spread=from_quantiles(traces().day_spread, rng.random(size)),
        active=np.where(worked, keen, rng.beta(0.9, 1.7, size)),
        weekends=rng.choice([0.25, 0.6, 1.0, 1.2], size, p=[0.25, 0.3, 0.35, 0.1]),
        first_use=np.where(unused & ~worked, NEVER, first),
        last_use=last,
        zone=offsets + rng.normal(0, 1.5, size),
        steepness=np.where(automated, 0.6, 1.0) * (0.3 + 4.0 * from_quantiles(traces().hour_spread, rng.random(size))),
        automated=automated,
        gap=np.exp(normal("profile") * 0.8 + np.log(np.where(automated, 15e6, 75e6))),
        burst=np.where(automated, 0.4, 1.0) * np.clip(from_quantiles(traces().burstiness, rng.random(size)), 0.3, 4.0),
        session=np.exp(rng.normal(np.log(8.0), 0.6, size)),
        code=rng.beta(0.5, 0.7, size),
        input_scale=np.exp(normal("profile") * 0.5),
        output_scale=np.exp(normal("profile") * 0.45),
        models=np.cumsum(shares, axis=1),
        adopts=release + crowd.follow("release", wait, shared_wait),
        client=crowd.follow("client", pick(rng, CLIENT_WEIGHTS, size), pick(common, CLIENT_WEIGHTS, groups)),
        second_client=pick(rng, CLIENT_WEIGHTS, size),
        second_share=np.where(rng.random(size) < 0.3, rng.beta(1, 3, size), 0.0),
        addresses=np.minimum(1 + np.floor(np.exp(rng.normal(0.3, 1.0, size))).astype(np.int64), 60),
        templates=1 + np.floor(np.exp(rng.normal(0.2, 0.9, size))).astype(np.int64),
        framework=zipf(rng, FRAMEWORKS, size, 1.1),
        public=np.where(popular, rng.beta(5, 2, size), np.where(rng.random(size) < 0.35, rng.beta(1, 6, size), 0.0)),
        fresh=rng.beta(2.2, 1.0, size),
        prompts=np.exp(rng.normal(np.log(15.0), 1.0, size)).astype(np.int64) + 1,
        errors=rng.beta(0.8, 35, size),
        heavy=level == 1,
        batch=level == 2,
        popular=popular,
    )


def _worked(crowd: Crowd) -> Bools:
    """Accounts that an operator sends work through: bought for it, so that few of a campaign's stand idle."""
    campaign = np.array([group.kind == CAMPAIGN for group in crowd.population.groups] + [False])
    return campaign[crowd.population.group] & (generator(crowd.seed, "idle").random(crowd.population.size) > 0.03)


def _pace(crowd: Crowd, rng: np.random.Generator, mean: float) -> tuple[Floats, Floats, Ints]:
    """An operator's day: exchanges on a day of use, the chance of one, and from signup to the first exchange.

    The incident that this is modelled on: 28.8 million exchanges by 25,000 accounts in 44 days, 26 an account a day.
    """
    groups, size = len(crowd.groups) + 1, crowd.population.size
    group = crowd.population.group
    pace = (mean * np.exp(rng.normal(-0.1, 0.3, groups)))[group] * np.exp(rng.normal(0.0, 0.45, size))
    keen = np.clip(rng.uniform(0.5, 0.95, groups)[group] + rng.normal(0, 0.1, size), 0.1, 1.0)
    wait = np.exp(rng.normal(np.log(rng.uniform(0.5, 20.0, groups))[group], 1.0, size)) * HOUR
    return pace, keen, wait.astype(np.int64)


def _meeting(rng: np.random.Generator, created: Ints, days: float, latest: int) -> int:
    """When a group starts in earnest: some days after most members are there, as aged accounts are woken."""
    wait = np.exp(rng.normal(np.log(days), 0.5)) * DAY
    return int(min(float(np.quantile(created, 0.7)) + wait, latest))


def _at_group_day(rng: np.random.Generator, own: Ints, meets: Ints, crowd: Crowd, created: Ints) -> Ints:
    """First use within the group's first hours for members who were there by then, their own for later ones."""
    if not len(meets):
        return own
    when = meets[crowd.population.group] + (rng.exponential(7.0, len(own)) * HOUR).astype(np.int64)
    return np.where(when > created, when, own)


def _together(crowd: Crowd, own: Floats, common: Floats) -> Floats:
    """Model mixes, with members who follow their group's profile close to the common mix."""
    follows = crowd.followers("profile", "models")
    return np.where(follows[:, None], 0.85 * common[crowd.population.group] + 0.15 * own, own)
