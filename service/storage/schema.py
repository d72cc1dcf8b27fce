"""Which schema a database has, and bringing it to the one that this code needs."""

from __future__ import annotations

from enum import Enum
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from service.domain.errors import DatabaseProblem
from service.storage.database import reading, shown, writing
from service.storage.locks import lock_upgrade


class SchemaState(Enum):
    """How a database stands to this code."""

    OK = "ok"
    BEHIND = "behind"  # or empty; `gatehouse db upgrade` mends it
    AHEAD = "ahead"  # a newer version made it


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("service.storage") / "migrations"))
    return config


def _state(connection: Connection) -> tuple[SchemaState, str]:
    scripts = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        return SchemaState.AHEAD, current
    return (SchemaState.OK if current == scripts.get_current_head() else SchemaState.BEHIND), current or "none"


def check(engine: Engine) -> SchemaState:
    """How the database stands; writes nothing. Raises DatabaseProblem where it cannot be read."""
    with reading(engine) as connection:
        return _state(connection)[0]


def ensure(engine: Engine) -> None:
    """Raises DatabaseProblem, with the mend, unless the schema is this code's."""
    with reading(engine) as connection:
        state, revision = _state(connection)
    if state is SchemaState.AHEAD:
        raise _too_new(engine, revision)
    if state is SchemaState.BEHIND:
        raise DatabaseProblem(
            f"database {shown(engine.url)}: its schema ({revision}) is behind; run `gatehouse db upgrade`"
        )


def upgrade(engine: Engine) -> bool:
    """Brings the schema up to date; True if anything was to do.

    One transaction under a lock: of two processes that start together one upgrades and the other waits, then finds it
    done. Raises DatabaseProblem where a newer version made the schema.
    """
    with writing(engine) as connection:
        lock_upgrade(connection)
        state, revision = _state(connection)
        if state is SchemaState.AHEAD:
            raise _too_new(engine, revision)
        if state is SchemaState.BEHIND:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return state is SchemaState.BEHIND


def _too_new(engine: Engine, revision: str) -> DatabaseProblem:
    return DatabaseProblem(
        f"database {shown(engine.url)}: its schema ({revision}) was made by a newer version; "
        "install that version of gatehouse, or restore a backup made before it ran"
    )
