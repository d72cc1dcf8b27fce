"""The accounts, payments and links tables, from a roster."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benchmarks.worlds.addresses import written
from benchmarks.worlds.people import FUNDING, METHODS, PLANS, SOURCES
from benchmarks.worlds.roster import Objects, Roster, World
from training.simulate import names
from training.simulate.agents import AGENTS
from training.simulate.places import Country, places
from training.simulate.rng import DAY, HOUR, Bools, Ints, generator, mix, pair, unit, zipf

AMOUNTS = np.array([500, 1000, 2000, 2500, 5000, 10000, 20000])
_ON_CARD = [METHODS.index("card"), METHODS.index("prepaid")]


def signups(world: World) -> dict[str, object]:
    """Columns of the accounts table except account_id, in the roster's order."""
    roster, rng = world.roster, generator(world.seed, "worlds-forms")
    size, countries = roster.size, places().countries
    empty = rng.random((6, size)) < np.array([0.03, 0.12, 0.5, 0.03, 0.0, 0.0])[:, None]
    u = rng.random((4, size))
    home = [countries[c] for c in roster.country.tolist()]
    agents = list(AGENTS)
    phones = [
        None if not_given else _phone(c, a, b)
        for c, a, b, not_given in zip(home, u[0].tolist(), u[1].tolist(), empty[2].tolist(), strict=True)
    ]
    return {
        "created_at": roster.created,
        "email": _mails(roster, rng),
        "full_name": [
            None if not_given else f"{names.GIVEN[g].title()} {names.FAMILY[f].title()}"
            for g, f, not_given in zip(roster.given.tolist(), roster.family.tolist(), empty[1].tolist(), strict=True)
        ],
        "phone": phones,
        "country": _unless([c.code for c in home], empty[0]),
        "ip": written(_signup_addresses(world, rng)).cast(pa.string()),
        "user_agent": [agents[a] for a in roster.agent.tolist()],
        "device_id": [f"{d:016x}" if d else None for d in roster.device.tolist()],
        "accept_language": [
            "en-US,en;q=0.9" if b > 0.88 else f"{c.languages[int(a * len(c.languages))]},en;q=0.7"
            for c, a, b in zip(home, u[2].tolist(), u[3].tolist(), strict=True)
        ],
        "plan": [PLANS[p] for p in roster.plan.tolist()],
        "signup_source": [SOURCES[s] for s in roster.source.tolist()],
        "form_seconds": [None if np.isnan(h) else h for h in roster.haste.tolist()],
        "email_verified": rng.random(size) < 0.85,
        "phone_verified": [
            None if p is None else bool(v) for p, v in zip(phones, (rng.random(size) < 0.7).tolist(), strict=True)
        ],
    }


def payments(world: World) -> dict[str, object]:
    """Columns of the payments table (``row`` in place of account_id) in order of time; nothing after the period."""
    roster, rng = world.roster, generator(world.seed, "worlds-payments")
    payers = np.flatnonzero(roster.pays)
    added = roster.created[payers] + (np.exp(rng.normal(np.log(3.0), 1.9, len(payers))) * HOUR).astype(np.int64)
    events = [(payers, added, "method_added", np.full(len(payers), -1))]
    second = roster.next_card[payers] != 0
    events.append((payers[second], added[second] + 7 * DAY, "method_added", np.full(int(second.sum()), -1)))
    often = np.exp(rng.normal(np.log(np.where(rng.random(len(payers)) < 0.4, 30.0, 9.0)), 0.3)) * DAY
    amount = AMOUNTS[zipf(rng, len(AMOUNTS), len(payers), 0.6)]
    moment = added + (rng.exponential(0.4, len(payers)) * HOUR).astype(np.int64)
    for _ in range(8):
        bad: Bools = rng.random(len(payers)) < roster.declines[payers]
        events.append((payers[bad], moment[bad], "charge_declined", amount[bad]))
        events.append((payers[~bad], moment[~bad], "charge_succeeded", amount[~bad]))
        for kind, chance, wait in (
            ("refund", np.full(len(payers), 0.01), 2.0),
            ("chargeback", roster.disputes[payers], 9.0),
        ):
            back = ~bad & (rng.random(len(payers)) < chance)
            later = moment[back] + (rng.gamma(3, wait / 3, int(back.sum())) * DAY).astype(np.int64)
            events.append((payers[back], later, kind, amount[back]))
        moment = moment + (often * rng.uniform(0.85, 1.2, len(payers))).astype(np.int64)
    row, when, paid = (np.concatenate([event[place] for event in events]) for place in (0, 1, 3))
    kinds = np.concatenate([np.full(len(event[0]), event[2], dtype=object) for event in events])
    keep = np.flatnonzero(when < world.span.end)
    keep = keep[np.lexsort((keep, when[keep]))]
    return {"row": row[keep], "happened_at": when[keep], "kind": kinds[keep],
            **_means(roster, row[keep], when[keep], paid[keep])}  # fmt: skip


