"""What the store says of the past: the same as long as nothing came late, and something else once anything did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.time import DAY, HOUR, WEEK
from service.storage.store import Store
from tests.service.storage.factories import (
    START,
    arrival,
    found_campaign,
    own_link,
    payment,
    signal,
    signup,
    usage,
    verdicts,
    world,
)

T = START + 4 * WEEK
THEN, LATER = START + 2 * WEEK, T + 2 * DAY

Deed = Callable[[Store, int], object]


def detect(store: Store, at: int) -> None:
    run = store.begin_detection(at, "host", at)
    found = found_campaign(f"c-{at}", ["account-1", "account-2"], keys={"k": 3.0})
    store.record_detection([found], run=run, as_of=at)
    store.finish_detection(run, at, "{}")


DEEDS: dict[str, Deed] = {
    "signup": lambda store, at: store.write([arrival(signups=signup("new", at, ip="ip1"))]),
    "payment": lambda store, at: store.write([arrival(payments=payment("account-1", "p-new", at))]),
    "usage": lambda store, at: store.write([arrival(usage=usage("account-1", ["u-new"], at))]),
    "own_link": lambda store, at: store.write([arrival(links=own_link("account-1", "w-new", at))]),
    "signal": lambda store, at: store.write([arrival(signals=signal("account-1", "calls", 0.5, at))]),
    "label": lambda store, at: store.record_labels([Label("account-29", Verdict.FRAUD, at, "eve")]),
    "retraction": lambda store, at: store.record_labels(
        [Label("account-28", Verdict.FRAUD, START + DAY, "eve", campaign_id="crew", retracted_at=at)]
    ),
    "detection": detect,
}


@pytest.fixture
def filled(store: Store) -> Store:
    store.write([each for each in world(3) if each.learned_at is not None and each.learned_at <= T])
    store.record_labels([replace(each, retracted_at=None) for each in verdicts(3) if each.decided_at <= T])
    store.record_labels([Label("account-28", Verdict.FRAUD, START + DAY, "eve", campaign_id="crew")])
    detect(store, START + 10 * DAY)
    return store


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_what_is_learned_later_leaves_the_past_as_it_was(filled: Store, deed: Deed) -> None:
    until, before = filled.past(T)
    assert T - WEEK < until <= T
    deed(filled, LATER)
    assert filled.past(until) == (until, before)
    assert filled.past(T) == (until, before)


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_what_comes_late_makes_it_another_past(filled: Store, deed: Deed) -> None:
    until, before = filled.past(T)
    deed(filled, THEN + HOUR)
    assert filled.past(until)[1] != before


def test_an_erased_account_makes_it_another_past(filled: Store) -> None:
    until, before = filled.past(T)
    filled.erase("account-3", "asked for", LATER)
    assert filled.past(until)[1] != before


def test_a_campaign_whose_members_leave_it_later_was_the_same_then(filled: Store) -> None:
    until, before = filled.past(T)
    run = filled.begin_detection(LATER, "host", LATER)
    filled.record_detection([found_campaign(f"c-{START + 10 * DAY}", ["account-1", "account-4"])], run=run, as_of=LATER)
    assert filled.past(until)[1] == before
    assert filled.past(LATER + WEEK)[1] != before


def test_an_empty_store_has_a_past(store: Store) -> None:
    assert store.past(T)[1] == store.past(T + WEEK)[1]
