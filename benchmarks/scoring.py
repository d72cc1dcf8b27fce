"""ScoreAccount with everything on, beside the fastest bare echo of the same messages, in the same run (goals 1 and 2).

    python -m benchmarks.scoring [--accounts 20000] [--callers 64] [--rounds 5] [--seconds 3] [--only DB] [--out F]

Everything on: validation, door, look-ups in a database of accounts, features, model, policy, durable record (SQLite
with synchronous FULL, or a PostgreSQL of its own with its defaults). Of a hundred requests 70 are full signups, 29
known accounts and one a known account with reasons. An echo parses the same request and answers a stored response;
there are four (a pool of threads, the same with connections read as ours are, grpc.aio, grpc.aio on uvloop where that
is installed), and the fastest here counts. One more answers only once SQLite has the message: no peer, but what being
durable costs by itself.
All are asked by one client, closed loop for rates, in interleaved rounds. For the slowest answers each is asked at half
of its own rate by callers who come by chance. Client, server, database and echo share this machine's cores, so what an
answer costs of processors is told beside the rates. We are measured twice: as one process, and with ``--scorers 1``,
one that talks gRPC and one that scores.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.asking import TIMEOUT_S, at_rate, closed_loop
from benchmarks.databases import own_postgres
from benchmarks.measured import Bound, Measured, Row, Table, hand_over, percentile, rounds
from benchmarks.processes import SERVE, Server, server, spent
from service.rpc.polling import LISTENER, VARIABLE

ACCOUNTS = 20_000
KNOWN = 5_000  # accounts that known ones are taken from
CALLERS = 64
ECHO_THREADS = 8
KEPT = "kept"  # an echo that answers once SQLite has the message; no peer: it shows what durable alone costs
POLLED = "polled threads"  # as ours: the thread that hands out calls reads the connections, see ``service.rpc.polling``
ROUND_S = 4.0
ROUNDS = 5
NUMBERS = itertools.count(1)
METHOD = "/gatehouse.risk.v1.ScoringService/ScoreAccount"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


def request(i: int, kind: str) -> scoring_pb2.ScoreAccountRequest:
    """A full signup, a known account, or a known account with reasons; never the same request twice."""
    made = scoring_pb2.ScoreAccountRequest(
        request_id=f"{kind}-{os.getpid()}-{i}",
        account_id=f"bench-{kind}-{os.getpid()}-{i}" if kind == "signup" else f"acc-{i % KNOWN}",
        purpose=scoring_pb2.PURPOSE_SIGNUP if kind == "signup" else scoring_pb2.PURPOSE_MANUAL,
        explain=kind == "explained",
    )
    if kind == "signup":
        at = Timestamp()
        at.GetCurrentTime()
        made.signup.CopyFrom(
            facts_pb2.Signup(
                created_at=at,
                email=f"harbour.lane{i}@example{i % 900}.com",
                full_name="Cedar Harbour",
                phone=f"+4915112{i % 100_000:05d}",
                country="DE",
                ip=f"84.{56 + i % 4}.{i // 250 % 250}.{i % 250}",
                user_agent=BROWSER,
                device_id=f"device-{i}",
                accept_language="de-DE,de;q=0.9",
                plan="pro",
                signup_source="web",
                form_seconds=40.0 + i % 60,
                email_verified=True,
            )
        )
    return made


def load(address: str, kind: str, first: int, callers: int) -> tuple[float, list[float], int]:
    """Asks for a round; (calls a second, seconds of each call, calls made)."""
    seconds: list[float] = []
    counter = iter(range(first, 10**12))
    lock = threading.Lock()
    end = time.perf_counter() + ROUND_S

    def ask(call: Callable[..., object]) -> None:
        mine = []
        while time.perf_counter() < end:
            with lock:
                i = next(counter)
            message = request(i, kind)
            at = time.perf_counter()
            call(message, timeout=30)
            mine.append(time.perf_counter() - at)
        with lock:
            seconds.extend(mine)

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        stub.ScoreAccount(request(first, kind), timeout=30)
        next(counter)
        threads = [threading.Thread(target=ask, args=(stub.ScoreAccount,)) for _ in range(callers)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - started
    return len(seconds) / took, seconds, len(seconds) + 1


def mixed(i: int) -> bytes:
    """The i-th request: of a hundred 70 signups, 29 known accounts and one with reasons, spread evenly."""
    place = i * 37 % 100
    return request(i, "signup" if place < 70 else "known" if place < 99 else "explained").SerializeToString()


def explained(i: int) -> bytes:
    """The i-th request where every caller wants reasons: signups and known accounts as in ``mixed``."""
    made = request(i, "signup" if i * 37 % 100 < 70 else "explained")
    made.explain = True
    return made.SerializeToString()


def echo(kind: str) -> None:
    """A bare server of the same method: parses the request, answers a stored assessment. Prints where it listens."""
    answer = scoring_pb2.ScoreAccountResponse(
        assessment=scoring_pb2.Assessment(
            assessment_id="0" * 36,
            account_id="a" * 16,
            score=0.01,
            decision=scoring_pb2.DECISION_ALLOW,
            model_version="m" * 24,
            policy_version="p" * 12,
            feature_fingerprint="f" * 16,
        )
    )
    service, method = METHOD[1:].split("/")

    def handler(behaviour: Any) -> grpc.GenericRpcHandler:
        made = grpc.unary_unary_rpc_method_handler(
            behaviour, scoring_pb2.ScoreAccountRequest.FromString, scoring_pb2.ScoreAccountResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(service, {method: made})

    if kind in ("threads", KEPT):
        keep = keeper() if kind == KEPT else None

        def answered_here(request: scoring_pb2.ScoreAccountRequest, _context: object) -> Any:
            if keep is not None:
                keep(request.SerializeToString()).result()
            return answer

        server = grpc.server(ThreadPoolExecutor(ECHO_THREADS if keep is None else CALLERS))
        server.add_generic_rpc_handlers((handler(answered_here),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        print(f"ready grpc=127.0.0.1:{port}", flush=True)
        server.wait_for_termination()
        return
    if kind == "uvloop":
        importlib.import_module("uvloop").install()

    async def run() -> None:
        async def answered(_request: object, _context: object) -> scoring_pb2.ScoreAccountResponse:
            return answer

        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handler(answered),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"ready grpc=127.0.0.1:{port}", flush=True)
        await server.wait_for_termination()

    asyncio.run(run())


def keeper() -> Callable[[bytes], Future[None]]:
    """Keeps messages in a table of SQLite, durably; those that wait at one moment are committed together."""
    waiting: SimpleQueue[tuple[bytes, Future[None]]] = SimpleQueue()

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "kept.db", isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, message BLOB)")
            while True:
                together = [waiting.get()]
                while not waiting.empty():
                    together.append(waiting.get())
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO kept (message) VALUES (?)", [(message,) for message, _ in together])
                connection.execute("COMMIT")
                for _, done in together:
                    done.set_result(None)

    threading.Thread(target=write, daemon=True).start()

    def keep(message: bytes) -> Future[None]:
        done: Future[None] = Future()
        waiting.put((message, done))
        return done

    return keep


@contextmanager
def fastest_echo(callers: int) -> Iterator[tuple[str, Server, Table]]:
    """The echo with the highest median of a few short rounds; its kind, and what all of them gave."""
    kinds = ["threads", POLLED, "aio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
    with ExitStack() as stack:
        echoes = {
            kind: stack.enter_context(
                server(
                    "-m",
                    "benchmarks.scoring",
                    "--echo",
                    "threads" if kind == POLLED else kind,
                    environment={VARIABLE: f"-{LISTENER}"} if kind == POLLED else {},
                )
            )
            for kind in kinds
        }
        bodies = [mixed(i) for i in range(1_000)]
        rates = rounds(
            3,
            **{
                kind: lambda one=one: (
                    closed_loop(one.grpc, METHOD, bodies, callers=callers, seconds=1.0, again=True).rate
                )
                for kind, one in echoes.items()
            },
        )
        best = max(kinds, key=lambda kind: statistics.median(rates[kind]))
        told = tuple((kind, statistics.median(rates[kind]), min(rates[kind]), max(rates[kind])) for kind in kinds)
        yield (
            best,
            echoes[best],
            Table("Bare echoes of the same messages", ("echo", "answers/s", "least", "most"), told),
        )


def prepared(home: Path, database: str, accounts: int) -> dict[str, str]:
    """A database of simulated accounts whose ids are ``acc-N``, and the environment that names it."""
    environment = {"GATEHOUSE_DATABASE_URL": database, "GATEHOUSE_DATA_DIR": str(home), "GATEHOUSE_LOG_LEVEL": "error"}
    world = home / "world"
    world.mkdir()
    with (world / "accounts.csv").open("w") as file:
        file.write("account_id,created_at,email,country,ip,device_id,user_agent\n")
        for i in range(accounts):
            file.write(
                f"acc-{i},2026-10-{1 + i % 28:02d}T10:00:00Z,person{i}@mail{i % 700}.com,DE,"
                f"84.{56 + i % 4}.{i // 250 % 250}.{i % 250},d-{i},{BROWSER}\n".replace("; ", " ")
            )
    for arguments in (["import", str(world)],):
        subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
        )
    return environment


class Target:
    """A server that is measured, with all that was measured of it."""

    def __init__(self, of: Server, options: argparse.Namespace, *, again: bool = False) -> None:
        self._again = again  # the same messages may be asked over and over
        self.address, self._options = of.grpc, options
        self._pid = of.pid
        self._expected = 2_500.0  # answers a second, for how many messages to make
        self.costs: list[float] = []  # us of processors an answer, by round
        self.p50: list[float] = []  # ms, closed loop, by round

    def rate(self, make: Callable[[int], bytes]) -> float:
        """Answers a second of callers who ask again as soon as they are answered."""
        bodies = [make(next(NUMBERS)) for _ in range(int(self._expected * self._options.seconds * 2) + 200)]
        before = spent(self._pid)
        found = closed_loop(
            self.address,
            METHOD,
            bodies,
            callers=self._options.callers,
            seconds=self._options.seconds,
            again=self._again,
        )
        self.costs.append((spent(self._pid) - before) / len(found.taken) * 1e6)
        self.p50.append(found.ms(0.5))
        self._expected = max(self._expected, found.rate)
        return found.rate

    def slowest(self, make: Callable[[int], bytes], rate: float) -> float:
        """Milliseconds that 99 % of calls, asked at ``rate`` by chance, took at most; a lost one took them all."""
        bodies = [make(next(NUMBERS)) for _ in range(int(rate * self._options.seconds * 1.5) + 200)]
        found = at_rate(self.address, METHOD, bodies, rate=rate, seconds=self._options.seconds, seed=next(NUMBERS))
        lost = len(found.refused) + sum(found.failed.values())
        return percentile([*found.taken, *[TIMEOUT_S] * lost], 0.99) * 1e3


@dataclass(frozen=True, slots=True)
class Way:
    """A way to serve."""

    said: str
    arguments: tuple[str, ...]
    letters: str  # of its rows: rate, slowest


ALONE = ("", ())
APART = (", --scorers 1", ("--scorers", "1"))


def measured(name: str, letters: str, environment: dict[str, str], options: argparse.Namespace) -> Measured:
    """Rows of goals 1 and 2 on one database; ``letters``: two for each way."""
    ways = [Way(*way, letters[2 * i : 2 * i + 2]) for i, way in enumerate((ALONE, APART))]
    with ExitStack() as stack:
        kind, bare, echoes = stack.enter_context(fastest_echo(options.callers))
        keeping = stack.enter_context(server("-m", "benchmarks.scoring", "--echo", KEPT))
        started = [stack.enter_context(server(*SERVE, *way.arguments, environment=environment)) for way in ways]
        ours, other = [Target(one, options) for one in started], Target(bare, options, again=True)
        kept = Target(keeping, options, again=True)
        for one in ours:
            one.rate(mixed)  # connections, caches, prepared statements
            one.costs.clear()
            one.p50.clear()

        def turns(of: Callable[[Target, int], float]) -> dict[str, tuple[float, ...]]:
            """Each in its turn, by letter; of the echoes under ``echo`` and ``kept``."""
            took = {way.letters: partial(of, one, i) for i, (way, one) in enumerate(zip(ways, ours, strict=True))}
            return rounds(options.rounds, **took, echo=partial(of, other, -2), kept=partial(of, kept, -1))

        rates = turns(lambda one, _: one.rate(mixed))
        costs = [statistics.median(one.costs) for one in (*ours, other, kept)]
        p50 = [statistics.median(one.p50) for one in (*ours, other, kept)]
        reasons = turns(lambda one, place: one.rate(explained if place >= 0 else mixed))
        half = [statistics.median(rates[key]) / 2 for key in (*(way.letters for way in ways), "echo", "kept")]
        slow = turns(lambda one, place: one.slowest(mixed, half[place]))
    peer, rows = f"{kind} echo", []
    for i, way in enumerate(ways):
        of = f"{name}{way.said}, {options.accounts:,} accounts"
        rows += [
            Row(
                f"1{way.letters[0]}",
                f"ScoreAccount, {of}, {options.callers} callers",
                "answers/s",
                rates[way.letters],
                0.5,
                Bound.AT_LEAST,
                peer,
                rates["echo"],
                note=(
                    f"an answer costs the server {costs[i]:.0f} us of processors, the echo {costs[-2]:.0f}; the "
                    "client's and a database's own processes are not in that"
                ),
            ),
            Row(
                f"1{way.letters[1]}",
                f"the same at half load ({half[i]:,.0f}/s; echo {half[-2]:,.0f}/s)",
                "ms p99",
                slow[way.letters],
                2.5,
                Bound.AT_MOST,
                peer,
                slow["echo"],
            ),
            Row(
                f"2{way.letters[0]}",
                f"with contributions on every request, {of}",
                "answers/s",
                reasons[way.letters],
                0.2,
                Bound.AT_LEAST,
                peer,
                reasons["echo"],
                note="the starter model's contributions",
            ),
        ]
    keys = [*(way.letters for way in ways), "echo", "kept"]
    names = [*(f"Gatehouse{way.said}" for way in ways), peer, "echo once SQLite has the message"]
    table = Table(
        f"{name}: closed loop, {options.callers} callers, and the slowest at half of it (medians)",
        ("server", "answers/s", "p50 ms", "server's us/answer", "p99 ms at half load"),
        tuple(
            zip(
                names,
                [statistics.median(rates[key]) for key in keys],
                p50,
                costs,
                [statistics.median(slow[key]) for key in keys],
                strict=True,
            )
        ),
    )
    return Measured(rows=tuple(rows), tables=(echoes, table))


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--echo", choices=["threads", KEPT, "aio", "uvloop"], help="be an echo server")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="accounts known beforehand")
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--full", action="store_true", help="1,000,000 accounts")
    parser.add_argument("--only", choices=["postgresql", "sqlite"], help="one of the databases")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    if options.echo:
        echo(options.echo)
        return 0
    if options.full:
        options.accounts = 1_000_000
    if options.accounts < KNOWN:
        parser.error(f"--accounts must be at least {KNOWN}")
    found = Measured()
    if options.only != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            environment = prepared(home, f"sqlite:///{home / 'g.db'}", options.accounts)
            found += measured("SQLite", "abef", environment, options)
    if options.only != "sqlite":
        with own_postgres() as (home, url):
            found += measured("PostgreSQL", "cdgh", prepared(home, url, options.accounts), options)
    hand_over(found, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
