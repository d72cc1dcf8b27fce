"""What every call passes: request id, limits, decoding and rules, deadlines, errors, figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Protocol, TypeAlias, TypeVar

import grpc
import structlog
from google.protobuf.message import Message
from structlog.contextvars import bind_contextvars

from service.domain.errors import DeadlineExceeded, GatehouseError
from service.rpc.attempts import Failure, attempt
from service.rpc.calls import Caller
from service.rpc.decoding import MessageStream, decode
from service.rpc.later import Deadlines, Later, Send, Sender, late
from service.rpc.pools import CountingPool, Pools
from service.rpc.refusals import CountsRefusals, Refusals
from service.rpc.request_ids import REQUEST_ID, request_id
from service.rpc.taking import TakingIn

CANCELLED = grpc.StatusCode.CANCELLED.name

log = structlog.get_logger(__name__)

_Result = TypeVar("_Result")
_Behaviour = Callable[[Any, grpc.ServicerContext], Any]
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its stubs only


class Telemetry(CountsRefusals, Protocol):
    """What the calls are counted with."""

    def rpc_started(self, method: str) -> None:
        """A call of ``method`` (``/package.Service/Method``) began."""
        ...

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """It ended with a status code such as ``OK`` or ``NOT_FOUND``, so long after it began."""
        ...


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where a method is answered: bytes go out with a request id for the log, and bytes or a Failure come back."""

    ask: Callable[[bytes, str], Future[bytes | Failure]]
    caller: Caller


