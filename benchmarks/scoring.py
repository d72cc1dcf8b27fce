"""ScoreAccount with everything on, beside a bare grpc.aio echo of the same messages, in the same run.

Everything on: validation, door, look-ups in a database of accounts (SQLite, synchronous FULL), features, model, policy,
durable record. The echo parses the same request and answers a stored response. Both are asked by the same client
process, closed loop, in interleaved rounds; figures are medians. Client, server and echo share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

ACCOUNTS = 20_000
KNOWN = 5_000  # accounts that known ones are taken from
CALLERS = 32
ROUND_S = 4.0
ROUNDS = 5
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


async def echo() -> None:
    """A bare grpc.aio server of the same method: parses the request, answers a stored assessment."""
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

    async def handle(_request: scoring_pb2.ScoreAccountRequest, _context: object) -> scoring_pb2.ScoreAccountResponse:
        return answer

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        handle, scoring_pb2.ScoreAccountRequest.FromString, scoring_pb2.ScoreAccountResponse.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("gatehouse.risk.v1.ScoringService", {"ScoreAccount": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready grpc=127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


@contextmanager
def started(*command: str, environment: dict[str, str] | None = None) -> Iterator[str]:
    """A server process; its address once it is ready."""
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield next(word.removeprefix("grpc=") for word in line.split() if word.startswith("grpc="))
    finally:
        process.terminate()
        process.wait(30)


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


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--echo", action="store_true", help="be the echo server")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--database", help="a PostgreSQL URL of an empty database; default: a new SQLite file")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    if options.accounts < KNOWN:
        parser.error(f"--accounts must be at least {KNOWN}")
    if options.echo:
        asyncio.run(echo())
        return 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = prepared(home, options.database or f"sqlite:///{home / 'g.db'}", options.accounts)
        serve = ("-m", "service.cli", "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
        with (
            started(*serve, environment=environment) as ours,
            started("-m", "benchmarks.scoring", "--echo") as bare,
        ):
            # name: (kind of request, callers)
            loads = {
                "signup": ("signup", options.callers),
                "known": ("known", options.callers),
                "explained": ("explained", options.callers),
                "echo": ("signup", options.callers),
                "signup, 1": ("signup", 1),
                "known, 1": ("known", 1),
                "echo, 1": ("signup", 1),
            }
            rates: dict[str, list[float]] = {name: [] for name in loads}
            calls: dict[str, list[float]] = {kind: [] for kind in rates}
            first = 0
            for _ in range(options.rounds):
                for name, measured in rates.items():
                    address, (kind, callers) = bare if "echo" in name else ours, loads[name]
                    rate, seconds, made = load(address, kind, first, callers)
                    first += made
                    measured.append(rate)
                    calls[name].extend(seconds)
    print(f"{options.accounts:,} accounts, {options.callers} callers or 1, {options.rounds} rounds of {ROUND_S:.0f} s")
    print(f"{'':12}{'calls/s':>10}{'of echo':>10}{'p50 ms':>10}{'p99 ms':>10}{'spread':>12}")
    table = {}
    for name, values in rates.items():
        rate, took = statistics.median(values), sorted(calls[name])
        echoed = statistics.median(rates["echo, 1" if name.endswith("1") else "echo"])
        p50, p99 = took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3
        table[name] = {"rate": rate, "of_echo": rate / echoed, "p50_ms": p50, "p99_ms": p99}
        spread = f"{min(values):.0f}-{max(values):.0f}"
        print(f"{name:12}{rate:>10.0f}{rate / echoed:>10.2f}{p50:>10.2f}{p99:>10.2f}{spread:>12}")
    if options.out is not None:
        options.out.write_text(json.dumps(table, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
