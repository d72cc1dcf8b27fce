from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from service.features.campaign import FEATURES, campaign_member_level, campaign_members_log, campaign_tie_level
from service.features.catalogue import probe_columns
from service.features.columns import Columns
from service.tiles.campaigns import CLEAR, MEASURES, NO_TIE, STRONG, Belonging
from service.tiles.history import FRAUD, LEGITIMATE


def account(**measures: float) -> Columns:
    """One account with these measures; the others are 0."""
    values = np.array([[measures.get(name, 0.0) for name in MEASURES]])
    none = np.empty(0, np.int64)
    return replace(probe_columns(n=1), campaigns=Belonging(values, np.ones(1, np.int64), none, none))


MEMBER = {"belongs": 1.0, "members": 40.0, "membership": 0.8}


@pytest.mark.parametrize(
    ("measures", "level"),
    [
        ({}, 0),
        (MEMBER | {"score": 0.9}, 1),
        (MEMBER | {"score": 0.99}, 2),
        (MEMBER | {"score": math.nan}, 1),
        (MEMBER | {"score": 0.9, "confirmed": 1.0}, 3),
        (MEMBER | {"score": math.nan, "confirmed": 1.0}, 3),
        (MEMBER | {"score": 0.9, "confirmed": 1.0, "verdict": FRAUD}, 2),
        (MEMBER | {"score": 0.9, "verdict": FRAUD}, 1),
        (MEMBER | {"score": 1.0, "confirmed": 1.0, "verdict": LEGITIMATE}, 0),
    ],
)
def test_what_belonging_to_a_campaign_leads_to(measures: dict[str, float], level: int) -> None:
    assert campaign_member_level(account(**measures))[0] == level
    assert campaign_tie_level(account(**measures))[0] == 0


@pytest.mark.parametrize(
    ("measures", "level"),
    [
        ({"tie": 20.0, "tie_grade": NO_TIE, "tie_confirmed": 1.0}, 0),
        ({"tie": 5.0, "tie_grade": CLEAR}, 1),
        ({"tie": 13.0, "tie_grade": STRONG}, 2),
        ({"tie": 5.0, "tie_grade": CLEAR, "tie_confirmed": 1.0}, 3),
        ({"tie": 13.0, "tie_grade": STRONG, "tie_confirmed": 1.0, "verdict": FRAUD}, 2),
        ({"tie": 13.0, "tie_grade": STRONG, "tie_confirmed": 1.0, "verdict": LEGITIMATE}, 0),
    ],
)
def test_what_a_tie_to_a_campaign_leads_to(measures: dict[str, float], level: int) -> None:
    assert campaign_tie_level(account(**measures))[0] == level
    assert campaign_member_level(account(**measures))[0] == 0


def test_an_account_in_no_campaign_has_zeros_and_not_unknowns() -> None:
    assert [float(feature(account())[0]) for feature in FEATURES] == [0.0] * len(FEATURES)


def test_the_size_of_a_campaign_counts_by_its_logarithm() -> None:
    assert campaign_members_log(account(**MEMBER | {"members": 127.0}))[0] == 7.0
