"""A running server's look at drift leaves the interpreter to the calls most of the time."""

from __future__ import annotations

import threading

import pytest

from service.commands import drift


class Noting(threading.Event):
    """How long it was waited for, without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        return self.is_set()


def test_it_rests_four_times_as_long_as_it_worked_and_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.05, 200.0, 200.01, 300.0, 330.0, 400.0])
    monkeypatch.setattr(drift.time, "monotonic", lambda: next(clock))
    stopping = Noting()
    rest = drift._Rests(stopping)
    for _ in range(3):
        rest()
    assert stopping.waits == pytest.approx([0.2, 0.04, 1.0])


def test_it_goes_on_where_little_was_done_and_rests_for_all_of_it_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([100.0, 100.001, 100.003, 200.0])
    monkeypatch.setattr(drift.time, "monotonic", lambda: next(clock))
    stopping = Noting()
    rest = drift._Rests(stopping)
    rest()
    assert stopping.waits == []
    rest()
    assert stopping.waits == pytest.approx([0.012])


def test_it_ends_where_the_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.05])
    monkeypatch.setattr(drift.time, "monotonic", lambda: next(clock))
    stopping = Noting()
    rest = drift._Rests(stopping)
    stopping.set()
    with pytest.raises(drift._Stopped):
        rest()
