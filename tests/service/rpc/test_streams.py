from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, signals_pb2, signals_pb2_grpc
from google.rpc import code_pb2

from service.domain.errors import Overloaded
from service.domain.requests import Event, RecordedEvents
from service.rpc import intake, pace, signals
from service.rpc.server import GatehouseServer, Limits
from service.telemetry import Telemetry
from tests.factories import NOON
from tests.service.rpc.conftest import Memory, at, channel_of, ended_calls, make_score_request, wait_until, wrong_fields

SCORE = "/gatehouse.risk.v1.ScoringService/ScoreAccounts"
RECORD = "/gatehouse.risk.v1.SignalService/RecordSignals"


def item(account: str, request: str, **more: Any) -> scoring_pb2.ScoreAccountsRequest:
    return make_score_request(account, request, scoring_pb2.ScoreAccountsRequest, **more)


def event(event_id: str, account: str = "ada", **fact: Any) -> signals_pb2.RecordSignalsRequest:
    said = fact or {"usage": facts_pb2.Usage(input_tokens=5)}
    return signals_pb2.RecordSignalsRequest(event_id=event_id, account_id=account, happened_at=at(NOON), **said)


def score_all(
    stubs: SimpleNamespace, items: Iterable[scoring_pb2.ScoreAccountsRequest]
) -> dict[str, scoring_pb2.ScoreAccountsResponse]:
    return {answer.request_id: answer for answer in stubs.scoring.ScoreAccounts(iter(items), timeout=60)}


def test_every_item_of_a_stream_is_answered_under_its_request_id(stubs: SimpleNamespace) -> None:
    answers = score_all(stubs, [item(f"a{i}", f"r{i}") for i in range(1000)])

    assert len(answers) == 1000
    assert all(answer.assessment.account_id == f"a{name[1:]}" for name, answer in answers.items())


def test_items_that_come_together_are_scored_together_and_never_more_than_the_bound(
    stubs: SimpleNamespace, memory: Memory
) -> None:
    memory.hold = threading.Event()
    answers = stubs.scoring.ScoreAccounts(iter([item(f"a{i}", f"r{i}") for i in range(2000)]), timeout=60)
    assert memory.waits.acquire(timeout=30)
    memory.hold.set()

    assert len(list(answers)) == 2000
    assert sum(memory.batches) == 2000
    assert max(memory.batches) <= pace.MANY
    assert len(memory.batches) < 1000


def test_the_next_batch_is_begun_while_one_is_under_way_and_no_more_than_that(
    stubs: SimpleNamespace, memory: Memory
) -> None:
    memory.hold = threading.Event()
    answers = stubs.scoring.ScoreAccounts(iter([item(f"a{i}", f"r{i}") for i in range(2000)]), timeout=60)
    for _ in range(intake.AHEAD):
        assert memory.waits.acquire(timeout=30)
    assert not memory.waits.acquire(timeout=0.5)
    memory.hold.set()

    assert [answer.request_id for answer in answers] == [f"r{i}" for i in range(2000)]
    assert pace.FEW <= max(memory.batches) <= pace.MANY


def test_a_batch_holds_as_many_as_it_may_when_it_is_begun() -> None:
    sizes: list[int] = []
    may = iter([3, 3, 3, 7] + [5] * 99)

    def work(batch: list[Any]) -> None:
        sizes.append(len(batch))
        time.sleep(0.02)  # meanwhile as many have come as may

    with ThreadPoolExecutor(1 + intake.AHEAD) as threads:
        list(intake.worked(iter([b"%d" % i for i in range(60)]), threads, work, lambda: next(may)))
    assert sizes[:3] == [3, 3, 3]
    assert sizes[3] == 7
    assert set(sizes[4:-1]) == {5}


def test_one_bad_item_fails_alone_and_says_which_field(stubs: SimpleNamespace) -> None:
    answers = score_all(
        stubs,
        [
            item("ada", "good"),
            item("", "no-account"),
            scoring_pb2.ScoreAccountsRequest(request_id="unknown", account_id="nobody", purpose=2),
            item("bob", "bad-card", payments=[facts_pb2.Payment(event_id="e", happened_at=at(NOON), kind=1)]),
            item("cyd", "also-good"),
        ],
    )

    assert answers["good"].assessment.account_id == "ada"
    assert answers["also-good"].assessment.account_id == "cyd"
    assert answers["no-account"].error.code == code_pb2.INVALID_ARGUMENT
    assert wrong_fields(answers["no-account"].error) == ["account_id"]
    assert wrong_fields(answers["bad-card"].error) == ["payments[0].method"]
    assert answers["unknown"].error.code == code_pb2.NOT_FOUND


