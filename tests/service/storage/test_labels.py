"""Labels: append-only, retracted by a record, and seen by the next read of every account on their keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.domain.codes import code32, hash64
from service.domain.enums import Verdict
from service.domain.errors import InvalidPageToken, UnknownLabel
from service.domain.raw import Label
from service.domain.time import DAY, HOUR
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW
from service.storage.store import Store
from service.tiles.sharing import fold_sharing
from tests.service.storage.factories import START, arrival, ints, signup

FRAUD = Label("bad", Verdict.FRAUD, START + DAY, "ann", campaign_id="ring", evidence="one device")
LATER = START + 30 * DAY


def confirmed(store: Store, account: str, as_of: int, verdict: str = "fraud") -> int:
    at = np.array([as_of])
    who = ints(hash64(account))
    small = fold_sharing(store.history(who, as_of), who, at, [code32("device")])
    (chunk,) = store.histories(accounts=who)
    many = fold_sharing(chunk, who, at, [code32("device")])
    assert (small.values == many.values).all()
    return int(small.column(code32("device"), verdict)[0])


def test_a_label_counts_from_when_it_was_learned(store: Store) -> None:
    store.write([arrival(None, signups=signup(name, device="d")) for name in ("bad", "next")])
    assert store.record_labels([FRAUD], START + 2 * DAY).status.tolist() == [NEW]
    assert confirmed(store, "next", START + 2 * DAY - 1) == 0
    assert confirmed(store, "next", START + 2 * DAY) == 1
    assert confirmed(store, "bad", LATER) == 0  # an account never counts itself


def test_a_key_shown_after_the_label_carries_the_verdict_too(store: Store) -> None:
    store.record_labels([FRAUD])
    store.write([arrival(START + 3 * DAY, signups=signup(name, device="d")) for name in ("bad", "next")])
    assert confirmed(store, "next", LATER) == 1


def test_a_key_imported_after_the_label_carries_the_verdict_too(store: Store) -> None:
    store.record_labels([FRAUD])
    with store.bulk() as file:
        for name in ("bad", "next"):
            file.signups(signup(name, device="d"))
    assert confirmed(store, "next", LATER) == 1


def test_a_retracted_label_counts_no_more(store: Store) -> None:
    store.write([arrival(None, signups=signup(name, device="d")) for name in ("bad", "next")])
    store.record_labels([FRAUD])
    retracted = store.retract_label("bad", "ann", FRAUD.decided_at, START + 5 * DAY, START + 6 * DAY, "a mistake")
    assert (retracted.retracted_at, retracted.retraction_learned_at) == (START + 5 * DAY, START + 6 * DAY)
    assert confirmed(store, "next", START + 6 * DAY - 1) == 1
    assert confirmed(store, "next", START + 6 * DAY) == 0
    again = store.retract_label("bad", "ann", FRAUD.decided_at, START + 9 * DAY, START + 9 * DAY)
    assert again == retracted


def test_of_contradicting_verdicts_the_one_decided_last_counts_whatever_came_first(store: Store) -> None:
    store.write([arrival(None, signups=signup(name, device="d")) for name in ("bad", "next")])
    cleared = Label("bad", Verdict.LEGITIMATE, START + 3 * DAY, "bob")
    store.record_labels([cleared])
    store.record_labels([FRAUD])
    assert confirmed(store, "next", START + 2 * DAY) == 1
    assert (confirmed(store, "next", LATER), confirmed(store, "next", LATER, "legitimate")) == (0, 1)


def test_the_same_label_again_is_a_duplicate_and_a_changed_one_a_conflict(store: Store) -> None:
    store.record_labels([FRAUD])
    assert store.record_labels([FRAUD, FRAUD]).status.tolist() == [DUPLICATE, DUPLICATE]
    for changed in (
        replace(FRAUD, verdict=Verdict.LEGITIMATE),
        replace(FRAUD, campaign_id="other"),
        replace(FRAUD, evidence=None),
    ):
        assert store.record_labels([changed]).status.tolist() == [CONFLICT]
    assert store.record_labels([replace(FRAUD, analyst="bob")]).status.tolist() == [NEW]


def test_retracted_at_on_a_known_label_is_a_retraction_and_not_a_conflict(store: Store) -> None:
    store.record_labels([FRAUD])
    taken_back = replace(FRAUD, retracted_at=START + 2 * DAY)
    assert store.record_labels([taken_back]).status.tolist() == [NEW]
    assert store.record_labels([taken_back, FRAUD]).status.tolist() == [DUPLICATE, DUPLICATE]
    assert store.record_labels([replace(FRAUD, retracted_at=START + 3 * DAY)]).status.tolist() == [CONFLICT]
    (kept,) = store.list_labels().items
    assert (kept.retracted_at, kept.retraction_learned_at) == (START + 2 * DAY, START + 2 * DAY)


def test_one_conflict_keeps_the_whole_batch_out_where_asked(store: Store) -> None:
    store.record_labels([FRAUD])
    batch = [Label("other", Verdict.FRAUD, START, "ann", campaign_id="new"), replace(FRAUD, evidence="changed")]
    outcome = store.record_labels(batch)
    assert (outcome.written, outcome.status.tolist()) == (False, [NEW, CONFLICT])
    assert [label.account_id for label in store.list_labels().items] == ["bad"]
    outcome = store.record_labels(batch, atomic=False)
    assert (outcome.written, outcome.created_campaigns) == (True, ("new",))
    assert len(store.list_labels().items) == 2


def test_a_campaign_nobody_named_before_is_created_once(store: Store) -> None:
    suspicion = Label("x", Verdict.LEGITIMATE, START, "ann", campaign_id="ring")
    assert store.record_labels([suspicion]).created_campaigns == ("ring",)
    assert [(row.state, row.created_at) for row in store.campaigns()] == [("suspected", START)]
    assert store.record_labels([FRAUD]).created_campaigns == ()
    assert [(row.state, row.created_at) for row in store.campaigns()] == [("confirmed", START)]


def test_what_was_known_at_a_moment_has_no_later_labels_or_retractions(store: Store) -> None:
    store.record_labels([FRAUD], START + 2 * DAY)
    store.retract_label("bad", "ann", FRAUD.decided_at, START + 5 * DAY, START + 5 * DAY)
    assert store.labels_at(START + 2 * DAY - 1) == []
    assert [label.retracted_at for label in store.labels_at(START + 5 * DAY - 1)] == [None]
    assert [label.retracted_at for label in store.labels_at(START + 5 * DAY)] == [START + 5 * DAY]


def test_lists_come_in_pages_the_latest_decided_first(store: Store) -> None:
    labels = [Label(f"a{i}", Verdict.FRAUD, START + (i % 4) * HOUR, "ann" if i % 2 else "bob") for i in range(11)]
    store.record_labels(labels)
    seen, token = [], ""
    while True:
        page = store.list_labels(page_size=3, page_token=token)
        seen += page.items
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len({label.account_id for label in seen}) == 11
    decided = [label.decided_at for label in seen]
    assert decided == sorted(decided, reverse=True)
    assert {label.analyst for label in store.list_labels(analyst="ann").items} == {"ann"}
    assert [label.account_id for label in store.list_labels(account_id="a7").items] == ["a7"]
    first = store.list_labels(page_size=3)
    for wrong in ("nonsense", "é", first.next_page_token[:-4], first.next_page_token + "AAAA"):
        with pytest.raises(InvalidPageToken):
            store.list_labels(page_size=3, page_token=wrong)
    with pytest.raises(InvalidPageToken):
        store.list_labels(page_size=3, page_token=first.next_page_token, analyst="ann")


def test_a_label_that_is_not_there_cannot_be_retracted(store: Store) -> None:
    with pytest.raises(UnknownLabel, match="'bad' by 'ann'"):
        store.retract_label("bad", "ann", START, LATER, LATER)
