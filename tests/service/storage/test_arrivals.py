"""Arrivals that are written as one are told apart again."""

from __future__ import annotations

from service.domain.codes import hash64
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW, Arrivals
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, assessment, payment, signup


def test_groups_written_together_get_the_outcomes_that_they_would_have_got_one_by_one(store: Store) -> None:
    store.write([arrival(START, signups=signup("stored"), assessments=(assessment("stored", "r-stored"),))])
    groups = [
        [
            arrival(START, signups=signup("a"), assessments=(assessment("a", "r-a"),)),
            arrival(START, payments=payment("a", "p-1", START), assessments=(assessment("a", "r-pay"),)),
        ],
        [
            arrival(START, signups=signup("stored"), assessments=(assessment("stored", "r-stored"),)),
            arrival(START, signups=signup("a"), assessments=(assessment("a", "r-a"),)),
            arrival(START, assessments=(assessment("a", None),)),
        ],
    ]

    outcomes = store.write_together([Arrivals.of(group) for group in groups])

    assert not outcomes.all_new()
    first, second = outcomes.some(0, 2), outcomes.some(2, 5)
    assert first.all_new()
    assert [o.signups.tolist() for o in first] == [[NEW], []]
    assert [o.payments.tolist() for o in first] == [[], [NEW]]
    assert [o.signups.tolist() for o in second] == [[DUPLICATE], [DUPLICATE], []]
    assert [o.assessments.tolist() for o in second] == [[DUPLICATE], [DUPLICATE], [NEW]]
    kept = [o.stored_assessment for o in second]
    assert [each.request_id if each else None for each in kept] == ["r-stored", "r-a", None]


def test_an_atomic_arrival_that_conflicts_leaves_the_others_of_its_group_alone(store: Store) -> None:
    store.write([arrival(START, signups=signup("known"))])
    group = [
        arrival(START, signups=signup("new"), assessments=(assessment("new", "r-new"),), atomic=True),
        arrival(START, signups=signup("known", content=2), assessments=(assessment("known", "r-k"),), atomic=True),
        arrival(START, signups=signup("other"), assessments=(assessment("other", "r-o"),), atomic=True),
    ]

    outcomes = list(store.write_together([Arrivals.of(group)]))

    assert [o.written for o in outcomes] == [True, False, True]
    assert outcomes[1].signups.tolist() == [CONFLICT]
    assert not store.assessments_of("known", 10).items
    assert store.assessments_of("other", 10).items[0].account == hash64("other")
