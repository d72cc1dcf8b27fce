"""Internet addresses: homes, carriers' shared addresses, hosting, public places, groups' own; several for each account.

Public addresses only, from blocks that redistributable tables place in the account's country (see ``make_places``).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import numpy as np

from training.simulate.members import Crowd
from training.simulate.places import places
from training.simulate.rng import Bools, Ints, generator, pick, zipf
from training.simulate.signup import Arrivals

HOME, CARRIER, HOSTED, PUBLIC = range(4)
FIRST_SLOT = np.array([0.66, 0.21, 0.07, 0.06])  # where people sign up
OTHER_SLOTS = np.array([0.53, 0.27, 0.09, 0.11])
V6_HOMES = 0.15
ABROAD = 0.05


@dataclass(frozen=True, slots=True)
class AddressBook:
    """Addresses and whose they are.

    ``text`` holds every account's addresses one after the other; account i owns slots ``first[i]`` to ``first[i +
    1] - 1``.

    The first slot is where it signed up. ``carrier`` marks accounts whose first address is a carrier's shared one.
    """

    text: list[str]
    first: Ints
    carrier: Bools


def allot(crowd: Crowd, arrivals: Arrivals, counts: Ints) -> AddressBook:
    """Give account i ``counts[i]`` addresses."""
    country = arrivals.country
    rng = generator(crowd.seed, "addresses")
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    slots = int(first[-1])
    owner = np.repeat(np.arange(len(counts)), counts)
    opening = np.zeros(slots, dtype=bool)
    opening[first[:-1]] = True
    kind = np.where(opening, pick(rng, FIRST_SLOT, slots), pick(rng, OTHER_SLOTS, slots))
    # Travellers, expatriates and roaming phones are honest people whose address is not where they say they live.
    abroad = rng.random(slots) < ABROAD
    where = np.where(abroad, pick(rng, places().shares, slots), country[owner])
    four = _homes(rng, where)
    hosted = _hosted(rng, max(8, crowd.population.size // 40))
    shared = kind == HOSTED
    four[shared] = hosted[zipf(rng, len(hosted), int(shared.sum()), 0.7)]
    for index, one in enumerate(places().countries):
        expected = crowd.population.size * one.share / places().shares.sum()
        for pooled, people in ((CARRIER, 70), (PUBLIC, 90)):
            mine = (kind == pooled) & (where == index)
            pool = _homes(rng, np.full(max(2, int(expected / people)), index))
            four[mine] = pool[zipf(rng, len(pool), int(mine.sum()), 0.6)]
    at_home = np.flatnonzero(arrivals.household >= 0)
    lines, line = np.unique(arrivals.household[at_home], return_inverse=True)
    four[first[at_home]] = _homes(rng, lines >> 24)[line]
    kind[first[at_home]], where[first[at_home]] = HOME, country[at_home]
    six = (kind == HOME) & (rng.random(slots) < V6_HOMES)
    six[first[at_home]] = False
    alone = np.flatnonzero((kind == HOME) & ~six & (crowd.population.group[owner] < 0))
    spots = Spots(four, first, country[owner], where, hosted, alone)
    taken = _groups(crowd, spots, arrivals.main)
    carrier = (kind == CARRIER) & ~taken
    text = _written(rng, four, where, np.flatnonzero(six & ~taken))
    return AddressBook(text, first, carrier[first[:-1]])


@dataclass(frozen=True, slots=True)
class Spots:
    """Slots being filled: each one's address ``four``, the country its owner ``lives`` in and ``where`` the address is.

    ``hosted`` are rented exits that anybody uses, ``alone`` the home lines of people on their own.
    """

    four: Ints
    first: Ints
    lives: Ints
    where: Ints
    hosted: Ints
    alone: Ints


def _groups(crowd: Crowd, spots: Spots, main: Ints) -> Bools:
    """Put groups' addresses into their members' slots (in ``spots.four``); says which slots."""
    four, first = spots.four, spots.first
    taken = np.zeros(len(four), dtype=bool)
    for group, cohesion in crowd.groups:
        rng = generator(crowd.seed, "group-addresses", group.index)
        tight = group.members[crowd.tight[group.members]]
        slots = np.concatenate(
            [np.arange(first[row], first[row + 1]) for row in tight] or [np.zeros(0, dtype=np.int64)]
        )
        slots = slots[rng.random(len(slots)) < cohesion.address]
        count = max(1, round(len(group.members) * cohesion.addresses_per_member))
        if cohesion.address_kind == "hosting":
            pool = _hosted(rng, count)
            known = rng.random(count) < 0.3  # rented exits that honest people use, too
            pool[known] = spots.hosted[rng.integers(0, len(spots.hosted), int(known.sum()))]
        elif cohesion.address_kind == "borrowed" and len(spots.alone):
            pool = four[spots.alone[rng.integers(0, len(spots.alone), count)]]
        else:
            pool = _homes(rng, np.full(count, main[group.index]))
        four[slots] = pool[zipf(rng, count, len(slots), 0.4)]
        if cohesion.address_kind == "borrowed":
            _borrow_nearby(rng, spots, slots[rng.random(len(slots)) < cohesion.nearby], cohesion.addresses_per_member)
        taken[slots] = True
    return taken


def _borrow_nearby(rng: np.random.Generator, spots: Spots, slots: Ints, per_slot: float) -> None:
    """Replace addresses by honest people's in the same country, where there are any."""
    for index in np.unique(spots.lives[slots]).tolist():
        mine = slots[spots.lives[slots] == index]
        homes = spots.alone[spots.where[spots.alone] == index]
        count = max(1, round(len(mine) * per_slot))
        if len(homes):
            pool = spots.four[homes[rng.integers(0, len(homes), count)]]
            spots.four[mine] = pool[zipf(rng, count, len(mine), 0.4)]


def _homes(rng: np.random.Generator, country: Ints) -> Ints:
    """One IPv4 address (as a number) in each element's country."""
    found = np.zeros(len(country), dtype=np.int64)
    for index, one in enumerate(places().countries):
        mine = np.flatnonzero(country == index)
        span = 1 << (32 - one.v4_length)
        block = one.v4[rng.integers(0, len(one.v4), len(mine))]
        found[mine] = block + rng.integers(span // 256, span // 256 * 255, len(mine))
    last = found & 255
    return np.where((last == 0) | (last == 255), found ^ 77, found)


def _hosted(rng: np.random.Generator, count: int) -> Ints:
    """``count`` addresses of hosting providers, a handful in each /24 as rented servers come."""
    blocks = places().hosting
    nets = blocks[rng.integers(0, len(blocks), max(1, count // 4))] + 256 * rng.integers(0, 16, max(1, count // 4))
    return nets[rng.integers(0, len(nets), count)] + rng.integers(2, 254, count)


def _written(rng: np.random.Generator, four: Ints, where: Ints, six: Ints) -> list[str]:
    """Addresses as text; the slots ``six`` have an IPv6 address of their country instead."""
    text = [f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}" for a in four.tolist()]
    nets, ends = rng.integers(0, 2**32, len(six)), rng.integers(1, 2**63, len(six))
    choice = rng.random(len(six))
    for slot, net, end, u in zip(six.tolist(), nets.tolist(), ends.tolist(), choice.tolist(), strict=True):
        heads = places().countries[int(where[slot])].v6
        if heads:
            text[slot] = str(ipaddress.IPv6Address(heads[int(u * len(heads))] << 96 | net << 64 | end))
    return text
