"""The model registry: which models there are, which one decides, and how that came about."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from dataclasses import astuple, replace

from sqlalchemy import Connection

from service.domain.enums import ModelState
from service.domain.errors import AlreadyExists, NoEarlierModel, UnknownModel, UsageError
from service.domain.records import ModelRecord, ShadowRecord
from service.storage.locks import lock_models
from service.storage.sql import Row, Values, changed, insert, run
from service.storage.tables import model_events
from service.storage.tables import models as models_table

_COLUMNS = "version, state, origin, created_at, location, manifest_sha256, manifest, promoted_at, why"


def _record(row: Row) -> ModelRecord:
    return ModelRecord(row[0], ModelState(row[1]), *row[2:])


def add(connection: Connection, model: ModelRecord) -> ModelRecord:
    """See ``Store.add_model``."""
    lock_models(connection)
    there = next((each for each in models(connection) if each.version == model.version), None)
    if there is not None:
        if there.manifest_sha256 != model.manifest_sha256:
            raise AlreadyExists("model", model.version)
        return there
    added = replace(model, state=ModelState.CHALLENGER, promoted_at=None)
    values = [value.value if isinstance(value, ModelState) else value for value in astuple(added)]
    insert(connection, models_table, {name: [v] for name, v in zip(_COLUMNS.split(", "), values, strict=True)})
    _note(connection, "added", added.version, added.created_at, added.why)
    return added


def models(connection: Connection) -> list[ModelRecord]:
    """All, the newest first."""
    sql = f"SELECT {_COLUMNS} FROM models ORDER BY created_at DESC, version DESC"
    return [_record(row) for row in run(connection, sql)]


def model(connection: Connection, version: str) -> ModelRecord:
    """One model. Raises UnknownModel."""
    rows = run(connection, f"SELECT {_COLUMNS} FROM models WHERE version = :version", version=version)
    if not rows:
        raise UnknownModel(version)
    return _record(rows[0])


def champion(connection: Connection) -> ModelRecord | None:
    """The model that decides; None: there is none yet."""
    rows = run(connection, f"SELECT {_COLUMNS} FROM models WHERE state = 'champion'")
    return _record(rows[0]) if rows else None


def shadow(connection: Connection) -> ShadowRecord | None:
    """The model that scores beside the champion, else the one that did last; None: none ever did."""
    sql = "SELECT what, version, happened_at FROM model_events WHERE what <> 'added' ORDER BY number DESC"
    until = None
    for what, version, at in run(connection, sql):
        if what == "shadowed":
            found = model(connection, version)
            return ShadowRecord(found, at, None if found.state is ModelState.SHADOW else until)
        if what == "unshadowed":
            until = at
    return None


def start_shadow(connection: Connection, version: str, at: int, why: str) -> ModelRecord:
    """See ``Store.start_shadow``."""
    lock_models(connection)
    chosen = model(connection, version)
    if chosen.state is ModelState.CHAMPION:
        raise UsageError(f"{version} is the champion, which cannot shadow itself; `gatehouse models list` shows others")
    if chosen.state is ModelState.SHADOW:
        return chosen
    stop_shadow(connection, at, f"{version} shadows instead")
    changed(connection, "UPDATE models SET state = 'shadow', why = :why WHERE version = :v", why=why, v=version)
    _note(connection, "shadowed", version, at, why)
    return replace(chosen, state=ModelState.SHADOW, why=why)


def stop_shadow(connection: Connection, at: int, why: str) -> ModelRecord | None:
    """See ``Store.stop_shadow``."""
    lock_models(connection)
    rows = run(connection, f"SELECT {_COLUMNS} FROM models WHERE state = 'shadow'")
    if not rows:
        return None
    found = _record(rows[0])
    state = ModelState.CHALLENGER if found.promoted_at is None else ModelState.RETIRED
    sql = "UPDATE models SET state = :state, why = :why WHERE version = :version"
    changed(connection, sql, state=state.value, why=why, version=found.version)
    _note(connection, "unshadowed", found.version, at, why)
    return replace(found, state=state, why=why)


def promote(connection: Connection, version: str, at: int, why: str) -> ModelRecord:
    """See ``Store.promote``."""
    lock_models(connection)
    chosen = model(connection, version)
    if chosen.state is ModelState.CHAMPION:
        return chosen
    return _crown(connection, chosen, at, why, "promoted")


def roll_back(connection: Connection, at: int, why: str) -> ModelRecord:
    """See ``Store.roll_back``."""
    lock_models(connection)
    reigns: list[str] = []
    for what, version in run(connection, "SELECT what, version FROM model_events ORDER BY number"):
        if what == "promoted":
            reigns.append(version)
        elif what == "rolled_back":
            reigns.pop()
    if len(reigns) < 2:
        raise NoEarlierModel(
            "there is no earlier champion to roll back to; `gatehouse models list` shows what there is"
        )
    return _crown(connection, model(connection, reigns[-2]), at, why, "rolled_back")


def _crown(connection: Connection, chosen: ModelRecord, at: int, why: str, what: str) -> ModelRecord:
    if chosen.state is ModelState.SHADOW:
        _note(connection, "unshadowed", chosen.version, at, why)
    # The old one steps down first: the unique index allows no two, not even for a moment.
    changed(connection, "UPDATE models SET state = 'retired' WHERE state = 'champion'")
    changed(
        connection,
        "UPDATE models SET state = 'champion', promoted_at = :at, why = :why WHERE version = :version",
        at=at,
        why=why,
        version=chosen.version,
    )
    _note(connection, what, chosen.version, at, why)
    return replace(chosen, state=ModelState.CHAMPION, promoted_at=at, why=why)


def _note(connection: Connection, what: str, version: str, at: int, why: str) -> None:
    number = run(connection, "SELECT coalesce(max(number), 0) + 1 FROM model_events")[0][0]
    row: dict[str, Values] = {
        "number": [number],
        "happened_at": [at],
        "what": [what],
        "version": [version],
        "why": [why],
    }
    insert(connection, model_events, row)
