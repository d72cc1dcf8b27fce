"""Small reads equal bulk reads, and stay small however large a key grows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.domain.campaigns import CampaignState, ReviewAction, ReviewAsked
from service.domain.codes import code32, hash64, hash64_many
from service.domain.detection import CampaignKeys
from service.domain.enums import Verdict
from service.domain.facts import LinkFacts, SignupFacts
from service.domain.profile import PROFILE
from service.domain.time import DAY, HOUR
from service.storage import allpayments, layouts, reading
from service.storage import histories as bulk_reads
from service.storage.byindex import by_index
from service.storage.database import glance
from service.storage.sql import Runs, cursor_of, insert, rendered, run
from service.storage.store import Store
from service.storage.tables import layouts as layout_table
from service.tiles.campaigns import fold_campaigns
from service.tiles.fold import WINDOWS, Folded, fold_payments, fold_usage
from service.tiles.history import SHARING_CAP, History, KeyCounts
from service.tiles.sharing import fold_sharing
from tests.service.storage.factories import (
    KINDS,
    START,
    arrival,
    found_campaign,
    ints,
    link_facts,
    payment,
    signal,
    signup,
    usage,
    verdicts,
    world,
)

LATER = START + 60 * DAY
FOUND = START + 50 * DAY
_FAMILY = np.array([2], np.int8)
NAMES = [f"account-{i}" for i in range(30)]
ACCOUNTS = np.unique(hash64_many(NAMES))


def filled(store: Store, seed: int) -> Store:
    store.write(world(seed))
    store.record_labels(verdicts(seed))
    detected(store, seed)
    return store


def detected(store: Store, seed: int) -> None:
    """Two runs find campaigns of some of these accounts and keys; analysts decide on one of them."""
    rng = np.random.default_rng(seed)
    _, key, kind, _ = store.link_rows(LATER)
    distinct, first = np.unique(key, return_index=True)
    for at in (START + 8 * DAY, START + 15 * DAY):
        found = []
        for i, state in enumerate((CampaignState.DETECTED, CampaignState.DETECTED, CampaignState.SUSPECTED)):
            some = rng.permutation(len(distinct))[:9]
            held = CampaignKeys(
                distinct[some],
                kind[first[some]],
                rng.uniform(0.5, 8.0, len(some)),
                rng.random(len(some)) < 0.5,
                rng.integers(0, 3, len(some)).astype(np.int8),
            )
            members = [NAMES[j] for j in rng.permutation(len(NAMES))[:6]]
            found.append(replace(found_campaign(f"c-{i}", members, score=0.9 + 0.04 * i, state=state), keys=held))
        number = store.begin_detection(at, "host", at)
        store.record_detection(found, run=number, as_of=at)
        store.finish_detection(number, at, "{}")
    asked = ReviewAsked("c-0", ReviewAction.CONFIRM, "ann", "one payer")
    store.review(asked, at=START + 18 * DAY, two_above=100)


def folded(history: History, accounts: np.ndarray, as_of: int) -> dict[str, np.ndarray]:
    """All that a scorer can see of these accounts at ``as_of``."""
    at = np.full(len(accounts), as_of)
    row = np.searchsorted(history.account, accounts)
    known = history.known[row] & (history.learned_at[row] <= as_of)
    latest = [
        (account, max((learned, happened, value) for learned, happened, value in zip(*of, strict=True)))
        for account in accounts.tolist()
        if len((of := _signals(history, account, as_of))[0])
    ]
    told = fold_campaigns(history, accounts, at)
    return {
        "campaigns": np.array([history.campaigns.names.get(one, "") for one in told.campaign.tolist()]),
        "campaign measures": told.values,
        "campaign ties": np.stack([told.tied_probe, told.tied_kind]),
        "known": known,
        "created": np.where(known, history.created_at[row], 0),
        "profile": np.where(known[:, None], history.profile[row], 0),
        "sharing": fold_sharing(history, accounts, at, [code32(kind) for kind in KINDS]).values,
        "signals": np.array([(account, *seen) for account, seen in latest]),
        **{f"usage {w}": v for w, v in _values(fold_usage(history.usage, accounts, at)).items()},
        **{f"payments {w}": v for w, v in _values(fold_payments(history.payments, accounts, at)).items()},
    }


def _signals(history: History, account: int, as_of: int) -> tuple[list[int], list[int], list[float]]:
    rows = history.signals
    mine = (rows.account == account) & (rows.learned <= as_of)
    return rows.learned[mine].tolist(), rows.happened[mine].tolist(), rows.value[mine].tolist()


def _values(folds: Folded) -> dict[str, np.ndarray]:
    return {window: np.concatenate(list(folds.values[window].values()), axis=1) for window in WINDOWS}


def assert_same(small: dict[str, np.ndarray], many: dict[str, np.ndarray]) -> None:
    assert small.keys() == many.keys()
    for name, values in small.items():
        np.testing.assert_array_equal(values, many[name], err_msg=name)


@pytest.mark.parametrize("asking", [False, True], ids=["links in memory", "links asked key by key"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_few_accounts_read_at_a_moment_equal_the_bulk_read(
    store: Store, seed: int, asking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, seed)
    if asking:
        monkeypatch.setattr(bulk_reads, "LINKS_IN_MEMORY", 0)
        monkeypatch.setattr(bulk_reads, "HUB", 3)
    monkeypatch.setattr(bulk_reads, "_FIRST_CHUNK", 7)
    chunks = list(store.histories(rows=60))
    assert len(chunks) > 1
    assert np.concatenate([chunk.account for chunk in chunks]).tolist() == ACCOUNTS.tolist()
    for as_of in (START + 3 * DAY, START + 11 * DAY + 7, START + 25 * DAY, LATER):
        for chunk in chunks:
            small = store.history(chunk.account, as_of)
            assert_same(folded(small, chunk.account, as_of), folded(chunk, chunk.account, as_of))
        one = ACCOUNTS[3:4]
        whole = store.history(ACCOUNTS, as_of)
        assert_same(folded(store.history(one, as_of), one, as_of), folded(whole, one, as_of))


@pytest.mark.parametrize("some", [False, True], ids=["all accounts", "one account in ten"])
@pytest.mark.parametrize("seed", [1, 2])
def test_keys_counted_at_a_moment_say_what_their_rows_say(
    store: Store, seed: int, some: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, seed)
    monkeypatch.setattr(bulk_reads, "_FIRST_CHUNK", 7)
    asked = ACCOUNTS[:: 10 if some else 1]
    for as_of in (START + 3 * DAY, START + 11 * DAY + 7, START + 25 * DAY, LATER):
        chunks = list(store.histories(rows=60, accounts=asked if some else None, as_of=as_of))
        assert np.concatenate([chunk.account for chunk in chunks]).tolist() == asked.tolist()
        for chunk in chunks:
            small = store.history(chunk.account, as_of)
            assert_same(folded(small, chunk.account, as_of), folded(chunk, chunk.account, as_of))
    assert any(isinstance(chunk.sharing, KeyCounts) and len(chunk.sharing.key) for chunk in chunks)
    with pytest.raises(ValueError, match="another moment"):
        folded(chunks[0], chunks[0].account, LATER - 1)


@pytest.mark.parametrize("few", [False, True], ids=["all accounts", "one account in three"])
@pytest.mark.parametrize(("held", "part"), [(5, 2), (14, 3), (1_000, 1_000)])
def test_payments_read_as_they_lie_a_span_of_accounts_at_a_time_are_those_of_each_account(
    store: Store, held: int, part: int, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, 2)
    store.write([arrival(LATER, payments=payment("never signed up", "p-odd", LATER - HOUR))])
    monkeypatch.setattr(allpayments, "AT_ONCE", held)
    monkeypatch.setattr(allpayments, "PART", part)
    monkeypatch.setattr(bulk_reads, "_FIRST_CHUNK", 3)
    asked = ACCOUNTS[::3] if few else ACCOUNTS
    count = 0
    for chunk in store.histories(rows=30, accounts=asked if few else None):
        paid, alone = chunk.payments, store.history(chunk.account, LATER).payments
        assert (paid.account.tolist(), paid.time.tolist()) == (alone.account.tolist(), alone.time.tolist())
        np.testing.assert_array_equal(paid.values, alone.values)
        count += len(paid)
    assert count > (10 if few else 30)


def belonging(store: Store, account: str, at: int, measure: str) -> float:
    who = ints(hash64(account))
    return float(fold_campaigns(store.history(who, at), who, ints(at)).column(measure)[0])


@pytest.fixture
def ring(store: Store) -> Store:
    """A campaign of one, found on day 50; another account has the device that speaks for it, and a third nothing."""
    for name, device in (("in", "x"), ("near", "d"), ("far", "y")):
        store.write([arrival(None, signups=signup(name, START, device=device))])
    keys = CampaignKeys(
        ints(hash64("device|d")), np.array([code32("device")], np.int32), np.array([5.0]), np.array([True]), _FAMILY
    )
    number = store.begin_detection(FOUND, "host", FOUND)
    store.record_detection([replace(found_campaign("c-9", ["in"]), keys=keys)], run=number, as_of=FOUND)
    store.finish_detection(number, FOUND, "{}")
    return store


def test_a_campaign_counts_from_the_moment_at_which_it_was_found_and_until_it_is_refuted(ring: Store) -> None:
    for account, measure in (("in", "belongs"), ("near", "tie_private")):
        assert belonging(ring, account, FOUND - 1, measure) == 0
        assert belonging(ring, account, FOUND, measure) == 1
    assert belonging(ring, "near", FOUND, "tie") == 5.0
    assert belonging(ring, "far", FOUND, "tie") == belonging(ring, "far", FOUND, "belongs") == 0
    ring.review(ReviewAsked("c-9", ReviewAction.REFUTE, "ann", "a class"), at=FOUND + HOUR, two_above=100)
    for account, measure in (("in", "belongs"), ("near", "tie_private")):
        assert belonging(ring, account, FOUND + HOUR - 1, measure) == 1
        assert belonging(ring, account, FOUND + HOUR, measure) == 0


def test_an_erased_account_belongs_to_nothing_and_is_tied_to_nothing(ring: Store) -> None:
    for account in ("in", "near"):
        ring.erase(account, "asked to", LATER)
        for at in (FOUND, LATER):
            who = ints(hash64(account))
            told = fold_campaigns(ring.history(who, at), who, ints(at))
            assert told.campaign[0] == 0
            assert not told.values.any()


def test_whoever_belongs_to_a_campaign_that_changed_or_has_its_private_key_is_asked_about_again(ring: Store) -> None:
    def changed(since: int) -> list[int]:
        return sorted(int(account) for chunk in ring.histories(changed_since=since) for account in chunk.account)

    concerned = sorted([hash64("in"), hash64("near")])
    assert changed(FOUND) == concerned
    assert changed(FOUND + 1) == []
    ring.review(ReviewAsked("c-9", ReviewAction.REFUTE, "ann", "a class"), at=FOUND + HOUR, two_above=100)
    assert changed(FOUND + 1) == concerned


def test_histories_of_given_accounts_are_those_and_no_others(store: Store) -> None:
    filled(store, 3)
    asked = ACCOUNTS[[2, 5, 9]]
    chunks = list(store.histories(accounts=asked[::-1]))
    assert np.concatenate([chunk.account for chunk in chunks]).tolist() == asked.tolist()
    assert_same(folded(chunks[0], asked, LATER), folded(store.history(asked, LATER), asked, LATER))


@pytest.mark.parametrize(
    "parts",
    [
        {"payments": payment("account-4", "new", LATER - HOUR)},
        {"usage": usage("account-4", ["new"], LATER - HOUR)},
        {"signals": signal("account-4", "calls", 3.0, LATER - HOUR)},
    ],
    ids=["payment", "usage", "signal"],
)
def test_only_accounts_of_which_something_was_learned_since_are_read_again(
    store: Store, parts: dict[str, object]
) -> None:
    filled(store, 1)
    assert not list(store.histories(changed_since=START + 45 * DAY))
    store.write([arrival(LATER, **parts)])
    changed = list(store.histories(changed_since=LATER))
    assert [chunk.account.tolist() for chunk in changed] == [[hash64("account-4")]]


def hub(count: int, key: str = "hub") -> SignupFacts:
    """``count`` accounts that signed up a second apart, all with one device."""
    names = [f"hub-{i}" for i in range(count)]
    account = hash64_many(names)
    at = START + np.arange(count) * 1_000_000
    one = link_facts("any", START, device=key)
    links = LinkFacts(account, np.full(count, one.kind[0]), np.full(count, one.key[0]), at)
    profile = np.zeros((count, len(PROFILE)), np.float32)
    return SignupFacts(names, account, at, profile, account, links)


def test_a_key_of_twenty_thousand_accounts_is_counted_to_the_cap_and_no_further(store: Store) -> None:
    facts = hub(20_000)
    with store.bulk() as file:
        file.signups(facts)
    labelled = [replace(label, account_id=name) for label in verdicts(1)[:1] for name in facts.account_id[:2_000]]
    store.record_labels([replace(label, retracted_at=None, campaign_id=None) for label in labelled])
    last = facts.account[-1:]
    history = store.history(last, LATER)
    assert isinstance(history.sharing, KeyCounts)
    assert history.sharing.count.tolist() == [[0, 0, 0, 0, SHARING_CAP + 1]]
    assert len(history.marked.key) == SHARING_CAP + 1
    sharing = fold_sharing(history, last, np.array([LATER]), [code32("device")])
    assert sharing.column(code32("device"), "others_life").tolist() == [SHARING_CAP]
    verdict = "fraud" if labelled[0].verdict.value == "fraud" else "legitimate"
    assert sharing.column(code32("device"), verdict).tolist() == [SHARING_CAP]
    for asked in (None, last):
        for chunk in store.histories(accounts=asked, as_of=LATER):
            one, now = chunk.account[-1:], np.array([LATER])
            small = fold_sharing(store.history(one, LATER), one, now, [code32("device")])
            np.testing.assert_array_equal(fold_sharing(chunk, one, now, [code32("device")]).values, small.values)
    early = store.history(facts.account[200:201], int(facts.created_at[200]))
    assert isinstance(early.sharing, KeyCounts)
    assert early.sharing.count.tolist() == [[201] * len(WINDOWS)]


def test_what_was_counted_for_one_moment_answers_for_no_other(store: Store) -> None:
    with store.bulk() as file:
        file.signups(hub(3))
    who = ints(hash64("hub-1"))
    with pytest.raises(ValueError, match="another moment"):
        fold_sharing(store.history(who, LATER), who, ints(LATER + 1), [code32("device")])


def test_an_account_with_a_great_many_keys_is_read_as_in_bulk_and_known_to_have_shown_an_old_one(store: Store) -> None:
    many = [link_facts("many", START + i * HOUR, device=f"d-{i}") for i in range(300)]
    few = [link_facts("few", START + i * HOUR, device=f"d-{i}", ip=f"i-{i}") for i in range(20)]
    account = ints(hash64("many"), hash64("few"))
    profile = np.zeros((2, len(PROFILE)), np.float32)
    facts = SignupFacts(["many", "few"], account, ints(START, START), profile, account, LinkFacts.concat([*many, *few]))
    with store.bulk() as file:
        file.signups(facts)
    (bulk,) = store.histories()
    who = np.unique(account)
    assert_same(folded(store.history(who, LATER), who, LATER), folded(bulk, who, LATER))
    oldest = link_facts("many", LATER, device="d-0", ip="i-new")
    own = store.history(who, LATER, oldest.key).own
    shown = set(zip(own.account.tolist(), own.key.tolist(), strict=True))
    for name, known in (("many", [True, False]), ("few", [True, False])):
        assert [(hash64(name), key) in shown for key in oldest.key.tolist()] == known
    assert len(shown) == len(own.key)
    again = store.history(who, LATER, oldest.key)
    assert_same(folded(again, who, LATER), folded(bulk, who, LATER))


def test_capped_reads_walk_an_index_and_not_a_keys_rows(store: Store) -> None:
    if store.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's plans are looked at by what they read, below")
    plans = {}
    with store.engine.connect() as connection:
        for name, sql in (
            ("own", reading.SQLITE_OWN),
            ("by kind", reading.SQLITE_OWN_BY_KIND),
            ("shown", reading.SQLITE_SHOWN),
            ("sharing", reading.SQLITE_SHARING),
            ("few", reading.SQLITE_SHARED_BY_FEW),
            ("fraud", reading.SQLITE_MARKED[0]),
        ):
            values = {"accounts": "[]", "keys": "[]", "as_of": 0, **{f"since_{window}": 0 for window in WINDOWS}}
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {rendered(sql, 'sqlite')}", values)
            plans[name] = " ".join(row[3] for row in rows)
    assert "SEARCH links USING PRIMARY KEY (account=?)" in plans["own"]
    assert "INDEX links_by_kind (account=? AND kind=? AND learned_at<?)" in plans["by kind"]
    assert "SEARCH l USING PRIMARY KEY (account=? AND key=?)" in plans["shown"]
    counted = "COVERING INDEX links_by_key (key=? AND learned_at>? AND learned_at<?)"
    assert plans["sharing"].count(counted) == len(WINDOWS)
    assert "COVERING INDEX links_by_key (key=? AND learned_at<?)" in plans["few"]
    assert all("INDEX links_with_verdict (key=?" in plans[name] for name in ("sharing", "few"))
    assert all("SCAN links" not in plan and "SCAN l " not in plan for plan in plans.values())
    assert "INDEX links_with_verdict (key=? AND verdicts=?)" in plans["fraud"]


@pytest.mark.parametrize("known", ["nothing", "averages", "a few rows"])
def test_capped_reads_stay_small_whatever_postgresql_knows_of_its_tables(store: Store, known: str) -> None:
    if store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite's statements name their indexes, as above")
    lone = hub(12_000, "")
    alone = replace(lone, account_id=[f"alone-{i}" for i in range(12_000)], account=lone.account + 1)
    alone.links.account[:], alone.links.key[:] = alone.account, alone.account
    facts = hub(6_000)
    with store.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("ALTER TABLE links SET (autovacuum_enabled = off)")
        connection.exec_driver_sql("ALTER TABLE verdict_spans SET (autovacuum_enabled = off)")
    if known == "a few rows":
        store.write([arrival(START, signups=signup("first"))])
        _analyze(store)
    for some in (alone, facts):
        with store.bulk() as file:
            file.signups(some)
    label = replace(verdicts(1)[0], verdict=Verdict.FRAUD, retracted_at=None, campaign_id=None)
    judged = [*facts.account_id[:100], *alone.account_id[:2_000]]
    store.record_labels([replace(label, account_id=name) for name in judged])
    if known == "averages":
        _analyze(store)
    if known == "nothing":  # of two million rows
        with store.engine.connect() as connection, connection.begin():
            sized = "SET relpages = pg_relation_size(oid) / 8192, reltuples = 2400000"
            connection.exec_driver_sql(f"UPDATE pg_class {sized} WHERE oid = 'links'::regclass")
    values = {"accounts": facts.account[-1:].tolist(), "keys": [int(facts.links.key[0])], "as_of": LATER, "week": 1}
    values |= {f"since_{window}": LATER - width for window, width in WINDOWS.items()}
    with glance(store.engine) as connection:
        by_index(connection)
        for sql in (reading.POSTGRES_SHARING, *reading.POSTGRES_MARKED, reading.SPANS, reading.POSTGRES_KEYS):
            read = _rows_read(connection, sql, values)
            assert sum(count for table, count in read if table == "links") <= 4 * (SHARING_CAP + 1), sql
            assert sum(count for table, count in read if table == "verdict_spans") <= SHARING_CAP, sql


def _analyze(store: Store) -> None:
    with store.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("ANALYZE")


def _rows_read(connection: Runs, sql: str, values: dict[str, Any]) -> list[tuple[str, float]]:
    """Of each step of the plan that a server would keep: which table it reads, and how many rows of it in all."""
    text = rendered(sql, "postgresql").replace("%%", "%")
    names = [name for name in values if f"%({name})s" in text]
    for place, name in enumerate(names, 1):
        text = text.replace(f"%({name})s", f"${place}")
    kinds = ", ".join("bigint[]" if isinstance(values[name], list) else "bigint" for name in names)
    given = ", ".join(f"'{{{values[n][0]}}}'" if isinstance(values[n], list) else str(values[n]) for n in names)
    cursor = cursor_of(connection)
    cursor.execute(f"PREPARE looked_at ({kinds}) AS {text}")
    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE looked_at ({given})")
    found: list[tuple[str, float]] = []
    waiting = [cursor.fetchone()[0][0]["Plan"]]
    cursor.execute("DEALLOCATE looked_at")
    while waiting:
        step = waiting.pop()
        rows = step["Actual Rows"] + step.get("Rows Removed by Filter", 0)
        table = step.get("Relation Name") or step.get("Index Name", "").partition("_")[0]  # of a bitmap's index scan
        found.append((table, rows * step["Actual Loops"]))
        waiting += step.get("Plans", [])
    return found


def test_keys_that_an_account_is_about_to_show_can_be_asked_for(store: Store) -> None:
    store.write([arrival(START, signups=signup("other", device="d"))])
    store.record_labels([replace(verdicts(1)[0], account_id="other", decided_at=START, retracted_at=None)])
    coming = link_facts("new", START, device="d").key
    history = store.history(ints(hash64("new")), LATER, coming)
    assert isinstance(history.sharing, KeyCounts)
    assert history.sharing.key.tolist() == coming.tolist()
    assert history.sharing.count.tolist() == [[0, 0, 0, 0, 1]]
    assert history.marked.account.tolist() == [hash64("other")]


def test_rows_written_with_fewer_facts_are_read_by_the_facts_names(store: Store) -> None:
    store.write([everything_of_old()])
    old = [field for i, field in enumerate(layouts.PROFILE_FIELDS) if i not in {0, 5}]
    fewer_tiles = [field for field in layouts.USAGE_FIELDS if field[0] not in {"hosted", "first_at"}]
    with store.engine.begin() as connection:
        rows = {"layout": [11, 12], "fields": [layouts.json.dumps(old), layouts.json.dumps(fewer_tiles)]}
        insert(connection, layout_table, rows)
        packed = np.arange(len(old), dtype="<f4").tobytes()
        run(connection, "UPDATE accounts SET layout = 11, profile = :packed", packed=packed)
        ((tiles,),) = run(connection, "SELECT tiles FROM usage_tiles")
        records = np.frombuffer(tiles, layouts.USAGE_DTYPE)
        narrow = np.empty(len(records), np.dtype(fewer_tiles))
        for name, _ in fewer_tiles:
            narrow[name] = records[name]
        run(connection, "UPDATE usage_tiles SET layout = 12, tiles = :packed", packed=narrow.tobytes())
    history = store.history(ints(hash64("old")), LATER)
    assert np.isnan(history.profile[0, [0, 5]]).all()
    assert history.profile[0, [1, 2, 3, 4, 6]].tolist() == [0, 1, 2, 3, 4]
    by_name = dict(zip([name for name, _ in layouts.USAGE_FIELDS[1:]], history.usage.values[0].tolist(), strict=True))
    assert (by_name["requests"], by_name["hosted"], by_name["first_at"]) == (3, 0, np.iinfo(np.int64).max)


def everything_of_old() -> object:
    return arrival(None, signups=signup("old"), usage=usage("old", ["u1", "u2", "u3"]))


def test_an_unknown_account_has_an_empty_history(store: Store) -> None:
    history = store.history(ints(7), LATER)
    assert history.account.tolist() == [7]
    assert not history.known.any()
    assert np.isnan(history.profile).all()
    assert (len(history.usage), len(history.payments), len(history.own.key)) == (0, 0, 0)


def test_accounts_are_listed_page_by_page_and_named(store: Store) -> None:
    filled(store, 1)
    store.write([arrival(None, payments=payment("not signed up", "p"))])
    first = store.accounts(limit=20)
    rest = store.accounts(after=int(first[-1]), limit=20)
    assert np.concatenate([first, rest]).tolist() == ACCOUNTS.tolist()
    assert sorted(store.account_ids(np.append(ACCOUNTS, 7))) == sorted(["", *NAMES])
    account, created = store.signups_between(START + DAY, START + 9 * DAY)
    assert (np.diff(created) >= 0).all()
    assert store.created_at(account).tolist() == created.tolist()
    assert store.created_at(ints(7)).tolist() == [0]
    everyone = store.created_at(ACCOUNTS)
    assert len(account) == ((everyone >= START + DAY) & (everyone < START + 9 * DAY)).sum()


def test_the_newest_fact_is_known(store: Store) -> None:
    assert store.newest_fact() is None
    store.write([arrival(None, signups=signup("a", START))])
    assert store.newest_fact() == START
    store.write([arrival(None, usage=usage("a", ["u1"], START + DAY))])
    assert store.newest_fact() == START + DAY
    store.flush_usage_log()
    assert store.newest_fact() == START + DAY
