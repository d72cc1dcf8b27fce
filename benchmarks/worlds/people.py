"""Everybody as a person of their own: heavy-tailed use, many who hardly use anything, public prompts, households."""

from __future__ import annotations

import numpy as np

from benchmarks.worlds.addresses import Ground, gateway_of, homes, homes_six
from benchmarks.worlds.roster import NEVER, SLOTS, Objects, Roster, Span
from training.simulate import names
from training.simulate.agents import AGENTS
from training.simulate.places import places
from training.simulate.rng import DAY, HOUR, Bools, Floats, Ints, Words, generator, mix, pick, salt, zipf

PLANS = ("free", "trial", "payg", "pro", "team", "enterprise")
SOURCES = ("organic", "ads", "referral", "docs", "social", "partner", "event", "sso")
METHODS = ("card", "wallet", "bank", "invoice", "prepaid")
FUNDING = ("credit", "debit", "prepaid", "unknown")
CLIENTS = ("python/2.4.1", "web", "node/5.2.0", "python/2.3.0", "node/4.9.3", "rest", "curl/8.5.0", "go/1.7.0",
           "java/3.1.2", "python/1.9.7", "agent/0.9.2", "dotnet/2.0.4")  # fmt: skip
MODELS = ("lm-mini", "lm-base", "lm-large", "lm-code", "lm-next")
ISSUERS = 45  # per country
FRAMEWORKS = 36  # public templates
AGENT_CLIENT = CLIENTS.index("agent/0.9.2")
_CLIENT_WEIGHTS = np.array([25, 24, 13, 9, 6, 6, 5, 4, 3, 2, 2, 1.0])
_PLAN_WEIGHTS = np.array([48, 12, 22, 13, 4, 1.0])
_SOURCE_WEIGHTS = np.array([40, 14, 11, 14, 10, 5, 4, 2.0])
_MIX = (1.1, 1.0, 0.4, 0.5, 0.4)


