from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from service.domain.time import DAY, HOUR
from service.features.campaign import (
    FEATURES,
    NEWCOMER,
    campaign_member_level,
    campaign_members_log,
    campaign_tie_level,
)
from service.features.catalogue import probe_columns
from service.features.columns import Columns, Int64s
from service.tiles.campaigns import CLEAR, MEASURES, NO_TIE, STRONG, Belonging
from service.tiles.history import FRAUD, LEGITIMATE


class Used:
    """Usage of one account that began so many microseconds ago; None: none."""

    def __init__(self, ago: int | None, as_of: int) -> None:
        self._first = None if ago is None else as_of - ago
        self.empty = ago is None

    def column(self, name: str, window: str) -> Int64s:  # noqa: ARG002  the same in every window
        if self._first is None:
            return np.array([np.iinfo(np.int64).max if name == "first_hour" else 0])
        return np.array([self._first if name == "first_hour" else 7])


def account(*, used_for: int | None = None, **measures: float) -> Columns:
    """One account with these measures, the others 0, in use for ``used_for`` microseconds (None: not used yet)."""
    values = np.array([[measures.get(name, 0.0) for name in MEASURES]])
    none = np.empty(0, np.int64)
    columns = probe_columns(n=1)
    used = Used(used_for, int(columns.as_of[0]))
    created = columns.as_of - 60 * DAY
    belongs = Belonging(values, np.ones(1, np.int64), none, none)
    return replace(columns, campaigns=belongs, usage=used, created_at=created)


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
def test_what_a_newcomers_tie_to_a_campaign_leads_to(measures: dict[str, float], level: int) -> None:
    for used_for in (None, HOUR, NEWCOMER):
        assert campaign_tie_level(account(used_for=used_for, **measures))[0] == level
    assert campaign_member_level(account(**measures))[0] == 0


def test_one_key_that_a_campaign_borrowed_is_not_held_against_people_who_have_long_been_there() -> None:
    clear, strong = {"tie": 5.0, "tie_grade": CLEAR}, {"tie": 13.0, "tie_grade": STRONG}
    long = NEWCOMER + HOUR
    assert campaign_tie_level(account(used_for=long, **clear))[0] == 0
    assert campaign_tie_level(account(used_for=long, tie_confirmed=1.0, **clear))[0] == 0
    assert campaign_tie_level(account(used_for=long, **strong))[0] == 2
    assert campaign_tie_level(account(used_for=long, tie_confirmed=1.0, **strong))[0] == 3


def test_an_account_in_no_campaign_has_zeros_and_not_unknowns() -> None:
    assert [float(feature(account())[0]) for feature in FEATURES] == [0.0] * len(FEATURES)


def test_the_size_of_a_campaign_counts_by_its_logarithm() -> None:
    assert campaign_members_log(account(**MEMBER | {"members": 127.0}))[0] == 7.0
