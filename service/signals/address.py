"""Internet addresses."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.parsed import ParsedAddress
from service.signals.reference.tables import AddressTables

LONGEST = 64
NOT_PUBLIC = 6  # the profile's ip_kind of private, loopback and documentation addresses

_ANONYMOUS = (3, 4)  # VPN and Tor

# First bytes behind which nothing has a purpose of its own (IANA's special-purpose registries); the rest is looked up.
_ORDINARY_4 = frozenset(range(1, 224)) - {10, 100, 127, 169, 172, 192, 198, 203}
_ORDINARY_6 = frozenset({*range(0x24, 0x30)})

_MAPPED = bytes(10) + b"\xff\xff"


def parse_address(text: str) -> ParsedAddress | None:
    """The address; None where ``text`` is not exactly one (a list, a port, a zone, a host name)."""
    try:
        if ":" not in text:
            return ParsedAddress(4, socket.inet_pton(socket.AF_INET, text))
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    return ParsedAddress(4, packed[12:]) if packed[:12] == _MAPPED else ParsedAddress(6, packed)


def address_problem(text: str) -> str | None:
    """Why the door refuses ``text``. The caller's server sees the address, so a malformed one is the caller's slip."""
    if parse_address(text) is None:
        return "must be one IPv4 or IPv6 address, without port, zone or list"
    return None


def canonical(address: ParsedAddress) -> str:
    """The usual text form, by which the tables look it up."""
    return socket.inet_ntop(socket.AF_INET if address.version == 4 else socket.AF_INET6, address.packed)


class AddressFacts(NamedTuple):
    """Profile facts of one address, and the country in which it is."""

    version: float
    kind: float
    hosted: float
    anonymous: float
    network_size: float
    asn: float
    country: str | None  # None: no table knows


NO_ADDRESS = AddressFacts(nan, nan, nan, nan, nan, nan, None)


def address_facts(addresses: Sequence[ParsedAddress], tables: AddressTables) -> list[AddressFacts]:
    """Facts of each address."""
    texts = [canonical(address) for address in addresses]
    found = tables.look_up(addresses, texts)
    facts = []
    for address, text, country, kind, hosts, size, asn in zip(
        addresses,
        texts,
        tables.countries(texts),
        found.kind.tolist(),
        found.hosted.tolist(),
        found.network_size.tolist(),
        found.asn.tolist(),
        strict=True,
    ):
        if _public(address, text):
            anonymous = float(kind in _ANONYMOUS)
            facts.append(AddressFacts(float(address.version), float(kind), float(hosts), anonymous, size, asn, country))
        else:
            facts.append(AddressFacts(float(address.version), float(NOT_PUBLIC), 0.0, 0.0, nan, nan, None))
    return facts


def _public(address: ParsedAddress, text: str) -> bool:
    """Whether the address is one of the Internet at large; hardly any begins as the exceptions do."""
    first = address.packed[0]
    if first in _ORDINARY_4 if address.version == 4 else first in _ORDINARY_6:
        return True
    return ip_address(text).is_global


def hosted(addresses: Sequence[ParsedAddress], tables: AddressTables) -> NDArray[np.int64]:
    """1 for addresses of data centres, VPNs, Tor exits and networks that host servers; shape (m,)."""
    texts = [canonical(address) for address in addresses]
    flags = tables.look_up(addresses, texts).hosted.tolist()
    # The published lists reach over documentation and private ranges.
    public = [flag and _public(address, text) for flag, address, text in zip(flags, addresses, texts, strict=True)]
    return np.array(public, np.int64)
