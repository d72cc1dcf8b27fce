"""What is told on a short way is what the library, or the plain reading, tells."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import numpy as np
import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from service.domain.profile import country_number
from service.signals import letters, mail, name, numbering
from service.signals.address import _ORDINARY_4, _ORDINARY_6, _public, parse_address
from service.signals.phone import _KIND, _OTHER_KIND, read_phone

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
FORMATS = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL)


def by_the_library(text: str, country: str | None) -> tuple[list[float], str | None]:
    """Facts of a number and its E.164 form, by the library's own functions alone; NaN as -1."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return [1.0, 0.0, -1.0, -1.0, -1.0, -1.0], None
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    variety = float(len(set(str(number.national_number))))
    if not phonenumbers.is_valid_number(number):
        return [1.0, 0.0, -1.0, -1.0, -1.0, variety], e164
    region = phonenumbers.region_code_for_number(number)
    real = region is not None and len(region) == 2 and region.isalpha()
    kind = float(_KIND.get(phonenumbers.number_type(number), _OTHER_KIND))
    agrees = float(region == country) if country and real else -1.0
    return [1.0, 1.0, kind, float(country_number(region)) if real else -1.0, agrees, variety], e164


def ours(text: str, country: str | None) -> tuple[list[float], str | None]:
    """The same by the door."""
    facts, parsed = read_phone(text, country)
    return np.nan_to_num(facts, nan=-1.0).tolist(), parsed.e164 if parsed else None


def samples() -> list[tuple[str, str]]:
    """A real number of every kind of every plan in three spellings, with its country."""
    kinds = [value for key, value in vars(PhoneNumberType).items() if key.isupper()]
    numbers = [
        (number, region)
        for region in REGIONS
        for kind in kinds
        if (number := phonenumbers.example_number_for_type(region, kind)) is not None
    ]
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        number = phonenumbers.example_number_for_non_geo_entity(code)
        if number is not None:
            numbers.append((number, "DE"))
    return [(phonenumbers.format_number(number, form), region) for number, region in numbers for form in FORMATS]


SAMPLES = samples()


def test_every_numbering_plan_is_read_as_the_library_reads_it() -> None:
    plain = [text for text, _ in SAMPLES if numbering.split(text) is not None]
    assert len(plain) > len(SAMPLES) // 4  # most of those in E.164
    assert [each for each in SAMPLES if ours(*each) != by_the_library(*each)] == []


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SAMPLES), st.sampled_from([None, *REGIONS]), st.randoms(use_true_random=False))
def test_a_number_with_slips_is_read_as_the_library_reads_it(
    sample: tuple[str, str], country: str | None, draw: random.Random
) -> None:
    text, home = sample
    slipped = list(text)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(slipped))
        slipped[at : at + draw.randint(0, 1)] = draw.choice(["", *"0123456789 -"])
        slipped = slipped or ["+"]
    for where in (home, country):
        assert ours("".join(slipped), where) == by_the_library("".join(slipped), where)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(numbering.REGIONS_OF)), st.from_regex(r"[0-9]{1,13}", fullmatch=True))
@example(44, "02079460018")
@example(39, "0236618300")
@example(1, "0000000000")
def test_any_digits_behind_a_calling_code_are_read_as_the_library_reads_them(code: int, digits: str) -> None:
    assert ours(f"+{code}{digits}", "DE") == by_the_library(f"+{code}{digits}", "DE")


locals_ = st.text("abcxyzAZ019._+-", min_size=1, max_size=70) | st.text(min_size=1, max_size=20)
domains = (
    st.text("abcxyzAZ019.-", min_size=1, max_size=70)
    | st.sampled_from(
        ["gmail.com", "Web.DE", "x.test", "xn--mnchen-3ya.de", "m\u00fcller.de", "localhost", "a.invalid"]
    )
    | st.text(min_size=1, max_size=20)
)


@settings(max_examples=600, deadline=None)
@given(locals_, domains)
@example("a" * 64, "example.com")
@example("a" * 65, "example.com")
@example("a" * 64, ".".join(["b" * 63] * 2 + ["c" * 57, "com"]))  # 254 characters in all
@example("a" * 64, ".".join(["b" * 63] * 2 + ["c" * 58, "com"]))
@example("first.last", "example.com.")
@example("first..last", "example.com")
def test_a_plain_mail_address_is_read_as_the_library_reads_it(local: str, domain: str) -> None:
    assert mail._sides(f"{local}@{domain}") == mail._checked_sides(f"{local}@{domain}")


def test_plain_mail_addresses_do_not_reach_the_library_each(monkeypatch: pytest.MonkeyPatch) -> None:
    mail._sides("somebody@shortcut.example.org")

    def reached(_: str) -> None:
        raise AssertionError("the domain is known already")

    monkeypatch.setattr(mail, "_checked_sides", reached)
    assert mail._sides("Some.Body+1@shortcut.example.org") == ("some.body+1", "shortcut.example.org", True)


@given(st.ip_addresses())
@example(IPv4Address("192.0.0.9"))
@example(IPv6Address("2001:db8::1"))
@example(IPv6Address("3fff::1"))
def test_an_address_is_public_where_the_registries_say_so(address: IPv4Address | IPv6Address) -> None:
    parsed = parse_address(str(address))
    assert parsed is not None
    if parsed.version == address.version:  # an IPv4 address in IPv6 is the IPv4 address
        assert _public(parsed, str(address)) == address.is_global


@pytest.mark.parametrize(("kind", "ordinary"), [(IPv4Address, _ORDINARY_4), (IPv6Address, _ORDINARY_6)])
def test_no_range_with_a_purpose_of_its_own_is_taken_for_the_internet_at_large(
    kind: type[IPv4Address | IPv6Address], ordinary: frozenset[int]
) -> None:
    for each in [*kind._constants._private_networks, IPv4Network("100.64.0.0/10")]:  # the latter is carriers' own
        if each.version == kind(0).version:
            first, last = each.network_address.packed[0], each.broadcast_address.packed[0]
            assert not ordinary & set(range(first, last + 1)), each


@given(st.text(max_size=40))
def test_letters_are_measured_as_a_person_would_count_them(text: str) -> None:
    n = len(text)
    bits = sum(-(k / n) * np.log2(k / n) for k in (text.count(c) for c in sorted(set(text))))
    assert letters.entropy(text) == float(bits)
    plain = letters.plain(text)
    latin = [c for c in plain if "a" <= c <= "z"]
    share = sum(c in "aeiouy" for c in latin) / len(latin) if latin else None
    assert letters.vowel_share(plain) == share or (share is None and np.isnan(letters.vowel_share(plain)))
    assert letters.scripts(text) == len({letters.script(c) for c in text if c.isalpha()} - {""})
    assert name.read_name(text)[0].name_scripts == letters.scripts(" ".join(text.split()))