def test_an_item_with_text_that_is_not_utf8_fails_alone(channel: grpc.Channel) -> None:
    call = channel.stream_stream(SCORE, None, scoring_pb2.ScoreAccountsResponse.FromString)
    good, bad = item("ada", "good").SerializeToString(), item("QQQQ", "bad").SerializeToString()

    answers = {answer.request_id: answer for answer in call(iter([bad.replace(b"QQQQ", b"\xff" * 4), good]))}

    assert answers["good"].assessment.account_id == "ada"
    assert wrong_fields(answers["bad"].error) == ["account_id"]


def test_a_stream_of_nothing_is_answered_with_nothing(stubs: SimpleNamespace) -> None:
    assert score_all(stubs, []) == {}
    told = stubs.signals.RecordSignals(iter([]), timeout=10)
    assert (told.recorded, told.duplicates, told.rejected) == (0, 0, 0)


def test_an_answer_comes_before_the_next_item_is_sent(stubs: SimpleNamespace) -> None:
    outbox: queue.Queue[scoring_pb2.ScoreAccountsRequest | None] = queue.Queue()
    answers = stubs.scoring.ScoreAccounts(iter(outbox.get, None), timeout=60)
    for number in range(3):
        outbox.put(item(f"a{number}", f"r{number}"))
        assert next(answers).request_id == f"r{number}"
    outbox.put(None)
    assert list(answers) == []


def test_the_server_stops_reading_while_it_cannot_keep_up(stubs: SimpleNamespace, memory: Memory) -> None:
    memory.hold = threading.Event()
    sent = 0
    padding = [facts_pb2.Link(happened_at=at(NOON), key_type="k", key_value="v" * 1000)] * 200  # 200 kB an item

    def items() -> Iterator[scoring_pb2.ScoreAccountsRequest]:
        nonlocal sent
        for number in range(500):
            sent = number + 1
            yield item(f"a{number}", f"r{number}", links=padding)

    answers = stubs.scoring.ScoreAccounts(items(), timeout=120)
    assert memory.waits.acquire(timeout=30)
    seen = -1
    while seen != sent:  # until nothing moves any more
        seen = sent
        threading.Event().wait(0.5)

    assert sent < 400  # 8 MiB read ahead, one batch in work, and what the transport holds
    memory.hold.set()
    assert len(list(answers)) == 500


def test_a_defect_in_a_stream_ends_it_with_a_reference(stubs: SimpleNamespace) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        score_all(stubs, [item("defect", "r1")])

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details().startswith("internal error, reference ")


def test_a_caller_that_hangs_up_frees_its_threads(
    server: GatehouseServer, stubs: SimpleNamespace, telemetry: Telemetry, limits: Limits
) -> None:
    outboxes: list[queue.Queue[scoring_pb2.ScoreAccountsRequest | None]] = []
    for _ in range(limits.max_streams * 3):
        outbox: queue.Queue[scoring_pb2.ScoreAccountsRequest | None] = queue.Queue()
        outboxes.append(outbox)
        outbox.put(item("ada", "r1"))
        answers = stubs.scoring.ScoreAccounts(iter(outbox.get, None), timeout=60, wait_for_ready=True)
        with suppress(grpc.RpcError):  # RESOURCE_EXHAUSTED while it has not noticed that the ones before are gone
            next(answers)
        answers.cancel()
    while server._pools.streams.outstanding or server._pools.readers.outstanding:
        threading.Event().wait(0.05)

    for outbox in outboxes:
        outbox.put(None)

    assert len(score_all(stubs, [item("bob", "r2")])) == 1
    assert ended_calls(telemetry, SCORE, "CANCELLED") > 0


def test_more_streams_than_there_are_threads_are_refused_and_other_calls_go_on(
    stubs: SimpleNamespace, limits: Limits
) -> None:
    open_streams = []
    for number in range(limits.max_streams):
        outbox: queue.Queue[scoring_pb2.ScoreAccountsRequest | None] = queue.Queue()
        outbox.put(item(f"a{number}", f"r{number}"))
        answers = stubs.scoring.ScoreAccounts(iter(outbox.get, None))
        assert next(answers).request_id == f"r{number}"
        open_streams.append((outbox, answers))

    with pytest.raises(grpc.RpcError) as caught:
        score_all(stubs, [item("late", "late")])
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stubs.scoring.ScoreAccount(make_score_request("late", "unary"), timeout=10).assessment.account_id == "late"

    for outbox, answers in open_streams:
        outbox.put(None)
        assert list(answers) == []


