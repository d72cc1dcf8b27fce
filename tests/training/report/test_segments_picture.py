from __future__ import annotations

import re
from typing import Any

from training.report.segments_picture import MOST_VALUES, segments_picture


def row(value: str, accounts: int, share: float, low: float, high: float, segment: str = "country") -> dict[str, Any]:
    return {
        "segment": segment,
        "value": value,
        "accounts": accounts,
        "touched": round(share * accounts),
        "share": share,
        "low": low,
        "high": high,
    }


def test_a_segment_is_marked_only_where_its_whole_interval_is_beyond_the_budget() -> None:
    rows = [row("a", 900, 0.0, 0, 0.004), row("b", 900, 0.002, 0.0005, 0.008), row("c", 900, 0.05, 0.03, 0.07)]
    made = str(segments_picture(rows, 0.001))
    assert re.findall(r'<circle class="(\w+)"', made) == ["mine", "other", "harm"]
    assert "1 value beyond the budget" in made


def test_a_small_segment_beyond_the_budget_is_shown_however_many_larger_ones_there_are() -> None:
    rows = [row(f"v{i}", 1000 + i, 0.0, 0, 0.004) for i in range(30)] + [row("tiny", 20, 0.3, 0.15, 0.5)]
    made = str(segments_picture(rows, 0.001))
    assert made.count("<circle") == MOST_VALUES + 1
    assert "tiny" in made
    assert f"{30 - MOST_VALUES} smaller ones are in report.json" in made


def test_the_budgets_line_lies_where_its_share_lies() -> None:
    made = str(segments_picture([row("a", 900, 0.001, 0.0005, 0.004)], 0.001))
    (line,) = re.findall(r'<path class="budget" d="M([\d.]+) \d+V', made)
    (dot,) = re.findall(r'cx="([\d.]+)"', made)
    assert line == dot


def test_without_accounts_there_is_no_picture() -> None:
    assert segments_picture([], 0.001) == ""
    assert segments_picture([row("a", 0, 0, 0, 1)], 0.001) == ""


def test_an_interval_that_ends_far_below_all_shares_does_not_stretch_the_axis() -> None:
    rows = [row("a", 900, 0.01, 0.004, 0.02), row("b", 900, 0.0002, 1e-11, 0.004)]
    made = str(segments_picture(rows, 0.001))
    assert ">0.01 %<" in made
    assert ">0.001 %<" not in made


def test_weighed_accounts_have_no_more_digits_than_matter() -> None:
    made = str(segments_picture([{**row("a", 900, 0.01, 0.004, 0.02), "accounts": 867.41, "touched": 3.2555}], 0.001))
    assert "3.3 of 867 ·" in made


def test_without_a_budget_nothing_is_judged() -> None:
    made = str(segments_picture([row("a", 900, 0.5, 0.4, 0.6)], None))
    assert 'class="mine"' in made
    assert "budget" not in made
