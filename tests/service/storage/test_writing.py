"""Live writes: idempotent, first one kept, atomic where asked, and blind to the order of arrival."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from service.domain.codes import hash64
from service.domain.time import DAY, HOUR
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW, Arrival, Outcome, judge
from service.storage.store import Store, open_store
from tests.service.storage.factories import (
    START,
    arrival,
    assessment,
    ints,
    link_facts,
    own_link,
    payment,
    rows_of,
    signal,
    signup,
    usage,
    verdicts,
    world,
)

LATER = START + 60 * DAY


def everything(account: str = "a") -> Arrival:
    return arrival(
        START,
        signups=signup(account, ip="x", device=account),
        payments=payment(account, f"p-{account}", card="c"),
        usage=usage(account, [f"u1-{account}", f"u2-{account}"]),
        links=own_link(account, "w"),
        signals=signal(account, "calls", 2.5, event=f"s-{account}"),
        assessments=(assessment(account, f"r-{account}"),),
    )


def statuses(outcome: Outcome) -> dict[str, list[int]]:
    names = ("signups", "payments", "usage", "links", "signals", "assessments")
    return {name: getattr(outcome, name).tolist() for name in names}


def of_accounts(store: Store, *accounts: str, as_of: int = LATER) -> dict[str, list[tuple[float, ...]]]:
    return rows_of(store.history(ints(*map(hash64, accounts)), as_of))


def test_the_same_facts_twice_change_nothing(store: Store) -> None:
    first = store.write([everything()])[0]
    assert {status for rows in statuses(first).values() for status in rows} == {NEW}
    before = of_accounts(store, "a")
    second = store.write([everything()])[0]
    assert statuses(second) == {name: [DUPLICATE] * len(rows) for name, rows in statuses(first).items()}
    assert of_accounts(store, "a") == before


def test_the_same_id_with_other_content_is_refused_and_the_first_kept(store: Store) -> None:
    store.write([everything()])
    before = of_accounts(store, "a")
    changed = arrival(
        START + DAY,
        signups=signup("a", content=2, ip="y"),
        payments=payment("a", "p-a", content=2, card="other"),
        usage=usage("a", ["u1-a", "u2-a"], content=2, ip="9.9.9.9"),
        signals=signal("a", "calls", 9.0, event="s-a"),
    )
    outcome = store.write([changed])[0]
    assert {status for rows in statuses(outcome).values() for status in rows} == {CONFLICT}
    assert of_accounts(store, "a") == before


def test_of_two_rows_with_one_id_in_the_same_batch_the_first_wins(store: Store) -> None:
    outcomes = store.write(
        [
            arrival(START, signups=signup("a", content=1)),
            arrival(START, signups=signup("a", content=2)),
            arrival(START, signups=signup("a", content=1)),
        ]
    )
    assert [outcome.signups.tolist() for outcome in outcomes] == [[NEW], [CONFLICT], [DUPLICATE]]


def test_an_atomic_arrival_with_one_conflict_writes_nothing_and_the_others_go_on(store: Store) -> None:
    store.write([arrival(START, payments=payment("a", "p1"))])
    outcomes = store.write(
        [
            arrival(START, signups=signup("a"), payments=payment("a", "p1", content=2), atomic=True),
            arrival(START, signups=signup("b"), atomic=True),
        ]
    )
    assert not outcomes[0].written
    assert outcomes[0].signups.tolist() == [NEW]
    assert outcomes[0].payments.tolist() == [CONFLICT]
    assert outcomes[1].written
    assert store.history(ints(hash64("a"), hash64("b")), LATER).known.sum() == 1


def test_what_a_refused_arrival_brought_is_new_when_the_next_one_brings_it(store: Store) -> None:
    store.write([arrival(START, payments=payment("a", "p1"))])
    outcomes = store.write(
        [
            arrival(START, signups=signup("a"), payments=payment("a", "p1", content=2), atomic=True),
            arrival(START, signups=signup("a", content=5), atomic=True),
        ]
    )
    assert [outcome.written for outcome in outcomes] == [False, True]
    assert outcomes[1].signups.tolist() == [NEW]


def test_one_request_has_one_record_and_the_repeat_gets_it(store: Store) -> None:
    made = assessment("a", "request-1")
    again = assessment("a", "request-1")
    other = assessment("a", "request-1", content=99)
    store.write([arrival(START, assessments=(made,))])
    repeat, conflict = store.write([arrival(START, assessments=(again,)), arrival(START, assessments=(other,))])
    assert repeat.stored_assessment == made
    assert (repeat.assessments.tolist(), conflict.assessments.tolist()) == ([DUPLICATE], [CONFLICT])
    assert conflict.stored_assessment == made
    assert [each.assessment_id for each in store.assessments_of("a", 10).items] == [made.assessment_id]


def test_two_writers_with_the_same_requests_leave_one_record_each(store: Store) -> None:
    together = Barrier(2)
    kept: list[list[str]] = [[], []]

    def write(side: int) -> None:
        for i in range(20):
            together.wait()
            made = assessment("a", f"request-{i}", at=START + i)
            stored = store.write([arrival(START, signups=signup("a"), assessments=(made,), atomic=True)])[0]
            kept[side].append((stored.stored_assessment or made).assessment_id)

    threads = [Thread(target=write, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept[0] == kept[1]
    assert [each.assessment_id for each in store.assessments_of("a", 100).items] == kept[0][::-1]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_arrival_does_not_matter(database_url: str, tmp_path: Path, seed: int) -> None:
    arrivals = world(seed)
    order = np.random.default_rng(seed).permutation(len(arrivals))
    in_order = open_store(f"sqlite:///{tmp_path}/in-order.db", upgrading=True)
    in_order.write(arrivals)
    in_order.record_labels(verdicts(seed))
    shuffled = open_store(database_url, segments=str(tmp_path / "segments"), upgrading=True)
    labels = verdicts(seed)[::-1]
    for i in order[:40]:
        shuffled.write([arrivals[i]])
    shuffled.record_labels(labels[:5])
    shuffled.write([arrivals[i] for i in order[40:]])
    for label in labels[5:]:
        shuffled.record_labels([label])
    names = [f"account-{i}" for i in range(30)]
    for as_of in (START + 10 * DAY, START + 20 * DAY, LATER):
        assert of_accounts(shuffled, *names, as_of=as_of) == of_accounts(in_order, *names, as_of=as_of)
    assert shuffled.campaigns() == in_order.campaigns()
    in_order.close()
    shuffled.close()


def test_a_fact_learned_after_the_moment_is_not_read(store: Store) -> None:
    store.write([arrival(None, signups=signup("a", START, ip="x")), arrival(START + DAY, payments=payment("a", "p1"))])
    store.write([arrival(START + DAY, signals=signal("a", "calls", 1.0), links=own_link("a", "w"))])
    before = store.history(ints(hash64("a")), START + DAY - 1)
    after = store.history(ints(hash64("a")), START + DAY)
    assert (len(before.payments), len(before.signals.account), len(before.own.key)) == (0, 0, 1)
    assert (len(after.payments), len(after.signals.account), len(after.own.key)) == (1, 1, 2)
    assert not store.history(ints(hash64("a")), START - 1).known[0]


def test_an_hour_of_usage_is_read_once_it_is_over(store: Store) -> None:
    store.write([arrival(START + 10, usage=usage("a", ["u1"]))])
    assert not len(store.history(ints(hash64("a")), START + HOUR - 1).usage)
    assert len(store.history(ints(hash64("a")), START + HOUR).usage) == 1


def test_many_small_usage_writes_fold_into_the_same_tiles_as_one(store: Store) -> None:
    batches = [usage("a", [f"u{i}"], START + i * 60_000_000) for i in range(150)]
    for batch in batches:
        store.write([arrival(None, usage=batch)])
    store.write([arrival(None, usage=usage("b", ["b"]))])
    one_by_one = of_accounts(store, "a")["usage"]
    parts = store.engine.connect().exec_driver_sql("SELECT count(*) FROM usage_tiles").scalar_one()
    assert parts < 100  # crowded weeks were compacted on the way
    assert sum(row[2] for row in one_by_one) == 150
    assert len(one_by_one) == 3


def test_facts_of_an_account_are_kept_until_its_signup_comes(store: Store) -> None:
    store.write([arrival(None, payments=payment("late", "p1"), usage=usage("late", ["u1"]))])
    assert not store.history(ints(hash64("late")), LATER).known[0]
    store.write([arrival(None, signups=signup("late", START + 5 * DAY))])
    known = store.history(ints(hash64("late")), LATER)
    assert known.known[0]
    assert (len(known.payments), len(known.usage)) == (1, 1)


def test_a_link_under_a_secret_that_was_rotated_away_is_kept_too(store: Store) -> None:
    new, conflict = own_link("a", "w", event="e1"), own_link("a", "v", START + DAY, event="e1")
    older = [link_facts("a", START + HOUR, custom_wallet="old w"), link_facts("a", START + DAY, custom_wallet="old v")]
    store.write([arrival(START + 2 * DAY, links=replace(new, older=older[0]))])
    store.write([arrival(START + 3 * DAY, links=replace(conflict, older=older[1]))])
    own = store.history(ints(hash64("a")), LATER).own
    assert sorted(own.key.tolist()) == sorted([*new.links.key.tolist(), *older[0].key.tolist()])
    assert set(own.learned.tolist()) == {START + 2 * DAY}


def test_known_events_are_found_by_kind(store: Store) -> None:
    store.write([everything()])
    paid, said, linked = (ints(hash64("p-a")), ints(hash64("s-a")), everything().links.event)  # type: ignore[union-attr]
    found = store.known_events(np.append(paid, 1), said, linked)
    assert [each.tolist() for each in found] == [paid.tolist(), said.tolist(), linked.tolist()]


def test_names_of_signals_and_own_kinds_are_remembered(store: Store) -> None:
    store.write([everything(), everything("b")])
    assert list(store.names("signal").values()) == ["calls"]
    assert list(store.names("kind").values()) == ["custom.wallet"]


def test_judging_keeps_the_first_of_each_id() -> None:
    ids, contents = ints(5, 7, 5, 5, 9), ints(1, 1, 1, 2, 3)
    assert judge(ids, contents, ints(9), ints(3)).tolist() == [NEW, NEW, DUPLICATE, CONFLICT, DUPLICATE]
    assert judge(ids, contents, ints(9, 7), ints(4, 1)).tolist() == [NEW, DUPLICATE, DUPLICATE, CONFLICT, CONFLICT]
