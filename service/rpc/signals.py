"""SignalService."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock

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
from service.rpc.ports import Recording, UseCases

MOST_EVENTS, LEAST_EVENTS = 8_000, 2_000  # of one chunk; all streams share the most, the more the cheaper on a disk
CHUNK_BYTES = 4 * 1024 * 1024
AHEAD = 2  # chunks of a stream on their way to the disk while the next is read
MAX_REJECTIONS = 1_000


class SignalServicer(signals_pb2_grpc.SignalServiceServicer):
    """Records events chunk by chunk; while some become durable the next are read, and no more, so memory is bounded."""

    def __init__(self, use_cases: UseCases, caller: Caller, threads: Executor) -> None:
        """``threads``: as of ``Inflow``."""
        self._use_cases = use_cases
        self._caller = caller
        self._threads = threads
        self._streams = 0
        self._lock = Lock()

    def RecordSignals(
        self, request_iterator: Iterator[pb.RecordSignalsRequest], context: grpc.ServicerContext
    ) -> pb.RecordSignalsResponse:
        """A stream of events; one bad event is rejected alone."""
        if not isinstance(request_iterator, MessageStream):
            raise TypeError("the stream has to come undecoded")
        told = pb.RecordSignalsResponse()
        under_way: deque[_Chunk] = deque()
        position = 0
        with self._counted():
            try:
                for messages in Chunks(request_iterator.undecoded(), self._threads, self._most, CHUNK_BYTES):
                    while len(under_way) >= AHEAD:
                        _add(told, under_way.popleft().result(self._caller.timeout_s(context)))
                    under_way.append(self._begin(messages, position))
                    position += len(messages)
                while under_way:
                    _add(told, under_way.popleft().result(self._caller.timeout_s(context)))
            finally:
                for chunk in under_way:  # what comes after one that failed comes again, after it
                    chunk.cancel()
        return told

    def EraseAccount(self, request: pb.EraseAccountRequest, context: grpc.ServicerContext) -> pb.EraseAccountResponse:
        """Forgets a person."""
        erased = self._use_cases.erase_account(request.account_id, reason=request.reason, now=self._caller.now())
        return erasure_to_wire(erased)

    def _begin(self, messages: list[bytes], position: int) -> _Chunk:
        """Reads messages of which the first has ``position`` in the stream, and hands them on to be recorded."""
        events: list[Event] = []
        places: list[int] = []
        rejections: list[EventRejection] = []
        for place, item in enumerate(messages, position):
            read = _read(item, place)
            if isinstance(read, EventRejection):
                rejections.append(read)
            else:
                events.append(read)
                places.append(place)
        recording = self._use_cases.record_signals(events, now=self._caller.now()) if events else None
        return _Chunk(recording, places, rejections)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1

    def _most(self) -> int:
        """Events of a stream's next chunk."""
        return max(LEAST_EVENTS, MOST_EVENTS // max(1, self._streams))


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Messages that have been read."""

    recording: Recording | None  # None: there is nothing to record
    places: list[int]  # in the stream, of each event that is recorded
    rejections: list[EventRejection]  # of the others

    def result(self, timeout_s: float) -> RecordedEvents:
        """What became of them; positions are those of the stream."""
        done = RecordedEvents() if self.recording is None else self.recording.result(timeout_s)
        rejections = [replace(rejection, position=self.places[rejection.position]) for rejection in done.rejections]
        in_order = tuple(sorted(self.rejections + rejections, key=lambda rejection: rejection.position))
        return replace(done, rejected=done.rejected + len(self.rejections), rejections=in_order)

    def cancel(self) -> None:
        """Nobody waits for it."""
        if self.recording is not None:
            self.recording.cancel()


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
