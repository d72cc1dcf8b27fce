from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from service.domain.time import HOUR, rfc3339
from tests.factories import NOON
from tests.training.report.backtests import make_backtest
from tests.training.report.pages import check_page, text_of
from training.report.backtest_page import backtest_page, write_backtest_report
from training.report.campaign_pictures import MOST


def campaign(name: str, **parts: Any) -> dict[str, Any]:
    line = [
        {"at": rfc3339(NOON + i * HOUR), "members": i, "caught": i // 2, "exchanges": 9 * i, "exchanges_let_through": i}
        for i in range(5)
    ]
    return {
        "campaign_id": name,
        "members": 4,
        "caught": 2,
        "recall": 0.5,
        "exchanges": 40,
        "exchanges_before": 4,
        "median_days_to_catch": 2.5,
        "timeline": line,
        **parts,
    }


def test_both_files_are_written_and_the_json_is_what_was_given(tmp_path: Path) -> None:
    report = make_backtest()
    write_backtest_report(tmp_path / "new" / "out", report)
    assert json.loads((tmp_path / "new" / "out" / "report.json").read_text()) == report
    check_page((tmp_path / "new" / "out" / "report.html").read_text())


def test_the_first_section_says_who_was_caught_and_what_they_used_before_in_plain_words() -> None:
    known = [campaign("good", members=10, caught=9, recall=0.9), campaign("bad", members=4, caught=1, recall=0.25)]
    said = text_of(backtest_page({**make_backtest(), "labelled_campaigns": known}))
    assert "Of 14 accounts in 2 campaigns that analysts labelled, 10 were caught (71.4 %)" in said
    assert "they had used 8 of their 80 exchanges (10.0 %)" in said
    assert "The worst campaign was bad: 1 of 4 members" in said


@pytest.mark.parametrize(
    ("share", "low", "verdict"),
    [
        (0.0008, 0.0004, "Within the budget of 0.1 %."),
        (0.0012, 0.0009, "Above the budget of 0.1 %, though no further than chance explains."),
        (0.0030, 0.0020, "Above the budget of 0.1 %, beyond chance."),
    ],
)
def test_the_honest_share_is_judged_against_the_budget_with_its_noise(share: float, low: float, verdict: str) -> None:
    report = make_backtest()
    report["honest"] |= {"share": share, "low": low, "high": share * 2}
    assert verdict in text_of(backtest_page(report))


def test_each_retraining_has_its_line_in_the_picture_and_its_reason_in_the_table() -> None:
    page = backtest_page(make_backtest(models=3))
    assert re.findall(r'<text class="mark (\w+)"[^>]*>(\d)', page) == [
        ("promoted", "1"),
        ("refused", "2"),
        ("promoted", "3"),
    ]
    said = text_of(page)
    assert "Not promoted: worse than trained model m-1 beyond noise" in said
    assert "3 trainings, of which 2 promoted and 1 refused by the gate" in said


def test_the_model_that_it_started_from_is_no_retraining() -> None:
    report = make_backtest(models=2)
    start = {
        "at": report["from"],
        "model_version": "starter-1",
        "origin": "starter",
        "promoted": True,
        "why": "no labels",
    }
    text = text_of(backtest_page({**report, "models": [start, *report["models"]]}))
    assert "2 trainings, of which 1 promoted and 1 refused by the gate" in text
    assert "Started from: no labels" in text
    page = backtest_page({**report, "models": [start, *report["models"]]})
    assert re.findall(r'<text class="mark \w+"[^>]*>(\d)', page) == ["1", "2"]


def test_a_long_replay_stays_readable_and_says_what_is_left_out() -> None:
    page = backtest_page(make_backtest(steps=200, campaigns=100, models=28))
    assert len(page.encode()) < 1_000_000
    said = text_of(page)
    assert f"The {MOST} largest ones; {100 - MOST} more are in report.json." in said
    assert "40 more in report.json." in said
    assert "Every 4th step" in said
    check_page(page)


def test_every_part_may_be_missing() -> None:
    whole = make_backtest()
    for name in whole:
        check_page(backtest_page({key: value for key, value in whole.items() if key != name}))
    said = text_of(backtest_page({"kind": "backtest"}))
    assert "No account of a campaign was labelled" in said
    assert "How many were touched is not measured" in said


def test_a_replay_in_which_nothing_happened_has_a_page() -> None:
    check_page(backtest_page(make_backtest(steps=0, campaigns=0, models=0)))
    check_page(backtest_page(make_backtest(steps=1, campaigns=1, models=1)))


def test_names_that_others_chose_stay_text() -> None:
    evil = '<script>alert("x")</script>\u202e'
    report = make_backtest()
    report["labelled_campaigns"] = [campaign(evil)]
    report["campaigns"] = [{**report["campaigns"][0], "campaign_id": evil, "strongest": [evil], "state": evil}]
    report["honest"]["segments"] = [{**report["honest"]["segments"][0], "segment": evil, "value": evil}]
    report["models"] = [{**report["models"][0], "model_version": evil, "why": evil}]
    report["warnings"] = report["known_limits"] = [evil]
    report["started_from"] = {"model_version": evil, "origin": evil, "why": evil}
    page = backtest_page(report)
    check_page(page)
    assert "<script" not in page
    assert "\u202e" not in unescape(page)


def test_a_strongest_link_is_told_by_its_kind_and_how_many_have_it() -> None:
    report = make_backtest()
    report["campaigns"][0]["strongest"] = [{"key_type": "card_bin", "members": 12}]
    assert "card issuer (BIN) (12 members)" in text_of(backtest_page(report))


def test_a_campaign_without_a_timeline_is_still_told() -> None:
    page = backtest_page({**make_backtest(), "labelled_campaigns": [campaign("quiet", timeline=[])]})
    assert "No timeline." in text_of(page)
    assert "2 of 4 members caught (50.0 %)" in text_of(page)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert backtest_page(make_backtest()) == backtest_page(make_backtest())
