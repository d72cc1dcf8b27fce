"""What was worked out for a value: once, for as long as nothing else changed, and never too much of it."""

from __future__ import annotations

import numpy as np

from service.domain.facts import Int64s, Repeated
from service.signals.remembered import Remembered


def test_a_value_is_worked_out_once_and_given_in_the_order_asked_for() -> None:
    asked: list[list[str]] = []

    def lengths(values: list[str]) -> Int64s:
        asked.append(values)
        return np.array([[len(value), -len(value)] for value in values])

    remembered: Remembered[str] = Remembered()
    assert remembered.rows(["a", "bbb"], "k1", 2, lengths).tolist() == [[1, -1], [3, -3]]
    assert "a" in remembered
    assert "cc" not in remembered
    assert remembered.rows(["bbb", "cc", "a"], "k1", 2, lengths).tolist() == [[3, -3], [2, -2], [1, -1]]
    assert remembered.rows([], "k1", 2, lengths).shape == (0, 2)
    assert asked == [["a", "bbb"], ["cc"]]


def test_another_secret_or_too_many_values_begin_it_anew() -> None:
    remembered: Remembered[int] = Remembered(limit=3)
    work = [lambda values, by=by: np.array(values)[:, None] * by for by in range(5)]
    assert remembered.rows([1, 2], ("k1",), 1, work[1]).tolist() == [[1], [2]]
    assert remembered.rows([2, 3], ("k2",), 1, work[2]).tolist() == [[4], [6]]  # under k1 2 was 2
    assert remembered.rows([5, 6], ("k2",), 1, work[3]).tolist() == [[15], [18]]
    assert 2 not in remembered
    assert remembered.rows([2, 5, 7, 8], ("k2",), 1, work[4]).tolist() == [[8], [20], [28], [32]]


def test_repeated_texts_are_the_texts_of_their_rows() -> None:
    texts = Repeated(["a", "b", "no row's"], np.array([1, 0, 1]))
    assert list(texts) == ["b", "a", "b"]
    assert (len(texts), texts[0], list(texts[1:])) == (3, "b", ["a", "b"])
    assert list(texts.take(np.array([2, 1]))) == ["b", "a"]
