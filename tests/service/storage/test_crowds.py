"""Accounts with a great many link keys: the index that finds their latest has all of theirs, and no others'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from alembic import command

from service.domain.codes import hash64
from service.domain.facts import LinkFacts
from service.domain.time import DAY, HOUR
from service.storage import crowds
from service.storage.crowds import OWN_ROWS
from service.storage.database import opened, writing
from service.storage.factrows import insert_links
from service.storage.schema import _config
from service.storage.sql import Int64s, insert, run
from service.storage.store import Store, open_store
from service.storage.tables import link_kinds
from service.tiles.history import OWN_KEYS_CAP
from tests.service.storage.factories import START, arrival, ints, link_facts, signup

LATER = START + 60 * DAY
KINDS = ints(-7, 3, 9)


def shown(account: int, keys: range) -> LinkFacts:
    key = np.array(keys, np.int64)
    return LinkFacts(np.full(len(key), account), KINDS[key % 3].astype(np.int32), key, START + key)


def keep(store: Store, links: LinkFacts, learned: Int64s | None = None) -> None:
    with writing(store.engine) as connection:
        insert_links(connection, links, links.happened if learned is None else learned, set())


def marked(store: Store) -> dict[int, set[int]]:
    """The accounts with more rows than are read at once, and those of which each row is in the index, or none is."""
    with store.engine.connect() as connection:
        rows = run(connection, "SELECT account, count(*), sum(crowded) FROM links GROUP BY account")
    return {
        "many": {account for account, count, _ in rows if count > OWN_ROWS},
        "all": {account for account, count, there in rows if count == there},
        "none": {account for account, _, there in rows if not there},
    }


def seen(store: Store, keys: range) -> list[int]:
    """What a look at an account shows: all, or the latest of each kind; those PostgreSQL always looks up alone."""
    if store.engine.dialect.name == "sqlite" and len(keys) <= OWN_ROWS:
        return list(keys)
    of = {kind: [key for key in keys if key % 3 == kind][-OWN_KEYS_CAP:] for kind in range(3)}
    return sorted(key for latest in of.values() for key in latest)


def read(store: Store, account: int, as_of: int = LATER) -> list[int]:
    return sorted(store.history(ints(account), as_of).own.key.tolist())


@pytest.fixture
def sqlite(store: Store) -> Store:
    if store.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's index has the rows of all accounts")
    return store


def test_a_signups_keys_are_in_no_index_by_kind(sqlite: Store) -> None:
    sqlite.write([arrival(LATER, signups=signup("a", device="d", ip="i", mailbox="m"))])
    assert marked(sqlite) == {"many": set(), "all": set(), "none": {hash64("a")}}


@pytest.mark.parametrize("step", [1, 50, 192, 193, 600])
def test_an_account_that_grows_is_read_by_kind_from_where_it_is_crowded(store: Store, step: int) -> None:
    for low in range(1, 601, step):
        high = min(low + step, 601)
        keep(store, LinkFacts.concat([shown(1, range(low, high)), shown(2, range(low, min(high, 50)))]))
        if store.engine.dialect.name == "sqlite":
            found = marked(store)
            assert found["many"] <= found["all"]
            assert 2 in found["none"]
        assert read(store, 1) == seen(store, range(1, high))
    assert read(store, 2) == seen(store, range(1, 50))


def test_whatever_comes_in_whatever_order_all_rows_of_a_crowded_account_are_marked(sqlite: Store) -> None:
    rng = np.random.default_rng(3)
    there = {account: set[int]() for account in range(1, 6)}
    for _ in range(60):
        parts = []
        for account in rng.choice(ints(1, 2, 3, 4, 5), 2, replace=False).tolist():
            low = int(rng.integers(1, 60 * account))
            keys = range(low, low + int(rng.integers(1, 60)))
            there[account] |= set(keys)
            parts.append(shown(account, keys))
        together = LinkFacts.concat(parts)
        keep(sqlite, together, together.happened + rng.integers(0, HOUR, len(together)))
        found = marked(sqlite)
        assert found["many"] == {account for account, keys in there.items() if len(keys) > OWN_ROWS}
        assert found["many"] <= found["all"]
    assert 0 < len(found["many"]) < 5


def test_whether_an_account_is_crowded_is_looked_up_and_its_rows_are_not_all_counted(sqlite: Store) -> None:
    keep(sqlite, shown(1, range(1, 2_000)))
    with sqlite.engine.connect() as connection:
        assert run(connection, crowds.COUNTED, accounts=ints(1, 7)) == [(f"{OWN_ROWS + 1},0",)]
        plan = run(connection, f"EXPLAIN QUERY PLAN {crowds.COUNTED}", accounts=ints(1))
    assert any(row[3] == "SEARCH links USING PRIMARY KEY (account=?)" for row in plan)


def test_a_database_of_before_reads_the_same_and_crowded_accounts_are_in_the_index(
    database_url: str, tmp_path: Path
) -> None:
    kept = LinkFacts.concat([shown(1, range(1, 601)), shown(2, range(1, 101)), link_facts("a", START, device="d")])
    rows = {"account": kept.account, "key": kept.key, "kind": kept.kind, "learned_at": kept.happened}
    with opened(database_url) as engine, engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        insert(connection, link_kinds, {"kind": np.unique(kept.kind)})
        for account, key, kind, learned in zip(*(column.tolist() for column in rows.values()), strict=True):
            connection.exec_driver_sql(
                "INSERT INTO links (account, key, kind, learned_at, verdicts) VALUES "
                f"({account}, {key}, {kind}, {learned}, 0)"
            )
    store = open_store(database_url, segments=str(tmp_path / "segments"), upgrading=True)
    assert read(store, 1) == seen(store, range(1, 601))
    assert read(store, 2) == seen(store, range(1, 101))
    if store.engine.dialect.name == "sqlite":
        assert marked(store) == {"many": {1}, "all": {1}, "none": {2, hash64("a")}}
    keep(store, LinkFacts.concat([shown(1, range(601, 640)), shown(2, range(101, 400))]))
    assert read(store, 1) == seen(store, range(1, 640))
    assert read(store, 2) == seen(store, range(1, 400))
    store.close()
