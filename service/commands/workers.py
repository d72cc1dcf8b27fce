"""The process that watches over workers: starts them on one port, starts again what dies, and lets all end together.

Each worker is a process of its own from the first instruction on: gRPC, LightGBM and database drivers keep threads and
locks that do not survive a fork. The kernel deals connections out among all that listen on the port (SO_REUSEPORT).
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import structlog

from service.commands.context import Run
from service.commands.listening import host_and_port, metrics_address
from service.commands.stopping import stopped_by_signals
from service.domain.errors import GatehouseError, UsageError
from service.telemetry import WorkersTelemetry

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.1  # for workers that have ended
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # before one is started again; twice as long each time
SOUND_S = 60.0  # one that lived as long did not fail at starting: the next pause is the first again
LATE_S = 10.0  # a worker that has not ended so long after its time to drain is killed
SCRAPE_S = 2.0
MISUSED = 2  # exit code of a mistake that the operator can mend


class WorkersFailed(GatehouseError):
    """Workers could not start, or did not end as they should; each has said why itself."""


def serve_by_workers(run: Run, listen: str, metrics_listen: str | None, count: int, scorers: int) -> None:
    """Has ``count`` workers answer calls on ``listen`` until SIGTERM or SIGINT; says when all are ready.

    ``scorers`` more score for them, over sockets in a folder that only we may read; none: each worker does so itself.

    Raises UsageError where an address, or that folder, cannot be had, WorkersFailed where a worker ends before all were
    ready.
    """
    stopping = stopped_by_signals()
    with reserved(listen) as address, sockets_for(scorers) as sockets:
        crew = Crew(commands(run, address, count, sockets), environment(run))
        telemetry = WorkersTelemetry(crew.ready, crew.restarts, crew.metrics)
        metrics = metrics_address(telemetry.serve, metrics_listen)
        try:
            if crew.start(stopping):
                click.echo(f"ready grpc={address} metrics={metrics} console=none")
                sys.stdout.flush()
                crew.watch(stopping)
        finally:
            clean = crew.stop(run.settings.drain_s + LATE_S)
    if not clean:
        raise WorkersFailed("a worker did not end as it should; the log above says which")


@contextmanager
def sockets_for(scorers: int) -> Iterator[list[Path]]:
    """Where each scorer listens, in a folder that goes at the end; none for no scorers, which need no place to write.

    Raises UsageError where no folder can be had.
    """
    if not scorers:
        yield []
        return
    try:
        folder = TemporaryDirectory(prefix="gatehouse-")
    except OSError as error:
        raise UsageError(
            f"no folder for the sockets of --scorers can be made ({error.strerror or error}); set TMPDIR to one that "
            "this process may write to"
        ) from None
    with folder as name:
        yield [Path(name) / f"{number}.sock" for number in range(scorers)]


def commands(run: Run, address: str, count: int, sockets: Sequence[Path]) -> list[list[str]]:
    """What each worker, and after them the scorer on each of the ``sockets``, is started with."""
    own = [sys.executable, "-m", "service.cli", "serve", "--log-level", run.settings.log_level]
    known = [word for path in sockets for word in ("--socket", str(path))]
    return [
        *([*own, "--listen", address, "--worker", str(number), *known] for number in range(count)),
        *([*own, "--scorer", str(count + number), "--socket", str(path)] for number, path in enumerate(sockets)),
    ]


def environment(run: Run) -> dict[str, str]:
    """A worker's environment. The database's URL may hold a password, and anybody may read a process's arguments."""
    return {**os.environ, "GATEHOUSE_DATABASE_URL": run.settings.database_url}


@dataclass(slots=True)
class Worker:
    """One place among the workers, and who has it."""

    number: int
    command: list[str]
    process: subprocess.Popen[str] | None = None  # None: not started yet, or waiting to be started again
    began: float = 0.0  # seconds, monotonic
    metrics: str = ""  # HOST:PORT; empty: it is not ready
    pause: float = 0.0  # seconds before it was started last
    due: float = 0.0  # when to start it again, monotonic


