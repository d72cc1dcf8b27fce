"""``gatehouse db upgrade`` and ``gatehouse db check``."""

from __future__ import annotations

import sys

import click

from service.commands.context import Run, command_options
from service.storage.schema import SchemaState, check, upgrade


@click.group("db")
def db_group() -> None:
    """Bring the database's schema up to date, or see whether it is."""


@db_group.command("upgrade")
@command_options
def upgrade_command(run: Run) -> None:
    """Create or upgrade the schema, under a lock: safe while others do the same."""
    before, after = upgrade(run.settings.database_url)
    changed = before != after
    run.done(
        {"ok": True, "before": before, "after": after, "changed": changed},
        f"schema {after}" + (f" (was {before or 'empty'})" if changed else ", nothing to do"),
    )


@db_group.command("check")
@command_options
def check_command(run: Run) -> None:
    """Say whether the schema is up to date; exit code 1 if it is behind."""
    state = check(run.settings.database_url)
    ok = state.state is SchemaState.CURRENT
    run.done(
        {"ok": ok, "state": state.state.value, "found": state.found, "expected": state.expected},
        f"schema {state.found or 'empty'}, this version expects {state.expected}: {state.state.value}"
        + ("" if ok else "; run `gatehouse db upgrade`"),
    )
    if not ok:
        sys.exit(1)
