"""What two accounts may share, and what is not a link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.codes import code32
from service.domain.parsed import ParsedAddress, ParsedMail, ParsedName, ParsedPhone
from service.keys.address import ip, ip_net
from service.keys.kinds import KIND_BY_CODE, KINDS
from service.keys.mail import mail_domain, mail_shape, mailbox, shape_by_runs, shape_of
from service.keys.own import custom, custom_code, custom_kind
from service.keys.payment import card, card_bin
from service.keys.person import device, full_name, phone
from service.keys.prompt import template


@pytest.mark.parametrize(
    ("spellings", "same"),
    [
        (("j.smith@gmail.com", "jsmith@gmail.com", "j.s.m.i.t.h+news@googlemail.com", "jsmith+x+y@gmail.com"), True),
        (("j.smith@example.org", "jsmith@example.org"), False),
        (("anna+shop@example.org", "anna@example.org"), True),
        (("anna@me.com", "anna@icloud.com", "anna@mac.com"), True),
        (("an-na@proton.me", "anna@protonmail.com", "an.na@pm.me"), True),
        (("anna-shop@yahoo.com", "anna@yahoo.com"), True),
        (("anna-shop@example.org", "anna@example.org"), False),
        (("anna@hotmail.com", "anna@outlook.com"), False),
        (("anna@yandex.ru", "anna@ya.ru"), True),
    ],
)
def test_spellings_of_one_mailbox_are_one_key_and_different_mailboxes_are_not(
    spellings: tuple[str, ...], same: bool
) -> None:
    keys = {mailbox(_mail(text)) for text in spellings}
    assert len(keys) == (1 if same else len(spellings))


def test_a_mailbox_that_is_nothing_but_a_tag_is_kept_as_it_is() -> None:
    assert mailbox(_mail("+news@example.org")) == "+news@example.org"


def test_the_domain_of_a_free_provider_is_a_key_too() -> None:
    assert mail_domain(_mail("anna@googlemail.com")) == "gmail.com"


@pytest.mark.parametrize(
    ("local", "shape"),
    [
        ("john.smith84", "a.a00"),
        ("li.wu07", "a.a00"),
        ("jürgen.groß", "a.a"),
        ("x8k2m", "a0a0a"),
        ("anna+tag99", "a"),
        ("a_b-c", "a_a-a"),
        ("名前7", "a0"),
    ],
)
def test_names_made_by_one_pattern_share_a_shape(local: str, shape: str) -> None:
    assert mail_shape(_mail(f"{local}@corp.example")) == f"{shape}@corp.example"


@given(st.text(st.characters(max_codepoint=127)))
def test_the_short_way_to_a_shape_ends_where_the_long_one_does(local: str) -> None:
    assert shape_of(local) == shape_by_runs(local)


def test_an_ipv6_subscriber_is_a_slash_64_and_an_ipv4_subscriber_one_address() -> None:
    one, other = bytes.fromhex("20010db8000100020000000000000001"), bytes.fromhex("20010db800010002ffffffffffffffff")
    assert ip(ParsedAddress(6, one)) == ip(ParsedAddress(6, other))
    assert ip(ParsedAddress(4, bytes([81, 2, 69, 160]))) != ip(ParsedAddress(4, bytes([81, 2, 69, 161])))


def test_neighbours_share_a_network_of_slash_24_or_slash_48() -> None:
    assert ip_net(ParsedAddress(4, bytes([81, 2, 69, 1]))) == ip_net(ParsedAddress(4, bytes([81, 2, 69, 254])))
    assert ip_net(ParsedAddress(4, bytes([81, 2, 69, 1]))) != ip_net(ParsedAddress(4, bytes([81, 2, 70, 1])))
    near, far = bytes.fromhex("20010db80001ffff" + "00" * 8), bytes.fromhex("20010db80002ffff" + "00" * 8)
    assert ip_net(ParsedAddress(6, near)) == ip_net(ParsedAddress(6, near[:6] + b"\1" * 10))
    assert ip_net(ParsedAddress(6, near)) != ip_net(ParsedAddress(6, far))


def test_the_address_of_nobody_links_nobody() -> None:
    assert ip(ParsedAddress(4, bytes(4))) is None
    assert ip_net(ParsedAddress(6, bytes(16))) is None


def test_a_name_links_in_any_order_and_one_word_is_no_full_name() -> None:
    assert full_name(ParsedName(("jane", "doe"))) == full_name(ParsedName(("doe", "jane")))
    assert full_name(ParsedName(("jane",))) is None


@pytest.mark.parametrize("nothing", ["unknown", "NULL", " undefined ", "00000000-0000-0000-0000-000000000000", "0"])
def test_what_stands_for_no_device_links_nobody(nothing: str) -> None:
    assert device(nothing) is None


def test_a_device_id_is_taken_as_it_is() -> None:
    assert device(" aB3-x ") == "aB3-x"


def test_issuers_that_give_six_or_eight_digits_of_a_bin_meet_in_the_first_six() -> None:
    assert card_bin("45717360") == card_bin("457173") == "457173"


def test_a_card_is_its_fingerprint_and_a_phone_its_number() -> None:
    assert card(" fp_1 ") == "fp_1"
    assert card("  ") is None
    assert phone(ParsedPhone("+4915112345678")) == "+4915112345678"


def test_a_template_is_the_same_key_from_a_signed_and_an_unsigned_hash() -> None:
    assert template(2**64 - 5) == template(-5) == "fffffffffffffffb"
    assert template(0) is None


def test_a_customers_own_kinds_are_named_by_them() -> None:
    assert custom_kind("referral_code") == "custom.referral_code"
    assert custom_code("referral_code") == code32("custom.referral_code")
    assert custom(" abc ") == "abc"
    assert custom(" ") is None


def test_every_kind_is_known_by_its_code_and_says_what_it_means_and_what_honest_sharing_is() -> None:
    assert [kind.name for kind in KINDS] == [
        "mailbox",
        "mail_domain",
        "mail_shape",
        "phone",
        "device",
        "ip",
        "ip_net",
        "full_name",
        "card",
        "card_bin",
        "template",
    ]
    for kind in KINDS:
        assert kind.code == code32(kind.name)
        assert KIND_BY_CODE[kind.code] is kind
        assert kind.meaning
        assert kind.honest


def _mail(text: str) -> ParsedMail:
    local, _, domain = text.rpartition("@")
    return ParsedMail(local, domain)
