"""Renews the vendored reference tables of ``service/signals/reference``. Run by hand, never by the service.

In a scratch environment::

    pip install mmdb_writer netaddr babel iporigin tzdata maxminddb numpy
    npm pack @ip-location-db/geo-whois-asn-country-mmdb @ip-location-db/asn
    python deploy/reference_data.py --country geo-whois-*.tgz --asn ip-location-db-asn-*.tgz

Then run ``pytest tests/service/signals`` and commit what changed together with ``manifest.json``. The publisher of the
two address tables announced that it will move from npm to releases of its source repository; either form is read, as
long as the archive holds ``*country.mmdb`` and ``asn-ipv4.csv`` with ``asn-ipv6.csv``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import ipaddress
import json
import re
import tarfile
from collections import defaultdict
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from babel.core import get_global
from babel.languages import get_official_languages
from iporigin import dataset_info
from iporigin._data import dataset  # read here only; the service reads the arrays made below
from mmdb_writer import MMDBWriter
from netaddr import IPRange, IPSet

HERE = Path(__file__).resolve().parent.parent / "service" / "signals" / "reference"
KINDS = {"hosting": 1, "cdn": 2, "vpn": 3, "tor": 4, "bot": 5}  # as in service/signals/address.py
CAVEAT = "the publisher warns of errors in this release; put a table of your own in its place if it matters"
# Lists that the package carries by permission but without a licence; they are not ours to pass on.
UNLICENSED = frozenset(
    "Akamai, BunnyCDN, BuyVM, CDN77, Cogent, Contabo, DataCamp, GTHost, GleSYS, Melbicom, Scalaxy, Vercel".split(", ")
)
HOSTING_NAME = re.compile(
    r"hosting|hoster|\bhost\b|\bcloud|\bserver|data ?cent(?:er|re)|\bvps\b|\bvpn\b|colocation|\bcolo\b|dedicated",
    re.IGNORECASE,
)
# The time zone of the largest city, where zone1970.tab lists another zone of the country first.
LARGEST = {
    "AR": "America/Argentina/Buenos_Aires", "AU": "Australia/Sydney", "BR": "America/Sao_Paulo",
    "CA": "America/Toronto", "CD": "Africa/Kinshasa", "CL": "America/Santiago", "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia", "EC": "America/Guayaquil", "ES": "Europe/Madrid", "FM": "Pacific/Pohnpei",
    "GL": "America/Nuuk", "ID": "Asia/Jakarta", "KI": "Pacific/Tarawa", "KZ": "Asia/Almaty",
    "MN": "Asia/Ulaanbaatar", "MX": "America/Mexico_City", "MY": "Asia/Kuala_Lumpur", "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti", "PG": "Pacific/Port_Moresby", "PS": "Asia/Hebron", "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow", "UA": "Europe/Kyiv", "US": "America/New_York", "UZ": "Asia/Tashkent",
}  # fmt: skip


def member(archive: Path, suffix: str) -> bytes:
    """The bytes of the one file of ``archive`` whose name ends with ``suffix``."""
    with tarfile.open(archive) as tar:
        names = [name for name in tar.getnames() if name.endswith(suffix)]
        if len(names) != 1:
            raise SystemExit(f"{archive}: expected one file *{suffix}, found {names}")
        content = tar.extractfile(names[0])
        return content.read() if content else b""


def packed_version(archive: Path) -> str:
    """The version that the archive's package.json names."""
    return str(json.loads(member(archive, "package/package.json"))["version"])


def address_origins() -> None:
    """Ranges of data centres, CDNs, VPNs, Tor exits and declared crawlers; IPv6 in steps of /64."""
    data = dataset()
    kinds = [0 if provider in UNLICENSED else KINDS[kind] for provider, kind in data.labels]
    rows = zip(data.v4_starts, data.v4_ends, data.v4_labels, strict=True)
    v4 = np.array([(first, last, kinds[label]) for first, last, label in rows if kinds[label]], "<u4,<u4,u1")
    v4.dtype.names = ("first", "last", "kind")
    seen: dict[int, tuple[int, int]] = {}
    for start, end, label in zip(data.v6_starts, data.v6_ends, data.v6_labels, strict=True):
        if kinds[label]:
            seen.setdefault(start >> 64, (end >> 64, kinds[label]))
    v6 = np.array([(first, last, k) for first, (last, k) in sorted(seen.items())], "<u8,<u8,u1")
    v6.dtype.names = ("first", "last", "kind")
    np.save(HERE / "origin4.npy", v4)
    np.save(HERE / "origin6.npy", v6)


