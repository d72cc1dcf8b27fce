"""Which schema a database has, and bringing it to the one that this code needs."""

from __future__ import annotations

from enum import Enum
from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine
from sqlalchemy import inspect as looked_at

from service.domain.errors import DatabaseProblem
from service.storage.database import reading, shown, writing
from service.storage.locks import lock_upgrade

# Alembic is imported where there is something to migrate: a database that is up to date is known by its number, and
# every start of everything would pay 0.1 s.
if TYPE_CHECKING:
    from alembic.config import Config

VERSIONS = files("service.storage") / "migrations" / "versions"


class SchemaState(Enum):
    """How a database stands to this code."""

    OK = "ok"
    BEHIND = "behind"  # or empty; `gatehouse db upgrade` mends it
    AHEAD = "ahead"  # a newer version made it


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(files("service.storage") / "migrations"))
    return config


def known_revisions() -> list[str]:
    """The revisions that this code knows, first to last: each migration's file begins with its number."""
    return sorted(file.name[:4] for file in VERSIONS.iterdir() if file.name[:4].isdigit())


def _state(connection: Connection) -> tuple[SchemaState, str]:
    known = known_revisions()
    current: str | None = None
    if looked_at(connection).has_table("alembic_version"):
        current = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if current is None:
        return SchemaState.BEHIND, "none"
    if current not in known:
        return SchemaState.AHEAD, current
    return (SchemaState.OK if current == known[-1] else SchemaState.BEHIND), current


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
    done. Where there is nothing to do nobody waits, least of all for an import that is under way. Raises
    DatabaseProblem where a newer version made the schema.
    """
    if check(engine) is SchemaState.OK:
        return False
    with writing(engine) as connection:
        lock_upgrade(connection)
        state, revision = _state(connection)
        if state is SchemaState.AHEAD:
            raise _too_new(engine, revision)
        if state is SchemaState.BEHIND:
            from alembic import command  # noqa: PLC0415

            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return state is SchemaState.BEHIND


def _too_new(engine: Engine, revision: str) -> DatabaseProblem:
    return DatabaseProblem(
        f"database {shown(engine.url)}: its schema ({revision}) was made by a newer version; "
        "install that version of gatehouse, or restore a backup made before it ran"
    )
