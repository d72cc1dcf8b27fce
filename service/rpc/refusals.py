"""What callers are told of a pool that is full. Refusing must cost next to nothing: there may be thousands a second."""

from __future__ import annotations

import time
from threading import Lock
from typing import Any, Protocol, TypeAlias

import grpc
import structlog

from service.domain.errors import Overloaded
from service.rpc.attempts import Failure
from service.rpc.errors import status_of
from service.rpc.pools import CountingPool
from service.rpc.request_ids import REQUEST_ID, request_id
from service.rpc.taking import Refusing

log = structlog.get_logger(__name__)

SAY_EVERY_S = 1.0

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its stubs only


class CountsRefusals(Protocol):
    """What refusals are counted with."""

    def rpc_refused(self, method: str, code: str) -> None:
        """A call of ``method`` was refused before it began."""


class Refusals:
    """The refusals of one pool: worded once, counted each, and at most one line a second in the log, with how many.

    They are counted as soon as grpc asks who answers: of those that it refuses by itself, because too much else is
    under way, nobody hears anything later.
    """

    def __init__(self, pool: CountingPool, aside: CountingPool, telemetry: CountsRefusals, *, streaming: bool) -> None:
        """``aside``: threads, should grpc's own not do; ``streaming``: whether the pool's calls send many messages."""
        text = f"{pool.limit} calls of this kind are under way already; try again later"
        self._failure = Failure(status_of(Overloaded(text)))
        self.pool = pool
        self._telemetry = telemetry
        self._unsaid = 0
        self._said_at = float("-inf")
        self._lock = Lock()
        self._handler = self._made(aside, streaming=streaming)

    def handler(self, method: str) -> Handler:
        """What refuses one more call of ``method``."""
        self._telemetry.rpc_refused(method, self._failure.told.code.name)
        now = time.monotonic()
        with self._lock:
            self._unsaid += 1
            calls = self._unsaid if now - self._said_at >= SAY_EVERY_S else 0
            if calls:
                self._unsaid, self._said_at = 0, now
        if calls:
            log.warning("calls_refused", calls=calls, limit=self.pool.limit, why="as many as may be are under way")
        return self._handler

    def _made(self, aside: CountingPool, *, streaming: bool) -> Handler:
        """A handler of any method, whatever its shape, that waits for no request.

        A bare server that refuses so takes 73 us of processors a call, 122 on threads that read the request first, and
        60 where grpc refuses by itself, which tells no details. Callers met CANCELLED instead of a refusal only where
        calls had waited to be looked at, and fewer do the sooner each is done with.
        """
        told = self._failure.told

        def own(metadata: Any) -> tuple[str, str]:
            return REQUEST_ID, request_id(metadata)

        def refuse(_data: object, context: grpc.ServicerContext) -> None:
            context.set_trailing_metadata((*told.trailing_metadata, own(context.invocation_metadata())))
            context.abort(told.code, told.details)

        refuse.experimental_thread_pool = Refusing(told, own, aside)  # type: ignore[attr-defined]
        make = grpc.stream_unary_rpc_method_handler if streaming else grpc.unary_unary_rpc_method_handler
        return make(refuse)
