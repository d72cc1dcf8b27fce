"""``gatehouse serve``: one process that answers calls, or several behind one port."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import click

from service.commands.context import Run, command_options
from service.commands.listening import DEFAULT_METRICS, host_and_port
from service.domain.errors import NotAvailableYet
from service.rpc.polling import read_on_the_servers_thread


@click.command("serve")
@click.option("--listen", default="127.0.0.1:50051", show_default=True, metavar="HOST:PORT", help="Port 0 picks one.")
@click.option(
    "--metrics-listen",
    metavar="HOST:PORT",
    help=f"Prometheus metrics. [default: {DEFAULT_METRICS}, or a free port where that is taken]",
)
@click.option("--console-listen", metavar="HOST:PORT", help="The analysts' console: not in this version yet.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that answer on the one port, for a machine with more cores than one process can use. A connection "
    "stays with one of them, so callers should open several.",
)
@click.option(
    "--scorers",
    type=click.IntRange(0, 64),
    default=0,
    show_default=True,
    help="Processes that score single accounts for those that talk gRPC, where cores are to spare: more answers, "
    "and refusals in time when more is asked than can be done. Takes the memory of a server each.",
)
@click.option("--worker", type=click.IntRange(0), hidden=True, help="Be this worker of the process that started it.")
@click.option("--scorer", type=click.IntRange(0), hidden=True, help="Be this scorer of the process that started it.")
@click.option(
    "--socket",
    "sockets",
    multiple=True,
    hidden=True,
    type=click.Path(path_type=Path),
    help="Of a scorer: its own, or of each that a worker has score for it.",
)
@command_options
def serve_command(
    run: Run,
    listen: str,
    metrics_listen: str | None,
    console_listen: str | None,
    workers: int,
    scorers: int,
    worker: int | None,
    scorer: int | None,
    sockets: tuple[Path, ...],
) -> None:
    """Answer calls until SIGTERM or Ctrl-C, then let those under way finish.

    Creates and upgrades its database. Where no model was promoted yet it uses the starter model, trained on simulated
    accounts (on the spot where training is installed). Prints `ready grpc=HOST:PORT metrics=HOST:PORT console=none` on
    standard output once it can answer; until then its health says NOT_SERVING.

    With --workers above 1, or --scorers, the line comes when all of them can answer. One that dies is started again
    while the others go on; the metrics of all are on the one address, told apart by the label `worker` (scorers are
    numbered after workers). Nothing is answered before all can answer.
    """
    if console_listen is not None:
        raise NotAvailableYet("the analysts' console is not in this version yet; leave --console-listen out")
    host_and_port("--listen", listen)
    # The one that only watches over workers loads no gRPC, no model and no database; workers load no watching.
    if worker is None and scorer is None and (workers > 1 or scorers):
        from service.commands.workers import serve_by_workers  # noqa: PLC0415

        serve_by_workers(run, listen, metrics_listen, workers, scorers)
        return
    serving = load()
    if scorer is not None:
        serving.serve_as_scorer(run, scorer, sockets[0])
    elif worker is not None:
        serving.serve_as_worker(run, listen, worker, sockets)
    else:
        serving.serve_alone(run, listen, metrics_listen)


def load() -> ModuleType:
    """What serves, with gRPC, which is told how to read connections before it is loaded."""
    read_on_the_servers_thread(os.environ)
    from service.commands import serving  # noqa: PLC0415

    return serving
