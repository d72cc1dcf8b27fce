from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from service.domain.time import DAY, rfc3339
from tests.factories import NOON
from tests.training.report.pages import check_page, text_of
from training.report.calibration_picture import calibration_picture, interval
from training.report.friction_picture import friction_picture, recall_within
from training.report.swarm_picture import swarm_picture
from training.report.training_page import training_page, write_report

CHALLENGER = {"of": "challenger", "name": "m-2", "frauds": 40, "legitimate": 1_900.0,
              "points": [[0.0005, 0.1, 0.9], [0.001, 0.3, 0.7], [0.02, 0.6, 0.5], [1.0, 1.0, 0.01]]}  # fmt: skip
CHAMPION = {
    **CHALLENGER,
    "of": "champion",
    "name": "trained model m-1",
    "points": [[0.0008, 0.05, 0.8], [1.0, 1.0, 0.0]],
}


def make_report() -> dict[str, Any]:
    """A report with every part."""
    sides = {name: {"accounts": 900, "positives": 40, "legitimate": 50} for name in ("train", "calibration", "test")}
    line = [
        {"at": rfc3339(NOON + i * DAY), "members": i, "caught": 0, "exchanges": 4 * i, "exchanges_let_through": 4 * i}
        for i in range(4)
    ]
    return {
        "model_version": "m-2",
        "promoted": False,
        "why": "refused: worse beyond noise: recall at the friction budget 0.2 against 0.4",
        "seconds": 40.0,
        "training": {
            "as_of": rfc3339(NOON), "seed": 1, "friction_budget": 0.001, "rows": 9_000, "accounts": 2_700,
            "accounts_stood_for": 5_400.0, "positives": 120, "legitimate": 150, "unlabelled": 2_430, "campaigns": 9,
            "overturned": 0, "frauds_ever_labelled": 0.4, "verdict_delay_90_days": 11.5, "split_by": "time",
            "split_at": [rfc3339(NOON - 9 * DAY), rfc3339(NOON - 4 * DAY)], "dropped_past_their_campaigns_side": 3,
            "sides": sides,
        },
        "model": {
            "created_at": rfc3339(NOON), "code_version": "0.1.0", "features": 75, "feature_fingerprint": "feat-1",
            "data_fingerprint": "data-1", "policy_version": "p-1", "calibration": "platt",
            "lightgbm": {"version": "4.7.0", "trees": 100, "parameters": {"num_leaves": 7}},
        },
        "data": {"first_signup": rfc3339(NOON - 40 * DAY), "last_signup": rfc3339(NOON)},
        "analysts": [
            {"analyst": "ann", "labels": 9, "fraud": 6, "legitimate": 3, "retracted": 1, "first": rfc3339(NOON - DAY),
             "last": rfc3339(NOON)},
        ],
        "influence": [
            {"analyst": "ann", "share": 0.7, "left_out": 60, "recall": 0.3, "recall_without": None, "refuses": True,
             "why": "nobody else confirms what ann teaches"},
        ],
        "champion": "trained model m-1",
        "metrics": {
            "roc_auc": 0.71, "average_precision": 0.3, "recall_at_budget": 0.25, "worst_campaign_recall": 0.0,
            "calibration_error": 0.0123, "rows_of": "labelled accounts of the test side",
        },
        "by_age": {"signup": {"fraud": 8.0, "legitimate": 90.0, "roc_auc": 0.6, "recall_at_fpr_0.01": None}},
        "by_campaign": {"case-1": {"members": 3.0, "recall": 0.0}},
        "calibration_table": [
            {"rows": 90.0, "weight": 90.0, "mean_score": 0.02 * i, "fraud_share": 0.015 * i} for i in range(1, 11)
        ],
        "friction_curves": [CHALLENGER, CHAMPION],
        "detection": [
            {"campaign_id": "case-1", "members": 3, "caught": 0, "recall": 0.0, "exchanges": 12, "exchanges_before": 12,
             "median_days_to_catch": None, "timeline": line},
        ],
        "segments": [
            {"segment": "country", "value": "DE", "accounts": 400, "touched": 1, "share": 0.0025, "low": 0.0004,
             "high": 0.014},
        ],
        "swarm": {
            "rows": 3, "fraud": 1,
            "features": [
                {"feature": "mail_vowels", "meaning": "Share of vowels", "unit": "share", "categorical": False,
                 "mean_contribution": 0.2, "gain_share": 0.5, "dots": [[0.1, 0.0], [-0.3, 1.0], [0.2, None]]},
            ],
        },
        "gain": {"mail_vowels": 30.0, "plan": 10.0, "idle": 0.0},
        "friction": {
            "looks": 50_000, "looked_at": 1_800, "groups": 1, "in_groups": 80, "largest_group": 80, "accounts": 1_900,
            "life_days": 21.5, "raised_for_segment": None,
        },
        "drift": [
            {"feature": "plan", "psi": 0.02, "bound": 0.1, "alarm": False, "gain": 0.25},
            {"feature": "score", "psi": 0.4, "bound": 0.1, "alarm": True, "gain": None},
        ],
        "thresholds": [
            {"decision": "challenge", "budget": 0.001, "value": 0.6, "by_labelled": None},
            {"decision": "block", "budget": 0.0001, "value": None, "by_labelled": None},
        ],
        "rules": [{"code": "card", "at_least": 2.0, "legitimate_share": 0.0001, "kept": True, "why": ""}],
        "sizes_tried": [
            {"leaves": 7, "trees": 50, "average_precision": 0.2, "behind": 0.0, "standard_error": 0.0, "chosen": True}
        ],
        "warnings": ["only 15 frauds on the test side"],
        "explored": {
            "accounts": 6, "refused": 900, "labelled": 4, "weight": 1_200.0, "method": "inverse propensity",
            "fraud_share": {"value": 0.5, "low": 0.2, "high": 0.8, "effective_accounts": 4.0},
            "held_out": {"recall": {"value": None, "low": 0.0, "high": 1.0, "effective_accounts": 0.0}},
        },
        "pair_model": {"kept": True, "why": "kept: average precision 0.5 where the label-free sum has 0.4"},
        "gate": [
            {"figure": "recall at the friction budget", "champion": 0.4, "challenger": 0.2, "low": -0.3, "high": -0.1,
             "refuses": True, "why": "worse beyond noise"},
            {"figure": "analysts", "champion": None, "challenger": 1.0, "low": None, "high": None, "refuses": False,
             "why": ""},
        ],
    }  # fmt: skip


