"""The ``gatehouse`` command. Training's commands join through the entry-point group ``gatehouse.commands``."""

from __future__ import annotations

import sys
import uuid
from importlib.metadata import entry_points, version
from types import TracebackType

import click
import structlog

from service import log
from service.commands.campaigns import campaigns_group
from service.commands.data import import_command, labels_group
from service.commands.database import db_group
from service.commands.doctor import doctor_command
from service.commands.features import features_group
from service.commands.jobs import rescore_command
from service.commands.keys import keys_group
from service.commands.later import LATER
from service.commands.models import models_group
from service.commands.serve import serve_command
from service.domain.errors import GatehouseError, InvalidInput, UsageError

COMMANDS_GROUP = "gatehouse.commands"

logger = structlog.get_logger(__name__)


class _Gatehouse(click.Group):
    """The group of all commands; those of training are imported only when they are run or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours and training's, by name."""
        return sorted({*super().list_commands(ctx), *(entry.name for entry in entry_points(group=COMMANDS_GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command; None: there is none of this name."""
        ours = super().get_command(ctx, cmd_name)
        if ours is not None:
            return ours
        for entry in entry_points(group=COMMANDS_GROUP, name=cmd_name):
            found: click.Command = entry.load()
            return found
        return None


@click.group(cls=_Gatehouse, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(version("gatehouse"), prog_name="gatehouse")
def cli() -> None:
    """Who is asking, why, and are these ten thousand accounts quietly one?

    Every command takes --json for one JSON object as the last line of standard output, and --database (or
    GATEHOUSE_DATABASE_URL). Exit codes: 0 done, 2 the caller's mistake, 1 anything else.
    """


for _command in (
    serve_command,
    import_command,
    labels_group,
    campaigns_group,
    rescore_command,
    models_group,
    features_group,
    db_group,
    doctor_command,
    keys_group,
    *LATER,
):
    cli.add_command(_command)


def main() -> None:
    """Runs the command line; errors that a caller can mend are one line on standard error and never a traceback."""
    log.configure()
    sys.excepthook = _unknown_failure
    try:
        cli(prog_name="gatehouse")
    except (UsageError, InvalidInput) as error:
        click.echo(f"gatehouse: {error}", err=True)
        sys.exit(2)
    except GatehouseError as error:
        click.echo(f"gatehouse: {error}", err=True)
        sys.exit(1)


def _unknown_failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    reference = uuid.uuid4().hex[:12]
    logger.critical("command_failed", reference=reference, exc_info=(kind, error, trace))
    click.echo(f"gatehouse: internal error, reference {reference}; the log above has the details", err=True)


if __name__ == "__main__":
    main()