def test_events_are_recorded_once_and_a_bad_one_is_rejected_alone(stubs: SimpleNamespace, memory: Memory) -> None:
    told = stubs.signals.RecordSignals(
        iter(
            [
                event("e1"),
                event("e2", payment=facts_pb2.Payment(kind=1, method=1)),
                event("e1"),
                event("e3", usage=facts_pb2.Usage(input_tokens=-1)),
                event("e2", payment=facts_pb2.Payment(kind=2, method=1)),
                event("e4", link=facts_pb2.Link(key_type="wallet", key_value="w")),
                event("e5", signal=facts_pb2.Signal(name="captcha", value=0.5)),
                signals_pb2.RecordSignalsRequest(event_id="e6", account_id="ada", happened_at=at(NOON)),
            ]
        ),
        timeout=10,
    )

    assert (told.recorded, told.duplicates, told.rejected) == (4, 1, 3)
    assert [(r.event_id, r.position, r.field, r.code) for r in told.rejections] == [
        ("e3", 3, "usage.input_tokens", code_pb2.INVALID_ARGUMENT),
        ("e2", 4, "event_id", code_pb2.ALREADY_EXISTS),
        ("e6", 7, "fact", code_pb2.INVALID_ARGUMENT),
    ]
    assert told.rejections[2].reason == "exactly one field is required in oneof"
    assert set(memory.events) == {"e1", "e2", "e4", "e5"}


def test_a_time_inside_a_fact_that_contradicts_its_event_is_rejected(stubs: SimpleNamespace) -> None:
    fact = facts_pb2.Payment(kind=1, method=1, happened_at=at(NOON + 1))

    told = stubs.signals.RecordSignals(iter([event("e1", payment=fact)]), timeout=10)

    assert [rejection.field for rejection in told.rejections] == ["payment.happened_at"]


def test_a_thousand_rejections_are_listed_and_all_are_counted(stubs: SimpleNamespace) -> None:
    bad = [signals_pb2.RecordSignalsRequest(event_id=f"e{i}") for i in range(2500)]

    told = stubs.signals.RecordSignals(iter([*bad, event("good")]), timeout=60)

    assert (told.recorded, told.rejected, len(told.rejections)) == (1, 2500, 1000)
    assert [rejection.position for rejection in told.rejections] == list(range(1000))


def test_a_long_stream_of_events_is_recorded_in_chunks(stubs: SimpleNamespace, memory: Memory) -> None:
    told = stubs.signals.RecordSignals((event(f"e{i}") for i in range(2500)), timeout=60)

    assert told.recorded == len(memory.events) == 2500


class Promising(Memory):
    """Promises to record events, and the test says what becomes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[int, Future[RecordedEvents]]] = []

    def record_signals(self, events: Sequence[Event], *, now: int) -> Future[RecordedEvents]:  # noqa: ARG002
        promise: Future[RecordedEvents] = Future()
        self.begun.append((len(events), promise))
        return promise


def test_events_are_read_until_so_many_chunks_are_on_their_way_and_no_further(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "MOST_EVENTS", 200)
    monkeypatch.setattr(signals, "LEAST_EVENTS", 100)
    memory = Promising()
    sent = 0

    def events() -> Iterator[signals_pb2.RecordSignalsRequest]:
        nonlocal sent
        for number in range(20_000):
            sent = number + 1
            yield event(f"e{number}", link=facts_pb2.Link(key_type="k", key_value="v" * 1_000))

    with channel_of(memory, telemetry, Limits(default_timeout_s=120)) as channel:
        call = signals_pb2_grpc.SignalServiceStub(channel).RecordSignals.future(events(), timeout=120)
        seen = -1
        while seen != sent or len(memory.begun) < signals.AHEAD:  # until nothing moves any more
            seen = sent
            threading.Event().wait(0.5)
        assert [size for size, _ in memory.begun] == [200] * signals.AHEAD
        assert sent < 10_000  # one more waits, one more is read, and what the transport holds
        done = 0
        while done < 100:
            if done < len(memory.begun):
                memory.begun[done][1].set_result(RecordedEvents(recorded=memory.begun[done][0]))
                done += 1
            threading.Event().wait(0.001)
        assert call.result(60).recorded == 20_000


def test_what_came_after_a_chunk_that_failed_is_not_waited_for(telemetry: Telemetry) -> None:
    memory = Promising()
    with channel_of(memory, telemetry, Limits()) as channel:
        some = (event(f"e{number}") for number in range(signals.MOST_EVENTS + 1))
        call = signals_pb2_grpc.SignalServiceStub(channel).RecordSignals.future(some, timeout=120)
        wait_until(lambda: len(memory.begun) == signals.AHEAD)
        (_, first), (_, second) = memory.begun
        first.set_exception(Overloaded("4096 writes are waiting; try again later"))
        assert call.exception(60).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        wait_until(second.cancelled)
