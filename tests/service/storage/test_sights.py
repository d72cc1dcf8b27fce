"""What is remembered of links saves work and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.codes import hash64
from service.domain.time import DAY, HOUR
from service.storage import sights
from service.storage.sights import Sights
from service.storage.sql import run
from service.storage.store import Store, open_store
from tests.service.storage.factories import START, arrival, ints, rows_of, usage, world

LATER = START + 60 * DAY


def test_a_pair_is_known_from_the_moment_it_was_kept_with_and_until_its_account_is_erased() -> None:
    kept = Sights()
    asked = ints(1, 1, 1, 2, 3), ints(7, 7, 8, 7, 7), ints(10, 9, 10, 25, 99)
    assert not kept.known(*asked).any()
    kept.remember(ints(1, 2), ints(7, 7), ints(10, 20))
    assert kept.known(*asked).tolist() == [True, False, False, True, False]
    kept.forget(2)
    assert kept.known(*asked).tolist() == [True, False, False, False, False]


def test_pairs_that_meet_in_one_place_are_never_taken_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sights, "_SLOTS", 4)
    kept = Sights()
    rng = np.random.default_rng(1)
    account, key = rng.integers(1, 50, 2_000), rng.integers(1, 50, 2_000)
    kept.remember(account[:1_000], key[:1_000], np.full(1_000, 5))
    known = kept.known(account, key, np.full(2_000, 5))
    pairs = list(zip(account.tolist(), key.tolist(), strict=True))
    found = {pair for pair, yes in zip(pairs, known.tolist(), strict=True) if yes}
    assert 0 < len(found) <= 4
    assert found <= set(pairs[:1_000])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_store_that_remembers_keeps_the_same_as_one_that_never_did(
    store: Store, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("other")
    other = open_store(f"sqlite:///{folder}/other.db", segments=str(folder / "segments"), upgrading=True)
    for one in world(seed):
        store.write([one])
    other.write(world(seed))  # in one transaction, before which it knew nothing
    accounts = np.unique(ints(*[hash64(f"account-{i}") for i in range(30)]))
    for as_of in (START + 9 * DAY, LATER):
        assert rows_of(store.history(accounts, as_of)) == rows_of(other.history(accounts, as_of))
    other.close()


def test_a_link_learned_earlier_than_it_was_remembered_moves_to_that_moment(store: Store) -> None:
    def learned() -> list[int]:
        with store.engine.connect() as connection:
            return [at for (at,) in run(connection, "SELECT learned_at FROM links")]

    store.write([arrival(LATER, usage=usage("a", ["u1"]))])
    store.write([arrival(LATER + DAY, usage=usage("a", ["u2"], START + 2 * HOUR))])
    assert learned() == [LATER]
    store.write([arrival(None, usage=usage("a", ["u3"], START + 3 * HOUR))])
    assert learned() == [START + 3 * HOUR]
    store.write([arrival(LATER, usage=usage("a", ["u4"], START + 4 * HOUR))])
    assert learned() == [START + 3 * HOUR]


def test_what_a_write_that_failed_has_shown_is_not_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("service.storage.writing.insert_assessments", fails)
        with pytest.raises(RuntimeError):
            store.write([arrival(LATER, usage=usage("a", ["u1"]))])
    store.write([arrival(LATER, usage=usage("a", ["u1"]))])
    with store.engine.connect() as connection:
        assert run(connection, "SELECT count(*) FROM links") == [(1,)]
