"""Internet addresses: what they are, and where."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from service.domain.codes import code32
from service.domain.profile import country_number
from service.domain.raw import Signup
from service.signals.address import hosted, parse_address
from service.signals.door import Door
from service.signals.reference.tables import AddressTables
from tests.service.signals.conftest import NOON, Told

UNLISTED, DATA_CENTRE, VPN, TOR, NOT_PUBLIC = 0, 1, 3, 4, 6


@pytest.mark.parametrize(
    ("ip", "kind", "country"),
    [
        ("81.2.69.160", UNLISTED, "GB"),
        ("217.80.1.1", UNLISTED, "DE"),
        ("52.95.110.1", DATA_CENTRE, "US"),
        ("2a01:4f8::1", DATA_CENTRE, "DE"),
        ("146.70.117.2", VPN, "DE"),
        ("185.220.101.1", TOR, "DE"),
    ],
)
def test_an_address_is_known_by_kind_and_country(told: Told, ip: str, kind: int, country: str) -> None:
    shown = told(ip=ip, country=country)
    assert shown["ip_kind"] == kind
    assert shown["ip_country"] == country_number(country)
    assert shown["ip_country_agrees"] == 1
    assert shown["ip_hosted"] == (kind != UNLISTED)
    assert shown["ip_anonymous"] == (kind in (VPN, TOR))
    assert shown["ip_version"] == (6 if ":" in ip else 4)


def test_an_address_abroad_disagrees_with_the_account(told: Told) -> None:
    assert told(ip="81.2.69.160", country="US")["ip_country_agrees"] == 0
    assert isnan(told(ip="81.2.69.160")["ip_country_agrees"])


@pytest.mark.parametrize("ip", ["10.0.0.1", "192.168.1.1", "127.0.0.1", "192.0.2.1", "2001:db8::1", "fe80::1", "::1"])
def test_a_private_or_documentation_address_is_nowhere_and_nobodys_server(
    told: Told, tables: AddressTables, ip: str
) -> None:
    shown = told(ip=ip, country="DE")
    assert shown["ip_kind"] == NOT_PUBLIC
    assert shown["ip_hosted"] == 0
    assert isnan(shown["ip_country"])
    assert isnan(shown["ip_country_agrees"])
    address = parse_address(ip)
    assert address is not None
    assert hosted([address], tables).tolist() == [0]


def test_an_ipv4_address_wrapped_in_ipv6_is_the_same_address(door: Door) -> None:
    facts, _ = door.signups([Signup("a", NOON, ip="::ffff:81.2.69.160"), Signup("b", NOON, ip="81.2.69.160")], NOON)
    np.testing.assert_array_equal(facts.profile[0], facts.profile[1])
    keys = facts.links.key[facts.links.kind == code32("ip")]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "ip", ["1.2.3.4:443", "1.2.3.4, 5.6.7.8", "fe80::1%eth0", "1.2.3", "1.2.3.256", "localhost", "[::1]", " 1.2.3.4"]
)
def test_what_is_not_exactly_one_address_is_the_callers_slip_and_refused(door: Door, ip: str) -> None:
    facts, rejections = door.signups([Signup("a", NOON, ip=ip)], NOON)
    assert len(facts) == 0
    assert [(r.row, r.field) for r in rejections] == [(0, "ip")]
    assert ip not in rejections[0].reason


def test_one_look_up_of_many_addresses_equals_many_of_one(tables: AddressTables) -> None:
    texts = ["81.2.69.160", "2a01:4f8::1", "185.220.101.1", "0.0.0.0", "255.255.255.255", "::", "ffff::", "8.8.8.8"]
    addresses = [address for address in map(parse_address, texts) if address is not None]
    together = tables.look_up(addresses, texts)
    for place, (address, text) in enumerate(zip(addresses, texts, strict=True)):
        alone = tables.look_up([address], [text])
        assert alone.kind[0] == together.kind[place]
        assert alone.hosted[0] == together.hosted[place]
        np.testing.assert_array_equal(alone.network_size[0], together.network_size[place])
        np.testing.assert_array_equal(alone.asn[0], together.asn[place])


def test_the_size_of_a_network_tells_a_large_provider_from_a_small_one(told: Told) -> None:
    large, small = told(ip="217.80.1.1")["ip_network_size"], told(ip="185.220.101.1")["ip_network_size"]
    assert large > 20
    assert small < 12


def test_the_door_leaves_the_number_of_the_network_that_announces_an_address(told: Told) -> None:
    assert told(ip="217.80.1.1")["ip_asn"] == told(ip="217.80.77.1")["ip_asn"] == 3320
    assert told(ip="81.2.69.160")["ip_asn"] != 3320
    assert isnan(told(ip="10.0.0.1")["ip_asn"])
    assert isnan(told()["ip_asn"])