def draw_people(seed: int, country: Ints, common: Ground, span: Span) -> Roster:
    """A roster of people on their own; ``country`` says where each lives."""
    rng, size = generator(seed, "worlds-people"), len(country)
    offsets = places().offsets[country]
    created = _signups(rng, offsets, span)
    paid = np.where(pick(rng, np.array([60, 40.0]), size) == 0, 0, 1)
    plan = pick(rng, _PLAN_WEIGHTS, size)
    abroad = rng.random(size) < 0.07
    issued = np.where(abroad, pick(rng, places().shares, size), country)
    first, last = _lives(rng, created)
    level = pick(rng, np.array([0.985, 0.015]), size)
    daily = (rng.random(size) < 0.16) & (level == 0)  # at it nearly every day for months, as a campaign's members are
    last = np.where(daily & (rng.random(size) < 0.85), created + 900 * DAY, last)
    first = np.where(daily & (first == NEVER), created + HOUR, first)
    active = np.where(daily, rng.beta(4.0, 1.3, size), rng.beta(0.75, 2.2, size))
    favourites = np.where(rng.random(size) < 0.85, 1 + rng.geometric(0.2, size), 0)
    popular = rng.random(size) < 0.3
    models = np.cumsum(rng.dirichlet(_MIX, size), axis=1)
    return Roster(
        created=created,
        country=country.copy(),
        given=rng.integers(0, len(names.GIVEN), size),
        family=rng.integers(0, len(names.FAMILY), size),
        shape=pick(rng, names.SHAPE_WEIGHTS, size),
        domain=_own_domains(rng, size),
        device=np.where(rng.random(size) < 0.1, np.uint64(0), mix(np.arange(size), salt(seed, "worlds-device"))),
        agent=pick(rng, np.array(list(AGENTS.values())), size),
        plan=plan,
        source=pick(rng, _SOURCE_WEIGHTS, size),
        haste=np.where(rng.random(size) < 0.1, np.nan, np.round(np.exp(rng.normal(3.6, 0.8, size)), 1)),
        pays=rng.random(size) < np.where(daily, 0.7, np.where(plan >= 2, 0.85, 0.3 * paid)),
        method=pick(rng, np.array([72, 13, 5, 3, 7.0]), size),
        card=mix(np.arange(size), salt(seed, "worlds-card")),
        card_bin=bin_number(issued, zipf(rng, ISSUERS, size, 0.9)),
        card_country=issued,
        funding=pick(rng, np.array([45, 40, 10, 5.0]), size),
        next_card=np.where(rng.random(size) < 0.04, mix(np.arange(size), salt(seed, "worlds-new-card")), np.uint64(0)),
        declines=rng.beta(0.6, 9, size),
        disputes=np.full(size, 0.004),
        rate=np.where(
            daily,
            np.exp(rng.normal(3.0, 0.55, size)),
            np.exp(rng.normal(2.2, 1.0, size)) * np.where(level == 1, 8.0, 1.0),
        ),
        active=active,
        weekend=rng.choice([0.25, 0.6, 1.0, 1.25], size, p=[0.25, 0.3, 0.33, 0.12]),
        first_use=first,
        last_use=last,
        spread=rng.gamma(3.0, 0.3, size),
        ramp=np.where(rng.random(size) < 0.2, rng.uniform(3, 30, size), 0.0),
        boost=np.where(rng.random(size) < 0.15, rng.uniform(1.5, 4.0, size), 1.0),
        peak=(14.5 + rng.normal(0, 3.2, size) - offsets) % 24,
        kappa=np.where(rng.random(size) < 0.18, 0.15, rng.gamma(4.0, 0.45, size)),
        session=np.exp(rng.normal(1.9, 0.6, size)) + 1,
        gap=np.exp(rng.normal(np.log(70.0), 0.8, size)),
        own=_addresses(rng, country, common),
        weights=_weights(rng, size),
        pool_first=np.zeros(size, np.int64),
        pool_length=np.zeros(size, np.int64),
        pool_days=np.zeros(size, np.int64),
        pool_share=np.zeros(size),
        pool_until=np.full(size, NEVER),
        client=pick(rng, _CLIENT_WEIGHTS, size),
        second_client=pick(rng, _CLIENT_WEIGHTS, size),
        second_share=np.where(rng.random(size) < 0.3, rng.beta(1, 3, size), 0.0),
        models=models,
        adopts=span.start + span.release * DAY + (np.exp(rng.normal(0.9, 1.2, size)) * DAY).astype(np.int64),
        errors=rng.beta(0.8, 40, size),
        input_mean=rng.normal(6.0, 0.7, size),
        input_spread=rng.uniform(0.4, 1.1, size),
        output_mean=rng.normal(4.9, 0.6, size),
        templates=rng.geometric(0.3, size),
        framework=np.where(popular | (rng.random(size) < 0.3), zipf(rng, FRAMEWORKS, size, 1.0), -1),
        framework_share=np.where(popular, rng.beta(3, 2, size), rng.beta(1, 5, size)),
        bare=rng.random(size) < 0.14,
        repeats=rng.beta(1.0, 2.6, size),
        repertoire=2 + np.exp(rng.normal(2.4, 0.9, size)).astype(np.int64),
        public=np.where(favourites > 0, rng.beta(1.2, 12, size), 0.0),
        favourites=favourites,
        crew=np.full(size, -1),
        place=np.zeros(size, np.int64),
        listed=np.zeros(size),
        crew_template=np.zeros(size),
        resale=np.zeros(size),
        fixed=np.zeros(size, np.bool_),
    )


