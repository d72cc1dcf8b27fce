"""Migrations: from nothing to now, once, whoever comes first."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from service.domain.campaigns import CampaignState
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.errors import DatabaseProblem
from service.domain.raw import Label
from service.storage.database import opened, writing
from service.storage.schema import SchemaState, _config, check, ensure, known_revisions, upgrade
from service.storage.store import open_store
from service.storage.tables import metadata


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with opened(database_url) as engine:
        yield engine


def test_an_empty_database_is_upgraded_once(engine: Engine) -> None:
    assert check(engine) is SchemaState.BEHIND
    assert upgrade(engine)
    assert check(engine) is SchemaState.OK
    assert not upgrade(engine)
    ensure(engine)
    engine.dispose()


def test_the_revisions_known_by_file_are_those_that_alembic_walks(engine: Engine) -> None:
    scripts = ScriptDirectory.from_config(_config())
    walked = [script.revision for script in scripts.walk_revisions()][::-1]
    assert known_revisions() == walked
    assert scripts.get_current_head() == walked[-1]
    engine.dispose()


def test_a_schema_that_is_up_to_date_is_found_so_while_somebody_writes(engine: Engine) -> None:
    upgrade(engine)
    with writing(engine) as other:
        other.exec_driver_sql("DELETE FROM names")
        began = time.monotonic()
        assert not upgrade(engine)
        assert time.monotonic() - began < 10  # the lock is waited for for 30 s
    engine.dispose()


def test_the_migrations_lead_to_the_tables_of_the_code(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        names = connection.dialect.get_table_names(connection)
    assert set(metadata.tables) | {"alembic_version"} == set(names)
    engine.dispose()


def test_campaigns_that_labels_had_named_keep_their_members(database_url: str, engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        said = "INSERT INTO campaigns (campaign_id, state, origin, created_at) VALUES "
        connection.exec_driver_sql(said + "('ring', 'confirmed', 'label', 5), ('empty', 'suspected', 'label', 6)")
        for name, verdict, learned, retracted in (
            ("a", "fraud", 5, "NULL"),
            ("b", "fraud", 9, "NULL"),
            ("c", "fraud", 7, "8"),
            ("d", "legitimate", 7, "NULL"),
        ):
            connection.exec_driver_sql(
                "INSERT INTO labels (account, analyst, decided_at, account_id, verdict, learned_at, campaign_id, "
                f"retraction_learned_at) VALUES ({hash64(name)}, 'ann', {learned}, '{name}', '{verdict}', {learned}, "
                f"'ring', {retracted})"
            )
    store = open_store(database_url, segments=str(tmp_path / "segments"), upgrading=True)
    ring, empty = store.campaign("ring"), store.campaign("empty")
    assert (ring.state, ring.members, ring.created_at, ring.updated_at) == (CampaignState.CONFIRMED, 2, 5, 9)
    assert (empty.state, empty.members) == (CampaignState.SUSPECTED, 0)
    assert [(each.account_id, each.joined_at) for each in store.list_members("ring").items] == [("a", 5), ("b", 9)]
    rows = store.campaign_rows(as_of=8)
    assert rows.state_members[rows.state_campaign == hash64("ring")].tolist() == [1]
    store.record_labels([Label("e", Verdict.FRAUD, 20, "ann", campaign_id="ring")])
    assert (store.campaign("ring").members, store.campaign("ring").state) == (3, CampaignState.CONFIRMED)
    store.close()


_CHILD = """
import sys
from service.storage.database import open_database
from service.storage.schema import upgrade
sys.stdin.read()
print(upgrade(open_database(sys.argv[1])))
"""


def test_of_processes_that_start_together_one_upgrades_and_all_go_on(database_url: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _CHILD, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
    said = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], said
    assert sorted(out.strip() for out, _ in said) == ["False", "False", "True"]


def test_a_schema_that_is_behind_names_the_command(database_url: str, engine: Engine) -> None:
    with pytest.raises(DatabaseProblem, match=r"its schema \(none\) is behind; run `gatehouse db upgrade`"):
        open_store(database_url)
    engine.dispose()


def test_a_newer_schema_is_left_alone_and_named(database_url: str, engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert check(engine) is SchemaState.AHEAD
    for attempt in (lambda: ensure(engine), lambda: upgrade(engine), lambda: open_store(database_url, upgrading=True)):
        with pytest.raises(DatabaseProblem, match=r"its schema \(9999\) was made by a newer version; install"):
            attempt()
    engine.dispose()
