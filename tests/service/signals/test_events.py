"""Payments, exchanges, and customers' own facts, as the columns that tiles and tables take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from service.domain.codes import code32, hash64
from service.domain.enums import CardFunding, PaymentKind, PaymentMethod, UsageStatus
from service.domain.profile import country_number
from service.domain.raw import Link, Payment, Signal, Usage
from service.domain.time import MINUTE
from service.signals.door import Door
from service.tiles.payments import NO_CHARGE, NO_COUNTRY_MIN, PAYMENT_COLUMNS, payment_tiles
from service.tiles.usage import usage_tiles
from tests.factories import ints
from tests.service.signals.conftest import NOON

CHARGE = Payment(
    "p",
    "a",
    NOON,
    PaymentKind.CHARGE_SUCCEEDED,
    PaymentMethod.CARD,
    card_fingerprint="c1",
    card_bin="45717360",
    card_country="de",
    card_funding=CardFunding.PREPAID,
    amount_minor=1023,
    currency="EUR",
)
USE = Usage("u", "a", NOON, ip="185.220.101.1", client="python", model="large", prompt_prefix_hash=2**64 - 1)


def _values(door: Door, payment: Payment) -> dict[str, int]:
    facts, rejections = door.payments([payment], NOON)
    assert not rejections
    return {column.name: int(facts.values[0, i]) for i, column in enumerate(PAYMENT_COLUMNS)}


def test_a_charge_is_counted_where_it_belongs_and_nowhere_else(door: Door) -> None:
    values = _values(door, CHARGE)
    ones = {name for name, value in values.items() if value == 1}
    assert ones == {"events", "charge_succeeded", "by_card", "funding_prepaid", "country_known", "charged"}
    assert values["country_min"] == values["country_max"] == country_number("DE")
    assert values["amount_log"] == values["amount_log_max"] == 10 * 1024  # log2(1024) in 1/1024
    assert values["first_charge_at"] == values["first_at"] == NOON
    for bitmap in ("cards_0", "bins_0", "currencies_0"):
        assert values[bitmap].bit_count() == 1 or values[bitmap] == -(2**63)


def test_what_was_not_said_of_a_payment_leaves_the_neutral_element(door: Door) -> None:
    values = _values(door, Payment("p", "a", NOON, PaymentKind.REFUND, PaymentMethod.WALLET))
    assert {name for name, value in values.items() if value == 1} == {"events", "refund", "by_wallet"}
    assert (values["country_min"], values["country_max"]) == (NO_COUNTRY_MIN, 0)
    assert values["first_charge_at"] == NO_CHARGE
    assert values["cards_0"] == values["bins_0"] == values["currencies_0"] == values["amount_log"] == 0


def test_the_amount_of_a_declined_charge_and_a_negative_amount_count_for_nothing(door: Door) -> None:
    assert _values(door, replace(CHARGE, kind=PaymentKind.CHARGE_DECLINED))["amount_log"] == 0
    assert _values(door, replace(CHARGE, amount_minor=-(2**63)))["amount_log"] == 0
    assert _values(door, replace(CHARGE, amount_minor=2**63 - 1))["amount_log"] == 63 * 1024


def test_one_card_under_six_and_eight_digits_of_its_bin_is_one_bin(door: Door) -> None:
    facts, _ = door.payments([CHARGE, replace(CHARGE, event_id="q", card_bin="457173")], NOON)
    bins = facts.links.key[facts.links.kind == code32("card_bin")]
    assert bins[0] == bins[1]
    tile = payment_tiles(facts, facts.happened)
    names = [column.name for column in PAYMENT_COLUMNS]
    assert tile.values[0, names.index("events")] == 2
    assert int(tile.values[0, names.index("bins_0")]).bit_count() in (1, 64)


def test_an_exchange_becomes_codes_and_silence_stays_silence(door: Door) -> None:
    facts, _ = door.usage([USE, Usage("v", "b", NOON, status=UsageStatus.RATE_LIMITED, input_tokens=0)], NOON)
    assert facts.account.tolist() == [hash64("a"), hash64("b")]
    assert facts.event.tolist() == [hash64("u"), hash64("v")]
    assert facts.hosted.tolist() == [1, 0]
    assert facts.client.tolist() == [hash64("python"), 0]
    assert facts.model.tolist() == [hash64("large"), 0]
    assert facts.status.tolist() == [-1, 2]
    assert facts.input_tokens.tolist() == [-1, 0]
    assert facts.template.tolist() == [-1, 0]
    assert facts.simhash.tolist() == [0, 0]
    assert (facts.ip[1], facts.ip_net[1]) == (0, 0)


def test_a_true_hash_of_zero_is_told_from_none(door: Door) -> None:
    facts, _ = door.usage([replace(USE, prompt_prefix_hash=0, prompt_simhash=0)], NOON)
    assert (facts.template[0], facts.simhash[0]) == (1, 1)


def test_an_account_shows_each_key_once_a_batch_at_its_first_moment(door: Door) -> None:
    rows = [
        replace(USE, event_id="1", happened_at=NOON - MINUTE),
        replace(USE, event_id="2", happened_at=NOON - 3 * MINUTE),
        replace(USE, event_id="3", happened_at=NOON - 2 * MINUTE, ip="185.220.101.2"),
        replace(USE, event_id="4", account_id="b"),
    ]
    facts, _ = door.usage(rows, NOON)
    shown = sorted(
        zip(facts.links.account.tolist(), facts.links.kind.tolist(), facts.links.happened.tolist(), strict=True)
    )
    a, b = hash64("a"), hash64("b")
    expected = [
        (a, code32("ip"), NOON - 3 * MINUTE),
        (a, code32("ip"), NOON - 2 * MINUTE),
        (a, code32("ip_net"), NOON - 3 * MINUTE),
        (a, code32("template"), NOON - 3 * MINUTE),
        (b, code32("ip"), NOON),
        (b, code32("ip_net"), NOON),
        (b, code32("template"), NOON),
    ]
    assert shown == sorted(expected)


def test_the_address_of_an_exchange_is_the_key_that_its_link_carries(door: Door) -> None:
    facts, _ = door.usage([USE], NOON)
    by_kind = dict(zip(facts.links.kind.tolist(), facts.links.key.tolist(), strict=True))
    assert by_kind == {
        code32("ip"): facts.ip[0],
        code32("ip_net"): facts.ip_net[0],
        code32("template"): by_kind[code32("template")],
    }
    assert by_kind[code32("template")] != facts.template[0]


def test_tiles_take_what_the_door_lets_in(door: Door) -> None:
    facts, _ = door.usage([USE, replace(USE, event_id="2", happened_at=NOON - MINUTE)], NOON)
    tiles = usage_tiles(facts, np.full(2, NOON, np.int64))
    assert len(tiles) == 1


def test_own_links_and_signals_are_named_by_the_customer_and_keep_their_rows(door: Door) -> None:
    rows = [Link("a", NOON, "wallet", "w1"), Link("b", NOON - 1, "referral", "w1"), Link("c", NOON, "wallet", "w1 ")]
    facts, _ = door.links(rows, NOON)
    assert facts.kinds == ("custom.referral", "custom.wallet")
    assert facts.links.account.tolist() == [hash64("a"), hash64("b"), hash64("c")]
    assert facts.links.kind.tolist() == [code32("custom.wallet"), code32("custom.referral"), code32("custom.wallet")]
    assert facts.links.key[0] == facts.links.key[2] != facts.links.key[1]
    numbers, _ = door.signals([Signal("a", NOON, "stars", 2.5, event_id="e"), Signal("a", NOON, "forks", -1)], NOON)
    assert numbers.names == ("forks", "stars")
    assert numbers.name.tolist() == [code32("stars"), code32("forks")]
    assert numbers.value.tolist() == [2.5, -1.0]
    assert numbers.event[0] == hash64("e")


def test_rows_of_a_file_without_ids_are_known_by_what_they_are(door: Door) -> None:
    one, other = Signal("a", NOON, "stars", 1.0), Signal("a", NOON, "stars", 2.0)
    facts, _ = door.signals([one, one, other, replace(one, happened_at=NOON - 1)], NOON)
    assert facts.event[0] == facts.event[1] == facts.event[2] != facts.event[3]
    assert facts.content[0] == facts.content[1] != facts.content[2]
    link = Link("a", NOON, "wallet", "w")
    links, _ = door.links([link, link, replace(link, key_value="v")], NOON)
    assert links.event[0] == links.event[1] != links.event[2]


def test_every_field_of_an_exchange_matters_to_its_content(door: Door) -> None:
    full = Usage("u", "a", NOON, "81.2.69.160", "c", "m", 1, 2, UsageStatus.OK, 3, 4)
    changed = [
        replace(full, account_id="b"),
        replace(full, happened_at=NOON - 1),
        replace(full, ip="81.2.69.161"),
        replace(full, client="d"),
        replace(full, model="n"),
        replace(full, input_tokens=None),
        replace(full, output_tokens=0),
        replace(full, status=UsageStatus.ERROR),
        replace(full, prompt_prefix_hash=None),
        replace(full, prompt_simhash=0),
        replace(full, input_tokens=2, output_tokens=1),
    ]
    facts, _ = door.usage([full, full, *changed], NOON)
    assert facts.content[0] == facts.content[1]
    assert len(set(facts.content.tolist())) == 1 + len(changed)
    assert 0 not in facts.content


def test_the_hash_that_earlier_releases_kept_of_an_exchange_is_found_again(door: Door) -> None:
    full = Usage("u", "a", NOON, "81.2.69.160", "c", "m", 1, 2, UsageStatus.OK, 3, 4)
    facts, _ = door.usage([full, Usage("u2", "a", NOON)], NOON)
    assert facts.worded is not None
    assert facts.worded.hashes().tolist() == [-2580018727848690944, 1353607647247501752]  # BLAKE2b alone
    assert facts.worded.take(ints([1])).hashes().tolist() == [1353607647247501752]
    assert not set(facts.worded.hashes().tolist()) & set(facts.content.tolist())


def test_nothing_said_is_not_zero_said(door: Door) -> None:
    silent, zero = replace(USE, input_tokens=None), replace(USE, input_tokens=0)
    facts, _ = door.usage([silent, zero], NOON)
    assert facts.content[0] != facts.content[1]


def test_microseconds_milliseconds_and_other_zones_of_a_file_are_one_moment(door: Door) -> None:
    moments = [
        pa.array([NOON], pa.timestamp("us", "UTC")),
        pa.array([NOON // 1000], pa.timestamp("ms", "UTC")),
        pa.array([NOON], pa.timestamp("us", "Asia/Tokyo")),
        pa.array([NOON * 1000], pa.timestamp("ns", "UTC")),
        pa.array([NOON], pa.int64()),
    ]
    contents = {
        int(door.usage_table(pa.table({"event_id": ["u"], "account_id": ["a"], "happened_at": at}), NOON)[0].content[0])
        for at in moments
    }
    assert len(contents) == 1
