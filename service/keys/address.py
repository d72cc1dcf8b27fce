"""Keys of an Internet address."""

from __future__ import annotations

from service.domain.parsed import ParsedAddress


def ip(address: ParsedAddress) -> str | None:
    """The subscriber's line: the IPv4 address, or the /64 of an IPv6 one, whose rest a device picks anew every day.

    Honest sharing: a household, an office, a campus, everyone behind a carrier's gateway; a VPN's customers.
    """
    if not any(address.packed):
        return None
    return address.packed.hex() if address.version == 4 else address.packed[:8].hex()


def ip_net(address: ParsedAddress) -> str | None:
    """The network around the address: /24, or /48 of IPv6.

    Honest sharing: neighbours at one provider, an organisation's buildings. Campaigns that rotate through addresses
    often buy them by the block.
    """
    if not any(address.packed):
        return None
    return address.packed[:3].hex() if address.version == 4 else address.packed[:6].hex()


KEYS = (ip, ip_net)
