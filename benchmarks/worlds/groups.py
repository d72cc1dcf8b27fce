"""Honest groups: which there are, how large, and the named ones that must never be taken for a campaign."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.simulate.places import places
from training.simulate.rng import generator, pick

NAMED_SIZES = {
    "university": 800,
    "agency": 100,
    "hackathon": 600,
    "rollout": 700,
    "carrier_nat": 2000,
    "remote_company": 260,
    "course": 700,
    "agent_users": 5000,
    "reseller": 240,
}
# Groups that also come in a version whose members use as much as a campaign's.
HEAVY = ("university", "agency", "hackathon", "rollout", "carrier_nat", "remote_company", "course")
WORLDWIDE = frozenset({"course", "agent_users", "reseller"})

# Of a world of 51,600 honest accounts: how many groups of a kind there are, and their sizes.
_USUAL: dict[str, tuple[int, tuple[int, int]]] = {
    "university": (3, (150, 700)),
    "agency": (6, (12, 90)),
    "hackathon": (2, (120, 450)),
    "rollout": (8, (30, 400)),
    "carrier_nat": (2, (900, 2200)),
    "remote_company": (3, (40, 200)),
    "course": (3, (120, 600)),
    "agent_users": (2, (700, 2500)),
    "reseller": (4, (20, 160)),
}
BATCH = 0.008  # of honest accounts: people who run batch jobs
PACKS = 0.15  # of honest accounts: people who use a collection of prompts that went round among some dozens
HOUSEHOLDS = 0.05  # of honest accounts: people under one roof with others


@dataclass(frozen=True, slots=True)
class HonestGroup:
    """One honest group as it is planned."""

    group_id: str
    kind: str
    size: int
    countries: tuple[int, ...]  # indices into places; empty: anywhere
    heavy: bool = False  # members use it as much as a campaign's members do


def honest_groups(seed: int) -> tuple[HonestGroup, ...]:
    """The named groups at their named sizes, and heavy versions of those that have one.

    A university of 800 behind two addresses on one mail domain; an agency whose 100 accounts share one card and one
    device; 600 hackathon signups in 36 hours from one hall with a promo code; a company's roll-out through single
    sign-on; a carrier's gateways; a remote-only company in nine countries on one domain; a worldwide course of 700 with
    the same exercises; 5,000 users of one open-source agent; a reseller with one card and client accounts in the same
    template.
    """
    rng = generator(seed, "worlds-named-groups")
    return tuple(
        HonestGroup(f"{kind}-{'heavy' if heavy else 'named'}", kind, size, _countries(rng, kind), heavy)
        for heavy in (False, True)
        for kind, size in NAMED_SIZES.items()
        if not heavy or kind in HEAVY
    )


def usual_groups(seed: int, honest: int) -> tuple[HonestGroup, ...]:
    """Groups as any world of ``honest`` honest accounts has them; small worlds have fewer and smaller ones."""
    rng = generator(seed, "worlds-usual-groups")
    scale = honest / 51_600
    found: list[HonestGroup] = []
    for kind, (count, (low, high)) in _USUAL.items():
        # Half of what is missing from the full size shows in the number of groups, half in their sizes.
        for index in range(max(1, round(count * scale**0.5))):
            size = np.exp(rng.uniform(np.log(low), np.log(high))) * min(1.0, scale**0.5)
            found.append(HonestGroup(f"{kind}-{index}", kind, max(3, round(size)), _countries(rng, kind)))
    # In a very small world one group of each kind would leave nobody on their own.
    smaller = min(1.0, 0.35 * honest / sum(group.size for group in found))
    return tuple(replace(group, size=max(3, int(group.size * smaller))) for group in found)


def _countries(rng: np.random.Generator, kind: str) -> tuple[int, ...]:
    if kind in WORLDWIDE:
        return ()
    if kind == "remote_company":
        return tuple(rng.choice(len(places().countries), 9, replace=False).tolist())
    return (int(pick(rng, places().shares, 1)[0]),)
