"""What people write into the signup form, and what their browsers say."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from training.simulate import names
from training.simulate.agents import AGENTS
from training.simulate.members import Crowd
from training.simulate.places import places
from training.simulate.rng import Bools, Ints, generator, mix, pick, salt
from training.simulate.signup import Arrivals

T = TypeVar("T")
PLANS = ("free", "trial", "payg", "pro", "team", "enterprise")
FIRST_PAID = PLANS.index("payg")
PLAN_WEIGHTS = np.array([44, 14, 22, 13, 5, 2])
SOURCES = ("organic", "ads", "referral", "docs", "social", "partner", "event", "sso")
SOURCE_WEIGHTS = np.array([38, 14, 12, 13, 10, 5, 4, 4])


@dataclass(frozen=True, slots=True)
class Signups:
    """The accounts table's columns except account_id, one element per account; None where the form was left empty."""

    created_at: Ints
    email: list[str]
    full_name: list[str | None]
    phone: list[str | None]
    country: list[str | None]
    ip: list[str | None]
    user_agent: list[str]
    device_id: list[str | None]
    accept_language: list[str]
    plan: list[str]
    signup_source: list[str]
    form_seconds: list[float | None]
    email_verified: Bools
    phone_verified: list[bool | None]

    def columns(self) -> dict[str, object]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def sign_up(crowd: Crowd, arrivals: Arrivals, first_address: list[str]) -> Signups:
    """Fill in everybody's form; ``first_address`` is where each account signs up from."""
    rng, size = generator(crowd.seed, "identity"), crowd.population.size
    common, groups = generator(crowd.seed, "common-identity"), len(crowd.groups)
    countries = places().countries
    weights = np.array(list(AGENTS.values()))
    given, family = rng.integers(0, len(names.GIVEN), size), rng.integers(0, len(names.FAMILY), size)
    agents = list(AGENTS)
    agent = crowd.follow("agent", pick(rng, weights, size), pick(common, weights, groups))
    plan = crowd.follow("plan", pick(rng, PLAN_WEIGHTS, size), pick(common, PLAN_WEIGHTS, groups))
    source = crowd.follow("source", pick(rng, SOURCE_WEIGHTS, size), _sources(crowd, common))
    haste = crowd.pull("form", rng.standard_normal(size), common.standard_normal(groups))
    form = np.round(np.exp(3.7 + 0.85 * haste) * np.where(rng.random(size) < 0.15, 0.2, 1.0), 1)
    phone_given = rng.random(size) < 0.5
    home = arrivals.country.tolist()
    return Signups(
        created_at=arrivals.created,
        email=_mails(crowd, arrivals, given, family),
        full_name=_full_names(rng, given, family),
        phone=_phones(rng, arrivals.country, phone_given),
        country=_unless([countries[c].code for c in home], rng, 0.05),
        ip=_unless(first_address, rng, 0.02),
        user_agent=[agents[a] for a in agent.tolist()],
        device_id=_devices(crowd, arrivals.household, rng),
        accept_language=[
            _language(countries[c].languages, u) for c, u in zip(home, rng.random(size).tolist(), strict=True)
        ],
        plan=[PLANS[p] for p in plan.tolist()],
        signup_source=[SOURCES[s] for s in source.tolist()],
        form_seconds=_unless(form.tolist(), rng, 0.1),
        email_verified=rng.random(size) < 0.82,
        phone_verified=[v if g else None for v, g in zip((rng.random(size) < 0.7).tolist(), phone_given, strict=True)],
    )


def _unless(values: list[T], rng: np.random.Generator, left_empty: float) -> list[T | None]:
    """The values, None for a share of them."""
    return [
        None if u < left_empty else value for value, u in zip(values, rng.random(len(values)).tolist(), strict=True)
    ]


def _sources(crowd: Crowd, rng: np.random.Generator) -> Ints:
    """Each group's common source; roll-outs come through single sign-on and hackathons from an event."""
    drawn = pick(rng, SOURCE_WEIGHTS, len(crowd.groups))
    fixed = {"rollout": SOURCES.index("sso"), "hackathon": SOURCES.index("event")}
    return np.array([fixed.get(g.kind, int(d)) for (g, _), d in zip(crowd.groups, drawn, strict=True)], dtype=np.int64)


