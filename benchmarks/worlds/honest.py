"""What the members of each kind of honest group have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.worlds.addresses import homes, servers
from benchmarks.worlds.groups import HonestGroup
from benchmarks.worlds.people import (
    AGENT_CLIENT,
    CLIENTS,
    FRAMEWORKS,
    FUNDING,
    ISSUERS,
    METHODS,
    PLANS,
    SOURCES,
    bin_number,
)
from benchmarks.worlds.roster import NEVER, Crew, Mode, World
from training.simulate import names
from training.simulate.places import places
from training.simulate.rng import DAY, HOUR, Ints, generator, pick

_AT_WORK = frozenset({"agency", "rollout", "remote_company", "reseller", "course"})  # they use what they were given
_CARD, _INVOICE = METHODS.index("card"), METHODS.index("invoice")


def settle(world: World, group: HonestGroup, rows: Ints, number: int) -> None:
    """Make a group of ``rows``: whatever its kind says they have in common, and its volume."""
    rng = generator(world.seed, "worlds-group", number)
    _KINDS[group.kind](world, group, rows, rng)
    if group.kind in _AT_WORK:
        _use_soon(world, rng, rows)
        world.roster.active[rows] = rng.beta(2.0, 2.4, len(rows))
    if group.heavy:
        roster, size = world.roster, len(rows)
        roster.rate[rows] = 26.0 * rng.gamma(4, 1 / 4, size)
        roster.active[rows] = rng.uniform(0.45, 0.95, size)
        roster.first_use[rows] = np.where(
            roster.first_use[rows] == NEVER, roster.created[rows] + DAY // 4, roster.first_use[rows]
        )
        roster.fixed[rows] = True


def _arrive(world: World, rng: np.random.Generator, rows: Ints, begin: float, days: float, *, hours: bool) -> None:
    """Sign up within ``days`` from day ``begin`` of the period (negative: before it), in office ``hours`` or not."""
    roster, span, size = world.roster, world.span, len(rows)
    at = span.start + begin * DAY + rng.beta(1.2, 1.8, size) * days * DAY
    if hours:
        local = rng.uniform(8.5, 18.0, size) - places().offsets[roster.country[rows]]
        at = at // DAY * DAY + local % 24 * HOUR
    latest = span.end - DAY // 2 - rng.uniform(0, DAY // 4, size)
    before = roster.created[rows]
    roster.created[rows] = np.clip(at, span.opening, latest).astype(np.int64)
    moved = roster.created[rows] - before
    used = roster.first_use[rows] != NEVER
    roster.first_use[rows] = np.where(used, roster.first_use[rows] + moved, NEVER)
    roster.last_use[rows] = np.where(used, roster.last_use[rows] + moved, NEVER)


def _begin(rng: np.random.Generator, world: World) -> float:
    """A day on which a group comes: some long before the period, most within."""
    return float(rng.uniform(-0.35, 0.6)) * world.span.days


def _sites(rng: np.random.Generator, rows: Ints, world: World, count: int) -> Ints:
    """``count`` neighbouring addresses in the country of the first member."""
    base = homes(rng, world.roster.country[rows[:1]]) & ~255
    return base + 2 + rng.choice(250, count, replace=False)


def _pay_together(world: World, rng: np.random.Generator, rows: Ints) -> None:
    """One card for all of them."""
    roster = world.roster
    one = rows[int(rng.integers(0, len(rows)))]
    roster.pays[rows] = True
    roster.method[rows], roster.next_card[rows], roster.declines[rows] = _CARD, 0, 0.01
    roster.card[rows] = roster.card[one]
    roster.card_country[rows] = roster.country[one]
    roster.card_bin[rows] = bin_number(roster.country[one : one + 1], rng.integers(0, ISSUERS // 2, 1))[0]
    roster.funding[rows] = FUNDING.index("credit")


def _office(world: World, rng: np.random.Generator, rows: Ints) -> None:
    """Office days in each member's country."""
    roster, size = world.roster, len(rows)
    roster.peak[rows] = (13.5 + rng.normal(0, 1.0, size) - places().offsets[roster.country[rows]]) % 24
    roster.kappa[rows] = rng.uniform(1.8, 3.5, size)
    roster.weekend[rows] = rng.choice([0.05, 0.2, 0.5], size, p=[0.6, 0.3, 0.1])


