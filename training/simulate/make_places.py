"""Rebuild ``places.json``: the countries, addresses and phone numbers of simulated people.

Run ``python -m training.simulate.make_places COUNTRY_MMDB OUT`` where COUNTRY_MMDB is npm's
``@ip-location-db/geo-whois-asn-country-mmdb`` (CC0, from the regional registries' whois records). Hosting ranges come
from PyPI's ``iporigin`` (MIT, the providers' own published lists) and phone prefixes are kept only where every number
that was tried is valid for ``phonenumbers`` (Apache-2.0). Only a few prefixes per country go into the file: enough
for a world, no geography.
"""

from __future__ import annotations

import bisect
import ipaddress
import json
import random
import sys
from pathlib import Path
from typing import Any

import maxminddb
import phonenumbers as pn
from iporigin._data import dataset

# code, share of signups, hour offset from UTC where most people live, languages, currency
COUNTRIES: tuple[tuple[str, float, float, str, str], ...] = (
    ("US", 26.0, -6, "en-US", "USD"),
    ("IN", 11.0, 5.5, "en-IN,hi", "INR"),
    ("GB", 6.0, 0, "en-GB", "GBP"),
    ("DE", 5.5, 1, "de-DE", "EUR"),
    ("FR", 4.0, 1, "fr-FR", "EUR"),
    ("BR", 4.5, -3, "pt-BR", "BRL"),
    ("CA", 3.5, -5, "en-CA,fr-CA", "CAD"),
    ("JP", 3.5, 9, "ja-JP", "JPY"),
    ("KR", 2.5, 9, "ko-KR", "KRW"),
    ("NL", 2.0, 1, "nl-NL", "EUR"),
    ("ES", 2.2, 1, "es-ES", "EUR"),
    ("IT", 2.2, 1, "it-IT", "EUR"),
    ("PL", 2.0, 1, "pl-PL", "PLN"),
    ("SE", 1.2, 1, "sv-SE", "SEK"),
    ("AU", 2.2, 10, "en-AU", "AUD"),
    ("SG", 1.5, 8, "en-SG,zh-SG", "SGD"),
    ("ID", 3.0, 7, "id-ID", "IDR"),
    ("VN", 2.5, 7, "vi-VN", "VND"),
    ("PH", 2.0, 8, "en-PH,fil", "PHP"),
    ("PK", 2.0, 5, "en-PK,ur", "PKR"),
    ("BD", 1.5, 6, "bn-BD", "BDT"),
    ("NG", 1.8, 1, "en-NG", "NGN"),
    ("KE", 0.9, 3, "en-KE", "KES"),
    ("ZA", 1.0, 2, "en-ZA", "ZAR"),
    ("EG", 1.0, 2, "ar-EG", "EGP"),
    ("TR", 1.8, 3, "tr-TR", "TRY"),
    ("UA", 1.2, 2, "uk-UA", "UAH"),
    ("MX", 2.0, -6, "es-MX", "MXN"),
    ("AR", 1.2, -3, "es-AR", "ARS"),
    ("TW", 1.5, 8, "zh-TW", "TWD"),
    ("HK", 1.6, 8, "zh-HK,en-HK", "HKD"),
    ("IL", 0.9, 2, "he-IL", "ILS"),
)
# United States space also holds the oldest corporate and military blocks; people at home are in these first octets.
US_HOME_OCTETS = frozenset({24, 50, 67, 68, 69, 71, 73, 75, 76, 96, 98, 99, 107, 108, 172, 173, 174})
# Whole first octets of companies and armies that never were anybody's home line: a world with homes in them would
# look odd.
_OLD = """
    3 4 6 7 8 9 11 12 15 16 17 18 19 20 21 22 25 26 28 29 30 33 34 35 38 40 43 44 47 48 51 52 53 54 55 56 57
    104 128 129 130 131 132 139 143 144 147 148 155 170 214 215
"""
NOT_HOMES = frozenset(int(octet) for octet in _OLD.split())
V6_OCTETS = frozenset({0x24, 0x26, 0x28, 0x2A, 0x2C})
HOSTING = (
    "Amazon AWS",
    "Microsoft Azure",
    "Google Cloud",
    "OVHcloud",
    "Hetzner",
    "DigitalOcean",
    "Oracle Cloud",
    "Alibaba Cloud",
    "Vultr",
    "Linode",
    "Contabo",
    "Leaseweb",
    "Tencent Cloud",
)


