from __future__ import annotations

import numpy as np

from service.domain.enums import Decision
from service.domain.records import Reason
from service.features.columns import Column, Columns
from service.features.feature import DEVICE, MAIL, REASON_CODES, USAGE_VOLUME, Feature
from service.policy.reasons import TEXTS, Reasons
from service.policy.rules import Rule


def nothing(columns: Columns) -> Column:
    return np.zeros(len(columns), np.float32)


def a_feature(name: str, reason: str, unit: str = "digits") -> Feature:
    return Feature(name, "family", "Meaning.", unit, "accounts", reason, 0, False, nothing)


FEATURES = (
    a_feature("mail_digits", MAIL),
    a_feature("mail_free", MAIL, "0 or 1"),
    a_feature("device_shared", DEVICE, "accounts"),
    a_feature("requests", USAGE_VOLUME, "exchanges"),
)
VALUES = np.array([4, 1, 7, np.nan], np.float32)


def explain(contributions: list[float], *rules: Rule) -> tuple[Reason, ...]:
    [told] = Reasons(FEATURES)(VALUES[None], np.array([contributions]), [rules])
    return told


def test_every_reason_code_of_the_catalogue_has_its_texts() -> None:
    assert set(TEXTS) == set(REASON_CODES)


def test_contributions_are_summed_by_reason_and_ranked_by_how_much_they_moved_the_score() -> None:
    reasons = explain([0.4, 0.3, 0.6, -1.5, -2.0])
    assert [(reason.code, round(reason.contribution, 6)) for reason in reasons] == [
        (USAGE_VOLUME, -1.5),
        (MAIL, 0.7),
        (DEVICE, 0.6),
    ]


def test_analysts_see_the_figures_and_unknown_is_called_unknown() -> None:
    by_code = {reason.code: reason for reason in explain([0.4, 0.3, 0.6, -1.5, 0.0])}
    assert by_code[MAIL].analyst_text == "Mail address: mail_digits = 4 digits (+0.40); mail_free = yes (+0.30)."
    assert "requests = unknown (-1.50)" in by_code[USAGE_VOLUME].analyst_text


def test_what_a_customer_reads_has_no_figures_no_names_of_features_and_no_accusation() -> None:
    for text in TEXTS.values():
        words = text.customer.lower()
        assert not any(character.isdigit() for character in words)
        assert "_" not in words
        for accusation in ("fraud", "fake", "suspicious", "abuse", "campaign", "confirmed", "score", "bot"):
            assert accusation not in words


def test_a_rule_that_held_comes_first() -> None:
    rule = Rule("device", "device_shared", ">=", 1.0, Decision.REVIEW, "shares its device with confirmed fraud")
    reasons = explain([0.4, 0.3, 0.6, -1.5, 0.0], rule)
    assert reasons[0].code == "policy_rule.device"
    assert reasons[0].analyst_text == "Rule: the account shares its device with confirmed fraud."
    assert "fraud" not in reasons[0].customer_text


def test_there_is_a_reason_even_where_nothing_moved_the_score() -> None:
    assert len(explain([0.0] * 5)) == 1


def test_the_expectation_is_nobodys_reason() -> None:
    reasons = explain([0.4, 0.0, 0.0, 0.0, 9.0])
    assert [(reason.code, reason.contribution) for reason in reasons] == [(MAIL, 0.4)]


def test_many_rows_are_told_what_each_is_told_alone() -> None:
    features = [a_feature(f"f{i * 7 % 40}", [MAIL, DEVICE, USAGE_VOLUME][i * i % 3]) for i in range(40)]
    random = np.random.default_rng(5)
    contributions = random.normal(size=(50, 41)) * (random.random((50, 41)) < 0.5)
    contributions[:10] = contributions[:10].round(0)  # as much as others, often
    values = random.normal(size=(50, 40)).astype(np.float32)
    rule = Rule("device", "f1", ">=", 1.0, Decision.REVIEW, "shares its device with confirmed fraud")
    rules = [[rule] if i % 3 == 0 else [] for i in range(50)]
    told = Reasons(features)
    together = told(values, contributions, rules)
    assert together == [told(values[i : i + 1], contributions[i : i + 1], rules[i : i + 1])[0] for i in range(50)]
    assert len({reasons[-1].analyst_text for reasons in together}) == 50


def test_figures_that_moved_the_score_as_much_come_in_order_of_name_and_at_most_three() -> None:
    features = [a_feature(name, MAIL) for name in ("d", "b", "c", "a", "e")]
    [[reason]] = Reasons(features)(np.zeros((1, 5), np.float32), np.array([[0.1, -0.2, 0.1, 0.1, 0.0, 0.0]]), [[]])
    assert reason.analyst_text == "Mail address: b = 0 digits (-0.20); a = 0 digits (+0.10); c = 0 digits (+0.10)."
