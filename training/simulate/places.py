"""Where simulated people live: countries, their address space, languages and phone numbers (from ``places.json``)."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from training.simulate.rng import Floats, Ints


@dataclass(frozen=True, slots=True)
class Country:
    """One country; ``offset`` is hours from UTC where most people live, ``share`` its weight among signups."""

    code: str
    share: float
    offset: float
    languages: tuple[str, ...]
    currency: str
    v4: Ints  # starts of blocks
    v4_length: int  # prefix length of those blocks
    v6: tuple[int, ...]  # the first 32 bits of each block
    phones: tuple[tuple[str, int], ...]  # international prefix, free digits


@dataclass(frozen=True, slots=True)
class Places:
    """All countries, their weights and offsets (one element per country), and /20 blocks of hosting providers."""

    countries: tuple[Country, ...]
    shares: Floats
    offsets: Floats
    hosting: Ints


@cache
def places() -> Places:
    """The table of places; see ``make_places`` for where it comes from."""
    raw = json.loads(resources.files("training.simulate").joinpath("places.json").read_text(encoding="utf-8"))
    countries = tuple(
        Country(
            code=one["code"],
            share=one["share"],
            offset=one["offset"],
            languages=tuple(one["languages"]),
            currency=one["currency"],
            v4=np.array([int(ipaddress.IPv4Address(block)) for block in one["v4"]]),
            v4_length=one["v4_length"],
            v6=tuple(int(ipaddress.IPv6Address(block)) >> 96 for block in one["v6"]),
            phones=tuple((prefix, free) for prefix, free in one["phones"]),
        )
        for one in raw["countries"]
    )
    hosting = [int(ipaddress.IPv4Address(block)) for blocks in raw["hosting"].values() for block in blocks]
    return Places(
        countries=countries,
        shares=np.array([one.share for one in countries]),
        offsets=np.array([one.offset for one in countries]),
        hosting=np.array(hosting),
    )
