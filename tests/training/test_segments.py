from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from service.domain.profile import PROFILE, PROFILE_INDEX, country_number
from training.kinship import Kin
from training.segments import by_segment, interval, segments_of


def test_each_value_of_each_segment_has_its_share_and_an_exact_interval() -> None:
    country = ["DE"] * 300 + ["FR"] * 100
    touched = np.arange(400) % 100 == 0  # three in DE, one in FR
    found = by_segment({"country": country}, touched, np.ones(400))
    assert [(one.value, one.accounts, one.touched) for one in found] == [("DE", 300, 3), ("FR", 100, 1)]
    german = found[0]
    assert german.share == pytest.approx(0.01)
    assert binom.cdf(3, 300, german.high) == pytest.approx(0.025)
    assert 1 - binom.cdf(2, 300, german.low) == pytest.approx(0.025)


def test_a_segment_whose_accounts_are_touched_together_is_known_less_well() -> None:
    touched, ones = np.arange(400) < 20, np.ones(400)
    apart = by_segment({"mail": ["free"] * 400}, touched, ones, np.arange(400))[0]
    together = by_segment({"mail": ["free"] * 400}, touched, ones, np.arange(400) // 20)[0]
    assert apart.share == together.share == 0.05
    assert together.low < apart.low < apart.high < together.high


def test_weights_count_as_so_many_accounts() -> None:
    found = by_segment({"plan": ["a", "a", "b"]}, np.array([True, False, False]), np.array([0.5, 1.5, 1.0]))
    assert (found[0].accounts, found[0].touched) == (2.0, 0.5)


def test_a_segment_of_nobody_says_nothing() -> None:
    assert interval(0.0, 0.0, 0.95) == (0.0, 1.0)
    assert by_segment({"plan": []}, np.zeros(0, bool), np.zeros(0)) == []
    assert by_segment({"plan": ["a"]}, np.ones(1, bool), np.zeros(1))[0].share == 0.0


def test_segments_are_named_by_what_the_product_knows() -> None:
    profile = np.full((4, len(PROFILE)), np.nan, np.float32)
    profile[0, PROFILE_INDEX["country"]] = country_number("DE")
    profile[1, PROFILE_INDEX["country"]] = country_number("ZZ")
    profile[2, PROFILE_INDEX["country"]] = country_number("AA")
    profile[0, PROFILE_INDEX["plan"]] = 7
    profile[:3, PROFILE_INDEX["mail_free"]] = [1, 0, 0]
    profile[:3, PROFILE_INDEX["mail_education"]] = [0, 1, 0]
    kin = Kin(np.array([0, 1, 1, 2]), np.array([1, 25, 25, 2]), ("", "card", "card", "ip"))
    found = segments_of(profile, kin)
    assert found["country"] == ("DE", "ZZ", "AA", "unknown")
    assert found["plan"] == ("hash 7", "unknown", "unknown", "unknown")
    assert found["mail"] == ("free", "education", "own domain", "none")
    assert found["group"] == (
        "on its own",
        "card, 20 or more accounts",
        "card, 20 or more accounts",
        "ip, fewer than 20",
    )
