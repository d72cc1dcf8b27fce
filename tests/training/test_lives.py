from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from service.domain.codes import hash64_many
from service.domain.enums import Decision
from service.domain.facts import Float32s
from service.domain.time import DAY, HOUR
from service.features.catalogue import FEATURES
from service.features.feature import Feature
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from tests.factories import NOON, make_signups
from training.lives import Judged, draw, live
from training.thresholds import Lived

T = NOON + 3 * DAY


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url, upgrading=True)
    signups = [(f"a{i}", NOON + i * 7 * HOUR) for i in range(5)]
    links = [("a0", "device", 5, NOON), ("a1", "device", 5, NOON + 7 * HOUR)]
    opened.write([Arrival(None, signups=make_signups(signups, links))])
    yield opened
    opened.close()


def nothing(length: np.ndarray, drawn: np.ndarray) -> Lived:
    none = np.zeros(0, np.int64)
    return Lived(none, none, np.zeros(0), none, length, drawn)


def looked_at(store: Store, drawn: np.ndarray, features: tuple[Feature, ...], seen: list[Float32s]) -> Lived:
    account, created_at = store.signups_between(0, T)
    by = np.argsort(account)
    account, created_at = account[by], created_at[by]

    def judge(rows: Float32s, ruled: Float32s) -> Judged:
        seen.append(rows)
        return Judged(np.nan_to_num(rows[:, 0].astype(np.float64)), np.zeros(len(ruled), np.int64))

    probed = nothing(T - created_at, drawn)
    lived, belongs = live(store, account, created_at, drawn, features, judge, as_of=T, probed=probed)
    assert belongs.tolist() == [0.0] * len(account)
    return lived


def test_accounts_are_asked_about_every_six_hours_of_their_lives(store: Store) -> None:
    shared = tuple(feature for feature in FEATURES if feature.name == "device_others_life")
    seen: list[Float32s] = []
    lived = looked_at(store, np.ones(5), shared, seen)
    assert sum(len(rows) for rows in seen) == sum((T - NOON - i * 7 * HOUR) // (6 * HOUR) + 1 for i in range(5))
    account = np.sort(hash64_many([f"a{i}" for i in range(5)]))
    first = int(np.searchsorted(account, hash64_many(["a0"])[0]))
    mine = lived.account == first
    # the other account on its device came seven hours later, which is seen at the look after twelve
    assert lived.score[mine].tolist() == [0.0, 1.0]
    assert lived.age[mine].tolist() == [0, 12 * HOUR]


def test_accounts_that_others_stand_for_keep_what_their_probes_say(store: Store) -> None:
    shared = tuple(feature for feature in FEATURES if feature.name == "device_others_life")
    drawn = np.array([0.0, 2.5, 0.0, 2.5, 0.0])
    lived = looked_at(store, drawn, shared, [])
    assert set(lived.account.tolist()) == {1, 3}
    assert lived.at_level(Decision.CHALLENGE).highest(5)[0] == -np.inf


def test_all_are_looked_at_where_that_is_affordable() -> None:
    assert draw(np.zeros(4), np.full(4, 10), np.arange(4), most=40).tolist() == [1.0] * 4


def test_of_too_many_the_highest_are_all_looked_at_and_the_others_stand_for_each_other() -> None:
    rng = np.random.default_rng(1)
    highest, account = rng.random(4_000), rng.integers(-(2**62), 2**62, 4_000)
    drawn = draw(highest, np.full(4_000, 10), account, most=10_000)
    assert 10 * (drawn > 0).sum() <= 10_000
    assert (drawn[highest >= np.sort(highest)[-500]] == 1.0).all()
    assert drawn.sum() == pytest.approx(4_000)
    assert np.array_equal(drawn, draw(highest, np.full(4_000, 10), account, most=10_000))
