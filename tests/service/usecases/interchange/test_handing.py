from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from service.usecases.interchange import handing
from service.usecases.interchange.handing import LARGE, MOST_FILES, SMALL, receive, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("size", [0, 1, SMALL // 8 - 1, SMALL // 8, LARGE // 8, LARGE // 8 + 1, LARGE])
def test_arrays_of_any_size_arrive_as_they_were(pair: Pair, size: int) -> None:
    sent = {"a": np.arange(size), "b": [np.arange(size) * 2, "text"], "c": np.arange(size)[::2]}
    send(pair[0], sent)
    found = receive(pair[1])
    assert found["a"].tolist() == sent["a"].tolist()
    assert found["b"][0].tolist() == sent["b"][0].tolist()
    assert found["b"][1] == "text"
    assert found["c"].tolist() == sent["c"].tolist()


def test_what_arrived_may_be_changed_and_outlives_the_message_and_the_sender(pair: Pair) -> None:
    sent = np.arange(LARGE)
    send(pair[0], [sent, sent[: SMALL * 2]])
    first, second = receive(pair[1])
    del sent
    pair[0].close()
    del second
    first += 1
    assert first[0] == 1
    assert int(first.sum()) == LARGE * (LARGE + 1) // 2


def test_an_arrow_batch_arrives_as_it_was(pair: Pair) -> None:
    texts = [f"text {i % 7_000}" if i % 5 else None for i in range(60_000)]
    batch = pa.RecordBatch.from_pydict({"n": pa.array(range(60_000)), "t": pa.array(texts).dictionary_encode()})
    send(pair[0], batch)
    assert receive(pair[1]).equals(batch)


def test_messages_are_sent_before_anybody_takes_them_and_keep_their_order(pair: Pair) -> None:
    for i in range(50):
        send(pair[0], (i, "x" * 200_000, np.full(SMALL, i)))
    for i in range(50):
        number, _, values = receive(pair[1])
        assert number == i
        assert (values == i).all()


def test_more_large_arrays_than_files_may_go_along_arrive_all(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing, "LARGE", SMALL)
    arrays = [np.full(SMALL, i) for i in range(MOST_FILES + 9)]
    send(pair[0], arrays)
    assert [int(each[-1]) for each in receive(pair[1])] == list(range(MOST_FILES + 9))


def test_no_file_stays_open_on_either_side(pair: Pair) -> None:
    before = open_files()
    for _ in range(5):
        send(pair[0], np.arange(LARGE))
        receive(pair[1])
    assert open_files() == before


def test_an_end_is_told_from_a_message(pair: Pair) -> None:
    send(pair[0], "last")
    pair[0].close()
    assert receive(pair[1]) == "last"
    with pytest.raises(EOFError):
        receive(pair[1])


def test_whoever_sends_to_nobody_is_told(pair: Pair) -> None:
    pair[1].close()
    with pytest.raises(ConnectionError):
        send(pair[0], "for nobody")