def _means(roster: Roster, row: Ints, when: Ints, paid: Ints) -> dict[str, object]:
    countries = places().countries
    on_card = np.isin(roster.method[row], _ON_CARD)
    newer = (roster.next_card[row] != 0) & (when >= roster.created[row] + 7 * DAY)
    card = np.where(newer, roster.next_card[row], roster.card[row]).tolist()
    shown = on_card.tolist()
    return {
        "method": [METHODS[m] for m in roster.method[row].tolist()],
        "card_fingerprint": [f"{c:016x}" if ok else None for c, ok in zip(card, shown, strict=True)],
        "card_bin": [f"{b:06d}" if ok else None for b, ok in zip(roster.card_bin[row].tolist(), shown, strict=True)],
        "card_country": _unless([countries[c].code for c in roster.card_country[row].tolist()], ~on_card),
        "card_funding": _unless([FUNDING[f] for f in roster.funding[row].tolist()], ~on_card),
        "amount_minor": [a if a >= 0 else None for a in paid.tolist()],
        "currency": _unless([countries[c].currency for c in roster.country[row].tolist()], paid < 0),
    }


def links(world: World) -> dict[str, object]:
    """Columns of the links table with ``row`` in place of account_id; all at signup."""
    rng, roster = generator(world.seed, "worlds-links"), world.roster
    found = list(world.links)
    coded = {row for row, _, _ in found}
    # Codes from newsletters and podcasts, which anybody may use, and friends' referrals.
    public = np.flatnonzero(rng.random(roster.size) < 0.03).tolist()
    popular = zipf(rng, 30, len(public), 0.8).tolist()
    found += [
        (row, "promo_code", f"SPRING{code:02d}") for row, code in zip(public, popular, strict=True) if row not in coded
    ]
    befriended = np.flatnonzero(rng.random(roster.size) < 0.06)
    friend = rng.integers(0, max(1, roster.size // 9), len(befriended))
    codes = mix(friend, 31).tolist()
    found += [(row, "referral_code", f"{code:016x}"[:9]) for row, code in zip(befriended.tolist(), codes, strict=True)]
    found.sort(key=lambda link: (int(roster.created[link[0]]), link))
    row = np.array([link[0] for link in found], np.int64)
    return {"row": row, "happened_at": roster.created[row], "key_type": [link[1] for link in found],
            "key_value": [link[2] for link in found]}  # fmt: skip


def _signup_addresses(world: World, rng: np.random.Generator) -> Ints:
    """Where each account signs up: where it will be used from, too."""
    roster = world.roster
    slot = (rng.random(roster.size)[:, None] > roster.weights).sum(axis=1)
    own = roster.own[np.arange(roster.size), np.minimum(slot, roster.own.shape[1] - 1)]
    shared = (rng.random(roster.size) < roster.pool_share) & (roster.created < roster.pool_until)
    day = (roster.created - world.span.start) // DAY
    nth = (unit(pair(np.arange(roster.size), day, 17)) * roster.pool_length).astype(np.int64)
    pool = world.pool if len(world.pool) else np.zeros(1, np.int64)
    return np.where(shared, pool[np.where(shared, roster.pool_first + nth, 0)], own)


def _mails(roster: Roster, rng: np.random.Generator) -> list[str]:
    """One address for each account; no two are the same."""
    size = roster.size
    u, v = rng.random(size).tolist(), rng.random(size).tolist()
    nick = rng.integers(0, len(names.SYLLABLES), (size, 4))
    domains: Objects = roster.domain
    seen: dict[str, int] = {}
    found = []
    for row in range(size):
        code = places().countries[int(roster.country[row])].code
        free = names.FREE.get(code, names.FREE[""])
        domain = domains[row] or free[int(v[row] * len(free))]
        shape = names.SHAPES[int(roster.shape[row])]
        given, family = names.GIVEN[int(roster.given[row])], names.FAMILY[int(roster.family[row])]
        local = names.local_part(shape, given, family, u[row], nick[row])
        mail = f"{local}@{domain}"
        again = seen.get(mail, 0)
        seen[mail] = again + 1
        while again and mail in seen:
            again += 1
            mail = f"{local}{again}@{domain}"
        seen.setdefault(mail, 1)
        found.append(mail)
    return found


def _phone(country: Country, a: float, b: float) -> str:
    prefix, free = country.phones[int(a * len(country.phones))]
    return f"{prefix}{int(b * 10**free):0{free}d}"


def _unless(values: list[str], empty: Bools) -> list[str | None]:
    return [None if gone else value for value, gone in zip(values, empty.tolist(), strict=True)]
