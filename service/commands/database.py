"""``gatehouse db upgrade`` and ``gatehouse db check``."""

from __future__ import annotations

import sys

import click

from service.commands.context import Run, command_options
from service.storage.database import opened
from service.storage.schema import SchemaState, check, upgrade

MEND = {
    SchemaState.BEHIND: "run `gatehouse db upgrade`",
    SchemaState.AHEAD: "a newer version of gatehouse made it; run that version",
}


@click.group("db")
def db_group() -> None:
    """Bring the database's schema up to date, or see whether it is."""


@db_group.command("upgrade")
@command_options
def upgrade_command(run: Run) -> None:
    """Create or upgrade the schema, under a lock: safe while others do the same."""
    run.make_default_home()
    with opened(run.settings.database_url) as engine:
        changed = upgrade(engine)
    run.done({"ok": True, "changed": changed}, "schema brought up to date" if changed else "schema is up to date")


@db_group.command("check")
@command_options
def check_command(run: Run) -> None:
    """Say whether the schema is up to date; exit code 1 if it is not."""
    with opened(run.settings.database_url) as engine:
        state = check(engine)
    findings = [] if state is SchemaState.OK else [MEND[state]]
    run.done({"ok": not findings, "state": state.value, "findings": findings})
    if state is not SchemaState.OK:
        run.say(f"gatehouse: schema is {state.value}: {MEND[state]}")
        sys.exit(1)
    if not run.as_json:
        click.echo("schema is up to date")
