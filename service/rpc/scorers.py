"""Processes that score, seen from the one that talks gRPC.

One interpreter runs one thread at a time, and grpc's thread gets one event a turn. While the same process scores, a
refusal waits for its turns behind that, seconds at three times the capacity, and a second core idles. So scoring may
have processes of its own (``serve --scorers``): a call's bytes go there as they came, unread, and its answer's come
back.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Condition, Event, Lock, Thread

import structlog
from google.rpc import status_pb2

from service.domain.errors import NotReady
from service.rpc.attempts import Failure
from service.rpc.errors import status_of
from service.rpc.wire import What, Wire

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.05  # for a scorer that is not there yet, or no more

Told = bytes | Failure


@dataclass(slots=True)
class _Scorer:
    """One scorer, connected or not."""

    number: int
    path: Path
    wire: Wire | None = None
    asked: dict[int, Future[Told]] = field(default_factory=dict)  # by call; those not answered yet


class Scorers:
    """All scorers of one server. ``close`` when done."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """``paths``: the sockets that they listen on, now or later; who goes is looked for again."""
        self._scorers = [_Scorer(number, path) for number, path in enumerate(paths)]
        self._calls = itertools.count(1)
        self._changed = Condition(Lock())
        self._closed = Event()
        self._threads = [
            Thread(target=self._keep, args=(scorer,), name=f"scorer-{scorer.number}", daemon=True)
            for scorer in self._scorers
        ]
        for thread in self._threads:
            thread.start()

    def connected(self) -> int:
        """How many can be asked."""
        return sum(scorer.wire is not None for scorer in self._scorers)

    def wait(self, seconds: float, *, least: int | None = None) -> bool:
        """Whether ``least`` of them (not given: all) can be asked, at the latest after so many seconds."""
        enough = len(self._scorers) if least is None else least
        with self._changed:
            return self._changed.wait_for(lambda: self.connected() >= enough, seconds)

    def ask(self, request: bytes, request_id: str) -> Future[Told]:
        """The response's bytes, or how the call failed, from the scorer with the fewest calls; cancel to give up.

        ``request_id``: for its log. Raises NotReady where no scorer is there.
        """
        done: Future[Told] = Future()
        call = next(self._calls)
        with self._changed:
            there = [scorer for scorer in self._scorers if scorer.wire is not None]
            if not there:
                raise NotReady("the processes that score are being started; try again")
            # Of those with as few the next in turn: a server that is hardly asked would only ever use the first.
            scorer = min(there[call % len(there) :] + there[: call % len(there)], key=lambda one: len(one.asked))
            scorer.asked[call] = done
            wire = scorer.wire
        assert wire is not None  # noqa: S101  it was one of those that are there
        wire.send(call, What.ASK, b"%s\0%s" % (request_id.encode(), request))
        done.add_done_callback(partial(self._given_up, scorer, call))
        return done

    def close(self) -> None:
        """Lets go of the scorers. What was not answered fails."""
        with self._changed:
            self._closed.set()
            wires = [scorer.wire for scorer in self._scorers if scorer.wire is not None]
        for wire in wires:
            wire.close()
        for thread in self._threads:
            thread.join()

    def _given_up(self, scorer: _Scorer, call: int, done: Future[Told]) -> None:
        if not done.cancelled():
            return
        with self._changed:
            wire = scorer.wire if scorer.asked.pop(call, None) is not None else None
        if wire is not None:
            wire.send(call, What.CANCEL)

    def _keep(self, scorer: _Scorer) -> None:
        """Connects, reads until the scorer is gone, and begins again."""
        while not self._closed.is_set():
            connection = _connected(scorer.path)
            if connection is None:
                self._closed.wait(LOOK_EVERY_S)
                continue
            wire = Wire(connection, f"to-scorer-{scorer.number}")
            with self._changed:
                late = self._closed.is_set()  # `close` has ended the connections that there were, and knows no other
                if not late:
                    scorer.wire = wire
                    self._changed.notify_all()
            if late:
                wire.close()
                return
            for call, what, content in wire.frames():
                done = scorer.asked.pop(call, None)
                if done is not None:  # else it was given up meanwhile
                    _settle(done, _told(what, content))
            with self._changed:
                scorer.wire, left = None, dict(scorer.asked)
                scorer.asked.clear()
            wire.close()
            if not self._closed.is_set():
                log.warning("scorer_gone", scorer=scorer.number, calls=len(left))
            gone = Failure(status_of(NotReady("the process that scored this call has ended; the same request is safe")))
            for done in left.values():
                _settle(done, gone)


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _told(what: int, content: bytes) -> Told:
    return content if what == What.ANSWER else Failure(status_pb2.Status.FromString(content))


def _settle(done: Future[Told], told: Told) -> None:
    with suppress(InvalidStateError):  # given up
        done.set_result(told)
