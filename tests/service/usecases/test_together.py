"""Callers that wait at the same moment share a batch, and get their own answers."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from service.domain.enums import Purpose
from service.domain.errors import DatabaseProblem, DeadlineExceeded, Overloaded, UnknownAccount
from service.domain.requests import ScoreRequest
from service.storage.arrivals import Outcomes
from service.usecases.score_accounts import Answer, Begun
from service.usecases.together import Together

NOTHING = Outcomes([], {}, [], [])


def request(name: str, *, explain: bool = False) -> ScoreRequest:
    return ScoreRequest(name, name, Purpose.MANUAL, explain=explain)


class Deed:
    """Answers each request with an error that names it; remembers the sizes of its batches."""

    def __init__(self, *, slow_s: float = 0.0, disk: SimpleQueue[Future[Outcomes]] | None = None) -> None:
        self.slow_s = slow_s
        self.disk = disk  # what is to be made durable; None: everything is at once
        self.sizes: list[int] = []
        self.explained_in: list[int] = []  # answers in each go

    def begin(self, requests: Sequence[ScoreRequest], *, now: int) -> Begun:
        assert now > 0
        self.sizes.append(len(requests))
        time.sleep(self.slow_s)
        if any(each.request_id == "poison" for each in requests):
            raise ZeroDivisionError("a defect")
        written: Future[Outcomes] = Future()
        if self.disk is None:
            written.set_result(NOTHING)
        else:
            self.disk.put(written)
        return Begun(requests, [UnknownAccount(each.request_id) for each in requests], [], None, written)

    def end(self, begun: Begun) -> Sequence[Answer]:
        begun.written.result()
        return begun.answers

    def wants_reasons(self, request: ScoreRequest, answer: Answer) -> bool:
        return request.explain and isinstance(answer, UnknownAccount)

    def explained(self, requests: Sequence[ScoreRequest], answers: Sequence[Answer]) -> Sequence[Answer]:
        assert len(requests) == len(answers)
        self.explained_in.append(len(answers))
        if any(each.request_id == "inexplicable" for each in requests):
            raise ZeroDivisionError("a defect")
        return answers

    def explained_together(self) -> int:
        return 8


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
    together = Together(Deed(slow_s=0.05))
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


def test_reasons_are_worked_out_together_as_many_as_is_quick_and_a_defect_fails_one_alone() -> None:
    deed = Deed(slow_s=0.1)
    together = Together(deed)
    names = ["first", *(f"r{i}" for i in range(19)), "inexplicable"]
    asked = [together.ask([request(name, explain=True)], now=1) for name in names]
    answered = [done.exception(30) or done.result()[0] for done in asked]
    together.close()
    assert [type(answer) for answer in answered] == [*[UnknownAccount] * 20, ZeroDivisionError]
    assert [answer.account_id for answer in answered[:20]] == names[:20]
    assert deed.explained_in[0] == 1
    assert sorted(deed.explained_in[1:4]) == [4, 8, 8]
    assert deed.explained_in[4:] == [1, 1, 1, 1]


def test_too_many_waiting_are_refused_and_late_ones_are_told() -> None:
    together = Together(Deed(slow_s=0.3), waiting=2)
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


def test_the_next_batch_is_computed_while_a_disk_is_at_work_and_each_is_told_when_it_is_durable() -> None:
    disk: SimpleQueue[Future[Outcomes]] = SimpleQueue()
    deed = Deed(disk=disk)
    together = Together(deed, ahead=2)
    with ThreadPoolExecutor(4) as callers:
        first = callers.submit(together, [request("first")], now=1, timeout_s=20)
        writing = disk.get(timeout=20)
        second = callers.submit(together, [request("second")], now=1, timeout_s=20)
        written_next = disk.get(timeout=20)  # computed although the first is not durable yet
        third = callers.submit(together, [request("third")], now=1, timeout_s=20)
        time.sleep(0.1)
        assert (first.done(), second.done(), disk.empty()) == (False, False, True)  # nobody runs further ahead
        written_next.set_result(NOTHING)
        assert second.result(20)
        assert not first.done()
        writing.set_result(NOTHING)
        assert first.result(20)
        disk.get(timeout=20).set_result(NOTHING)
        assert third.result(20)
    together.close()
    assert deed.sizes == [1, 1, 1]


def test_a_batch_that_cannot_be_written_tells_all_of_it_and_the_next_one_is_answered() -> None:
    disk: SimpleQueue[Future[Outcomes]] = SimpleQueue()
    together = Together(Deed(disk=disk))
    with ThreadPoolExecutor(2) as callers:
        failed = callers.submit(together, [request("a"), request("b")], now=1, timeout_s=20)
        disk.get(timeout=20).set_exception(DatabaseProblem("no room left"))
        with pytest.raises(DatabaseProblem):
            failed.result(20)
        answered = callers.submit(together, [request("c")], now=1, timeout_s=20)
        disk.get(timeout=20).set_result(NOTHING)
        assert answered.result(20)
    together.close()


def test_closing_answers_what_waits_and_refuses_what_comes_after() -> None:
    disk: SimpleQueue[Future[Outcomes]] = SimpleQueue()
    together = Together(Deed(disk=disk), ahead=1)
    with ThreadPoolExecutor(4) as callers:
        under_way = callers.submit(together, [request("under way")], now=1, timeout_s=20)
        writing = disk.get(timeout=20)
        waits = callers.submit(together, [request("waits")], now=1, timeout_s=20)
        while not together._queue:
            time.sleep(0.001)
        closing = callers.submit(together.close)
        time.sleep(0.05)
        assert not closing.done()
        with pytest.raises(Overloaded, match="shutting down"):
            together([request("late")], now=1, timeout_s=1)
        writing.set_result(NOTHING)
        disk.get(timeout=20).set_result(NOTHING)
        assert len(under_way.result(20)) == len(waits.result(20)) == 1
        closing.result(20)


def test_a_batch_that_was_answered_is_gone_before_anybody_looks_for_cycles() -> None:
    disk: SimpleQueue[Future[Outcomes]] = SimpleQueue()
    together = Together(Deed(disk=disk))
    gc.collect()
    gc.disable()
    try:
        asked = together.ask([request("r1")], now=1)
        disk.get(timeout=30).set_result(NOTHING)
        left = weakref.ref(asked.result(30)[0])
        del asked
        end = time.monotonic() + 5
        while left() is not None and time.monotonic() < end:
            time.sleep(0.01)  # threads let go of what they ran
        assert left() is None
    finally:
        gc.enable()
        together.close()
