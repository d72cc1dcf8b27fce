"""The stream of ScoreAccounts beside unary calls, and bare echoes of the same messages beside both (goal 4).

    python -m benchmarks.stream [--accounts 20000] [--stream 10000] [--rounds 5] [--full] [--out FILE]

Seventy in a hundred messages are full signups, the others known accounts; none is sent twice. Known accounts alone, as
a job over existing ones sends them, are measured beside that. Unary calls come from 32 callers who each wait for their
answer; the stream is one caller who sends as fast as flow control lets him. The echo parses each request and answers
with one stored response of the same kind, in one process with grpc's thread pool and in grpc's own way, a message after
the other. Messages are made beforehand and answers stay bytes.
Memory is the server's resident set, looked at every 20 ms while 10,000 and 100,000 accounts go through.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import psutil
from gatehouse.risk.v1 import scoring_pb2 as pb

from benchmarks.clients import closed_loop, over_grpc
from benchmarks.measured import Bound, Measured, Row, Table, hand_over, progress, rounds
from benchmarks.processes import SERVE, Server, server
from benchmarks.scoring import KNOWN, prepared, request

CALLERS = 32
UNARY_S = 4.0
UNARY_MOST = 20_000  # calls in that time
GOAL = 15.0
FLAT = 1.1  # peak of memory at ten times the accounts, over that at the fewer
METHOD = "/gatehouse.risk.v1.ScoringService/"
TIMEOUT_S = 600.0
OPTIONS = [("grpc.enable_http_proxy", 0)]


@dataclass(slots=True)
class Messages:
    """Requests that nobody has sent yet, as bytes; both methods have the same fields."""

    numbers: Iterator[int] = field(default_factory=count)

    def take(self, many: int, *, known: bool = False) -> list[bytes]:
        """The next ones, seven signups for three known accounts; ``known``: of known accounts alone."""
        kinds = ["known" if known or i % 10 in (2, 5, 8) else "signup" for i in range(many)]
        return [request(number, kind).SerializeToString() for number, kind in zip(self.numbers, kinds, strict=False)]


def unary(address: str, bodies: list[bytes], *, again: bool = False) -> tuple[float, int]:
    """Accounts a second that 32 callers get answered, one in each call, and how many those were.

    Each body is sent once, or over and over with ``again``. Raises RuntimeError where a caller failed, or the bodies
    did not last.
    """
    connect, channel = over_grpc(address, f"{METHOD}ScoreAccount")
    with channel:
        load = closed_loop(connect, bodies, callers=CALLERS, seconds=UNARY_S, again=again)
    return load.rate, len(load.taken)


def stream(address: str, bodies: list[bytes]) -> tuple[float, int]:
    """Accounts a second of one stream, and how many those were.

    Raises RuntimeError where one was not answered with an assessment.
    """
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        call: Any = channel.stream_stream(f"{METHOD}ScoreAccounts", request_serializer=None, response_deserializer=None)
        started = time.perf_counter()
        answers = list(call(iter(bodies), timeout=TIMEOUT_S))
        took = time.perf_counter() - started
    wrong = [answer for body in answers if (answer := pb.ScoreAccountsResponse.FromString(body)).HasField("error")]
    if len(answers) != len(bodies) or wrong:
        raise RuntimeError(f"{len(answers)} answers for {len(bodies)}, {len(wrong)} of them errors: {wrong[:1]}")
    return len(bodies) / took, len(bodies)


def peak_mib(pid: int, address: str, bodies: list[bytes]) -> float:
    """Highest resident set of the server while these accounts go through."""
    over = threading.Event()
    marks = [0]

    def look() -> None:
        process = psutil.Process(pid)
        while not over.wait(0.02):
            marks.append(process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        stream(address, bodies)
    finally:
        over.set()
        looking.join()
    return max(marks) / 2**20


def echo() -> None:
    """Serves both methods from one process: parses each request, and answers with a stored response."""
    made = pb.Assessment(
        assessment_id="0" * 36,
        account_id="a" * 16,
        score=0.01,
        decision=pb.DECISION_ALLOW,
        model_version="m" * 24,
        policy_version="p" * 12,
        feature_fingerprint="f" * 16,
        purpose=pb.PURPOSE_SIGNUP,
        request_id="r" * 20,
    )
    one, streamed = pb.ScoreAccountResponse(assessment=made), pb.ScoreAccountsResponse(request_id="r", assessment=made)

    def each(
        requests: Iterator[pb.ScoreAccountsRequest], _: grpc.ServicerContext
    ) -> Iterator[pb.ScoreAccountsResponse]:
        for _request in requests:
            yield streamed

    handlers: dict[str, Any] = {
        "ScoreAccount": grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: one, pb.ScoreAccountRequest.FromString, pb.ScoreAccountResponse.SerializeToString
        ),
        "ScoreAccounts": grpc.stream_stream_rpc_method_handler(
            each, pb.ScoreAccountsRequest.FromString, pb.ScoreAccountsResponse.SerializeToString
        ),
    }
    bare = grpc.server(ThreadPoolExecutor(16))
    bare.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD.strip("/"), handlers),))
    port = bare.add_insecure_port("127.0.0.1:0")
    bare.start()
    print(f"ready grpc=127.0.0.1:{port}", flush=True)
    bare.wait_for_termination()


def measured(ours: Server, bare: Server, options: argparse.Namespace) -> Measured:
    """The figures."""
    messages = Messages()
    stream(ours.grpc, messages.take(500))
    unary(ours.grpc, messages.take(UNARY_MOST))
    kinds = ("unary", "stream", "known_unary", "known_stream", "echo_unary", "echo_stream")
    spent: dict[str, list[float]] = {name: [] for name in kinds}

    def timed(name: str, of: Server) -> float:
        """A round, and what it took of the server's processors."""
        streamed = name.endswith("stream")
        bodies = messages.take(options.stream if streamed else UNARY_MOST, known=name.startswith("known"))
        busy = psutil.Process(of.pid)
        before = busy.cpu_times()
        rate, answered = stream(of.grpc, bodies) if streamed else unary(of.grpc, bodies, again=of is bare)
        after = busy.cpu_times()
        spent[name].append((after.user + after.system - before.user - before.system) / answered)
        return rate

    found = rounds(
        options.rounds,
        unary=lambda: timed("unary", ours),
        stream=lambda: timed("stream", ours),
        known_unary=lambda: timed("known_unary", ours),
        known_stream=lambda: timed("known_stream", ours),
        echo_unary=lambda: timed("echo_unary", bare),
        echo_stream=lambda: timed("echo_stream", bare),
    )
    cost = {name: statistics.median(each) * 1e6 for name, each in spent.items()}
    peaks: dict[int, float] = {}  # by accounts, in either so many that a stream's batches have grown to their largest
    for many in (10_000, 100_000) if options.full else (6_000, 60_000):
        peaks[many] = peak_mib(ours.pid, ours.grpc, messages.take(many))
        progress(f"{many:,} accounts: peak {peaks[many]:.0f} MiB")
    (few, low), (lots, high) = peaks.items()
    ceiling = statistics.median(e / u for e, u in zip(found["echo_stream"], found["unary"], strict=True))
    note = (
        f"a bare echo's stream, one message for each account as the contract has it, carries {ceiling:.1f} times our "
        f"unary calls; an account costs the server {cost['unary']:.0f} us of a processor in a unary call and "
        f"{cost['stream']:.0f} in the stream, where the echo's message there and back costs {cost['echo_stream']:.0f}"
    )
    return Measured(
        rows=(
            Row(
                number="4",
                what=f"ScoreAccounts, a stream of {options.stream:,}",
                unit="accounts/s",
                ours=found["stream"],
                goal=GOAL,
                bound=Bound.AT_LEAST,
                peer_name="our unary, 32 callers",
                peer=found["unary"],
                note=note,
            ),
            Row(
                number="4b",
                what=f"its peak of memory at {lots:,} accounts",
                unit="MiB",
                ours=(high,),
                goal=FLAT,
                bound=Bound.AT_MOST,
                peer_name=f"at {few:,} accounts",
                peer=(low,),
            ),
            Row(
                number="4c",
                what=f"the same of known accounts alone, a stream of {options.stream:,}",
                unit="accounts/s",
                ours=found["known_stream"],
                goal=GOAL,
                bound=Bound.AT_LEAST,
                peer_name="our unary of the same, 32 callers",
                peer=found["known_unary"],
                note=f"an account costs {cost['known_unary']:.0f} us of a processor in a unary call and "
                f"{cost['known_stream']:.0f} in the stream",
            ),
        ),
        tables=(
            Table(
                "One account in each message (medians)",
                ("", "unary, 32 callers", "stream", "stream / unary"),
                tuple(
                    (f"{name}, {unit}", of[first], of[second], of[second] / of[first])
                    for unit, of in (
                        ("accounts/s", {kind: statistics.median(each) for kind, each in found.items()}),
                        ("server's us/account", cost),
                    )
                    for name, first, second in (
                        ("ours", "unary", "stream"),
                        ("ours, known", "known_unary", "known_stream"),
                        ("echo", "echo_unary", "echo_stream"),
                    )
                ),
            ),
        ),
    )


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--echo", action="store_true", help="be the echo server")
    parser.add_argument("--accounts", type=int, default=20_000, help="accounts known beforehand")
    parser.add_argument("--stream", type=int, default=4_000, help="accounts in each measured stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="100,000 accounts for memory instead of 60,000")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    if options.echo:
        echo()
        return 0
    if options.accounts < KNOWN:
        parser.error(f"--accounts must be at least {KNOWN}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = prepared(home, f"sqlite:///{home / 'g.db'}", options.accounts)
        with server(*SERVE, environment=environment) as ours, server("-m", "benchmarks.stream", "--echo") as bare:
            found = measured(ours, bare, options)
    hand_over(found, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
