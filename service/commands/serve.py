"""``gatehouse serve``: the service, its metrics, and its graceful end."""

from __future__ import annotations

import signal
import sys
import threading
import time

import click
import structlog

from service.app import App
from service.commands.context import Run, command_options, now
from service.domain.errors import GatehouseError, NotAvailableYet, UsageError
from service.model.stability import SCORE
from service.rpc.server import GatehouseServer, Limits
from service.telemetry import DriftFigures, Stability, Telemetry
from service.usecases.watch_drift import Watched

log = structlog.get_logger(__name__)

DEFAULT_METRICS = "127.0.0.1:9464"
DRIFT_EVERY_S = 900.0


@click.command("serve")
@click.option("--listen", default="127.0.0.1:50051", show_default=True, metavar="HOST:PORT", help="Port 0 picks one.")
@click.option(
    "--metrics-listen",
    metavar="HOST:PORT",
    help=f"Prometheus metrics. [default: {DEFAULT_METRICS}, or a free port where that is taken]",
)
@click.option("--console-listen", metavar="HOST:PORT", help="The analysts' console: not in this version yet.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes: 1 in this version.")
@command_options
def serve_command(run: Run, listen: str, metrics_listen: str | None, console_listen: str | None, workers: int) -> None:
    """Answer calls until SIGTERM or Ctrl-C, then let those under way finish.

    Creates and upgrades its database. Where no model was promoted yet it uses the starter model, trained on simulated
    accounts (on the spot where training is installed). Prints `ready grpc=HOST:PORT metrics=HOST:PORT console=none` on
    standard output once it can answer; until then its health says NOT_SERVING.
    """
    if console_listen is not None:
        raise NotAvailableYet("the analysts' console is not in this version yet; leave --console-listen out")
    if workers > 1:
        raise NotAvailableYet("more than one server process is not in this version yet; leave --workers out")
    _host_and_port("--listen", listen)
    telemetry = Telemetry()
    stopping = threading.Event()
    metrics = _metrics(telemetry, metrics_listen)
    with run.app() as app:
        telemetry.watch_shadow(app.shadow.counts)
        server = GatehouseServer(listen, app.use_cases(), telemetry, now, _limits(run))
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            server.start()
            app.load_model()
            threading.Thread(target=_follow, args=(app, server, stopping), name="follow", daemon=True).start()
            threading.Thread(target=_watch_drift, args=(app, telemetry, stopping), name="drift", daemon=True).start()
            server.set_ready(ready=True)
            click.echo(f"ready grpc={server.address} metrics={metrics} console=none")
            sys.stdout.flush()
            stopping.wait()
        finally:
            stopping.set()
            server.drain(run.settings.drain_s)


def _limits(run: Run) -> Limits:
    return Limits(
        threads=run.settings.threads,
        max_concurrent=run.settings.max_concurrent,
        default_timeout_s=run.settings.default_deadline_s,
    )


def _follow(app: App, server: GatehouseServer, stopping: threading.Event) -> None:
    """Switches to a model as soon as it is promoted, and lets health say whether the database answers."""
    healthy = True
    while not stopping.wait(app.settings.model_poll_s):
        try:
            app.models.refresh()
            app.store.ping()
            app.maintain(now())
        except GatehouseError as error:
            if healthy:
                log.error("service_not_ready", why=str(error))  # noqa: TRY400  said whole
            healthy = False
        else:
            if not healthy:
                log.info("service_ready_again")
            healthy = True
        server.set_ready(ready=healthy)


def _watch_drift(app: App, telemetry: Telemetry, stopping: threading.Event) -> None:
    """Measures now and then how far what was scored lately is from what the champion learned from.

    From the record, in a thread of its own: no call waits for it, and where it fails calls are answered all the same.
    """
    while True:
        try:
            champion = app.store.champion()
            if champion is not None:
                began = time.monotonic()
                watched = app.watch_drift(champion, now=now())
                telemetry.show_drift(_figures(watched, time.monotonic() - began))
                for one in watched.alarms:
                    log.warning("drift_found", feature=one.feature, of=one.of, index=one.psi, bound=one.bound)
        except GatehouseError as error:
            log.warning("drift_not_measured", why=str(error))
        if stopping.wait(DRIFT_EVERY_S):
            return


def _figures(watched: Watched, seconds: float) -> DriftFigures:
    measured = [
        Stability(None if one.feature == SCORE else one.feature, one.of, one.psi, one.accounts) for one in watched.drift
    ]
    return DriftFigures(now(), seconds, watched.rows, len(watched.alarms), measured)


def _metrics(telemetry: Telemetry, asked: str | None) -> str:
    """Serves metrics from a thread that ends with the process; returns their address."""
    host, port = _host_and_port("--metrics-listen", asked or DEFAULT_METRICS)
    try:
        return f"{host}:{telemetry.serve(host, port)}"
    except OSError as error:
        if asked is not None:
            raise UsageError(
                f"--metrics-listen {asked}: {error.strerror or error}; choose another port (0 takes a free one)"
            ) from None
    free = f"{host}:{telemetry.serve(host, 0)}"
    log.warning("metrics_moved", wanted=DEFAULT_METRICS, address=free, why="the port is taken")
    return free


def _host_and_port(option: str, address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 65536):
        raise UsageError(f"{option} {address!r} is not HOST:PORT, such as 127.0.0.1:50051")
    return host, int(port)
