"""A process that scores for those that talk gRPC: calls come as bytes, and answers go so. See ``scorers``."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import Any

import structlog
from gatehouse.risk.v1 import scoring_pb2 as pb
from structlog.contextvars import bind_contextvars

from service.domain.errors import UsageError
from service.rpc.attempts import Failure, attempt
from service.rpc.decoding import decode
from service.rpc.ports import AskScores
from service.rpc.scoring import METHOD, asked
from service.rpc.wire import What, Wire

log = structlog.get_logger(__name__)

AGAIN_S = 0.1  # after a connection that could not be taken


class Scorer:
    """Listens on a socket of this machine and answers ``ScoreAccount``. ``drain`` when done."""

    def __init__(self, path: Path, ask_scores: AskScores, now: Callable[[], int]) -> None:
        """Raises UsageError where ``path`` cannot be listened on; a socket left there by one that died goes."""
        self._ask_scores, self._now = ask_scores, now
        self._changed = Condition(Lock())
        self._served = 0  # connections
        self._draining = Event()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            self._listening.bind(str(path))
            self._listening.listen()
        except OSError as error:
            self._listening.close()
            raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from None
        Thread(target=self._accept, name="accept", daemon=True).start()

    def drain(self, seconds: float) -> None:
        """Answers until those who ask have hung up, at most so long; takes no new connection meanwhile."""
        self._draining.set()
        with suppress(OSError):
            # Closing alone leaves the thread that accepts where it is, and it takes one connection more.
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._changed:
            if not self._changed.wait_for(lambda: not self._served, seconds):
                log.warning("scorer_ends_asked", connections=self._served, after_s=seconds)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError as error:
                if self._draining.wait(AGAIN_S):
                    return
                log.warning("scorer_cannot_accept", why=error.strerror)  # too many open files, say: they get fewer
                continue
            with self._changed:
                self._served += 1
            Thread(target=self._serve, args=(connection,), name="ask", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        wire = Wire(connection, "answer-wire")
        under_way: dict[int, Future[Any]] = {}
        for call, what, content in wire.frames():
            if what == What.ASK:
                Context().run(self._take, wire, under_way, call, content)
            elif (given_up := under_way.pop(call, None)) is not None:
                given_up.cancel()
        for left in list(under_way.values()):
            left.cancel()
        wire.close()
        with self._changed:
            self._served -= 1
            self._changed.notify_all()

    def _take(self, wire: Wire, under_way: dict[int, Future[Any]], call: int, content: bytes) -> None:
        request_id, _, data = content.partition(b"\0")
        bind_contextvars(method=METHOD, request_id=request_id.decode())
        begun = attempt(partial(self._begun, data))
        if isinstance(begun, Failure):
            wire.send(call, What.FAILURE, begun.status.SerializeToString())
            return
        done, message = begun
        under_way[call] = done
        logged = copy_context()  # the answer comes on another thread, whose log lines are about this call all the same
        done.add_done_callback(lambda done: logged.run(_answer, wire, under_way, call, message, done))

    def _begun(self, data: bytes) -> tuple[Future[Any], Callable[[], pb.ScoreAccountResponse]]:
        request = decode(data, pb.ScoreAccountRequest)
        if request.request_id:
            bind_contextvars(request_id=request.request_id)
        return asked(self._ask_scores, request, self._now())


def _answer(
    wire: Wire,
    under_way: dict[int, Future[Any]],
    call: int,
    message: Callable[[], pb.ScoreAccountResponse],
    done: Future[Any],
) -> None:
    under_way.pop(call, None)
    if done.cancelled():
        return
    answer = attempt(message)
    if isinstance(answer, Failure):
        wire.send(call, What.FAILURE, answer.status.SerializeToString())
    else:
        wire.send(call, What.ANSWER, answer.SerializeToString())
