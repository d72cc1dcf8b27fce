"""SignalService."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import replace

import grpc
from gatehouse.risk.v1 import signals_pb2 as pb
from gatehouse.risk.v1 import signals_pb2_grpc
from google.protobuf.message import DecodeError

from service.domain.errors import InvalidInput
from service.domain.requests import Event, EventRejection, RecordedEvents
from service.rpc.calls import Caller
from service.rpc.convert.facts import erasure_to_wire, event_from_wire, rejection_to_wire
from service.rpc.decoding import MessageStream, RefusedMessage, decode
from service.rpc.intake import Chunks
from service.rpc.plain import exchange
from service.rpc.ports import UseCases

CHUNK_EVENTS = 4_000  # the more, the more of an account's exchanges share the rows that they are written to
CHUNK_BYTES = 4 * 1024 * 1024
MAX_REJECTIONS = 1_000


class SignalServicer(signals_pb2_grpc.SignalServiceServicer):
    """Records events chunk by chunk; while one becomes durable the next is read, and no more, so memory is bounded."""

    def __init__(self, use_cases: UseCases, caller: Caller, recorders: Executor) -> None:
        self._use_cases = use_cases
        self._caller = caller
        self._recorders = recorders

    def RecordSignals(
        self, request_iterator: Iterator[pb.RecordSignalsRequest], context: grpc.ServicerContext
    ) -> pb.RecordSignalsResponse:
        """A stream of events; one bad event is rejected alone."""
        if not isinstance(request_iterator, MessageStream):
            raise TypeError("the stream has to come undecoded")
        told = pb.RecordSignalsResponse()
        position = 0
        before: Future[RecordedEvents] | None = None
        for chunk in Chunks(request_iterator.undecoded(), self._recorders, CHUNK_EVENTS, CHUNK_BYTES):
            if before is not None:
                _add(told, before.result())
            before = self._recorders.submit(copy_context().run, self._record, chunk, position, context)
            position += len(chunk)
        if before is not None:
            _add(told, before.result())
        return told

    def EraseAccount(self, request: pb.EraseAccountRequest, context: grpc.ServicerContext) -> pb.EraseAccountResponse:
        """Forgets a person."""
        erased = self._use_cases.erase_account(request.account_id, reason=request.reason, now=self._caller.now())
        return erasure_to_wire(erased)

    def _record(self, chunk: list[bytes], position: int, context: grpc.ServicerContext) -> RecordedEvents:
        """What became of a chunk whose first event has ``position`` in the stream."""
        events: list[Event] = []
        places: list[int] = []
        rejections: list[EventRejection] = []
        for place, item in enumerate(chunk, position):
            read = _read(item, place)
            if isinstance(read, EventRejection):
                rejections.append(read)
            else:
                events.append(read)
                places.append(place)
        if not events:
            return RecordedEvents(rejected=len(rejections), rejections=tuple(rejections))
        done = self._use_cases.record_signals(events, now=self._caller.now(), timeout_s=self._caller.timeout_s(context))
        rejections += [replace(rejection, position=places[rejection.position]) for rejection in done.rejections]
        in_order = tuple(sorted(rejections, key=lambda rejection: rejection.position))
        return replace(done, rejected=done.rejected + len(chunk) - len(events), rejections=in_order)


def _read(data: bytes, position: int) -> Event | EventRejection:
    """The event, or why it cannot be used."""
    plain = _plain(data)
    if plain is not None:
        return plain
    identifier = ""
    try:
        item = decode(data, pb.RecordSignalsRequest)
        identifier = item.event_id
        return event_from_wire(item)
    except InvalidInput as error:
        if isinstance(error, RefusedMessage):
            identifier = error.identifier
        first, *others = error.violations
        reason = "; ".join([first.description, *(f"{other.field}: {other.description}" for other in others)])
        return EventRejection(identifier, reason, position, first.field)


def _plain(data: bytes) -> Event | None:
    """The exchange that it mostly is, told at a glance."""
    item = pb.RecordSignalsRequest()
    try:
        item.ParseFromString(data)
    except DecodeError:
        return None
    return exchange(item)


def _add(told: pb.RecordSignalsResponse, done: RecordedEvents) -> None:
    told.recorded += done.recorded
    told.duplicates += done.duplicates
    told.rejected += done.rejected
    room = MAX_REJECTIONS - len(told.rejections)
    told.rejections.extend(map(rejection_to_wire, done.rejections[:room]))
