"""Facts of names and phone numbers."""

from __future__ import annotations

from math import isnan

import pytest

from service.domain.codes import code32
from service.domain.profile import country_number
from service.domain.raw import Signup
from service.signals.door import Door
from tests.service.signals.conftest import NOON, Told


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("Jane Doe", {"name_words": 2, "name_case": 0, "name_scripts": 1, "name_digits": 0, "name_length": 8}),
        ("jane doe", {"name_case": 1}),
        ("JANE DOE", {"name_case": 2}),
        ("jAnE DoE", {"name_case": 3}),
        ("Ludwig van Beethoven", {"name_case": 0, "name_words": 3}),
        ("Jean-Luc O'Neill", {"name_words": 2}),
        ("  Jane   Doe ", {"name_words": 2, "name_length": 8}),
        ("田中太郎", {"name_case": 4, "name_scripts": 1}),
        ("田中 さくら", {"name_scripts": 1}),  # Japanese mixes scripts by nature
        ("Jane Doe 123", {"name_digits": 3, "name_words": 2}),
        ("Иван Петров", {"name_homoglyphs": 0, "name_scripts": 1}),
        ("J\u0430ne Doe", {"name_homoglyphs": 1, "name_scripts": 2}),  # a Cyrillic letter among Latin ones
        ("xkcd qwrt", {"name_vowels": 0}),
        ("12345", {"name_words": 0, "name_case": 4}),
    ],
)
def test_a_name_says_how_it_was_written(told: Told, name: str, facts: dict[str, float]) -> None:
    shown = told(full_name=name)
    assert {fact: shown[fact] for fact in facts} == facts


def test_order_case_accents_and_lookalikes_do_not_hide_a_name(door: Door) -> None:
    names = ["José García", "garcia JOSE", "García, José", "J\u043esé García"]  # the last with a Cyrillic letter
    facts, _ = door.signups([Signup(f"a{i}", NOON, full_name=name) for i, name in enumerate(names)], NOON)
    keys = facts.links.key[facts.links.kind == code32("full_name")]
    assert len(keys) == 4
    assert len(set(keys.tolist())) == 1


@pytest.mark.parametrize(
    ("phone", "country", "facts"),
    [
        ("+4915112345678", "DE", {"phone_valid": 1, "phone_kind": 1, "phone_country_agrees": 1}),
        ("0151 12345678", "DE", {"phone_valid": 1, "phone_kind": 1}),
        ("+4915112345678", "FR", {"phone_valid": 1, "phone_country_agrees": 0}),
        ("+442079460018", "GB", {"phone_kind": 0}),
        ("+16502530000", "US", {"phone_kind": 2}),
        ("+445600123456", "GB", {"phone_kind": 3}),  # VoIP
        ("+18002530000", "US", {"phone_kind": 4}),
        ("+4915111111111", "DE", {"phone_variety": 2}),
        ("+15550001234", "US", {"phone_valid": 0, "phone_given": 1}),
        ("call me", "US", {"phone_valid": 0, "phone_given": 1}),
    ],
)
def test_a_phone_number_says_what_its_numbering_plan_knows(
    told: Told, phone: str, country: str, facts: dict[str, float]
) -> None:
    shown = told(phone=phone, country=country)
    assert {fact: shown[fact] for fact in facts} == facts


def test_the_country_of_a_number_is_known_without_the_accounts(told: Told) -> None:
    shown = told(phone="+4915112345678")
    assert shown["phone_country"] == country_number("DE")
    assert isnan(shown["phone_country_agrees"])


def test_a_national_number_means_what_the_rows_own_country_makes_of_it(door: Door) -> None:
    rows = [Signup("a", NOON, phone="01511234567", country="DE"), Signup("b", NOON, phone="01511234567", country="FR")]
    rows.append(Signup("c", NOON, phone="+491511234567"))
    facts, _ = door.signups(rows, NOON)
    phones = facts.links.take(facts.links.kind == code32("phone"))
    key = dict(zip(phones.account.tolist(), phones.key.tolist(), strict=True))
    german, french, international = facts.account.tolist()
    assert key[german] == key[international]
    assert key[german] != key[french]


def test_no_phone_is_said_and_all_else_about_it_unknown(told: Told) -> None:
    shown = told()
    assert shown["phone_given"] == 0
    assert isnan(shown["phone_valid"])
    assert isnan(shown["phone_verified"])