def country_blocks(mmdb: Path, length: int) -> dict[str, list[int]]:
    """Starts of whole IPv4 blocks of a prefix length by country, none of them overlapping a known hosting range."""
    hosting = dataset()  # type: ignore[no-untyped-call]  # it ships py.typed without types
    starts, ends = list(hosting.v4_starts), list(hosting.v4_ends)
    size = 1 << (32 - length)
    runs: dict[str, list[list[int]]] = {}
    with maxminddb.open_database(str(mmdb)) as reader:
        for network, record in reader:
            if network.version == 6 and int(network.network_address) >> 32:
                continue
            low = int(network.network_address) & 0xFFFFFFFF
            high = low + network.num_addresses - 1
            code = record["country_code"]
            mine = runs.setdefault(str(code), [])
            if mine and mine[-1][1] + 1 == low:
                mine[-1][1] = high
            else:
                mine.append([low, high])
    found: dict[str, list[int]] = {}
    for code, ranges in runs.items():
        for low, high in ranges:
            block = -(-low // size) * size
            while block + size - 1 <= high:
                i = bisect.bisect_right(starts, block + size - 1) - 1
                if i < 0 or ends[i] < block:
                    found.setdefault(code, []).append(block)
                block += size
    return found


def v6_blocks(mmdb: Path) -> dict[str, list[str]]:
    """Up to four IPv6 blocks of /32 or shorter for each country."""
    found: dict[str, list[str]] = {}
    with maxminddb.open_database(str(mmdb)) as reader:
        for network, record in reader:
            if network.version == 4 or int(network.network_address) >> 120 not in V6_OCTETS:
                continue
            if network.prefixlen > 32:
                continue
            code = str(record["country_code"])
            found.setdefault(code, []).append(str(network.network_address))
    return {code: spaced(blocks, 4) for code, blocks in found.items()}


def hosting_blocks() -> dict[str, list[str]]:
    """Up to six whole /20 blocks of each provider in HOSTING."""
    data = dataset()  # type: ignore[no-untyped-call]  # it ships py.typed without types
    found: dict[str, list[str]] = {}
    for start, end, label in zip(data.v4_starts, data.v4_ends, data.v4_labels, strict=True):
        provider, kind = data.labels[label]
        block = -(-start // 4096) * 4096
        if kind == "hosting" and provider in HOSTING and block + 4095 <= end:
            found.setdefault(provider, []).append(str(ipaddress.ip_address(block)))
    return {provider: spaced(found[provider], 6) for provider in HOSTING}


def phone_prefixes(region: str, rng: random.Random) -> list[list[Any]]:
    """Up to ten ``[international prefix, free digits]`` of mobile numbers of which 300 random ones were all valid."""
    example = pn.example_number_for_type(region, pn.PhoneNumberType.MOBILE)
    if example is None:
        raise ValueError(f"no example mobile number for {region}")
    digits = str(example.national_number)
    good: list[list[Any]] = []
    for _ in range(4000):
        if len(good) == 10:
            break
        free = 6 if len(digits) >= 9 else 5
        head = digits[:1] + "".join(str(rng.randrange(10)) for _ in digits[1 : len(digits) - free])
        prefix = f"+{example.country_code}{head}"
        if [prefix, free] in good:
            continue
        tried = (f"{prefix}{rng.randrange(10**free):0{free}d}" for _ in range(300))
        parsed = (pn.parse(number) for number in tried)
        if all(pn.is_valid_number(number) and pn.region_code_for_number(number) == region for number in parsed):
            good.append([prefix, free])
    if not good:
        raise ValueError(f"no valid mobile prefix found for {region}")
    return good


def spaced(items: list[Any], count: int) -> list[Any]:
    """At most ``count`` items, evenly spread over the list."""
    if len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]


def main(mmdb: Path, out: Path) -> None:
    """Write the table of places."""
    rng = random.Random(20260422)  # noqa: S311 - picks phone prefixes, no secrets
    large, small, six = country_blocks(mmdb, 16), country_blocks(mmdb, 20), v6_blocks(mmdb)
    countries = []
    for code, share, offset, languages, currency in COUNTRIES:
        blocks = large.get(code, [])
        length = 16 if len(blocks) >= 10 else 20
        blocks = blocks if length == 16 else small[code]
        blocks = [block for block in blocks if block >> 24 not in NOT_HOMES and ipaddress.ip_address(block).is_global]
        if code == "US":
            blocks = [block for block in blocks if block >> 24 in US_HOME_OCTETS]
        keep = spaced(blocks, 36 if share > 10 else 14 if length == 16 else 40)
        countries.append(
            {
                "code": code,
                "share": share,
                "offset": offset,
                "languages": languages.split(","),
                "currency": currency,
                "v4_length": length,
                "v4": [str(ipaddress.ip_address(block)) for block in keep],
                "v6": six.get(code, []),
                "phones": phone_prefixes(code, rng),
            }
        )
    source = "npm @ip-location-db/geo-whois-asn-country-mmdb (CC0); PyPI iporigin (MIT); PyPI phonenumbers (Apache-2.0)"
    table = {"source": source, "hosting": hosting_blocks(), "countries": countries}
    out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