def _university(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size = world.roster, len(rows)
    _arrive(world, rng, rows, _begin(rng, world) - 10, 40 * world.span.scale, hours=False)
    domain = names.university_domain(rng, places().countries[group.countries[0]].code)
    on_domain = rows if size >= 500 else rows[rng.random(size) < 0.85]
    roster.domain[on_domain] = domain
    roster.shape[on_domain[rng.random(len(on_domain)) < 0.8]] = names.SHAPES.index("first.last")
    world.share_addresses(rows, _sites(rng, rows, world, 2), 0.8)
    roster.plan[rows] = pick(rng, np.array([75, 15, 6, 4.0]), size)
    roster.pays[rows] = rng.random(size) < 0.12
    courses = max(1, size // 60)
    classes = Crew(group.group_id, rows, Mode.SHARDS, items=40 * courses, shards=courses, overlap=2, reworded=0.6,
                   prefixed=False)  # fmt: skip
    world.join(classes, listed=0.12, template=0.0)


def _agency(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size = world.roster, len(rows)
    _arrive(world, rng, rows, _begin(rng, world), 30 * world.span.scale, hours=True)
    _office(world, rng, rows)
    _pay_together(world, rng, rows)
    roster.device[rows] = roster.device[rows].max()
    roster.agent[rows] = roster.agent[rows[0]]
    clients = names.invented_domains(rng, max(1, size // 3))
    roster.domain[rows] = [clients[k] for k in rng.integers(0, len(clients), size).tolist()]
    world.share_addresses(rows, _sites(rng, rows, world, 2), 0.85)
    roster.client[rows] = roster.client[rows[0]]
    work = Crew(group.group_id, rows, Mode.SHARDS, items=8 * size, shards=max(1, size // 6), overlap=1, templates=4)
    world.join(work, listed=0.15, template=0.6)


def _hackathon(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size, span = world.roster, len(rows), world.span
    begin = float(int(rng.uniform(0.1, 0.75) * span.days)) + 0.3
    _arrive(world, rng, rows, begin, 1.5, hours=False)
    _use_soon(world, rng, rows)
    end = int(span.start + (begin + 2.0) * DAY)
    stays = rng.random(size) < 0.2
    roster.last_use[rows] = np.where(stays, NEVER, end + (rng.exponential(0.3, size) * DAY).astype(np.int64))
    roster.active[rows] = np.where(stays, roster.active[rows], 0.95)
    roster.kappa[rows] = rng.uniform(0.2, 0.9, size)
    roster.weekend[rows] = 1.0
    roster.rate[rows] *= 2.0
    roster.source[rows[rng.random(size) < 0.85]] = SOURCES.index("event")
    roster.plan[rows] = pick(rng, np.array([30, 65, 5.0]), size)
    roster.pays[rows] = rng.random(size) < 0.05
    world.share_addresses(rows, _sites(rng, rows, world, 2), 0.92, until=end)
    country = places().countries[group.countries[0]].code
    schools = [names.university_domain(rng, country) for _ in range(3)]
    students = rows[rng.random(size) < 0.4]
    roster.domain[students] = [schools[k] for k in rng.integers(0, 3, len(students)).tolist()]
    code = f"HACK{int(rng.integers(1000, 9999))}"
    world.links += [(int(row), "promo_code", code) for row in rows[rng.random(size) < 0.95]]
    challenge = Crew(group.group_id, rows, Mode.POOL, items=120, reworded=0.6, templates=3,
                     public_template=int(rng.integers(0, FRAMEWORKS)))  # fmt: skip
    world.join(challenge, listed=0.22, template=0.3)


def _rollout(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size = world.roster, len(rows)
    _arrive(world, rng, rows, _begin(rng, world), 4 * max(world.span.scale, 0.3), hours=True)
    _office(world, rng, rows)
    _one_domain(world, rng, rows)
    roster.source[rows] = SOURCES.index("sso")
    roster.plan[rows] = PLANS.index("enterprise")
    roster.method[rows] = _INVOICE
    roster.pays[rows] = rng.random(size) < 0.05
    world.share_addresses(rows, _sites(rng, rows, world, max(1, min(4, size // 60))), 0.75)
    tenant = f"tenant-{int(rng.integers(10**8, 10**9))}"
    world.links += [(int(row), "sso_tenant", tenant) for row in rows]
    roster.client[rows[rng.random(size) < 0.7]] = CLIENTS.index("web")
    work = Crew(group.group_id, rows, Mode.POOL, items=60 + size, reworded=0.5, templates=5)
    world.join(work, listed=0.12, template=0.55)


def _carrier_nat(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    gateways = _sites(rng, rows, world, max(2, len(rows) // 330))
    world.share_addresses(rows, gateways, 0.95, days=1)
    assert group.kind == "carrier_nat"  # and nothing else in common


def _remote_company(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size = world.roster, len(rows)
    assert len(set(roster.country[rows].tolist())) <= len(group.countries)
    _arrive(world, rng, rows, _begin(rng, world), 12 * world.span.scale, hours=True)
    _office(world, rng, rows)
    _one_domain(world, rng, rows)
    roster.client[rows[rng.random(size) < 0.8]] = roster.client[rows[0]]
    roster.plan[rows] = PLANS.index("team")
    paying = rows[rng.random(size) < 0.3]
    roster.pays[rows] = False
    if len(paying):
        _pay_together(world, rng, paying)
    exits = servers(rng, 2, per_net=2)  # its own tunnel, which some use
    world.share_addresses(rows[rng.random(size) < 0.3], exits, 0.5)
    work = Crew(group.group_id, rows, Mode.POOL, items=80 + 2 * size, reworded=0.4, templates=4)
    world.join(work, listed=0.15, template=0.6)


def _course(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size, span = world.roster, len(rows), world.span
    begin = float(rng.uniform(-0.15, 0.35)) * span.days
    _arrive(world, rng, rows, begin, 9 * span.scale, hours=False)
    roster.plan[rows] = pick(rng, np.array([70, 20, 10.0]), size)
    roster.pays[rows] = rng.random(size) < 0.1
    roster.client[rows[rng.random(size) < 0.7]] = roster.client[rows[0]]
    roster.source[rows[rng.random(size) < 0.6]] = SOURCES.index("partner")
    weeks = max(2, span.days // 7)
    week = np.floor(np.clip((np.arange(span.days + 1) - begin) / max(1.0, 7 * span.scale), 0, weeks)) / weeks
    exercises = Crew(
        group.group_id,
        rows,
        Mode.SWEEP,
        items=18 * weeks,
        window=18,
        pace=week,
        reworded=0.75,
        public_template=int(rng.integers(0, FRAMEWORKS)),
        prefixed=bool(rng.random() < 0.5),
    )
    world.join(exercises, listed=0.5, template=0.2)


def _agent_users(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size = world.roster, len(rows)
    roster.client[rows[rng.random(size) < 0.9]] = AGENT_CLIENT
    roster.session[rows] *= 2.0
    # Summaries of the talk so far, titles, plans: what the agent asks on its own is nearly the same for everybody.
    chores = Crew(group.group_id, rows, Mode.POOL, items=25, reworded=0.7, templates=1)
    world.join(chores, listed=0.08, template=0.85)


def _reseller(world: World, group: HonestGroup, rows: Ints, rng: np.random.Generator) -> None:
    roster, size = world.roster, len(rows)
    _arrive(world, rng, rows, -20 * world.span.scale, (20 + world.span.days) * 0.9, hours=True)
    _pay_together(world, rng, rows)
    opened = rows[rng.random(size) < 0.6]  # by the reseller's staff, for the client
    roster.device[opened] = roster.device[rows].max()
    firms = names.invented_domains(rng, size)
    roster.domain[rows] = [firms[k] for k in rng.permutation(size).tolist()]
    roster.client[rows] = roster.client[rows[0]]
    demo = Crew(group.group_id, rows, Mode.POOL, items=30, reworded=0.5, templates=1)
    world.join(demo, listed=0.05, template=0.85)


def _one_domain(world: World, rng: np.random.Generator, rows: Ints) -> None:
    world.roster.domain[rows] = names.invented_domains(rng, 1)[0]
    world.roster.shape[rows] = names.SHAPES.index(("first.last", "flast", "first")[int(rng.integers(0, 3))])


def _use_soon(world: World, rng: np.random.Generator, rows: Ints) -> None:
    """Most members begin within hours."""
    roster, size = world.roster, len(rows)
    soon = rng.random(size) < 0.85
    first = roster.created[rows] + (rng.exponential(5.0, size) * HOUR).astype(np.int64)
    roster.first_use[rows] = np.where(soon, first, roster.first_use[rows])
    roster.last_use[rows] = np.where(
        soon, np.maximum(roster.last_use[rows], first + int(14 * world.span.scale * DAY)), roster.last_use[rows]
    )


_KINDS: dict[str, Callable[[World, HonestGroup, Ints, np.random.Generator], None]] = {
    "university": _university,
    "agency": _agency,
    "hackathon": _hackathon,
    "rollout": _rollout,
    "carrier_nat": _carrier_nat,
    "remote_company": _remote_company,
    "course": _course,
    "agent_users": _agent_users,
    "reseller": _reseller,
}