def test_both_files_are_written_and_the_json_is_what_was_given(tmp_path: Path) -> None:
    write_report(tmp_path / "new", make_report())
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == make_report()
    check_page((tmp_path / "new" / "report.html").read_text())


def test_infinite_figures_are_refused_and_no_file_pretends_to_be_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_report(tmp_path, {**make_report(), "seconds": float("inf")})


def test_every_part_of_what_was_measured_is_on_the_page() -> None:
    text = text_of(training_page(make_report()))
    for said in (
        "Not promoted: worse beyond noise: recall at the friction budget 0.2 against 0.4",
        "only 15 frauds on the test side",
        "a sample that stands for 5,400",
        "data-1",
        "nobody else confirms what ann teaches",
        "−0.3 to −0.1",
        "Within the budget of 0.1 % the challenger finds 30.0 %, the champion finds 5.0 %.",
        "The ring is the threshold that was set, on more accounts than these: 30.0 % found, 0.10 % touched.",
        "1.2 percentage points apart",
        "0 of 3 members caught (0 %); 12 of 12 exchanges let through (100 %)",
        "1 of 400",
        "mail_vowels",
        "2 features; 1 beyond what chance and age explain",
        "6 accounts let through by chance",
        "LightGBM 4.7.0, 100 trees",
        "Set on 1,900 held-out accounts that are not labelled fraud, 1,800 of them looked at 50,000 times",
        "holds for lives of 21.5 days. 80 accounts stand in 1 group touched together, the largest of 80.",
    ):
        assert said in text


def test_what_was_asked_for_is_said_once() -> None:
    why = "not promoted because it was asked so; the gate: promoted: there was no champion"
    text = text_of(training_page({**make_report(), "why": why}))
    assert "Not promoted: because it was asked so; the gate: promoted" in text