def networks(archive: Path) -> None:
    """Address to AS number as .mmdb, and per AS number its size and whether it hosts servers."""
    rows4 = list(csv.reader(io.StringIO(member(archive, "asn-ipv4.csv").decode())))
    rows6 = list(csv.reader(io.StringIO(member(archive, "asn-ipv6.csv").decode())))
    size: dict[int, int] = defaultdict(int)
    listed: dict[int, int] = defaultdict(int)
    names: dict[int, str] = {}
    origins = np.load(HERE / "origin4.npy")
    hosting = origins[origins["kind"] == KINDS["hosting"]]
    writer = MMDBWriter(6, "gatehouse-asn", ipv4_compatible=True, description="AS numbers; see manifest.json")
    merged: list[tuple[str, str, int]] = []
    for rows in (rows4, rows6):
        for first, last, asn, name in rows:
            names.setdefault(int(asn), name)
            merged.append((first, last, int(asn)))
    for first, last, asn, _ in rows4:
        low, high = int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last))
        size[int(asn)] += high - low + 1
        i, j = np.searchsorted(hosting["last"], low), np.searchsorted(hosting["first"], high, "right")
        for start, end, _ in hosting[i:j]:
            listed[int(asn)] += max(0, min(high, int(end)) - max(low, int(start)) + 1)
    by_asn: dict[int, list[Any]] = defaultdict(list)
    for first, last, asn in merged:
        by_asn[asn] += IPRange(first, last).cidrs()
    for asn, cidrs in by_asn.items():
        writer.insert_network(IPSet(cidrs), {"autonomous_system_number": asn})
    writer.to_db_file(str(HERE / "ip-asn.mmdb"))
    table = np.array(
        [
            (asn, np.log2(1 + size[asn]), bool(HOSTING_NAME.search(names[asn])) or 2 * listed[asn] > size[asn] > 0)
            for asn in sorted(names)
        ],
        [("asn", "<u4"), ("log2_addresses", "<f4"), ("hosting", "?")],
    )
    np.save(HERE / "networks.npy", table)


def countries() -> None:
    """Time zone of the largest city and languages of each ISO 3166-1 country (and XK, in wide use)."""
    zones: dict[str, str] = {}
    tables = files("tzdata") / "zoneinfo"
    for line in (tables / "zone.tab").read_text().splitlines():
        if line and not line.startswith("#"):
            code, _, zone = line.split("\t")[:3]
            zones.setdefault(code, zone)
    zones |= LARGEST | {"XK": "Europe/Belgrade"}
    codes = [line[:2] for line in (tables / "iso3166.tab").read_text().splitlines() if line and line[0] != "#"]
    spoken = get_global("territory_languages")
    table = {}
    for code in sorted({*codes, "XK"}):
        official = {name.split("_")[0] for name in get_official_languages(code, regional=True, de_facto=True)}
        common = {
            name.split("_")[0]
            for name, about in spoken.get(code, {}).items()
            if float(about["population_percent"]) >= 10.0
        }
        table[code] = {"zone": zones.get(code), "languages": sorted(official | common)}
    (HERE / "countries.json").write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")


def released_on(number: str) -> str:
    """The day in an npm version such as 2.3.2026061719."""
    return f"{number[-10:-6]}-{number[-6:-4]}-{number[-4:-2]}"


def describe(country: Path, asn: Path) -> None:
    """``manifest.json``: what each file is, from where, of when, under which licence, and its SHA-256."""
    built = datetime.fromtimestamp(dataset_info()["built_at"], UTC).date().isoformat()
    released = f"{version('tzdata').split('.')[0]}-01-01"  # the package tells the year and the release within it
    entries: list[dict[str, Any]] = [
        {"name": "IP to country", "file": "ip-country.mmdb", "source": "ip-location-db geo-whois-asn-country",
         "version": packed_version(country), "date": released_on(packed_version(country)),
         "licence": "CC0-1.0; statistics of the Number Resource Organization CC-BY-4.0", "caveat": CAVEAT},
        {"name": "IP to AS number", "file": "ip-asn.mmdb", "source": "ip-location-db asn",
         "version": packed_version(asn), "date": released_on(packed_version(asn)),
         "licence": "CC-BY-4.0 (Route Views, DB-IP, NRO); converted to .mmdb, names left out", "caveat": CAVEAT},
        {"name": "AS number to size and hosting", "file": "networks.npy", "source": "derived from ip-location-db asn",
         "version": packed_version(asn), "date": released_on(packed_version(asn)), "licence": "CC-BY-4.0"},
        {"name": "Data centre, VPN, Tor, IPv4", "file": "origin4.npy", "source": "iporigin",
         "version": version("iporigin"), "date": built, "licence": "MIT; lists of others CC0-1.0"},
        {"name": "Data centre, VPN, Tor, IPv6", "file": "origin6.npy", "source": "iporigin",
         "version": version("iporigin"), "date": built, "licence": "MIT; lists of others CC0-1.0"},
        {"name": "Countries: time zones, languages", "file": "countries.json", "source": "tzdata, CLDR through Babel",
         "version": f"tzdata {version('tzdata')}, Babel {version('babel')}", "date": released,
         "licence": "public domain (tzdata); Unicode-3.0 (CLDR)"},
    ]  # fmt: skip
    for entry in entries:
        content = (HERE / entry["file"]).read_bytes()
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (HERE / "manifest.json").write_text(json.dumps(entries, indent=2) + "\n")


def main() -> None:
    """Reads both archives and writes every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--country", type=Path, required=True, help="archive with *country.mmdb")
    parser.add_argument("--asn", type=Path, required=True, help="archive with asn-ipv4.csv and asn-ipv6.csv")
    options = parser.parse_args()
    (HERE / "ip-country.mmdb").write_bytes(member(options.country, "asn-country.mmdb"))
    address_origins()
    networks(options.asn)
    countries()
    describe(options.country, options.asn)


if __name__ == "__main__":
    main()
