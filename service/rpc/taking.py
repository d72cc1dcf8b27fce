"""Calls whose request is taken in without a thread of their own.

grpc's server of threads gives each call a thread, which asks for the request's message and waits until the thread that
hears of all events wakes it: two threads take turns at the interpreter before a line of ours has run. A call that only
hands its request on needs neither. Here the message is asked for as soon as grpc knows of the call, and the
method is run where its coming is heard of: on grpc's own thread, which nothing of it may hold up.

Whoever is refused is told there, too, and nothing of the request is waited for.

What is asked for is grpc's and private, as in ``later``: where a later grpc has it no more, or otherwise, calls are
taken in, and refused, by threads as before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import structlog

from service.rpc.pools import CountingPool

log = structlog.get_logger(__name__)

# Bytes of a request. Larger ones are read by threads: rules that look at each of a thousand payments take a tenth of a
# second, in which no other call would be heard of.
SMALL = 16_384
_PARAMETERS = ("rpc_event", "state", "behavior", "argument_thunk")
_METHODS = ("_unary_response_in_pool", "_stream_response_in_pool")  # those that run a behaviour on its thread


class TakingIn(ThreadPoolExecutor):
    """What grpc takes for a pool, for methods with one request that return at once, and count as ``pool``'s calls."""

    def __init__(self, pool: CountingPool) -> None:
        super().__init__(max_workers=1)  # begun only where work comes, which none does
        self._pool = pool
        self._take = _taken()
        if self._take is None:
            log.warning("calls_are_taken_in_by_threads", grpc=grpc.__version__)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What grpc calls a method with; done when the call does not count any more."""
        if self._take is None:
            return self._pool.submit(fn, *args, **kwargs)
        return self._take(self._pool, fn, *args)


class Refusing(ThreadPoolExecutor):
    """What grpc takes for a pool, for a method that says the same to every caller, whatever the request is."""

    def __init__(self, told: grpc.Status, own: Callable[[Any], tuple[str, str]], pool: CountingPool) -> None:
        """``own``: of a call's metadata, what its trailing metadata have besides; ``pool``: where this grpc cannot."""
        super().__init__(max_workers=1)  # as above
        self._pool = pool
        self._refuse = _refused(told, own)
        self._done: Future[None] = Future()
        self._done.set_result(None)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What grpc calls a method with, holding the call's lock."""
        if self._refuse is None:
            return self._pool.submit(fn, *args, **kwargs)
        self._refuse(*args)
        return self._done


def _known_server() -> Any:
    """The server of grpc; raises ImportError or AttributeError where it does not run methods in the way known here."""
    from grpc import _server  # noqa: PLC0415  private: may not be there

    for name in _METHODS:
        if tuple(inspect.signature(getattr(_server, name)).parameters)[: len(_PARAMETERS)] != _PARAMETERS:
            raise AttributeError(f"grpc._server.{name} takes other parameters")
    return _server


def _refused(told: grpc.Status, own: Callable[[Any], tuple[str, str]]) -> Callable[..., None] | None:
    """Ends a call as its method would by aborting it; None where this grpc cannot."""
    try:
        server = _known_server()
        abort, unknown = server._abort, server.cygrpc.StatusCode.unknown  # noqa: SLF001
        whole = tuple(inspect.signature(abort).parameters) == ("state", "call", "code", "details")
    except (ImportError, AttributeError):
        return None
    if not whole:
        return None
    details, trailing = told.details.encode(), tuple(told.trailing_metadata)

    def refuse(_way: Callable[..., Any], rpc_event: Any, state: Any, *_: Any) -> None:
        state.code, state.details = told.code, details
        state.trailing_metadata = (*trailing, own(rpc_event.invocation_metadata))
        abort(state, rpc_event.call, unknown, b"")

    return refuse


def _taken() -> Callable[..., Future[Any]] | None:
    """Asks for a call's message and runs its method once it is there; None where this grpc cannot."""
    try:
        server = _known_server()
        cygrpc = server.cygrpc
        message, token = cygrpc.ReceiveMessageOperation, server._RECEIVE_MESSAGE_TOKEN  # noqa: SLF001
        received, abort, closed = server._receive_message, server._abort, server._CLOSED  # noqa: SLF001
        active = server._is_rpc_state_active  # noqa: SLF001
    except (ImportError, AttributeError):
        return None

    def take(pool: CountingPool, run: Callable[..., Any], way: Callable[..., Any], *way_args: Any) -> Future[Any]:
        rpc_event, state, behaviour, _, *rest = way_args
        call, done = rpc_event.call, pool.count()
        hear = received(state, call, None)

        def begin(request: bytes) -> None:
            run(way, rpc_event, state, behaviour, lambda: request, *rest)

        def heard(event: Any) -> Any:
            told = hear(event)
            request, state.request = state.request, None
            if request is None:
                with state.condition:
                    if state.client is closed and active(state):
                        what = f'"{rpc_event.call_details.method.decode()}" requires exactly one request message.'
                        abort(state, call, cygrpc.StatusCode.unimplemented, what.encode())
                pool.run(done, lambda: None)
            elif len(request) > SMALL:
                pool.thread(done, partial(begin, request))
            else:
                pool.run(done, partial(begin, request))
            return told

        call.start_server_batch((message(0),), heard)
        state.due.add(token)
        return done

    return take
