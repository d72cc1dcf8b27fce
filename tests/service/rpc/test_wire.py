"""What is put down on one side of a wire arrives on the other, whole and in order."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.rpc.wire import _READ, What, Wire

SIZES = (0, 1, 12, 13, 14, 1_500, _READ - 14, _READ - 13, _READ - 12, _READ, 3 * _READ + 7, 4 * 1024 * 1024)


@contextmanager
def both_ends() -> Iterator[tuple[Wire, Wire]]:
    here, there = (Wire(end, name) for end, name in zip(socket.socketpair(), ("here", "there"), strict=True))
    try:
        yield here, there
    finally:
        here.close()
        there.close()


def a_frame(rng: random.Random, call: int, size: int) -> tuple[int, What, bytes]:
    return call, rng.choice(list(What)), rng.randbytes(size)


def test_frames_of_any_size_arrive_whole_and_in_order() -> None:
    rng = random.Random(1)
    sent = [a_frame(rng, rng.choice([0, 1, 2**64 - 1, rng.getrandbits(64)]), size) for size in SIZES * 2]
    rng.shuffle(sent)
    with both_ends() as (here, there):
        for frame in sent:
            here.send(*frame)
        arrived = there.frames()
        assert [next(arrived) for _ in sent] == sent


@pytest.mark.parametrize("piece", [1, 5, 13, 14, 1_000])
def test_frames_that_come_in_pieces_are_put_together_and_those_that_come_together_are_told_apart(piece: int) -> None:
    rng = random.Random(2)
    sent = [a_frame(rng, call, rng.choice([0, 1, 3, 13, 40, 100])) for call in range(60)]
    data = bytes_of(sent)
    writing, reading = socket.socketpair()
    wire = Wire(reading, "pieces")
    arrived = wire.frames()
    found = []
    for at in range(0, len(data), piece):
        writing.sendall(data[at : at + piece])
        # Each piece is read before the next is sent: what is whole by now comes, without waiting for what follows.
        whole = whole_within(sent, at + piece)
        while len(found) < whole:
            found.append(next(arrived))
    writing.close()
    assert next(arrived, None) is None
    wire.close()
    assert found == sent


def bytes_of(frames: list[tuple[int, What, bytes]]) -> bytes:
    """What a wire writes to send these."""
    sending, reading = socket.socketpair()
    with reading, reading.makefile("rb") as written:
        wire = Wire(sending, "recorded")
        for frame in frames:
            wire.send(*frame)
        wire.close()
        return written.read()


def whole_within(sent: list[tuple[int, What, bytes]], size: int) -> int:
    """How many of the frames are whole in their first ``size`` bytes: 13 of a head each, and the content."""
    whole = 0
    for _, _, content in sent:
        size -= 13 + len(content)
        if size < 0:
            break
        whole += 1
    return whole


def test_what_many_threads_send_at_once_all_arrives_and_keeps_each_threads_order() -> None:
    threads, each = 16, 400

    def send(wire: Wire, thread: int) -> None:
        rng = random.Random(thread)
        for number in range(each):
            wire.send(thread * each + number, What.ANSWER, bytes([thread]) * rng.choice([0, 1, 100, 3_000]))

    with both_ends() as (here, there):
        senders = [threading.Thread(target=send, args=(here, thread)) for thread in range(threads)]
        for sender in senders:
            sender.start()
        arrived = there.frames()
        found = [next(arrived) for _ in range(threads * each)]
        for sender in senders:
            sender.join()
    for thread in range(threads):
        mine = [(call, content) for call, _, content in found if call // each == thread]
        assert [call for call, _ in mine] == list(range(thread * each, (thread + 1) * each))
        assert all(content == bytes([thread]) * len(content) for _, content in mine)


def test_both_sides_send_more_than_a_socket_holds_at_one_time() -> None:
    frames = [(call, What.ASK, b"x" * 300_000) for call in range(30)]
    with both_ends() as (here, there):
        for frame in frames:
            here.send(*frame)
            there.send(*frame)
        found: dict[str, list[tuple[int, int, bytes]]] = {"here": [], "there": []}

        def read(name: str, wire: Wire) -> None:
            arrived = wire.frames()
            found[name] = [next(arrived) for _ in frames]

        readers = [threading.Thread(target=read, args=pair) for pair in (("here", here), ("there", there))]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
    assert found == {"here": frames, "there": frames}


def test_closing_sends_what_was_put_down_before() -> None:
    with both_ends() as (here, there):
        sent = [(call, What.FAILURE, b"y" * 100_000) for call in range(100)]
        for frame in sent:
            here.send(*frame)
        closing = threading.Thread(target=here.close)
        closing.start()
        assert list(there.frames()) == sent
        closing.join(30)
        assert not closing.is_alive()


def test_closing_again_or_sending_after_it_does_nothing() -> None:
    with both_ends() as (here, there):
        here.close()
        here.close()
        here.send(1, What.ASK, b"too late")
        assert list(there.frames()) == []
        assert list(here.frames()) == []


def test_whoever_reads_learns_that_the_other_side_is_gone_and_what_is_sent_then_is_lost() -> None:
    here_end, there_end = socket.socketpair()
    here = Wire(here_end, "here")
    there_end.close()
    assert list(here.frames()) == []
    for call in range(100):
        here.send(call, What.ASK, b"z" * 10_000)
    here.close()


def test_a_frame_that_was_cut_off_by_the_end_is_not_told() -> None:
    here_end, there_end = socket.socketpair()
    here = Wire(here_end, "here")
    there_end.sendall(bytes_of([(1, What.ANSWER, b"whole"), (2, What.ANSWER, b"cut off")])[:-1])
    there_end.close()
    assert list(here.frames()) == [(1, What.ANSWER, b"whole")]
    here.close()


def test_closing_wakes_whoever_reads_on_the_same_side() -> None:
    with both_ends() as (here, _):
        ended = threading.Event()

        def read() -> None:
            assert list(here.frames()) == []
            ended.set()

        threading.Thread(target=read, daemon=True).start()
        here.close()
        assert ended.wait(30)