class Answering(grpc.ServerInterceptor):
    """Stands between grpc and the servicers, whose methods raise domain errors and never meet a malformed request.

    ``requests`` gives the request message of each method that it is in charge of; others (health, reflection) only get
    their threads from here.
    """

    def __init__(
        self,
        requests: Mapping[str, type[Message]],
        pools: Pools,
        telemetry: Telemetry,
        deadlines: Deadlines,
        later: Collection[str] = (),
        elsewhere: Mapping[str, Elsewhere] | None = None,
    ) -> None:
        """``later``: the methods that return ``Later``; ``elsewhere``: those that other processes answer."""
        self._requests = requests
        self._pools = pools
        self._telemetry = telemetry
        self._deadlines = deadlines
        self._later = later
        self._elsewhere = elsewhere or {}
        self._sender = Sender(pools.aside)
        self._taking = TakingIn(pools.calls)
        self._refusals: dict[str, Refusals] = {}  # by method, once it was called
        self._full = {
            pool: Refusals(pool, pools.aside, telemetry, streaming=pool is pools.streams)
            for pool in (pools.calls, pools.streams)
        }

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], _Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Chooses the threads and wraps the method; None where there is no such method."""
        refusals = self._refusals.get(handler_call_details.method)
        if refusals is not None and refusals.pool.full():  # first of all: of these there may be most
            return refusals.handler(handler_call_details.method)
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        message_type = self._requests.get(handler_call_details.method)
        return (
            self._foreign(handler) if message_type is None else self._ours(handler, handler_call_details, message_type)
        )

    def _ours(self, handler: _Handler, details: grpc.HandlerCallDetails, message_type: type[Message]) -> _Handler:
        pool = self._pools.streams if handler.request_streaming else self._pools.calls
        refusals = self._refusals.setdefault(details.method, self._full[pool])
        if pool.full():
            return refusals.handler(details.method)
        call = Call(details, message_type, self._telemetry)
        elsewhere = self._elsewhere.get(details.method)
        if elsewhere is not None:
            begin = call.later(call.handed_over(elsewhere), pool, self._taking, self._deadlines, self._sender)
            return grpc.unary_stream_rpc_method_handler(begin)
        if details.method in self._later:
            begin = call.later(call.read_by(_behaviour(handler)), pool, self._taking, self._deadlines, self._sender)
            return grpc.unary_stream_rpc_method_handler(begin, None, handler.response_serializer)
        return _like(handler, call.wrap(handler, _behaviour(handler)), pool, raw=True)

    def _foreign(self, handler: _Handler) -> _Handler:
        behaviour = _behaviour(handler)
        if getattr(behaviour, "experimental_non_blocking", False):  # Health.Watch, which holds no thread
            return handler
        pool = self._pools.streams if handler.request_streaming else self._pools.aside
        return _like(handler, partial(behaviour), pool, raw=False)  # a partial can carry the attribute; a method cannot


class Call:
    """One call on its way through a servicer."""

    def __init__(self, details: grpc.HandlerCallDetails, message_type: type[Message], telemetry: Telemetry) -> None:
        self._method = details.method
        self._message_type = message_type
        self._telemetry = telemetry
        self._request_id = request_id(details.invocation_metadata)

    def wrap(self, handler: _Handler, behaviour: _Behaviour) -> _Behaviour:
        """The behaviour over bytes instead of messages."""
        read = self._read_stream if handler.request_streaming else self._read_one
        if handler.response_streaming:
            return lambda data, context: self._answer_stream(lambda: behaviour(read(data, context), context), context)
        return lambda data, context: self._answer_one(lambda: behaviour(read(data, context), context), context)

    def later(
        self, behaviour: _Behaviour, pool: CountingPool, taking: TakingIn, deadlines: Deadlines, sender: Sender
    ) -> Callable[[bytes, grpc.ServicerContext, Send], None]:
        """The behaviour over bytes, which returns ``Later``, as grpc calls what must not hold a thread."""

        def begin(data: bytes, context: grpc.ServicerContext, send: Send) -> None:
            open_call = _Open(self, context, send, sender, self._begin(context), pool.keep())
            outcome = attempt(lambda: behaviour(data, context))
            open_call.wait_for(outcome, deadlines)

        begin.experimental_non_blocking = True  # type: ignore[attr-defined]
        begin.experimental_thread_pool = taking  # type: ignore[attr-defined]
        return begin

    def read_by(self, behaviour: _Behaviour) -> _Behaviour:
        """The behaviour of one request over its bytes."""
        return lambda data, context: behaviour(self._read_one(data, context), context)

    def handed_over(self, elsewhere: Elsewhere) -> _Behaviour:
        """A behaviour that hands the bytes to another process, which reads them."""

        def behaviour(data: bytes, context: grpc.ServicerContext) -> Later:
            _in_time(context)
            done = elsewhere.ask(data, self._request_id)
            return Later(done, done.result, elsewhere.caller.timeout_s(context))

        return behaviour

    def _read_one(self, data: bytes, context: grpc.ServicerContext) -> Message:
        _in_time(context)
        request = decode(data, self._message_type)
        said = getattr(request, "request_id", "")
        if said:
            bind_contextvars(request_id=said)
        return request

    def _read_stream(self, data: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Message]:
        _in_time(context)
        return MessageStream(data, self._message_type)

    def _answer_one(self, answer: Callable[[], Message], context: grpc.ServicerContext) -> Message:
        started = self._begin(context)
        code = CANCELLED  # unless we get to say something else: the caller hung up
        try:
            outcome = attempt(answer)
            code = _code(outcome)
        finally:
            self.finish(code if context.is_active() else CANCELLED, started)
        return self._tell(outcome, context)

    def _answer_stream(
        self, answer: Callable[[], Iterator[Message]], context: grpc.ServicerContext
    ) -> Iterator[Message]:
        started = self._begin(context)
        code = CANCELLED
        try:
            outcome: Message | Failure | None = None
            responses = attempt(lambda: iter(answer()))
            if isinstance(responses, Failure):
                outcome = responses
            else:
                following = partial(next, responses, None)
                while isinstance(outcome := attempt(following), Message):
                    yield outcome
            code = _code(outcome)
        finally:
            self.finish(code if context.is_active() else CANCELLED, started)
        self._tell(outcome, context)

    def _begin(self, context: grpc.ServicerContext) -> float:
        bind_contextvars(method=self._method, request_id=self._request_id)
        context.set_trailing_metadata(((REQUEST_ID, self._request_id),))
        self._telemetry.rpc_started(self._method)
        return time.perf_counter()

    def finish(self, code: str, started: float) -> None:
        """Counts and logs it."""
        seconds = time.perf_counter() - started
        self._telemetry.rpc_finished(self._method, code, seconds)
        log.debug("rpc_answered", code=code, seconds=round(seconds, 6))

    def _tell(self, outcome: _Result | Failure, context: grpc.ServicerContext) -> _Result:
        if not isinstance(outcome, Failure):
            return outcome
        status = self._told(outcome, context)
        return context.abort(status.code, status.details)

    def tell(self, failure: Failure, context: grpc.ServicerContext, send: Send) -> None:
        """Ends a call that is answered later with ``failure``."""
        status = self._told(failure, context)
        context.set_code(status.code)
        context.set_details(status.details)
        send(None)

    def _told(self, failure: Failure, context: grpc.ServicerContext) -> grpc.Status:
        status = failure.told
        context.set_trailing_metadata((*status.trailing_metadata, (REQUEST_ID, self._request_id)))
        return status


class _Open:
    """A call between its method's return and its answer, which is given once, by whoever comes first."""

    def __init__(
        self,
        call: Call,
        context: grpc.ServicerContext,
        send: Send,
        sender: Sender,
        started: float,
        let_go: Callable[[], None],
    ) -> None:
        self._call, self._context, self._send, self._sender = call, context, send, sender
        self._started, self._let_go = started, let_go
        self._logged = copy_context()
        self._later: Later | None = None
        self._unanswered = Lock()

    def wait_for(self, outcome: Later | Failure, deadlines: Deadlines) -> None:
        """Answers as soon as it can; ``outcome`` is what the method returned."""
        self._logged = copy_context()  # what its log lines say of it; the request's id is known by now
        if isinstance(outcome, Failure):
            self._answer(outcome)
            return
        self._later = outcome
        if not self._context.add_callback(self._gone):
            self._gone()
            return
        outcome.done.add_done_callback(self._done)
        deadlines.after(outcome.timeout_s, self)

    def _done(self, done: Future[Any]) -> None:
        later = self._later
        if later is not None and not done.cancelled():
            self._answer(later.message)

    def late(self) -> None:
        """Its time has passed."""
        later = self._later
        if later is not None:
            self._answer(partial(_raise, late(later.timeout_s)))
            later.done.cancel()

    def _gone(self) -> None:
        """The call is over, answered or not."""
        later = self._later
        if self._first():
            self._logged.run(self._call.finish, CANCELLED, self._started)
            self._end()
            if later is not None:
                later.done.cancel()

    def _first(self) -> bool:
        return self._unanswered.acquire(blocking=False)

    def _answer(self, answer: Callable[[], Message | bytes | Failure] | Failure) -> None:
        if self._first():
            try:
                self._logged.run(self._tell, answer)
            finally:
                self._end()

    def _tell(self, answer: Callable[[], Message | bytes | Failure] | Failure) -> None:
        outcome = answer if isinstance(answer, Failure) else attempt(answer)
        self._call.finish(_code(outcome) if self._context.is_active() else CANCELLED, self._started)
        if isinstance(outcome, Failure):
            self._call.tell(outcome, self._context, self._send)
        else:
            self._sender(self._context, self._send, outcome)

    def _end(self) -> None:
        """What it held is not held until the deadline would have come."""
        self._let_go()
        del self._context, self._send, self._sender, self._let_go
        self._later = None


