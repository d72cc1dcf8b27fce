"""Callers that wait at the same moment share a batch, and get their own answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.domain.enums import Purpose
from service.domain.errors import DeadlineExceeded, Overloaded, UnknownAccount
from service.domain.requests import ScoreRequest
from service.usecases.score_accounts import Answer
from service.usecases.together import Together


def request(name: str) -> ScoreRequest:
    return ScoreRequest(name, name, Purpose.MANUAL)


class Deed:
    """Answers each request with an error that names it; remembers the sizes of its batches."""

    def __init__(self, *, slow_s: float = 0.0) -> None:
        self.slow_s = slow_s
        self.sizes: list[int] = []

    def __call__(self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float) -> Sequence[Answer]:
        assert (now, timeout_s) > (0, 0)
        self.sizes.append(len(requests))
        time.sleep(self.slow_s)
        if any(each.request_id == "poison" for each in requests):
            raise ZeroDivisionError("a defect")
        return [UnknownAccount(each.request_id) for each in requests]


def test_every_caller_gets_its_own_answer_and_waiting_callers_share_batches() -> None:
    deed = Deed(slow_s=0.01)
    together = Together(deed)

    def ask(i: int) -> str:
        (answer,) = together([request(f"r{i}")], now=1, timeout_s=20)
        assert isinstance(answer, UnknownAccount)
        return answer.account_id

    with ThreadPoolExecutor(32) as callers:
        assert list(callers.map(ask, range(400))) == [f"r{i}" for i in range(400)]
    together.close()
    assert sum(deed.sizes) == 400
    assert len(deed.sizes) < 200
    assert max(deed.sizes) > 4


def test_a_defect_fails_the_request_that_meets_it_and_no_other() -> None:
    together = Together(Deed(slow_s=0.05), workers=1)
    outcomes: dict[str, str] = {}

    def ask(name: str) -> None:
        try:
            together([request(name)], now=1, timeout_s=20)
            outcomes[name] = "answered"
        except ZeroDivisionError:
            outcomes[name] = "defect"

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("a", "b", "poison", "c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together.close()
    assert outcomes == {"a": "answered", "b": "answered", "poison": "defect", "c": "answered", "d": "answered"}


def test_too_many_waiting_are_refused_and_late_ones_are_told() -> None:
    together = Together(Deed(slow_s=0.3), waiting=2, workers=1)
    with ThreadPoolExecutor(4) as callers:
        first = callers.submit(together, [request("first")], now=1, timeout_s=20)
        time.sleep(0.05)
        waiting = callers.submit(together, [request("waits")], now=1, timeout_s=20)
        late = callers.submit(together, [request("late")], now=1, timeout_s=0.05)
        time.sleep(0.1)
        with pytest.raises(DeadlineExceeded):
            late.result()
        with pytest.raises(Overloaded):
            together([request("x"), request("y")], now=1, timeout_s=1)
        assert len(first.result()) == len(waiting.result()) == 1
    together.close()