class Crew:
    """All workers of one ``serve``."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
        """``commands``: what each is started with, in the order of their numbers; nothing is started yet."""
        self._environment = dict(environment)
        self._workers = [Worker(number, list(command)) for number, command in enumerate(commands)]
        self._restarts = 0

    def ready(self) -> int:
        """How many can answer."""
        return sum(bool(worker.metrics) for worker in self._workers)

    def restarts(self) -> int:
        """How often one was started again."""
        return self._restarts

    def start(self, stopping: threading.Event) -> bool:
        """Starts all and waits until all are ready; False: it was told to stop before that.

        Raises UsageError or WorkersFailed where one ends instead; the others are for ``stop`` to end.
        """
        for worker in self._workers:
            self._start(worker)
        while not stopping.wait(LOOK_EVERY_S):
            for worker in self._workers:
                code = worker.process.poll() if worker.process else None
                if code is not None:
                    kind = UsageError if code == MISUSED else WorkersFailed
                    raise kind(f"worker {worker.number} could not start ({_ended(code)}); it said why above")
            if self.ready() == len(self._workers):
                return True
        return False

    def watch(self, stopping: threading.Event) -> None:
        """Starts again whoever ends, until it is told to stop."""
        while not stopping.wait(LOOK_EVERY_S):
            for worker in self._workers:
                self._look_after(worker)

    def stop(self, seconds: float) -> bool:
        """Lets all finish what is under way; those that have not after ``seconds`` are killed.

        False: one was killed, or failed.
        """
        running = [(worker, worker.process) for worker in self._workers if worker.process is not None]
        for _, process in running:
            process.terminate()
        late = time.monotonic() + seconds
        clean = True
        for worker, process in running:
            try:
                code = process.wait(max(0.0, late - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("worker_killed", worker=worker.number, why=f"not ended after {seconds:g} s")  # noqa: TRY400
                process.kill()
                code = process.wait()
            # SIGTERM itself ends one only before it answers anybody, or after it has answered all: where Ctrl-C has
            # reached it, too, the interpreter may be at its last steps and heed no signal any more.
            if code not in (0, -signal.SIGTERM):
                log.error("worker_ended", worker=worker.number, how=_ended(code))
                clean = False
            self._leave(worker)
        return clean

    def metrics(self) -> dict[int, str]:
        """What each worker that is ready shows, by its number; one that does not answer in time is left out."""
        return {worker.number: text for worker in self._workers if (text := _scraped(worker.metrics))}

    def _start(self, worker: Worker) -> None:
        worker.began = time.monotonic()
        worker.process = subprocess.Popen(  # noqa: S603  ourselves
            worker.command,
            env=self._environment,
            stdin=subprocess.PIPE,  # its end tells a worker that this process has ended
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=_await_ready, args=(worker, worker.process), name="ready", daemon=True).start()

    def _look_after(self, worker: Worker) -> None:
        now = time.monotonic()
        if worker.process is None:
            if now >= worker.due:
                self._restarts += 1
                self._start(worker)
            return
        code = worker.process.poll()
        if code is None:
            return
        lived = now - worker.began
        worker.pause = min(max(FIRST_PAUSE_S, 2 * worker.pause), LONGEST_PAUSE_S) if lived < SOUND_S else FIRST_PAUSE_S
        worker.due = now + worker.pause
        log.error(
            "worker_ended", worker=worker.number, how=_ended(code), lived_s=round(lived, 1), again_in_s=worker.pause
        )
        self._leave(worker)

    @staticmethod
    def _leave(worker: Worker) -> None:
        for pipe in (worker.process.stdin, worker.process.stdout) if worker.process else ():
            if pipe is not None:
                pipe.close()
        worker.process, worker.metrics = None, ""


def _await_ready(worker: Worker, process: subprocess.Popen[str]) -> None:
    line = process.stdout.readline() if process.stdout else ""
    words = dict(word.split("=", 1) for word in line.split()[1:])
    if worker.process is process and "metrics" in words:
        worker.metrics = words["metrics"]
        log.info("worker_ready", worker=worker.number, seconds=round(time.monotonic() - worker.began, 2))


def _ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _scraped(address: str) -> str:
    """The metrics at ``HOST:PORT``; empty where there are none to be had in time."""
    if not address:
        return ""
    connection = HTTPConnection(address, timeout=SCRAPE_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, HTTPException):
        return ""
    finally:
        connection.close()


@contextmanager
def reserved(listen: str) -> Iterator[str]:
    """Holds the port for workers, who alone listen on it; the address, with a port picked where 0 was asked for.

    Raises UsageError where another process has it, other workers' parent included.
    """
    held: list[socket.socket] = []
    try:
        try:
            address = _hold(listen, held)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {listen} ({error.strerror or error}): it is no address of this machine, or another "
                "process has that port; choose another with --listen (port 0 takes a free one)"
            ) from None
        yield address
    finally:
        for one in held:
            one.close()


def _hold(listen: str, held: list[socket.socket]) -> str:
    host, port = host_and_port("--listen", listen)
    bare = host.removeprefix("[").removesuffix("]")
    places = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as alone:
            # First as nobody's neighbour: workers of another `serve` would share the port, and its calls, with ours.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                alone.bind((place[0], port, *place[2:]))
            except OSError as error:
                # `localhost` is ::1, too, where the machine has no such address; gRPC leaves it out as well.
                if error.errno != errno.EADDRNOTAVAIL or len(places) == 1:
                    raise
                continue
            port = alone.getsockname()[1]
        one = socket.socket(family, kind, protocol)
        held.append(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((place[0], port, *place[2:]))
    if not held:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return f"{host}:{port}"
