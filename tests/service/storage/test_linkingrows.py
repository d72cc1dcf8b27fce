"""Bulk reads for detection: everything known by a moment, and nothing learned after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.domain.codes import code32, hash64, hash64_many
from service.domain.errors import DatabaseProblem
from service.domain.time import DAY, HOUR
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, signup, usage, world

LATER = START + 60 * DAY


def test_links_are_those_learned_after_one_moment_and_by_another(store: Store) -> None:
    store.write(world(1))
    account, key, kind, learned = store.link_rows(LATER)
    assert len(account) == len(set(zip(account.tolist(), key.tolist(), strict=True))) > 100
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT account, key, kind, learned_at FROM links").all()
    assert sorted(map(tuple, rows)) == sorted(
        zip(account.tolist(), key.tolist(), kind.tolist(), learned.tolist(), strict=True)
    )
    assert kind.dtype == np.int32
    moment = int(np.sort(learned)[len(learned) // 2])
    early, late = store.link_rows(moment), store.link_rows(LATER, moment)
    assert early[3].max() == moment < late[3].min()
    assert len(early[0]) + len(late[0]) == len(account)
    assert len(store.link_rows(START - 1)[0]) == 0
    wanted = tuple(np.unique(kind)[:2].tolist())
    some = store.link_rows(LATER, kinds=wanted)
    assert sorted(some[1].tolist()) == sorted(key[np.isin(kind, wanted)].tolist())
    assert 0 < len(some[0]) < len(account)


def test_signups_come_with_their_profiles_by_account(store: Store) -> None:
    names = [f"a{i}" for i in range(5)]
    store.write([arrival(START + i * DAY, signups=signup(name, START)) for i, name in enumerate(names)])
    store.erase("a0", "asked for it", LATER)
    account, created, learned, profile = store.signup_rows(START + 3 * DAY)
    assert account.tolist() == sorted(hash64_many(names[1:4]).tolist())
    assert set(created.tolist()) == {START}
    assert sorted(learned.tolist()) == [START + DAY, START + 2 * DAY, START + 3 * DAY]
    row = account.tolist().index(hash64("a2"))
    assert np.array_equal(profile[row], signup("a2").profile[0])
    assert store.signup_rows(START - 1)[3].shape == (0, profile.shape[1])


def test_exchanges_come_from_segments_and_from_what_waits_for_one(store: Store) -> None:
    with store.bulk() as file:
        file.usage(usage("a", ["old-1", "old-2"], START))
    store.write([arrival(START + DAY, usage=usage("b", ["live-1"], START + HOUR))])
    store.flush_usage_log()
    store.write([arrival(START + 2 * DAY, usage=usage("c", ["live-2", "live-3"], START + HOUR))])

    def read(as_of: int, since: int | None = None) -> list[int]:
        tables = list(store.usage_rows(as_of, since, ("account", "simhash")))
        assert all(table.column_names == ["account", "simhash"] for table in tables)
        return sorted(account for table in tables for account in table["account"].to_pylist())

    a, b, c = hash64("a"), hash64("b"), hash64("c")
    assert read(LATER) == sorted([a, a, b, c, c])
    assert read(START + 2 * DAY - 1) == sorted([a, a, b])
    assert read(LATER, START + DAY - 1) == sorted([b, c, c])
    assert read(LATER, START + DAY) == [c, c]
    assert read(START) == [a]  # the second happened a second later
    assert read(LATER, START + 2 * DAY) == []
    (whole,) = store.usage_rows(LATER, START + DAY)
    assert {"event", "happened", "learned", "template", "account_id"} <= set(whole.column_names)


def test_a_look_at_the_past_opens_no_file_of_its_future(store: Store) -> None:
    with store.bulk() as file:
        file.usage(usage("a", ["early"], START))
    with store.bulk() as file:
        file.usage(usage("a", [f"late-{i}" for i in range(3)], START + 9 * DAY))
    with store.engine.connect() as connection:
        late = store.segments.listed(connection, START + DAY)
    store.segments.remove([each.path for each in late])
    assert [table.num_rows for table in store.usage_rows(START + 8 * DAY)] == [1]
    with pytest.raises(DatabaseProblem):
        list(store.usage_rows(START + 10 * DAY))


def test_of_a_file_of_many_days_only_what_was_learned_in_between_comes(store: Store) -> None:
    days = 9
    hourly = usage("a", [f"e-{i}" for i in range(24 * days)], START)
    with store.bulk() as file:
        file.usage(replace(hourly, happened=START + np.arange(24 * days) * HOUR))
    for after, until in ((2, 5), (0, 1), (7, 20), (3, 3)):
        tables = list(store.usage_rows(START + until * DAY, START + after * DAY, ("happened", "learned")))
        found = sorted(moment for table in tables for moment in table["happened"].to_pylist())
        inside = range(after * 24 + 1, min(until * 24, 24 * days - 1) + 1)
        assert found == [START + hour * HOUR for hour in inside]


def test_kinds_are_codes_of_their_names(store: Store) -> None:
    store.write([arrival(None, signups=signup("a", device="d"))])
    assert store.link_rows(LATER)[2].tolist() == [code32("device")]
