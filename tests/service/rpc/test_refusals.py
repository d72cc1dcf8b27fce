"""Refusals of a full pool cost little: worded once, and logged by the second, not by the call."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from service.rpc import refusals
from service.rpc.pools import CountingPool
from service.rpc.refusals import Refusals
from service.telemetry import Telemetry
from tests.service.rpc.conftest import ended_calls


def test_a_thousand_refusals_in_a_moment_are_one_line_and_the_next_line_counts_them(
    monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry
) -> None:
    moment = 100.0
    monkeypatch.setattr(refusals.time, "monotonic", lambda: moment)
    of_calls = Refusals(CountingPool("call", 1, 7), CountingPool("aside", 1, 7), telemetry, streaming=False)
    with capture_logs() as lines:
        handlers = {id(of_calls.handler("/a/b")) for _ in range(1_000)}
        moment += 1.0
        of_calls.handler("/a/c")
    assert len(handlers) == 1
    assert [(line["event"], line["calls"], line["limit"]) for line in lines] == [
        ("calls_refused", 1, 7),
        ("calls_refused", 1_000, 7),
    ]
    assert ended_calls(telemetry, "/a/b", "RESOURCE_EXHAUSTED") == 1_000
    assert ended_calls(telemetry, "/a/c", "RESOURCE_EXHAUSTED") == 1