def _language(languages: tuple[str, ...], u: float) -> str:
    if u > 0.9:
        return "en-US,en;q=0.9"
    main = languages[int(u * 1.1 * len(languages))]
    return f"{main},{main[:2]};q=0.9" + ("" if main.startswith("en") else ",en;q=0.8")


def _full_names(rng: np.random.Generator, given: Ints, family: Ints) -> list[str | None]:
    """Mostly the person's own name; some give another one, or none."""
    other = rng.random(len(given))
    again = rng.integers(0, len(names.FAMILY), len(given))
    found: list[str | None] = []
    for g, f, a, u in zip(given.tolist(), family.tolist(), again.tolist(), other.tolist(), strict=True):
        shown = names.FAMILY[a if u > 0.92 else f]
        found.append(None if u < 0.12 else f"{names.GIVEN[g].title()} {shown.title()}")
    return found


def _phones(rng: np.random.Generator, country: Ints, given: Bools) -> list[str | None]:
    u, v = rng.random(len(country)), rng.random(len(country))
    found: list[str | None] = []
    for c, ok, a, b in zip(country.tolist(), given.tolist(), u.tolist(), v.tolist(), strict=True):
        prefixes = places().countries[c].phones
        prefix, free = prefixes[int(a * len(prefixes))]
        found.append(f"{prefix}{int(b * 10**free):0{free}d}" if ok else None)
    return found


def _devices(crowd: Crowd, household: Ints, rng: np.random.Generator) -> list[str | None]:
    pooled = crowd.pooled("device", "devices_per_member")
    lent = (household >= 0) & (rng.random(crowd.population.size) < 0.4)
    own = np.where(lent, household + 2**40, np.arange(crowd.population.size) + 2**32)
    words = mix(np.where(pooled >= 0, pooled, own), salt(crowd.seed, "device"))
    known = rng.random(crowd.population.size) >= 0.12
    return [f"{w:016x}" if ok else None for w, ok in zip(words.tolist(), known.tolist(), strict=True)]


def _mails(crowd: Crowd, arrivals: Arrivals, given: Ints, family: Ints) -> list[str]:
    rng, size = generator(crowd.seed, "mail"), crowd.population.size
    common = generator(crowd.seed, "common-mail")
    shape = crowd.follow(
        "shape", pick(rng, names.SHAPE_WEIGHTS, size), pick(common, names.SHAPE_WEIGHTS, len(crowd.groups))
    )
    group_domain = _group_domains(crowd, arrivals.main)
    kind, u, v = rng.random(size), rng.random(size), rng.random(size)
    own = iter(names.invented_domains(rng, int((kind < 0.24).sum())))
    nick = rng.integers(0, len(names.SYLLABLES), (size, 4))
    tag = rng.random(size) < 0.025
    found: list[str] = []
    seen: set[str] = set()
    for row in range(size):
        domain = _own_domain(float(kind[row]), float(u[row]), places().countries[int(arrivals.country[row])].code)
        domain = next(own) if kind[row] < 0.24 else domain
        domain = group_domain[row] or domain
        local = names.local_part(
            names.SHAPES[int(shape[row])],
            names.GIVEN[int(given[row])],
            names.FAMILY[int(family[row])],
            float(v[row]),
            nick[row],
        )
        mail = f"{local}+{names.WORDS[int(v[row] * len(names.WORDS))]}@{domain}" if tag[row] else f"{local}@{domain}"
        again = 1
        while mail in seen:
            again += 1
            mail = f"{local}{int(v[row] * 90) + again}@{domain}"
        seen.add(mail)
        found.append(mail)
    return found


def _own_domain(kind: float, u: float, country: str) -> str:
    if kind > 0.982:
        return names.DISPOSABLE[int(u * len(names.DISPOSABLE))]
    free = names.FREE.get(country, names.FREE[""])
    return free[int(u * len(free))]


def _group_domains(crowd: Crowd, main: Ints) -> list[str | None]:
    """The group's domain for members whose mail is on it, else None."""
    pooled = crowd.pooled("domain", "domains_per_member")
    items: list[str] = []
    for group, cohesion in crowd.groups:
        rng = generator(crowd.seed, "domains", group.index)
        count = max(1, round(len(group.members) * cohesion.domains_per_member))
        if group.kind == "university":
            items += [names.university_domain(rng, places().countries[int(main[group.index])].code)] * count
        else:
            items += names.invented_domains(rng, count)
    return [items[p] if p >= 0 else None for p in pooled.tolist()]
