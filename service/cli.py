"""The ``gatehouse`` command. Training's commands join through the entry-point group ``gatehouse.commands``."""

from __future__ import annotations

import sys
import uuid
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType

import click

from service.domain.errors import GatehouseError, InvalidInput, UsageError
from service.loading import loading

COMMANDS_GROUP = "gatehouse.commands"

# Name, place and first sentence of each command. As long as all were imported, `gatehouse --version` took 3 s.
OURS = (
    ("serve", "commands.serve:serve_command", "Answer calls until SIGTERM or Ctrl-C, then let those under way finish."),
    ("import", "commands.data:import_command", "Take in the interchange tables of DIR."),
    ("labels", "commands.data:labels_group", "Analysts' verdicts."),
    ("campaigns", "commands.campaigns:campaigns_group", "Look at campaigns and give verdicts on them."),
    (
        "rescore",
        "commands.jobs:rescore_command",
        "Score known accounts again, record the assessments, and say what changed.",
    ),
    ("models", "commands.models:models_group", "List, show, promote and roll back models."),
    ("features", "commands.features:features_group", "See what accounts are scored on."),
    ("db", "commands.database:db_group", "Bring the database's schema up to date, or see whether it is."),
    ("doctor", "commands.doctor:doctor_command", "Check the installation; exit code 1 if something is wrong."),
    ("keys", "commands.keys:keys_group", "Look after the secrets that link keys are made with."),
    ("detect", "commands.detect:detect_command", "Find accounts that are one, and update campaigns."),
)

# First sentences of training's commands, where it is installed; one that is not here is imported to be listed.
JOINING = {
    "backtest": "Replay the interchange directory DIR as it would have happened, and say what would have been decided.",
    "simulate": "Write a simulated world to the folder OUT.",
    "train": "Train a model on the accounts and labels known at a moment, register it, and promote it past the gate.",
}


class Elsewhere(click.Command):
    """A command by its name and first sentence; the module that has it is imported when it is run."""

    def __init__(self, entry: EntryPoint, short_help: str) -> None:
        super().__init__(entry.name, short_help=short_help)
        self.entry = entry

    def load(self) -> click.Command:
        """The command itself."""
        found: click.Command = self.entry.load()
        return found


class _Gatehouse(click.Group):
    """The group of all commands; which ones training has is looked up when they are listed, or one of them is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours and training's, by name."""
        return sorted({*super().list_commands(ctx), *(entry.name for entry in entry_points(group=COMMANDS_GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, not imported yet where it need not be; None: there is none of this name."""
        ours = super().get_command(ctx, cmd_name)
        if ours is not None:
            return ours
        for entry in entry_points(group=COMMANDS_GROUP, name=cmd_name):
            found: click.Command = Elsewhere(entry, JOINING[cmd_name]) if cmd_name in JOINING else entry.load()
            return found
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is to be run, imported."""
        name, found, rest = super().resolve_command(ctx, args)
        with loading():
            return name, found.load() if isinstance(found, Elsewhere) else found, rest


@click.group(cls=_Gatehouse, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="gatehouse", prog_name="gatehouse")
def cli() -> None:
    """Who is asking, why, and are these ten thousand accounts quietly one?

    Every command takes --json for one JSON object as the last line of standard output, and --database (or
    GATEHOUSE_DATABASE_URL). Exit codes: 0 done, 2 the caller's mistake, 1 anything else.
    """
    from service import log

    log.configure()


for _name, _place, _short_help in OURS:
    cli.add_command(Elsewhere(EntryPoint(_name, f"service.{_place}", COMMANDS_GROUP), _short_help))


def main() -> None:
    """Runs the command line; errors that a caller can mend are one line on standard error and never a traceback."""
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
    import structlog

    from service import log

    if not structlog.is_configured():
        log.configure()
    reference = uuid.uuid4().hex[:12]
    logger = structlog.get_logger(__name__)
    logger.critical("command_failed", reference=reference, exc_info=(kind, error, trace))
    click.echo(f"gatehouse: internal error, reference {reference}; the log above has the details", err=True)


if __name__ == "__main__":
    main()
