from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import sketch

VOCABULARY = [a + b for a in "bdfgklmnprst" for b in ("a", "en", "ilo", "or", "ust", "ash", "ee", "y", "ock", "ane")]
WORDS = [one + other for one in VOCABULARY for other in VOCABULARY[::7]]


def prompt(rng: random.Random, words: int) -> list[str]:
    """Words as unevenly common as in a language."""
    return rng.choices(WORDS, [1 / (rank + 1) for rank in range(len(WORDS))], k=words)


def differing_bits(one: list[str], other: list[str]) -> int:
    return (sketch(" ".join(one)).prompt_simhash ^ sketch(" ".join(other)).prompt_simhash).bit_count()


@pytest.mark.parametrize("length", [100, 400, 1500])
def test_a_prompt_with_one_word_in_a_hundred_changed_mostly_stays_within_four_bits(length: int) -> None:
    rng = random.Random(7)
    close = 0
    for _ in range(200):
        one = prompt(rng, length)
        other = list(one)
        for _ in range(length // 100):
            other[rng.randrange(length)] = rng.choice(WORDS)
        close += differing_bits(one, other) <= 4

    assert close > 100


@pytest.mark.parametrize("length", [30, 100, 1500])
def test_unrelated_prompts_differ_in_about_half_of_the_bits(length: int) -> None:
    rng = random.Random(8)
    bits = [differing_bits(prompt(rng, length), prompt(rng, length)) for _ in range(200)]

    assert 25 < sum(bits) / len(bits) < 36
    assert min(bits) > 4


def test_prompts_of_one_template_share_the_prefix_hash_whatever_is_filled_in() -> None:
    template = "You are a careful assistant. Rewrite the product description below so that it reads well in plain "
    one, other = sketch(template + "English: a lamp"), sketch(template + "English: " + "a very long text " * 50)

    assert one.prompt_prefix_hash == other.prompt_prefix_hash
    assert one.prompt_simhash != other.prompt_simhash
    assert sketch("An entirely different way to begin").prompt_prefix_hash != one.prompt_prefix_hash


def test_case_spacing_punctuation_width_and_numbers_do_not_matter() -> None:
    plain = sketch("translate invoice 17 of 2026 into french please")

    assert sketch("Translate   INVOICE 99887, of 1999\ninto French -- please!") == plain
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "translate")
    assert sketch(f"{wide} invoice 7 of 2026 into french please") == plain


def test_scripts_without_spaces_are_compared_by_their_characters() -> None:
    one = "次の文章をわかりやすい日本語に書き直してください。内容は変えないでください。" * 3
    other = one.replace("内容", "意味", 1)

    assert differing_bits([one], [other]) < differing_bits(
        [one], ["今日の東京の天気を教えてください。傘は必要ですか。" * 3]
    )


def test_a_prompt_without_words_says_nothing() -> None:
    assert sketch("") == sketch(" \n\t…!?") == (0, 0)


def test_the_hashes_are_those_that_other_clients_must_make() -> None:
    assert sketch("Hello, world 42") == (KNOWN_PREFIX, KNOWN_SIMHASH)


KNOWN_PREFIX = 10224874048200616055
KNOWN_SIMHASH = 9057835079496050310


@given(st.text())
def test_any_text_has_two_unsigned_hashes_of_64_bits(text: str) -> None:
    prefix, simhash = sketch(text)

    assert 0 <= prefix < 2**64
    assert 0 <= simhash < 2**64
    assert (prefix == 0) == (simhash == 0)
    assert sketch(text) == (prefix, simhash)


def test_a_lone_surrogate_and_a_very_long_text_are_hashed_all_the_same() -> None:
    assert sketch("\ud800 word").prompt_simhash > 0
    assert sketch("word " * 400_000).prompt_simhash > 0
