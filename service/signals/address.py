"""Internet addresses."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address

import numpy as np
from numpy.typing import NDArray

from service.domain.parsed import ParsedAddress
from service.domain.profile import country_number
from service.signals.reference.tables import AddressTables

LONGEST = 64
NOT_PUBLIC = 6  # the profile's ip_kind of private, loopback and documentation addresses

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


def address_facts(
    addresses: Sequence[ParsedAddress], tables: AddressTables
) -> tuple[NDArray[np.float32], list[str | None]]:
    """Profile facts of m addresses and their countries.

    Columns of the (m, 6) array: ``ip_version``, ``ip_kind``, ``ip_hosted``, ``ip_anonymous``, ``ip_country``,
    ``ip_network_size``.
    """
    texts = [canonical(address) for address in addresses]
    found = tables.look_up(addresses, texts)
    countries = tables.countries(texts)
    public = np.array([ip_address(text).is_global for text in texts], bool)
    facts = np.full((len(addresses), 6), np.nan, np.float32)
    facts[:, 0] = [address.version for address in addresses]
    facts[:, 1] = np.where((found.kind == 0) & ~public, NOT_PUBLIC, found.kind)
    facts[:, 2] = found.hosted
    facts[:, 3] = (found.kind == 3) | (found.kind == 4)
    facts[:, 4] = [country_number(country) if country else np.nan for country in countries]
    facts[:, 5] = found.network_size
    return facts, countries


def hosted(addresses: Sequence[ParsedAddress], tables: AddressTables) -> NDArray[np.int64]:
    """1 for addresses of data centres, VPNs, Tor exits and networks that host servers; shape (m,)."""
    return tables.look_up(addresses, [canonical(address) for address in addresses]).hosted.astype(np.int64)
