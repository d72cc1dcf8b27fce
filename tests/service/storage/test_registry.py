"""The registry: one champion at a time, whoever promotes, and a way back."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier, Thread

import pytest

from service.domain.enums import ModelState
from service.domain.errors import AlreadyExists, NoEarlierModel, UnknownModel
from service.domain.records import ModelRecord
from service.storage.store import Store


def model(version: str, at: int = 1) -> ModelRecord:
    return ModelRecord(
        version, ModelState.CHALLENGER, "trained", at, f"models/{version}", f"sha-{version}", '{"rows": 1}', None, "new"
    )


def states(store: Store) -> dict[str, str]:
    return {each.version: each.state.value for each in store.models()}


def test_a_new_model_is_a_challenger_until_it_is_promoted(store: Store) -> None:
    assert store.champion() is None
    assert store.add_model(model("m1")) == model("m1")
    assert store.champion() is None
    promoted = store.promote("m1", 5, "better")
    assert promoted == store.champion() == store.model("m1")
    assert (promoted.state, promoted.promoted_at, promoted.why) == (ModelState.CHAMPION, 5, "better")


def test_promoting_retires_the_one_before(store: Store) -> None:
    for i in (1, 2):
        store.add_model(model(f"m{i}", at=i))
        store.promote(f"m{i}", 10 + i, "better")
    assert states(store) == {"m2": "champion", "m1": "retired"}
    assert store.promote("m2", 99, "again").promoted_at == 12


def test_rolling_back_walks_back_through_the_champions(store: Store) -> None:
    for i in (1, 2, 3):
        store.add_model(model(f"m{i}", at=i))
        store.promote(f"m{i}", 10 + i, "better")
    assert store.roll_back(20, "worse in practice").version == "m2"
    assert store.roll_back(21, "worse, too").version == "m1"
    assert states(store) == {"m3": "retired", "m2": "retired", "m1": "champion"}
    with pytest.raises(NoEarlierModel, match="no earlier champion"):
        store.roll_back(22, "no further")
    store.promote("m3", 30, "mended")
    assert store.roll_back(31, "not mended").version == "m1"


def test_the_same_model_again_is_as_it_is_and_another_under_its_version_is_refused(store: Store) -> None:
    store.add_model(model("m1"))
    store.promote("m1", 5, "better")
    assert store.add_model(model("m1")).state is ModelState.CHAMPION
    with pytest.raises(AlreadyExists, match="m1"):
        store.add_model(replace(model("m1"), manifest_sha256="tampered"))


def test_a_model_that_is_not_there_cannot_be_promoted(store: Store) -> None:
    store.add_model(model("m1"))
    store.promote("m1", 5, "better")
    with pytest.raises(UnknownModel, match="m9"):
        store.promote("m9", 6, "?")
    with pytest.raises(UnknownModel, match="m9"):
        store.model("m9")
    assert states(store) == {"m1": "champion"}


def test_of_many_promotions_at_once_one_champion_is_left(store: Store) -> None:
    for i in range(4):
        store.add_model(model(f"m{i}", at=i))
    together = Barrier(4)

    def promote(i: int) -> None:
        for round_ in range(5):
            together.wait()
            store.promote(f"m{i}", 100 * round_ + i, "now me")

    threads = [Thread(target=promote, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states(store).values()) == ["champion", "retired", "retired", "retired"]
    with store.engine.connect() as connection:
        events = connection.exec_driver_sql("SELECT number, what FROM model_events ORDER BY number").all()
    assert [number for number, _ in events] == list(range(1, len(events) + 1))
