from __future__ import annotations

import pytest

from service.domain.time import DAY, HOUR
from tests.factories import NOON
from training.report.axes import Linear, Log, Panel, Time, count_scale
from training.report.phrases import amount, days, duration, percent, round_percent, short_when


def said(scale: Linear | Log | Time) -> list[str]:
    return [text for _, text in scale.ticks()]


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis() -> None:
    axis = Log(0.0001, 1.0)
    assert axis.place(0.001) - axis.place(0.0001) == pytest.approx(axis.place(1.0) - axis.place(0.1))
    assert said(axis) == ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"]


def test_nothing_at_all_has_a_place_of_its_own_on_a_logarithmic_axis() -> None:
    axis = Log(0.001, 1.0, zero=True)
    assert axis.place(0.0) == 0.0
    assert 0 < axis.place(0.0001) == axis.place(0.001) < axis.place(0.002)
    assert said(axis)[0] == "0"


def test_an_axis_of_two_decades_has_ticks_between_the_powers_of_ten() -> None:
    assert said(Log(0.01, 1.0)) == ["1 %", "2 %", "5 %", "10 %", "20 %", "50 %", "100 %"]


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, ["0", "1"]),
        (1, ["0", "1"]),
        (7, ["0", "5", "10"]),
        (230, ["0", "200", "400"]),
        (65_000, ["0", "50k", "100k"]),
        (3_400_000, ["0", "2M", "4M"]),
    ],
)
def test_an_axis_of_counts_ends_at_a_round_number_beyond_the_largest(most: int, ticks: list[str]) -> None:
    scale = count_scale(most)
    assert scale.high >= most
    assert said(scale) == ticks


@pytest.mark.parametrize("days_long", [0, 0.2, 1, 3, 15, 45, 400])
def test_an_axis_of_time_has_some_dates_and_not_too_many(days_long: float) -> None:
    assert 1 <= len(Time(NOON, NOON + int(days_long * DAY)).ticks()) <= 9


def test_dates_are_round_days_and_hours_where_the_time_is_short() -> None:
    assert said(Time(NOON, NOON + 3 * DAY, most=4)) == ["23 Apr", "24 Apr", "25 Apr"]
    assert said(Time(NOON, NOON + 9 * HOUR, most=4)) == ["22 Apr 12:00", "22 Apr 15:00", "22 Apr 18:00", "22 Apr 21:00"]


def test_a_step_line_holds_each_value_until_the_next() -> None:
    panel = Panel(0, 0, 100, 10, Linear(0, 10), Linear(0, 10))
    assert 'd="M0.0 10.0H50.0V5.0H100.0V0.0"' in panel.steps([(0, 0), (5, 5), (10, 10)], "mine")


def test_an_axis_goes_below_zero() -> None:
    assert said(Linear(-1, 1, most=4)) == ["−1.0", "−0.5", "0", "0.5", "1.0"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.00052, "0.052 %"),
        (0.0412, "4.1 %"),
        (0.973, "97.3 %"),
        (0.9999, "100.0 %"),
        (None, "-"),
    ],
)
def test_shares_have_the_digits_that_mean_something(share: float | None, text: str) -> None:
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


def test_other_numbers_are_told_as_people_write_them() -> None:
    assert [amount(value) for value in (12345, 0.73456, 15.0, True, None, 0.00001234, float("nan"))] == [
        "12,345", "0.735", "15", "yes", "-", "1.23e-05", "-"
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (4.25, 1234, 7300)] == ["4.25 s", "21 min", "2 h 2 min"]
    assert [days(value) for value in (0.01, 0.25, 3.21, None)] == ["14 min", "6 h", "3.2 days", "-"]
    assert round_percent(0.001).split() == ["0.1", "%"]
    assert short_when("2026-04-22T12:00:00Z").split() == ["22", "Apr", "2026,", "12:00"]
    assert short_when("soon") == "soon"