def _code(outcome: object) -> str:
    return outcome.told.code.name if isinstance(outcome, Failure) else "OK"


def _in_time(context: grpc.ServicerContext) -> None:
    """Raises DeadlineExceeded for a call that waited for a thread until nobody waits for its answer."""
    if context.time_remaining() <= 0:
        raise DeadlineExceeded("the deadline passed before the call was begun; nothing was done")


def _raise(error: GatehouseError) -> Message:
    raise error


def _behaviour(handler: _Handler) -> _Behaviour:
    if handler.request_streaming:
        found = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        found = handler.unary_stream if handler.response_streaming else handler.unary_unary
    if found is None:
        raise TypeError(f"{handler!r} has no behaviour of its own shape")
    return found


def _like(handler: _Handler, behaviour: _Behaviour, pool: ThreadPoolExecutor, *, raw: bool) -> _Handler:
    """A handler of the same shape with another behaviour, on the threads of ``pool``; ``raw`` takes requests as bytes.

    grpc looks for the pool in an attribute of the behaviour.
    """
    behaviour.experimental_thread_pool = pool  # type: ignore[attr-defined]
    make: Callable[..., _Handler]
    if handler.request_streaming:
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
    else:
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
    return make(behaviour, None if raw else handler.request_deserializer, handler.response_serializer)
