"""One process that answers calls: the only one, or a worker beside others."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import structlog

from service import log as logs
from service.app import App
from service.commands.context import Run, now
from service.commands.listening import metrics_address
from service.commands.stopping import stopped_by_signals
from service.domain.errors import GatehouseError, NotReady
from service.rpc.scorer import Scorer
from service.rpc.scorers import Scorers
from service.rpc.server import GatehouseServer, Limits
from service.telemetry import Telemetry

log = structlog.get_logger(__name__)

# Seconds until Python takes the interpreter from a thread that computes for one that waits. With the 5 ms that it takes
# by itself, grpc's thread gets a turn so seldom while a batch is scored that at three times the capacity the median
# refusal waited 133 and 834 ms, with this 42 and 146 (two pairs on a busy machine); 0.3 ms brought no more.
TURN_S = 0.001

# Of what a call allocates nearly nothing is left for the collector of cycles to find, which by itself looks after every
# 700 objects and, now and then, at everything since the start: 1 to 15 % of what an answer costs (794 and 858 us of
# processors so, 788 and 735 as here). What is there when we are ready stays, and is not looked at again.
COLLECT_AFTER = (20_000, 20, 50)

# How much less a scorer presses for a core than the process that it scores for (``nice``). Where all cores are wanted,
# that one has little to do at a time, and callers wait for it to be refused. At three times the capacity of two cores
# that the callers share, with as many answers in all cases, half of the refusals were told within 122 to 177 ms and 99
# in a hundred within 367 to 635 with 0, within 14 to 58 and 104 to 285 with 3, within 11 and 132 to 158 with 5; with 8
# it was no better.
STEP_BACK = 5

OUTLAST_S = 5.0  # that a scorer waits longer for those that ask than they wait for their callers

WAKE_S = 0.5  # how often the main thread looks whether a signal came


def serve_alone(run: Run, listen: str, metrics_listen: str | None) -> None:
    """Answers calls on ``listen`` until SIGTERM or SIGINT; says when it is ready.

    It listens before it can answer, so that its health can say so. Raises UsageError where an address cannot be had.
    """
    telemetry = Telemetry()
    stopping = stopped_by_signals()
    metrics = metrics_address(telemetry.serve, metrics_listen)
    with run.app(serving=True) as app:
        telemetry.watch_shadow(app.shadow.counts)
        server = GatehouseServer(listen, app.use_cases(), telemetry, now, _limits(run))
        try:
            server.start()
            app.load_model()
            _answer(app, server, telemetry, stopping, metrics, chores=True)
        finally:
            stopping.set()
            server.drain(run.settings.drain_s)


def serve_as_worker(run: Run, listen: str, number: int, sockets: Sequence[Path]) -> None:
    """Answers calls that the kernel deals to this process, one of several on the same port, until its parent says stop.

    It listens once it can answer: until then the others take what comes. Its metrics are on a port of its own, which
    the parent reads from its line ``ready``; number 0 does the chores for all. Where the parent is gone, it ends.
    ``sockets``: of the processes that score for it; none where it does so itself.
    """
    logs.configure(run.settings.log_level, worker=number)
    telemetry = Telemetry()
    stopping = _stopped_with_parent()
    with run.app(serving=True) as app, _scorers(sockets) as scorers:
        telemetry.watch_shadow(app.shadow.counts)
        use_cases = app.use_cases()
        app.load_model()
        while scorers is not None and not stopping.is_set() and not scorers.wait(WAKE_S, least=1):
            pass
        if stopping.is_set():
            return
        server = GatehouseServer(listen, use_cases, telemetry, now, _limits(run, share_port=True), scorers)
        try:
            server.start()
            metrics = metrics_address(telemetry.serve, "127.0.0.1:0")
            _answer(app, server, telemetry, stopping, metrics, chores=number == 0, scorers=scorers)
        finally:
            stopping.set()
            server.drain(run.settings.drain_s)


def serve_as_scorer(run: Run, number: int, path: Path) -> None:
    """Scores for the workers that come to the socket ``path``, until its parent says stop and they have hung up."""
    os.nice(STEP_BACK)  # before there are other threads: each has its own, and gets that of the one that starts it
    logs.configure(run.settings.log_level, worker=number)
    telemetry = Telemetry()
    stopping = _stopped_with_parent()
    with run.app(serving=True) as app:
        telemetry.watch_shadow(app.shadow.counts)
        asked = app.score_accounts.ask
        app.load_model()
        scorer = Scorer(path, asked, now)
        metrics = metrics_address(telemetry.serve, "127.0.0.1:0")
        _settle_down()
        threading.Thread(target=_follow, args=(app, stopping), name="follow", daemon=True).start()
        click.echo(f"ready grpc=none metrics={metrics} console=none")
        sys.stdout.flush()
        while not stopping.wait(WAKE_S):
            pass
        scorer.drain(run.settings.drain_s + OUTLAST_S)


@contextmanager
def _scorers(sockets: Sequence[Path]) -> Iterator[Scorers | None]:
    if not sockets:
        yield None
        return
    scorers = Scorers(sockets)
    try:
        yield scorers
    finally:
        scorers.close()


def _stopped_with_parent() -> threading.Event:
    stopping = stopped_by_signals()
    threading.Thread(target=_outlive_no_parent, args=(stopping,), name="parent", daemon=True).start()
    return stopping


def _answer(
    app: App,
    server: GatehouseServer,
    telemetry: Telemetry,
    stopping: threading.Event,
    metrics: str,
    *,
    chores: bool,
    scorers: Scorers | None = None,
) -> None:
    """Follows the registry, says that it is ready, and waits for the end; ``chores``: looks after the database, too."""
    _settle_down()
    following = (app, stopping, server, chores, scorers)
    threading.Thread(target=_follow, args=following, name="follow", daemon=True).start()
    if chores:
        threading.Thread(target=_watch_drift, args=(app, telemetry, stopping), name="drift", daemon=True).start()
    server.set_ready(ready=True)
    click.echo(f"ready grpc={server.address} metrics={metrics} console=none")
    sys.stdout.flush()
    # A signal that comes just as the main thread begins to wait is not handled until it wakes: a worker that was asked
    # to end within 20 ms of being ready waited for ever, and was killed.
    while not stopping.wait(WAKE_S):
        pass


def _settle_down() -> None:
    """Sets the interpreter for many threads; once everything is loaded."""
    sys.setswitchinterval(TURN_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _watch_drift(app: App, telemetry: Telemetry, stopping: threading.Event) -> None:
    # Here, for it takes 0.1 s and 27 MiB: nobody waits for it to be ready, and workers without chores never need it.
    from service.commands.drift import watch_drift  # noqa: PLC0415

    watch_drift(app, telemetry, stopping)


def _outlive_no_parent(stopping: threading.Event) -> None:
    """Waits for the end of standard input, which the parent holds open as long as it lives, however it ends."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    if not stopping.is_set():
        log.warning("parent_gone", why="the process that started this worker has ended")
    stopping.set()


def _limits(run: Run, *, share_port: bool = False) -> Limits:
    return Limits(
        threads=run.settings.threads,
        max_concurrent=run.settings.max_concurrent,
        default_timeout_s=run.settings.default_deadline_s,
        share_port=share_port,
    )


def _follow(
    app: App,
    stopping: threading.Event,
    server: GatehouseServer | None = None,
    chores: bool = False,  # noqa: FBT001, FBT002  an argument of a thread
    scorers: Scorers | None = None,
) -> None:
    """Switches to a model as soon as it is promoted, and lets health say whether database and scorers answer."""
    healthy = True
    while not stopping.wait(app.settings.model_poll_s):
        try:
            app.models.refresh()
            app.store.ping()
            if chores:
                app.maintain(now())
            if scorers is not None and not scorers.connected():
                raise NotReady("no process that scores is there")
        except GatehouseError as error:
            if healthy:
                log.error("service_not_ready", why=str(error))  # noqa: TRY400  said whole
            healthy = False
        else:
            if not healthy:
                log.info("service_ready_again")
            healthy = True
        if server is not None:
            server.set_ready(ready=healthy)
