"""Internet addresses as numbers: homes, carriers' gateways, rented servers, public exits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from training.simulate.places import places
from training.simulate.rng import Ints, generator, mix, zipf

SIX = 1 << 62  # added to the number of an IPv6 network: 7 bits of head, 32 of network


@dataclass(frozen=True, slots=True)
class Ground:
    """Addresses that unrelated people have in common: gateways by country, exits of VPN providers."""

    gateways: tuple[Ints, ...]
    exits: Ints


def ground(seed: int, accounts: int) -> Ground:
    """Enough of them that a gateway has about forty of these accounts behind it, and an exit about twenty."""
    rng = generator(seed, "worlds-ground")
    shares = places().shares / places().shares.sum()
    gateways = []
    for index, share in enumerate(shares):
        count = max(1, round(accounts * share * 0.45 / 40))
        nets = homes(rng, np.full(max(1, -(-count // 6)), index)) & ~255
        gateways.append(nets[np.arange(count) % len(nets)] + 1 + rng.choice(250, count, replace=count > 250))
    return Ground(tuple(gateways), servers(rng, max(4, accounts // 250), per_net=3))


def homes(rng: np.random.Generator, country: Ints) -> Ints:
    """One IPv4 home line in each element's country."""
    found = np.zeros(len(country), dtype=np.int64)
    for index in np.unique(country).tolist():
        one = places().countries[index]
        mine = np.flatnonzero(country == index)
        span = 1 << (32 - one.v4_length)
        found[mine] = one.v4[rng.integers(0, len(one.v4), len(mine))] + rng.integers(512, span - 512, len(mine))
    last = found & 255
    return np.where((last < 2) | (last > 253), found ^ 96, found)


def homes_six(rng: np.random.Generator, country: Ints) -> Ints:
    """One IPv6 network of a home in each element's country (all countries have some)."""
    first = np.cumsum([0, *(len(one.v6) for one in places().countries)])
    count = np.diff(first)[country]
    head = first[country] + (rng.random(len(country)) * count).astype(np.int64)
    return SIX + (head << 32) + rng.integers(0, 2**32, len(country))


def gateway_of(rng: np.random.Generator, common: Ground, country: Ints) -> Ints:
    """A carrier's gateway in each element's country, the large ones more often."""
    found = np.zeros(len(country), dtype=np.int64)
    for index in np.unique(country).tolist():
        mine = np.flatnonzero(country == index)
        found[mine] = common.gateways[index][zipf(rng, len(common.gateways[index]), len(mine), 0.5)]
    return found


def servers(rng: np.random.Generator, count: int, *, per_net: int) -> Ints:
    """``count`` addresses of hosting providers, ``per_net`` in each /24."""
    blocks = places().hosting
    nets = blocks[rng.integers(0, len(blocks), -(-count // per_net))] + 256 * rng.integers(0, 16, -(-count // per_net))
    return np.repeat(nets, per_net)[:count] + rng.integers(2, 254, count)


@cache
def _heads() -> tuple[int, ...]:
    return tuple(head for one in places().countries for head in one.v6)


def written(numbers: Ints) -> pa.Array:
    """Addresses as a dictionary array of text."""
    distinct, codes = np.unique(numbers, return_inverse=True)
    ends = mix(distinct) >> np.uint64(1)
    text = [
        f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}"
        if a < SIX
        else str(ipaddress.IPv6Address(_heads()[(a - SIX) >> 32] << 96 | (a & 0xFFFFFFFF) << 64 | end))
        for a, end in zip(distinct.tolist(), ends.tolist(), strict=True)
    ]
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(text, pa.string()))
