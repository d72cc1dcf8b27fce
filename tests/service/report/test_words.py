import math

import pytest

from service.report.words import (
    count_of,
    expected,
    kind_words,
    minute,
    odds,
    probability,
    scientific,
    short_count,
    times,
    visible,
)
from tests.factories import NOON


@pytest.mark.parametrize(
    ("chance", "said"),
    [
        (0.0, "less than one in a million"),
        (9.9e-7, "less than one in a million"),
        (1e-6, "about 1 in 1,000,000"),
        (0.0123, "about 1 in 81"),
        (0.3, "about 1 in 3.3"),
        (0.9, "to be expected"),
        (math.nan, "not known"),
        (1.5, "not known"),
    ],
)
def test_a_chance_is_said_in_words_and_never_as_a_certainty(chance: float, said: str) -> None:
    assert odds(chance) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, "more than 99.9 %"),
        (0.99871, "99.9 %"),
        (0.5, "50.0 %"),
        (0.0, "less than 0.1 %"),
        (math.nan, "not known"),
    ],
)
def test_a_probability_is_never_rounded_to_none_or_all(share: float, said: str) -> None:
    assert probability(share) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "below 10⁻³⁰⁰"), (3.14e-8, "3.1 × 10⁻⁸"), (0.0341, "0.034"), (1.0, "1"), (math.nan, "-")],
)
def test_small_numbers_are_written_as_powers_of_ten(value: float, said: str) -> None:
    assert scientific(value) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (1_284_331, "1,284,331"), (12_843_310, "12.8 million"), (3_410_000_000, "3.41 thousand million")],
)
def test_large_counts_are_short_and_mean_the_same_in_every_country(number: int, said: str) -> None:
    assert short_count(number) == said


@pytest.mark.parametrize(
    ("nats", "said"),
    [(0.0, "no difference"), (3.0, "20 times"), (-0.2, "1.2 times less"), (50.0, "more than a million times")],
)
def test_a_weight_is_said_as_a_factor(nats: float, said: str) -> None:
    assert times(nats) == said


def test_expected_counts_small_and_large() -> None:
    assert [expected(number) for number in (0.0, 0.004, 0.041, 12.4, 4031.0)] == [
        "0",
        "less than 0.01",
        "0.041",
        "12",
        "4,031",
    ]


def test_one_is_not_a_plural_and_a_moment_names_its_zone() -> None:
    assert count_of(1, "account") == "1 account"
    assert count_of(1250, "account") == "1,250 accounts"
    assert minute(NOON) == "22 April 2026, 12:00 UTC"


def test_a_kind_of_key_that_nobody_wrote_words_for_is_still_readable() -> None:
    assert kind_words("bin_week") == "bin week"
    assert kind_words("custom.referral") == "your own key “referral”"


def test_marks_that_turn_writing_around_are_written_out() -> None:
    assert visible("moc.\u202egro") == "moc.<U+202E>gro"
    assert visible("a\x00b\ud800") == "a<U+0000>b<U+D800>"
    assert visible("Zoë 渡辺 👋\n") == "Zoë 渡辺 👋\n"
