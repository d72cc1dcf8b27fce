"""Assessments: kept as they were given, listed newest first, and the last decision of each account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.codes import hash64
from service.domain.enums import Decision
from service.domain.errors import InvalidPageToken, UnknownAssessment
from service.domain.records import LinkSummary
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, assessment, ints

FULL = replace(
    assessment("a", "request-1"),
    decision=Decision.THROTTLE,
    recommended_limit="tier-1",
    links=(LinkSummary("device", 12, 3), LinkSummary("custom.wallet", 1, 0)),
    rules=("too_many",),
    degraded=("usage",),
    campaign_id="ring",
    score=1 / 3,
)


def test_an_assessment_comes_back_as_it_was_given(store: Store) -> None:
    store.write([arrival(START, assessments=(FULL,))])
    assert store.assessment(FULL.assessment_id) == FULL
    with pytest.raises(UnknownAssessment, match="nothing"):
        store.assessment("nothing")


def test_pages_go_from_the_newest_to_the_oldest_and_are_not_moved_by_newer_ones(store: Store) -> None:
    made = [assessment("a", None, at=START + i // 2) for i in range(9)]  # pairs at the same moment
    assert store.append_assessments(made) == 9
    page = store.assessments_of("a", 4)
    seen = list(page.items)
    store.append_assessments([assessment("a", None, at=START + 100)])
    while page.next_page_token:
        page = store.assessments_of("a", 4, page.next_page_token)
        seen += page.items
    assert {each.assessment_id for each in seen} == {each.assessment_id for each in made}
    assert [each.assessed_at for each in seen] == sorted((each.assessed_at for each in made), reverse=True)
    token = store.assessments_of("a", 4).next_page_token
    with pytest.raises(InvalidPageToken):
        store.assessments_of("b", 4, token)


def test_a_job_that_runs_again_appends_only_what_is_new(store: Store) -> None:
    made = [assessment(f"a{i}", None) for i in range(3_000)]
    assert store.append_assessments(made[:2_500]) == 2_500
    assert store.append_assessments([*made, made[0]]) == 500
    assert len(store.latest_decisions()) == 3_000


def test_the_latest_decision_of_each_account_as_of_a_moment(store: Store) -> None:
    allowed = assessment("a", None, at=START)
    blocked = replace(assessment("a", None, at=START + 10), decision=Decision.BLOCK, campaign_id="ring")
    store.append_assessments([blocked, allowed, assessment("b", None)])
    latest = store.latest_decisions(ints(hash64("a"), hash64("c")))
    assert latest.keys() == {hash64("a")}
    last = latest[hash64("a")]
    assert (last.decision, last.campaign_id, last.assessed_at) == (Decision.BLOCK, "ring", START + 10)
    assert store.latest_decisions(before=START + 9)[hash64("a")].decision is Decision.ALLOW
