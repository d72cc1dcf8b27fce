"""The reference tables, opened once and shared by all threads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np
from numpy.typing import NDArray

from service.domain.errors import UsageError
from service.domain.parsed import ParsedAddress
from service.domain.time import DAY, SECOND, micros

HERE = Path(__file__).parent
OLD = 365 * DAY
_UNKNOWN_ASN = 0
_LARGEST_ASN = 2**24  # facts are float32, exact so far; of numbers in public use the largest is a fortieth of it

# Packages that carry data of their own; the two with a date in their version are as old as that.
_PACKAGES = (
    ("Public suffixes", "publicsuffixlist", "MPL-2.0"),
    ("Disposable mail domains", "disposable-email-domains", "CC0-1.0"),
    ("Phone numbering plans", "phonenumbers", "Apache-2.0"),
    ("User agents", "ua-parser-builtins", "Apache-2.0"),
    ("Lookalike letters", "confusable-homoglyphs", "MIT"),
)


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """What ``gatehouse doctor`` shows of one table."""

    name: str
    source: str
    version: str
    licence: str
    published: int | None  # moment of publication; None: its version does not tell
    caveat: str = ""  # what its publisher warns of

    def old(self, now: int) -> bool:
        """Whether it was published more than a year before ``now``."""
        return self.published is not None and now - self.published > OLD


@dataclass(frozen=True, slots=True)
class Located:
    """What the tables say of m addresses; all arrays have shape (m,)."""

    kind: NDArray[np.int64]  # 0 in no list, 1 data centre, 2 CDN, 3 VPN, 4 Tor exit, 5 declared crawler
    hosted: NDArray[np.bool_]  # kind 1 to 4, or in a network that hosts servers
    network_size: NDArray[np.float32]  # log2(1 + IPv4 addresses of its network); NaN: not known, or it has IPv6 alone
    asn: NDArray[np.float32]  # number of the autonomous system that announces it; NaN: no table knows, or private use


class AddressTables:
    """Where Internet addresses belong. Look-ups only; safe to share between threads."""

    def __init__(self, country_mmdb: Path | None = None, asn_mmdb: Path | None = None) -> None:
        """Opens the vendored tables, or the operator's own .mmdb files for country and AS number.

        Raises UsageError where such a file cannot be read as .mmdb.
        """
        self._own = {"country": country_mmdb, "asn": asn_mmdb}
        self._readers = {
            "country": _open(country_mmdb, HERE / "ip-country.mmdb", "GATEHOUSE_IP_COUNTRY_MMDB"),
            "asn": _open(asn_mmdb, HERE / "ip-asn.mmdb", "GATEHOUSE_IP_ASN_MMDB"),
        }
        self._origin = {width: _columns(f"origin{width}.npy") for width in (4, 6)}
        self._networks = _columns("networks.npy")

    def countries(self, texts: Sequence[str]) -> list[str | None]:
        """ISO 3166-1 alpha-2 country of each address (in canonical text form); None where no table knows."""
        reader = self._readers["country"]
        return [_country_of(reader.get(text)) for text in texts]

    def look_up(self, addresses: Sequence[ParsedAddress], texts: Sequence[str]) -> Located:
        """What is known of ``addresses``, whose canonical text form is ``texts``."""
        kind = np.zeros(len(addresses), np.int64)
        for width, number in ((4, _number4), (6, _number6)):
            places = [i for i, address in enumerate(addresses) if address.version == width]
            if places:
                kind[places] = self._kinds(width, [number(addresses[i].packed) for i in places])
        asn = np.array([_asn_of(self._readers["asn"].get(text)) for text in texts], np.uint32)
        place = np.searchsorted(self._networks["asn"], asn).clip(max=len(self._networks["asn"]) - 1)
        known = (asn != _UNKNOWN_ASN) & (self._networks["asn"][place] == asn)
        hosts = known & self._networks["hosting"][place]
        log2 = self._networks["log2_addresses"][place]
        size = np.where(known & (log2 > 0), log2, np.nan).astype(np.float32)
        public = (asn != _UNKNOWN_ASN) & (asn <= _LARGEST_ASN)
        return Located(
            kind, hosts | ((kind >= 1) & (kind <= 4)), size, np.where(public, asn, np.nan).astype(np.float32)
        )

    def _kinds(self, width: int, numbers: list[int]) -> NDArray[np.int64]:
        table = self._origin[width]
        values = np.array(numbers, table["first"].dtype)
        place = np.searchsorted(table["first"], values, "right") - 1
        inside = (place >= 0) & (values <= table["last"][place])
        return np.where(inside, table["kind"][place], 0).astype(np.int64)

    def describe(self) -> tuple[ReferenceTable, ...]:
        """Every table, vendored, operator's and of packages."""
        shown = []
        for entry in _manifest():
            which = {"ip-country.mmdb": "country", "ip-asn.mmdb": "asn"}.get(entry["file"], "")
            own = self._own.get(which)
            if own is not None:
                about = self._readers[which].metadata()
                built = about.build_epoch * SECOND
                shown.append(ReferenceTable(entry["name"], own.name, about.database_type, "the operator's own", built))
            else:
                published = micros(datetime.fromisoformat(entry["date"]))
                shown.append(
                    ReferenceTable(
                        entry["name"],
                        entry["source"],
                        entry["version"],
                        entry["licence"],
                        published,
                        entry.get("caveat", ""),
                    )
                )
        for name, package, licence in _PACKAGES:
            number = version(package)
            shown.append(ReferenceTable(name, package, number, licence, _dated(number)))
        return tuple(shown)


