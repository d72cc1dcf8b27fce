"""Imports: a file whole or not at all, twice as good as once, and the same facts as live writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.domain.codes import hash64, hash64_many
from service.domain.errors import DatabaseProblem
from service.domain.time import DAY
from service.storage import bulk as bulk_module
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW, Arrival
from service.storage.bulk import Bulk
from service.storage.factrows import join
from service.storage.store import Store, open_store
from tests.service.storage.factories import (
    START,
    arrival,
    ints,
    own_link,
    payment,
    rows_of,
    signup,
    usage,
    verdicts,
    world,
)

LATER = START + 60 * DAY
ACCOUNTS = hash64_many([f"account-{i}" for i in range(30)])


def put(file: Bulk, arrivals: list[Arrival]) -> dict[str, list[int]]:
    """Everything of one kind in one batch, as an import brings it."""
    out = {}
    for name in ("signups", "payments", "usage", "links", "signals"):
        facts = [part for each in arrivals if (part := getattr(each, name)) is not None]
        out[name] = getattr(file, name)(join(facts)).tolist()
    return out


def contents(store: Store) -> dict[str, object]:
    return {f"{as_of}": rows_of(store.history(ACCOUNTS, as_of)) for as_of in (START + 9 * DAY, LATER)}


@pytest.mark.parametrize("seed", [1, 2])
def test_an_import_leaves_the_same_facts_as_live_writes_at_their_own_times(
    store: Store, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "SEGMENT_ROWS", 20)
    monkeypatch.setattr(bulk_module, "TILE_ROWS", 5)
    monkeypatch.setattr(bulk_module, "LINK_ROWS", 10)
    arrivals = [replace(each, learned_at=None) for each in world(seed)]
    other = open_store(f"sqlite:///{tmp_path}/live.db", upgrading=True)
    other.write(arrivals)
    other.record_labels(verdicts(seed))
    with store.bulk() as file:
        put(file, arrivals[::2])
    with store.bulk() as file:
        assert file.labels(verdicts(seed)).tolist() == [NEW] * 15
        put(file, arrivals[1::2])
    assert contents(store) == contents(other)
    assert store.names("signal") == other.names("signal")
    other.close()


def test_importing_the_same_files_twice_changes_nothing(store: Store) -> None:
    arrivals = world(1)
    with store.bulk() as file:
        first = put(file, arrivals)
        file.labels(verdicts(1))
    assert {status for rows in first.values() for status in rows} == {NEW}
    before = contents(store), store.list_labels(page_size=100)
    with store.bulk() as file:
        second = put(file, arrivals[::-1])
        assert set(file.labels(verdicts(1)).tolist()) == {DUPLICATE}
    assert {status for rows in second.values() for status in rows} == {DUPLICATE}
    assert (contents(store), store.list_labels(page_size=100)) == before


def test_the_same_id_with_other_content_is_refused_within_a_file_and_across_files(store: Store) -> None:
    with store.bulk() as file:
        assert file.usage(usage("a", ["u1", "u2"])).tolist() == [NEW, NEW]
        assert file.usage(usage("a", ["u2", "u3"], content=2)).tolist() == [CONFLICT, NEW]
        assert file.payments(payment("a", "p1", card="kept")).tolist() == [NEW]
    with store.bulk() as file:
        assert file.usage(usage("a", ["u1", "u2"])).tolist() == [DUPLICATE, DUPLICATE]
        assert file.usage(usage("a", ["u1"], content=3)).tolist() == [CONFLICT]
        assert file.payments(payment("a", "p1", content=2, card="refused")).tolist() == [CONFLICT]
    keys = store.history(ints(hash64("a")), LATER).own.key
    assert payment("a", "p1", card="kept").links.key[0] in keys
    assert payment("a", "p1", card="refused").links.key[0] not in keys


def test_a_file_that_fails_half_way_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with store.bulk() as file:
        put(file, world(1)[:40])
    before = contents(store), sorted((tmp_path / "segments").rglob("*"))

    def half() -> None:
        with store.bulk() as file:
            put(file, world(1))
            file._stage()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert (contents(store), sorted((tmp_path / "segments").rglob("*"))) == before


def test_a_file_of_which_something_cannot_be_written_meanwhile_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "TILE_ROWS", 1)
    monkeypatch.setattr(bulk_module, "SEGMENT_ROWS", 1)
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "usage").write_text("a file where the folder should be")

    def whole() -> None:
        with store.bulk() as file:
            put(file, world(1))
            for i in range(5):  # it goes on with the next rows while those before are written
                file.usage(usage("a", [f"more-{i}"]))

    with pytest.raises((FileExistsError, NotADirectoryError)):
        whole()
    assert all(len(history.account) == 0 for history in store.histories())
    (tmp_path / "segments" / "usage").unlink()
    whole()
    assert sum(segment.num_rows for segment in store.usage_rows(LATER)) == 5 + sum(
        len(each.usage) for each in world(1) if each.usage is not None
    )


def test_rows_are_looked_up_while_thousands_before_them_are_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "LINK_ROWS", 1_000)
    monkeypatch.setattr(bulk_module, "TILE_ROWS", 1_000)
    names = [[f"{batch}-{i}" for i in range(2_500)] for batch in range(6)]
    batches = [join([usage(name, [f"event-{name}"], ip=name) for name in some]) for some in names]
    with store.bulk() as file:
        for facts in batches:
            assert set(file.usage(facts).tolist()) == {NEW}
        signups = join([signup(name, START) for name in names[0]])
        assert set(file.signups(signups).tolist()) == {NEW}
    with store.bulk() as file:
        assert {status for facts in batches for status in file.usage(facts).tolist()} == {DUPLICATE}
    account, *_ = store.link_rows(LATER)
    assert len(np.unique(account)) == 15_000
    tiles = store.history(hash64_many([name for some in names for name in some]), LATER).usage
    assert tiles.values[:, 0].tolist() == [1] * 15_000


def test_live_and_imported_exchanges_know_of_each_other(store: Store) -> None:
    store.write([arrival(START + 5 * DAY, usage=usage("a", ["live"]))])
    with store.bulk() as file:
        assert file.usage(usage("a", ["live"])).tolist() == [DUPLICATE]
        assert file.usage(usage("a", ["imported"])).tolist() == [NEW]
    store.flush_usage_log()
    again = store.write([arrival(LATER, usage=usage("a", ["live"])), arrival(LATER, usage=usage("a", ["imported"]))])
    assert [outcome.usage.tolist() for outcome in again] == [[DUPLICATE], [DUPLICATE]]
    other = store.write([arrival(LATER, usage=usage("a", ["imported"], content=9))])
    assert other[0].usage.tolist() == [CONFLICT]


def test_thousands_of_rows_go_the_way_of_thousands(store: Store) -> None:
    names = [f"many-{i}" for i in range(3_000)]
    facts = join([signup(name, START + i, device=name, ip="shared") for i, name in enumerate(names)])
    with store.bulk() as file:
        assert set(file.signups(facts).tolist()) == {NEW}
        assert set(file.signups(facts).tolist()) == {DUPLICATE}
        links = join([own_link(name, "w") for name in names])
        assert set(file.links(links).tolist()) == {NEW}
    accounts = np.sort(facts.account)
    chunks = list(store.histories())
    assert np.concatenate([chunk.account for chunk in chunks]).tolist() == accounts.tolist()
    profiles = np.concatenate([chunk.profile for chunk in chunks])
    np.testing.assert_array_equal(profiles, facts.profile[np.argsort(facts.account)])
    assert sum(len(chunk.own.key) for chunk in chunks) == 9_000


def test_an_erasure_during_an_import_sends_the_import_back(store: Store) -> None:
    if store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer: the erasure waits for the import")
    store.write([arrival(None, signups=signup("a", ip="x"))])

    def meanwhile() -> None:
        with store.bulk() as file:
            file.payments(payment("a", "p1", card="c"))
            store.erase("a", "asked for it", LATER)

    with pytest.raises(DatabaseProblem, match="an account was erased meanwhile"):
        meanwhile()
    assert not len(store.history(ints(hash64("a")), LATER).payments)
