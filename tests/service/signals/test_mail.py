"""Facts of e-mail addresses, on addresses as they occur."""

from __future__ import annotations

from math import isnan

import pytest

from service.domain.codes import code32
from service.domain.raw import Signup
from service.signals.door import Door
from service.signals.mail import MailReader, name_overlap
from tests.service.signals.conftest import NOON, Told


@pytest.mark.parametrize(
    ("email", "facts"),
    [
        ("John.Smith84+news@Gmail.com", {"mail_free": 1, "mail_plus_tag": 1, "mail_dots": 1, "mail_last_digits": 2}),
        ("anna@googlemail.com", {"mail_free": 1, "mail_plus_tag": 0, "mail_dots": 0}),
        ("anna@yahoo.co.uk", {"mail_free": 1, "mail_suffix_class": 1}),
        ("anna@outlook.fr", {"mail_free": 1}),
        ("anna@notyahoo.com", {"mail_free": 0}),
        ("a@mailinator.com", {"mail_disposable": 1, "mail_free": 0}),
        ("a@inbox.mailinator.com", {"mail_disposable": 1, "mail_domain_depth": 2}),
        ("x7@privaterelay.appleid.com", {"mail_relay": 1, "mail_disposable": 0}),
        ("a@duck.com", {"mail_relay": 1, "mail_disposable": 0}),
        ("a@stanford.edu", {"mail_education": 1, "mail_suffix_class": 0}),
        ("a@cs.ox.ac.uk", {"mail_education": 1, "mail_domain_depth": 2, "mail_suffix_class": 1}),
        ("a@uni-mainz.de", {"mail_education": 1}),
        ("a@unicorn.de", {"mail_education": 0}),
        ("a@startup.xyz", {"mail_suffix_class": 2, "mail_free": 0}),
        ("a@home.ddns.net", {"mail_suffix_shared": 1}),
        ("a@firma.de", {"mail_suffix_shared": 0, "mail_domain_length": 5, "mail_domain_depth": 1}),
        ("info@firma.de", {"mail_role": 1}),
        ("inform@firma.de", {"mail_role": 0}),
        ("qwkzjxhv93k@firma.de", {"mail_consonants": 8, "mail_vowels": 0, "mail_switches": 2}),
        ("12345678@qq.com", {"mail_digits": 1, "mail_last_digits": 8, "mail_free": 1}),
        ("anna.meier@firma.de", {"mail_two_names": 1}),
        ("annameier@firma.de", {"mail_two_names": 0}),
        ("aaaa@firma.de", {"mail_entropy": 0}),
        ("abcd@firma.de", {"mail_entropy": 2}),
    ],
)
def test_an_address_says_what_kind_of_mailbox_it_is(told: Told, email: str, facts: dict[str, float]) -> None:
    shown = told(email=email)
    assert shown["mail_valid"] == 1
    assert {name: shown[name] for name in facts} == facts


def test_an_international_domain_counts_by_what_people_see(told: Told) -> None:
    typed, encoded = told(email="jörg@müller.de"), told(email="jörg@xn--mller-kva.de")
    assert str(typed) == str(encoded)  # NaN equals itself here
    assert typed["mail_domain_idn"] == 1
    assert typed["mail_domain_length"] == len("müller")


@pytest.mark.parametrize(
    ("email", "lookalikes"),
    [
        ("p\u0430ypal@gmail.com", 1),  # the second letter is Cyrillic
        ("info@\u0430\u0440\u0440\u04cf\u0435.com", 5),  # all of them are, which a browser shows as apple
        ("иван@почта.рф", 0),  # honest Cyrillic
        ("paypal@gmail.com", 0),
        ("jörg@müller.de", 0),
    ],
)
def test_letters_that_only_look_latin_are_counted(told: Told, email: str, lookalikes: int) -> None:
    assert told(email=email)["mail_homoglyphs"] == lookalikes


@pytest.mark.parametrize("email", ["no-at-sign", "@firma.de", "anna@", "   ", "\x00"])
def test_what_is_no_address_is_a_fact_and_nothing_else_is_known_of_it(told: Told, email: str) -> None:
    shown = told(email=email)
    assert shown["mail_valid"] == 0
    assert isnan(shown["mail_free"])
    assert isnan(shown["mail_length"])
    assert shown["fields_given"] == 1


@pytest.mark.parametrize("email", ["anna@localhost", "anna@firma..de", "anna meier@firma.de", "a@b@firma.de"])
def test_an_address_that_cannot_receive_mail_still_links(door: Door, email: str) -> None:
    facts, rejections = door.signups([Signup("a", NOON, email=email), Signup("b", NOON, email=email)], NOON)
    assert not rejections
    assert facts.profile[0, 0] == 0
    boxes = facts.links.key[facts.links.kind == code32("mailbox")]
    assert len(boxes) == 2
    assert boxes[0] == boxes[1]


def test_no_address_is_not_a_bad_address(told: Told) -> None:
    assert isnan(told()["mail_valid"])
    assert isnan(told(email="")["mail_valid"])


@pytest.mark.parametrize(
    ("local", "words", "share"),
    [
        ("john.smith84", ("john", "smith"), 1.0),
        ("jsmith", ("john", "smith"), 1.0),
        ("smith.j", ("john", "smith"), 1.0),
        ("js", ("john", "smith"), 1.0),
        ("alex", ("alexander", "koch"), 1.0),
        ("johnny", ("john", "smith"), 4 / 6),
        ("shadowking99", ("john", "smith"), 0.0),
        ("jürgen", ("jurgen", "groß"), 1.0),
    ],
)
def test_a_name_explains_the_mailbox_named_after_it(local: str, words: tuple[str, ...], share: float) -> None:
    assert name_overlap(local, words) == pytest.approx(share)


def test_a_name_in_another_script_says_nothing_about_the_mailbox(told: Told) -> None:
    assert isnan(told(email="vanya@mail.ru", full_name="Иван Петров")["mail_name_overlap"])
    assert told(email="ivan.petrov@mail.ru", full_name="Ivan Petrov")["mail_name_overlap"] == 1


def test_one_reader_answers_the_same_from_its_cache() -> None:
    reader = MailReader()
    assert reader.read("a@firma.de")[0] == reader.read("a@firma.de")[0] == MailReader().read("a@firma.de")[0]
