"""Refusals of a full pool cost little: worded once, and logged by the second, not by the call."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from service.rpc import refusals
from service.rpc.pools import CountingPool
from service.rpc.refusals import Refusals
from tests.service.rpc.conftest import details_of


def test_a_thousand_refusals_in_a_moment_are_one_line_and_the_next_line_counts_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = 100.0
    monkeypatch.setattr(refusals.time, "monotonic", lambda: moment)
    told = Refusals(CountingPool("call", 1, 7))
    with capture_logs() as lines:
        failures = {id(told.one_more()) for _ in range(1_000)}
        moment += 1.0
        told.one_more()
    assert len(failures) == 1
    assert [(line["event"], line["calls"], line["limit"]) for line in lines] == [
        ("calls_refused", 1, 7),
        ("calls_refused", 1_000, 7),
    ]


def test_what_is_told_names_the_limit_and_is_ready_to_be_sent() -> None:
    failure = Refusals(CountingPool("call", 1, 7)).one_more()
    assert failure.told.code.name == "RESOURCE_EXHAUSTED"
    assert failure.told.details == "7 calls of this kind are under way already; try again later"
    assert details_of(failure.status)["ErrorInfo"].reason == "OVERLOADED"
