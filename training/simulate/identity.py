"""What people write into the signup form, and what their browsers say."""

from __future__ import annotations

import numpy as np

from training.simulate import names
from training.simulate.members import Crowd
from training.simulate.places import places
from training.simulate.rng import Bools, Floats, Ints, generator, mix, pick, salt
from training.simulate.signup import Arrivals

PLANS = ("free", "trial", "payg", "pro", "team", "enterprise")
PLAN_WEIGHTS = np.array([44, 14, 22, 13, 5, 2])
SOURCES = ("organic", "ads", "referral", "docs", "social", "partner", "event", "sso")
SOURCE_WEIGHTS = np.array([38, 14, 12, 13, 10, 5, 4, 4])
_WINDOWS, _MAC = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"
_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36{}"
AGENTS: tuple[tuple[str, float], ...] = (
    *((_CHROME.format(_WINDOWS, v, ""), w) for v, w in ((147, 20), (146, 10), (145, 3), (141, 1), (131, 0.6))),
    *((_CHROME.format(_MAC, v, ""), w) for v, w in ((147, 12), (146, 6), (144, 1))),
    *((_CHROME.format("X11; Linux x86_64", v, ""), w) for v, w in ((147, 3), (146, 2), (140, 0.7))),
    *((_CHROME.format(_WINDOWS, v, f" Edg/{v}.0.0.0"), w) for v, w in ((147, 6), (146, 3))),
    *((_CHROME.format("Linux; Android 10; K", v, "").replace(" Safari", " Mobile Safari"), w) for v, w in ((147, 7), (146, 3))),
    *((f"Mozilla/5.0 ({o}; rv:{v}.0) Gecko/20100101 Firefox/{v}.0", w)
      for o, v, w in ((_WINDOWS, 149, 3), (_WINDOWS, 140, 1), ("X11; Linux x86_64", 149, 2), ("Macintosh; Intel Mac OS X 10.15", 149, 1))),
    *((f"Mozilla/5.0 ({_MAC}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{v} Safari/605.1.15", w)
      for v, w in (("26.3", 6), ("18.6", 3), ("17.6", 1))),
    *((f"Mozilla/5.0 (iPhone; CPU iPhone OS {v} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{s} "
       "Mobile/15E148 Safari/604.1", w) for v, s, w in (("18_7", "26.3", 5), ("18_5", "18.5", 3))),
    ("python-requests/2.32.3", 0.5), ("curl/8.5.0", 0.3),
)  # fmt: skip


def sign_up(crowd: Crowd, arrivals: Arrivals, first_address: list[str]) -> dict[str, object]:
    """The accounts table's columns except account_id, one element per account."""
    rng, size = generator(crowd.seed, "identity"), crowd.population.size
    common, groups = generator(crowd.seed, "common-identity"), len(crowd.groups)
    countries = places().countries
    agents, weights = [text for text, _ in AGENTS], np.array([weight for _, weight in AGENTS])
    given, family = rng.integers(0, len(names.GIVEN), size), rng.integers(0, len(names.FAMILY), size)
    agent = crowd.follow("agent", pick(rng, weights, size), pick(common, weights, groups))
    plan = crowd.follow("plan", pick(rng, PLAN_WEIGHTS, size), pick(common, PLAN_WEIGHTS, groups))
    source = crowd.follow("source", pick(rng, SOURCE_WEIGHTS, size), _sources(crowd, common))
    haste = crowd.pull("form", rng.standard_normal(size), common.standard_normal(groups))
    form = np.round(np.exp(3.7 + 0.85 * haste) * np.where(rng.random(size) < 0.15, 0.2, 1.0), 1)
    phone_given = rng.random(size) < 0.5
    language = rng.random(size)
    stated = rng.random(size) >= 0.05
    return {
        "created_at": arrivals.created,
        "email": _mails(crowd, arrivals, given, family),
        "full_name": _full_names(rng, given, family),
        "phone": _phones(rng, arrivals.country, phone_given),
        "country": [countries[c].code if ok else None for c, ok in zip(arrivals.country.tolist(), stated.tolist(), strict=True)],
        "ip": [a if ok else None for a, ok in zip(first_address, (rng.random(size) >= 0.02).tolist(), strict=True)],
        "user_agent": [agents[a] for a in agent.tolist()],
        "device_id": _devices(crowd, rng),
        "accept_language": [_language(countries[c].languages, u) for c, u in zip(arrivals.country.tolist(), language.tolist(), strict=True)],
        "plan": [PLANS[p] for p in plan.tolist()],
        "signup_source": [SOURCES[s] for s in source.tolist()],
        "form_seconds": [f if ok else None for f, ok in zip(form.tolist(), (rng.random(size) >= 0.1).tolist(), strict=True)],
        "email_verified": rng.random(size) < 0.82,
        "phone_verified": [bool(v) if g else None for v, g in zip(rng.random(size) < 0.7, phone_given, strict=True)],
    }  # fmt: skip


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


def _devices(crowd: Crowd, rng: np.random.Generator) -> list[str | None]:
    pooled = crowd.pooled("device", "devices_per_member")
    own = np.arange(crowd.population.size) + 2**32
    words = mix(np.where(pooled >= 0, pooled, own), salt(crowd.seed, "device"))
    known = rng.random(crowd.population.size) >= 0.12
    return [f"{w:016x}" if ok else None for w, ok in zip(words.tolist(), known.tolist(), strict=True)]


def _mails(crowd: Crowd, arrivals: Arrivals, given: Ints, family: Ints) -> list[str]:
    rng, size = generator(crowd.seed, "mail"), crowd.population.size
    common = generator(crowd.seed, "common-mail")
    shape = crowd.follow("shape", pick(rng, names.SHAPE_WEIGHTS, size), pick(common, names.SHAPE_WEIGHTS, len(crowd.groups)))
    group_domain = _group_domains(crowd, arrivals.main)
    kind, u = rng.random(size), rng.random(size)
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
            names.SHAPES[int(shape[row])], names.GIVEN[int(given[row])], names.FAMILY[int(family[row])], float(u[row]), nick[row]
        )
        mail = f"{local}+{names.WORDS[int(u[row] * len(names.WORDS))]}@{domain}" if tag[row] else f"{local}@{domain}"
        again = 1
        while mail in seen:
            again += 1
            mail = f"{local}{int(u[row] * 90) + again}@{domain}"
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
            items += [university for university in [names.university_domain(rng, places().countries[int(main[group.index])].code)] * count]
        else:
            items += names.invented_domains(rng, count)
    return [items[p] if p >= 0 else None for p in pooled.tolist()]