def _columns(name: str) -> dict[str, NDArray[Any]]:
    """A vendored table by column; the arrays are contiguous, which a structured array's are not."""
    table = np.load(HERE / name)
    return {column: np.ascontiguousarray(table[column]) for column in table.dtype.names}


def damaged() -> list[str]:
    """Vendored files whose bytes are not those that the manifest names; none in a sound installation."""
    return [
        entry["file"]
        for entry in _manifest()
        if sha256((HERE / entry["file"]).read_bytes()).hexdigest() != entry["sha256"]
    ]


def read_lines(name: str) -> list[str]:
    """The lines of one of the lists kept by hand, without comments."""
    lines = (HERE / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _manifest() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((HERE / "manifest.json").read_text())
    return entries


def _open(own: Path | None, vendored: Path, setting: str) -> maxminddb.Reader:
    try:
        return maxminddb.open_database(own or vendored)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as problem:
        if own is None:
            raise
        raise UsageError(f"{setting}: {own} cannot be read as an .mmdb file ({type(problem).__name__})") from problem


def _country_of(record: object) -> str | None:
    """The country in a record of ip-location-db, MaxMind and DB-IP, or IPinfo."""
    if not isinstance(record, dict):
        return None
    country = record.get("country_code") or record.get("country")
    if isinstance(country, dict):
        country = country.get("iso_code")
    sound = isinstance(country, str) and len(country) == 2 and country.isascii() and country.isupper()
    return country if sound else None


def _asn_of(record: object) -> int:
    """The AS number in a record of ours, MaxMind and DB-IP, or IPinfo (``AS64500``)."""
    if not isinstance(record, dict):
        return _UNKNOWN_ASN
    number = record.get("autonomous_system_number") or record.get("asn") or _UNKNOWN_ASN
    if isinstance(number, str):
        number = int(number[2:]) if number[2:].isdigit() else _UNKNOWN_ASN
    return number if isinstance(number, int) and number < 2**32 else _UNKNOWN_ASN


def _number4(packed: bytes) -> int:
    return int.from_bytes(packed, "big")


def _number6(packed: bytes) -> int:
    return int.from_bytes(packed[:8], "big")


def _dated(number: str) -> int | None:
    """The moment in versions that end in a date, such as 1.1.2.20261023 and 202610."""
    digits = number.rpartition(".")[2]
    if not digits.isdigit() or len(digits) not in (6, 8):
        return None
    try:
        return micros(datetime.fromisoformat(f"{digits[:4]}-{digits[4:6]}-{digits[6:] or '01'}"))
    except ValueError:
        return None