def share_roofs(seed: int, roster: Roster, rows: Ints) -> list[tuple[int, Ints]]:
    """Put people (``rows``) under common roofs, two to five in each; returns (number, rows) of each household."""
    rng = generator(seed, "worlds-households")
    order = rows[np.lexsort((rng.random(len(rows)), roster.country[rows]))]
    sizes = 2 + rng.binomial(3, 0.3, len(order) // 2)
    found: list[tuple[int, Ints]] = []
    used = 0
    for size in sizes.tolist():
        members = order[used : used + size]
        used += size
        if len(members) < 2:
            break
        members = members[roster.country[members] == roster.country[members[0]]]
        if len(members) < 2:
            continue
        roster.own[members, :2] = roster.own[members[0], :2]
        for column, chance in ((roster.device, 0.35), (roster.card, 0.4)):
            lent = members[rng.random(len(members)) < chance]
            column[lent] = column[members[0]]
        same = members[roster.card[members] == roster.card[members[0]]]
        for detail in (roster.card_bin, roster.card_country, roster.funding):
            detail[same] = detail[members[0]]
        roster.family[members[rng.random(len(members)) < 0.6]] = roster.family[members[0]]
        found.append((len(found), members))
    return found


def bin_number(country: Ints, issuer: Ints) -> Ints:
    """The six first digits of an issuer's cards."""
    words: Words = mix(country * 64 + issuer, 4242) % np.uint64(199_000)
    return 400_000 + words.astype(np.int64)


def _signups(rng: np.random.Generator, offsets: Floats, span: Span) -> Ints:
    """Moments over the whole time of signups, fewer at weekends and at night."""
    days = span.earlier + span.days
    weekday = (span.opening // DAY + np.arange(days) + 3) % 7  # the epoch was a Thursday; 0 is Monday
    day = pick(rng, np.where(weekday >= 5, 0.7, 1.0) * np.linspace(0.8, 1.2, days), len(offsets))
    hour = (15.0 - offsets + rng.vonmises(0, 0.9, len(offsets)) * 24 / (2 * np.pi)) % 24
    return span.opening + day * DAY + (hour * HOUR).astype(np.int64)


def _lives(rng: np.random.Generator, created: Ints) -> tuple[Ints, Ints]:
    """First and last use: a third never begin in earnest, two fifths leave within weeks."""
    size = len(created)
    wait = np.exp(rng.normal(np.log(2.0), 2.2, size)) * HOUR
    back = rng.random(size) < 0.08  # came for a name or a free month, and returned
    wait = np.where(back, np.exp(rng.normal(np.log(15.0), 0.8, size)) * DAY, wait)
    first = np.where(rng.random(size) < 0.3, NEVER, created + wait.astype(np.int64))
    life = np.where(rng.random(size) < 0.4, np.exp(rng.normal(np.log(9.0), 1.2, size)), 900.0)
    return first, np.where(first == NEVER, NEVER, created + ((life + 0.2) * DAY + wait).astype(np.int64))


def _own_domains(rng: np.random.Generator, size: int) -> Objects:
    """One's own or a small firm's for one in five, a disposable one for one in seventy, None for the others."""
    domain = np.full(size, None, dtype=object)
    own = np.flatnonzero(rng.random(size) < 0.2)
    firms = names.invented_domains(rng, max(1, len(own) * 3 // 4))
    domain[own] = [firms[k] for k in rng.integers(0, len(firms), len(own))]
    thrown = np.flatnonzero(rng.random(size) < 0.014)
    domain[thrown] = [names.DISPOSABLE[k] for k in rng.integers(0, len(names.DISPOSABLE), len(thrown))]
    return domain


def _addresses(rng: np.random.Generator, country: Ints, common: Ground) -> Ints:
    """Home, home later, phone, and elsewhere: an exit, a café's line or another country."""
    size = len(country)
    own = np.empty((size, SLOTS), np.int64)
    six: Bools = rng.random(size) < 0.15
    own[:, 0] = np.where(six, homes_six(rng, country), homes(rng, country))
    # Half of all lines get another address now and then, one that was somebody else's before.
    moved = np.flatnonzero(rng.random(size) < 0.5)
    own[:, 1] = own[:, 0]
    lines = homes(rng, country[moved])
    for index in np.unique(country[moved]).tolist():
        mine = np.flatnonzero(country[moved] == index)
        own[moved[mine], 1] = lines[mine[rng.integers(0, max(1, len(mine) * 2 // 5), len(mine))]]
    own[:, 2] = gateway_of(rng, common, country)
    abroad = np.where(rng.random(size) < 0.3, pick(rng, places().shares, size), country)
    own[:, 3] = np.where(
        rng.random(size) < 0.5, common.exits[zipf(rng, len(common.exits), size, 0.6)], homes(rng, abroad)
    )
    return own


def _weights(rng: np.random.Generator, size: int) -> Floats:
    """Cumulative shares of the four slots; some live on the phone's line alone."""
    raw = rng.dirichlet([2.2, 1.1, 0.7, 0.3], size)
    phone = rng.random(size) < 0.14
    raw[phone] = [0.04, 0.03, 0.9, 0.03]
    return np.cumsum(raw, axis=1)
