"""A dataset built from rows that were kept is the same to the byte as one that was built anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.time import DAY, HOUR, WEEK
from service.storage.store import Store
from tests.service.storage.factories import (
    START,
    arrival,
    found_campaign,
    payment,
    signal,
    signup,
    usage,
    verdicts,
    world,
)
from training.dataset import Dataset, build
from training.probe_cache import ProbeCache

SEED = 7


def learn(store: Store, since: int, until: int, seed: int = SEED) -> None:
    """What is learned from ``since`` until before ``until``: facts, labels, and a detection at the end."""
    facts = [each for each in world(seed, 60) if each.learned_at is not None and since <= each.learned_at < until]
    if facts:
        store.write(facts)
    store.record_labels([each for each in verdicts(seed, 60) if since <= each.decided_at < until])
    members = [f"account-{i}" for i in range(8) if since <= START + i * 3 * DAY < until]
    if members:
        run = store.begin_detection(until, "host", until)
        store.record_detection([found_campaign(f"c-{until}", members)], run=run, as_of=until)
        store.finish_detection(run, until, "{}")


def built(store: Store, as_of: int, cache: ProbeCache | None = None) -> Dataset:
    return build(store, store.labels_at(as_of), as_of=as_of, seed=SEED, cache=cache)


def assert_same(kept: Dataset, anew: Dataset) -> None:
    assert kept.fingerprint == anew.fingerprint
    assert kept.matrix.tobytes() == anew.matrix.tobytes()
    assert kept.ruled.tobytes() == anew.ruled.tobytes()
    assert [one.name for one in kept.features] == [one.name for one in anew.features]


def test_week_after_week_most_rows_are_used_again_and_not_a_byte_differs(store: Store) -> None:
    cache = ProbeCache(store)
    reused = []
    for week in range(1, 7):
        learn(store, START + (week - 1) * WEEK, START + week * WEEK)
        at = START + week * WEEK
        assert_same(built(store, at, cache), built(store, at))
        reused.append(cache.reused / (cache.reused + cache.computed))
    assert reused[0] == 0
    assert min(reused[2:]) > 0.4
    assert reused[-1] > 0.7


LATE: dict[str, Callable[[Store, int], object]] = {
    "signup": lambda store, at: store.write([arrival(signups=signup("new", at, ip="ip1", device="d1"))]),
    "payment": lambda store, at: store.write([arrival(payments=payment("account-1", "p-new", at, card="c1"))]),
    "usage": lambda store, at: store.write([arrival(usage=usage("account-1", ["u-new"], at))]),
    "signal": lambda store, at: store.write([arrival(signals=signal("account-1", "calls", 0.5, at))]),
    "label": lambda store, at: store.record_labels([Label("account-5", Verdict.FRAUD, at, "eve")]),
    "erasure": lambda store, at: store.erase("account-5", "asked for", at),
}


@pytest.mark.parametrize("deed", LATE.values(), ids=LATE)
def test_nothing_is_used_again_once_a_fact_of_then_came_late(
    store: Store, deed: Callable[[Store, int], object]
) -> None:
    cache = ProbeCache(store)
    learn(store, START, START + 5 * WEEK)
    built(store, START + 5 * WEEK, cache)
    deed(store, START + 3 * WEEK + HOUR)
    at = START + 6 * WEEK
    assert_same(built(store, at, cache), built(store, at))
    assert cache.reused == 0


def test_a_fact_that_comes_live_for_an_old_account_is_in_the_rows_after_it_alone(store: Store) -> None:
    cache = ProbeCache(store)
    learn(store, START, START + 5 * WEEK)
    built(store, START + 5 * WEEK, cache)
    late = START + 5 * WEEK + DAY
    store.write([arrival(late, usage=usage("account-1", ["u-new"], START + 2 * WEEK))])
    at = START + 6 * WEEK
    assert_same(built(store, at, cache), built(store, at))
    assert cache.reused > 0


def test_a_customers_new_signal_makes_new_features_and_so_all_rows_anew(store: Store) -> None:
    cache = ProbeCache(store)
    learn(store, START, START + 5 * WEEK)
    built(store, START + 5 * WEEK, cache)
    store.write([arrival(signals=signal("account-1", "seats", 3.0, START + 5 * WEEK + DAY))])
    at = START + 8 * WEEK
    assert_same(built(store, at, cache), built(store, at))
    assert cache.reused == 0


def test_an_earlier_moment_may_be_asked_for_after_a_later_one(store: Store) -> None:
    cache = ProbeCache(store)
    learn(store, START, START + 5 * WEEK)
    built(store, START + 5 * WEEK, cache)
    at = START + 3 * WEEK
    assert_same(built(store, at, cache), built(store, at))
    assert cache.reused > 0
    assert_same(built(store, START + 5 * WEEK, cache), built(store, START + 5 * WEEK))


def test_what_is_kept_cannot_be_written_to(store: Store) -> None:
    learn(store, START, START + 2 * WEEK)
    dataset = built(store, START + 2 * WEEK, ProbeCache(store))
    with pytest.raises(ValueError, match="read-only"):
        dataset.ruled[0, 0] = 1.0
