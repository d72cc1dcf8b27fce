from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.enums import Decision
from service.features.catalogue import RULED
from service.policy.policy import LEVELS, Policy, decide, levels
from service.policy.rules import CAMPAIGN_RULES, LADDERS, Rule

FEATURES = ("device_fraud", "requests_24h")
THRESHOLDS = (0.2, 0.4, 0.6, 0.8)
DEVICE_RULE = Rule("device", "device_fraud", ">=", 1.0, Decision.REVIEW, "shares its device with confirmed fraud")


def rows(*values: tuple[float, float]) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(-1, 2)


def test_each_threshold_opens_its_decision() -> None:
    policy = Policy(0.001, THRESHOLDS)
    scores = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    assert decide(policy, scores, rows(*[(0, 0)] * 5), FEATURES).decision == tuple(Decision)


def test_a_score_that_equals_a_threshold_stays_below_it() -> None:
    policy = Policy(0.001, THRESHOLDS)
    scores = np.array([0.2, np.nextafter(0.2, 1)])
    assert decide(policy, scores, rows((0, 0), (0, 0)), FEATURES).decision == (Decision.ALLOW, Decision.CHALLENGE)


def test_with_equal_thresholds_the_severest_decides() -> None:
    policy = Policy(0.001, (0.5, 0.5, 0.5, math.inf))
    assert decide(policy, np.array([0.6]), rows((0, 0)), FEATURES).decision == (Decision.REVIEW,)


def test_an_infinite_threshold_is_never_reached_by_score() -> None:
    policy = Policy(0.001, (math.inf,) * 4)
    assert decide(policy, np.array([1.0]), rows((0, 0)), FEATURES).decision == (Decision.ALLOW,)


def test_a_rule_raises_a_decision_and_says_so() -> None:
    policy = Policy(0.001, THRESHOLDS, (DEVICE_RULE,))
    decided = decide(policy, np.array([0.0, 0.0]), rows((1, 0), (0, 0)), FEATURES)
    assert decided.decision == (Decision.REVIEW, Decision.ALLOW)
    assert decided.rules == (("device",), ())


def test_a_rule_never_lowers_a_decision() -> None:
    policy = Policy(0.001, THRESHOLDS, (DEVICE_RULE,))
    assert decide(policy, np.array([0.95]), rows((3, 0)), FEATURES).decision == (Decision.BLOCK,)


def test_an_unknown_value_holds_no_rule() -> None:
    unknown = rows((math.nan, 0))
    for operator in (">=", ">", "<=", "<", "=="):
        rule = Rule("r", "device_fraud", operator, 0.0, Decision.REVIEW, "")
        assert not rule.holds(unknown, FEATURES).any()


def test_a_rule_on_a_feature_that_the_model_lacks_holds_nowhere() -> None:
    assert not DEVICE_RULE.holds(np.ones((2, 1), np.float32), ("other",)).any()


def test_a_policy_from_before_there_were_campaigns_gets_their_rules_and_one_that_has_them_stays_as_it_is() -> None:
    old = Policy(0.001, THRESHOLDS, (DEVICE_RULE,))
    new = old.with_rules(CAMPAIGN_RULES)
    assert new.rules == (DEVICE_RULE, *CAMPAIGN_RULES)
    assert new.version != old.version
    assert new.with_rules(CAMPAIGN_RULES) == new
    milder = Rule(CAMPAIGN_RULES[0].code, "campaign_member_level", ">=", 2.0, Decision.CHALLENGE, "an operator's own")
    assert Policy(0.001, THRESHOLDS, (milder,)).with_rules(CAMPAIGN_RULES).rules[0] == milder


def test_each_level_of_belonging_holds_one_rule_and_a_higher_level_never_a_milder_one() -> None:
    names = [feature.name for feature in RULED]
    for name in names:
        decided = decide(
            Policy(0.001, (math.inf,) * 4, CAMPAIGN_RULES),
            np.zeros(4),
            np.array([[level if one == name else 0 for one in names] for level in range(4)], np.float32),
            names,
        )
        assert [len(codes) for codes in decided.rules] == [0, 1, 1, 1]
        assert decided.decision == (Decision.ALLOW, Decision.CHALLENGE, Decision.THROTTLE, Decision.REVIEW)


def test_only_throttled_accounts_get_a_rate_limit_and_it_tightens_with_the_score() -> None:
    policy = Policy(0.001, (0.01, 0.05, math.inf, math.inf))
    decided = decide(policy, np.array([0.02, 0.06, 0.6, 0.95]), rows(*[(0, 0)] * 4), FEATURES)
    assert decided.limit == (None, "reduced", "low", "minimal")


def test_the_version_changes_with_anything_that_decides() -> None:
    policies = [
        Policy(0.001, THRESHOLDS),
        Policy(0.002, THRESHOLDS),
        Policy(0.001, (0.2, 0.4, 0.6, 0.81)),
        Policy(0.001, THRESHOLDS, (DEVICE_RULE,)),
        Policy(0.001, THRESHOLDS, limits=((0.0, "slow"),)),
    ]
    assert len({policy.version for policy in policies}) == len(policies)
    assert Policy(0.001, THRESHOLDS).version == policies[0].version


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Policy(0.001, (0.4, 0.2, 0.6, 0.8)),
        lambda: Policy(0.001, (0.4,)),
        lambda: Policy(0.001, (math.nan, 0.2, 0.6, 0.8)),
        lambda: Policy(0.001, THRESHOLDS, limits=()),
        lambda: Rule("r", "f", "!=", 1.0, Decision.BLOCK, ""),
        lambda: Rule("r", "f", ">=", 1.0, Decision.ALLOW, ""),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(broken: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        broken()


probability = st.floats(0, 1) | st.just(math.inf)


@given(
    st.lists(probability, min_size=4, max_size=4).map(sorted),
    st.sampled_from([(), tuple(rungs[0] for rungs in LADDERS), (DEVICE_RULE,)]),
)
def test_a_policy_survives_its_manifest(thresholds: list[float], rules: tuple[Rule, ...]) -> None:
    policy = Policy(0.001, tuple(thresholds), rules)
    assert Policy.from_json(policy.to_json()) == policy


@given(
    st.lists(probability, min_size=4, max_size=4).map(sorted),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 3) | st.just(math.nan)), min_size=1, max_size=30),
)
def test_many_rows_are_decided_as_each_alone_and_a_higher_score_never_helps(
    thresholds: list[float], accounts: list[tuple[float, float]]
) -> None:
    policy = Policy(0.001, tuple(thresholds), (DEVICE_RULE,))
    scores = np.array([score for score, _ in accounts])
    matrix = rows(*[(fraud, 0.0) for _, fraud in accounts])
    together = decide(policy, scores, matrix, FEATURES)
    for i in range(len(accounts)):
        alone = decide(policy, scores[i : i + 1], matrix[i : i + 1], FEATURES)
        assert (alone.decision[0], alone.limit[0], alone.rules[0]) == (
            together.decision[i],
            together.limit[i],
            together.rules[i],
        )
    higher = levels(policy, np.minimum(scores + 0.1, 1.0), matrix, FEATURES)
    assert (higher >= levels(policy, scores, matrix, FEATURES)).all()
    assert [LEVELS[level] for level in levels(policy, scores, matrix, FEATURES)] == list(together.decision)
