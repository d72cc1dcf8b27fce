"""Sharing work out changes nothing of its results."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from service.linking.workers import AT_A_TIME, shared_out


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(shared_out(lambda item: item * item, range(50))) == [item * item for item in range(50)]
    assert list(shared_out(str, [])) == []


def test_two_pieces_are_at_work_at_once() -> None:
    both = threading.Barrier(AT_A_TIME, timeout=10)
    assert len(list(shared_out(lambda _: both.wait(), range(AT_A_TIME)))) == AT_A_TIME


def test_what_a_piece_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(shared_out(lambda item: 1 // item, [2, 1, 0, 1]))


def test_items_are_taken_only_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = shared_out(lambda item: item, items())
    assert next(results) == 0
    assert len(taken) <= AT_A_TIME + 1
    results.close()  # type: ignore[attr-defined]
