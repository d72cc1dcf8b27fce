from __future__ import annotations

import numpy as np

from service.domain.enums import Decision
from service.features.columns import Column, Columns
from service.features.feature import DEVICE, MAIL, REASON_CODES, USAGE_VOLUME, Feature
from service.policy.reasons import TEXTS, explain
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


def test_every_reason_code_of_the_catalogue_has_its_texts() -> None:
    assert set(TEXTS) == set(REASON_CODES)


def test_contributions_are_summed_by_reason_and_ranked_by_how_much_they_moved_the_score() -> None:
    reasons = explain(FEATURES, VALUES, np.array([0.4, 0.3, 0.6, -1.5, -2.0]))
    assert [(reason.code, round(reason.contribution, 6)) for reason in reasons] == [
        (USAGE_VOLUME, -1.5),
        (MAIL, 0.7),
        (DEVICE, 0.6),
    ]


def test_analysts_see_the_figures_and_unknown_is_called_unknown() -> None:
    by_code = {reason.code: reason for reason in explain(FEATURES, VALUES, np.array([0.4, 0.3, 0.6, -1.5, 0.0]))}
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
    reasons = explain(FEATURES, VALUES, np.array([0.4, 0.3, 0.6, -1.5, 0.0]), (rule,))
    assert reasons[0].code == "policy_rule.device"
    assert reasons[0].analyst_text == "Rule: the account shares its device with confirmed fraud."
    assert "fraud" not in reasons[0].customer_text


def test_there_is_a_reason_even_where_nothing_moved_the_score() -> None:
    assert len(explain(FEATURES, VALUES, np.zeros(5))) == 1


def test_the_expectation_is_nobodys_reason() -> None:
    reasons = explain(FEATURES, VALUES, np.array([0.4, 0.0, 0.0, 0.0, 9.0]))
    assert [(reason.code, reason.contribution) for reason in reasons] == [(MAIL, 0.4)]