def test_a_part_that_was_not_measured_says_so_and_the_rest_stays() -> None:
    whole = make_report()
    for name in whole:
        check_page(training_page({key: value for key, value in whole.items() if key != name}))
    text = text_of(training_page({"model_version": "m-1"}))
    assert text.count("Not measured.") >= 5
    assert "Segments were not measured." in text
    assert "Whether live data have moved away from the training data was not measured" in text


def test_without_a_timeline_the_campaigns_recalls_are_told() -> None:
    report = {name: value for name, value in make_report().items() if name != "detection"}
    assert "Held-out campaigns, by score alone" in text_of(training_page(report))


def test_names_that_others_chose_stay_text() -> None:
    evil = '<img src=x onerror="alert(1)">\u202e'

    def spoilt(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: spoilt(one) for name, one in value.items()}
        if isinstance(value, list):
            return [spoilt(one) for one in value]
        return f"{value}{evil}" if isinstance(value, str) and not value.startswith("2026-") else value

    report = spoilt(make_report())
    report["by_campaign"] = {evil: {"members": 3.0, "recall": 0.5}}
    report["gain"] = {evil: 2.0}
    page = training_page(report)
    check_page(page)
    assert "<img" not in page
    assert "\u202e" not in unescape(page)


def test_recall_within_the_budget_is_that_of_the_last_step_before_it() -> None:
    assert recall_within(CHALLENGER, 0.001) == 0.3
    assert recall_within(CHALLENGER, 0.0004) == 0.0
    assert recall_within({"points": []}, 0.1) is None


def test_what_is_less_than_one_account_is_shaded() -> None:
    made = str(friction_picture([{**CHALLENGER, "legitimate": 50.0}], 0.001))
    (width,) = re.findall(r'class="blind" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', made)
    assert float(width) > 100
    assert "Friction below 2.0\N{NO-BREAK SPACE}%" in made


def test_a_threshold_above_every_score_has_no_ring() -> None:
    assert "ring" not in str(friction_picture([CHALLENGER], 0.001, threshold=0.95))
    assert "ring" not in str(friction_picture([CHALLENGER], 0.001, threshold=None))


def test_a_dot_on_the_diagonal_claims_what_was_seen() -> None:
    made = str(calibration_picture([{"weight": 100.0, "mean_score": 0.2, "fraud_share": 0.2}], None))
    x, y = map(float, re.findall(r'<circle class="mine" cx="([\d.]+)" cy="([\d.]+)"', made)[0])
    x0, y0, x1, y1 = map(float, re.findall(r'class="diagonal" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', made)[0])
    assert (x - x0) / (x1 - x0) == pytest.approx((y - y0) / (y1 - y0), abs=0.002)


def test_scores_that_crowd_near_nothing_get_a_logarithmic_axis() -> None:
    rows = [{"weight": 100.0, "mean_score": 0.0001 * 3**i, "fraud_share": 0.0} for i in range(9)]
    assert ">0.01 %<" in str(calibration_picture(rows, None))
    assert calibration_picture([], None) == ""


def test_an_interval_is_wilsons() -> None:
    assert interval(0.1, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert interval(0.0, 50)[0] == 0.0


def test_the_swarm_has_one_dot_a_row_in_the_colour_of_its_value_where_it_moves_the_score() -> None:
    made = str(swarm_picture(make_report()["swarm"]))
    dots = dict(re.findall(r'<path class="dots (q\d?)" d="([^"]+)"', made))
    assert {look: path.count("h0") for look, path in dots.items()} == {"q0": 1, "q4": 1, "q": 1}
    x = {look: float(re.findall(r"M([\d.]+)", path)[0]) for look, path in dots.items()}
    assert x["q4"] < x["q0"] < x["q"]  # -0.3, 0.1, 0.2
    assert swarm_picture({}) == ""


def test_dots_of_a_crowded_feature_stay_in_its_row() -> None:
    feature = {**make_report()["swarm"]["features"][0], "dots": [[0.1, i / 600] for i in range(600)]}
    made = str(swarm_picture({"rows": 600, "fraud": 0, "features": [feature]}))
    heights = [
        float(y) for path in re.findall(r'class="dots \w+" d="([^"]+)"', made) for y in re.findall(r" ([\d.]+)h0", path)
    ]
    assert len(heights) == 600
    assert max(heights) - min(heights) <= 21
