"""Locks of PostgreSQL transactions, where two servers write at once. SQLite has one writer and needs none."""

from __future__ import annotations

from sqlalchemy import Connection

from service.storage.sql import Runs, run

_UPGRADE, _LINKS, _LABELS, _MODELS, _RUNS = 7_406_283_115, 7_406_283_116, 7_406_283_117, 7_406_283_118, 7_406_283_119


def lock_upgrade(connection: Connection) -> None:
    """One process upgrades the schema."""
    _lock(connection, "pg_advisory_xact_lock", _UPGRADE)


def lock_links(connection: Runs, *, alone: bool = False) -> None:
    """Keeps link writers and label writers apart, of whom neither would see the other's new rows.

    Without it a link shown in the very moment in which its account is labelled would never be marked. ``alone`` is the
    label writers' side; they take it last.
    """
    _lock(connection, "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared", _LINKS)


def lock_labels(connection: Connection) -> None:
    """One writer of labels or campaigns at a time, since an account's verdict follows from all its labels.

    A campaign's members and state follow from labels, too. Whoever wants ``lock_links`` as well takes this one first.
    """
    _lock(connection, "pg_advisory_xact_lock", _LABELS)


def lock_models(connection: Connection) -> None:
    """One change of the registry at a time."""
    _lock(connection, "pg_advisory_xact_lock", _MODELS)


def lock_runs(connection: Connection) -> None:
    """One detection begins at a time."""
    _lock(connection, "pg_advisory_xact_lock", _RUNS)


def _lock(connection: Runs, function: str, number: int) -> None:
    if connection.dialect.name == "postgresql":
        run(connection, f"SELECT {function}({number})")
