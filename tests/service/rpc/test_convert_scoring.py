"""What a caller is told of an assessment: every part of it, and nothing where there is nothing."""

from __future__ import annotations

import pytest
from gatehouse.risk.v1 import scoring_pb2

from service.domain.enums import Decision, Purpose
from service.domain.records import Assessment, LinkSummary, Reason
from service.rpc.convert.scoring import assessment_to_wire
from service.rpc.convert.words import micros_to_wire
from tests.factories import NOON

BARE = Assessment(
    assessment_id="a1",
    account_id="ada",
    account=7,
    assessed_at=NOON,
    purpose=Purpose.PERIODIC,
    score=0.25,
    decision=Decision.ALLOW,
    recommended_limit=None,
    model_version="m1",
    policy_version="p1",
    feature_fingerprint="f1",
    features=b"\x00" * 8,
)
FULL = Assessment(
    assessment_id="a2",
    account_id="bob",
    account=8,
    assessed_at=NOON + 1,
    purpose=Purpose.SIGNUP,
    score=0.75,
    decision=Decision.THROTTLE,
    recommended_limit="low",
    model_version="m2",
    policy_version="p2",
    feature_fingerprint="f2",
    features=b"",
    links=(LinkSummary("device", 2, 1, "c1"), LinkSummary("ip", 0, 1)),
    rules=("rule_one", "rule_two"),
    campaign_id="c1",
    degraded=("usage",),
    request_id="r1",
    request_content=9,
    explored_from=Decision.REVIEW,
    propensity=0.0,
    reasons=(Reason("shared_device", "two", "", 0.5), Reason("old_mail", "", "", -0.5)),
)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            BARE,
            scoring_pb2.Assessment(
                assessment_id="a1",
                account_id="ada",
                assessed_at=micros_to_wire(NOON),
                score=0.25,
                decision=scoring_pb2.DECISION_ALLOW,
                model_version="m1",
                policy_version="p1",
                feature_fingerprint="f1",
                purpose=scoring_pb2.PURPOSE_PERIODIC,
            ),
        ),
        (
            FULL,
            scoring_pb2.Assessment(
                assessment_id="a2",
                account_id="bob",
                assessed_at=micros_to_wire(NOON + 1),
                score=0.75,
                decision=scoring_pb2.DECISION_THROTTLE,
                recommended_limit="low",
                reasons=[
                    scoring_pb2.Reason(
                        code="shared_device",
                        analyst_text="two",
                        direction=scoring_pb2.DIRECTION_RAISES_RISK,
                        contribution=0.5,
                    ),
                    scoring_pb2.Reason(code="old_mail", direction=scoring_pb2.DIRECTION_LOWERS_RISK, contribution=-0.5),
                ],
                links=[
                    scoring_pb2.LinkSummary(
                        key_type="device", linked_accounts=2, confirmed_accounts=1, campaign_id="c1"
                    ),
                    scoring_pb2.LinkSummary(key_type="ip", confirmed_accounts=1),
                ],
                campaign_id="c1",
                model_version="m2",
                policy_version="p2",
                feature_fingerprint="f2",
                degraded=True,
                degraded_sources=["usage"],
                purpose=scoring_pb2.PURPOSE_SIGNUP,
                request_id="r1",
                rules=["rule_one", "rule_two"],
                explored_from=scoring_pb2.DECISION_REVIEW,
                propensity=0.0,
            ),
        ),
    ],
)
def test_an_assessment_is_told_whole_and_what_it_lacks_is_absent(
    record: Assessment, said: scoring_pb2.Assessment
) -> None:
    assert assessment_to_wire(record) == said
    assert assessment_to_wire(record).SerializeToString() == said.SerializeToString()
    assert assessment_to_wire(record) == said  # what is kept for the next one was not changed
