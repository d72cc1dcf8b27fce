"""Erasing an account: nothing of the person is left anywhere, and nothing of it comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from service.domain.campaigns import CampaignEvidence, ReviewAction, ReviewAsked
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.errors import UnknownAccount
from service.domain.raw import Label
from service.domain.time import DAY
from service.storage.arrivals import CONFLICT, NEW, Arrival
from service.storage.store import Store
from tests.service.storage.factories import (
    START,
    arrival,
    assessment,
    found_campaign,
    ints,
    own_link,
    payment,
    rows_of,
    signal,
    signup,
    usage,
)

LATER = START + 60 * DAY
HELD = ("links", "payments", "signals", "link_events", "usage_tiles")


def everything(account: str) -> Arrival:
    return arrival(
        START,
        signups=signup(account, ip="x", device=account),
        payments=payment(account, f"p-{account}", card="c"),
        links=own_link(account, "w"),
        signals=signal(account, "calls", 2.5, event=f"s-{account}"),
        usage=usage(account, [f"live-{account}-1", f"live-{account}-2"]),
        assessments=(assessment(account, f"r-{account}"),),
    )


def filled(store: Store) -> None:
    with store.bulk() as file:
        file.usage(usage("gone", ["old-1", "old-2", "old-3"], START))
        file.usage(usage("stays", ["old-4"], START))
    store.write([arrival(START, usage=usage("gone", ["flushed"]))])
    store.flush_usage_log()
    store.write([everything("gone"), everything("stays")])


def raw_accounts(folder: Path) -> set[str]:
    return {name for path in folder.rglob("*.parquet") for name in pq.read_table(path)["account_id"].to_pylist()}


def test_nothing_of_the_person_is_left_and_others_are_untouched(store: Store, tmp_path: Path) -> None:
    filled(store)
    before = rows_of(store.history(ints(hash64("stays")), LATER))
    record = store.erase("gone", "asked for it", LATER)
    assert (record.signups, record.payments, record.signals, record.link_keys) == (1, 1, 1, 5)
    assert record.usage_events == 6
    with store.engine.connect() as connection:
        for table in HELD:
            sql = f"SELECT count(*) FROM {table} WHERE account = {hash64('gone')}"
            assert connection.exec_driver_sql(sql).scalar_one() == 0, table
        profile = connection.exec_driver_sql(f"SELECT profile FROM accounts WHERE account = {hash64('gone')}")
        assert bytes(profile.scalar_one()) == b""
        audited = connection.exec_driver_sql("SELECT what, subject, reason FROM audit").all()
    assert [tuple(row) for row in audited] == [("erased", "gone", "asked for it")]
    assert raw_accounts(tmp_path / "segments") == {"stays"}
    assert store.flush_usage_log() == 2
    assert raw_accounts(tmp_path / "segments") == {"stays"}
    after = rows_of(store.history(ints(hash64("stays")), LATER))
    assert {name: rows for name, rows in after.items() if name != "sharing"} == {
        name: rows for name, rows in before.items() if name != "sharing"
    }
    life = -1  # the last of a key's counts
    assert (max(row[life] for row in before["sharing"]), {row[life] for row in after["sharing"]}) == (2, {1})


def test_an_assessment_keeps_what_was_decided_and_loses_what_it_was_computed_from(store: Store) -> None:
    filled(store)
    before = store.assessments_of("gone", 10).items[0]
    store.erase("gone", "asked for it", LATER)
    (after,) = store.assessments_of("gone", 10).items
    assert before.features
    assert after.features == b""
    assert (after.score, after.decision, after.model_version) == (before.score, before.decision, before.model_version)


def test_what_comes_for_an_erased_account_is_refused(store: Store) -> None:
    filled(store)
    store.erase("gone", "asked for it", LATER)
    outcome = store.write([everything("gone")])[0]
    for name in ("signups", "payments", "usage", "links", "signals"):
        assert set(getattr(outcome, name).tolist()) == {CONFLICT}, name
    with store.bulk() as file:
        assert file.signups(signup("gone")).tolist() == [CONFLICT]
        assert set(file.usage(usage("gone", ["old-1", "new"], START)).tolist()) == {CONFLICT}
        assert file.signups(signup("another")).tolist() == [NEW]
    history = store.history(ints(hash64("gone")), LATER)
    assert not history.known.any()
    assert (len(history.own.key), len(history.usage)) == (0, 0)
    assert hash64("gone") not in store.accounts()
    assert np.concatenate([chunk.account for chunk in store.histories()]).tolist() == store.accounts().tolist()


def test_facts_without_a_signup_can_be_erased_and_stay_away(store: Store) -> None:
    store.write([arrival(START, payments=payment("early", "p1", card="c"))])
    assert store.erase("early", "asked for it", LATER).payments == 1
    assert store.write([arrival(START, signups=signup("early"))])[0].signups.tolist() == [CONFLICT]


def test_erasing_again_erases_nothing_more(store: Store) -> None:
    filled(store)
    store.erase("gone", "asked for it", LATER)
    again = store.erase("gone", "asked twice", LATER + 1)
    assert (again.signups, again.payments, again.link_keys, again.usage_events) == (0, 0, 0, 0)


def test_an_account_never_heard_of_cannot_be_erased(store: Store) -> None:
    with pytest.raises(UnknownAccount):
        store.erase("nobody", "asked for it", LATER)
    assert store.write([arrival(START, signups=signup("nobody"))])[0].signups.tolist() == [NEW]


def test_campaigns_forget_the_account_and_count_it_no_more(store: Store) -> None:
    filled(store)
    gone, stays = hash64("gone"), hash64("stays")
    evidence = CampaignEvidence(
        typical_accounts=(gone, stays), edges=((gone, stays, 3.0, "card"), (stays, 7, 2.0, "card")), as_of=START
    )
    number = store.begin_detection(START + DAY, "host", START + DAY)
    found = [
        found_campaign("c-1", ["gone", "stays"], evidence=evidence),
        found_campaign("c-2", ["gone"], evidence=evidence),
    ]
    store.record_detection(found, run=number, as_of=START + DAY)
    store.put_linking_cache("pairs", b"gone's keys", START)
    asked = ReviewAsked("c-2", ReviewAction.REFUTE, "ann", "why", account_ids=("gone",))
    store.review(asked, at=START + 2 * DAY, two_above=100)
    before = store.campaign("c-1")
    store.erase("gone", "asked for it", LATER)
    for campaign_id in ("c-1", "c-2"):
        kept = store.campaign_evidence(campaign_id)
        assert (kept.typical_accounts, kept.edges) == ((stays,), ((stays, 7, 2.0, "card"),))
    rows = store.campaign_rows()
    assert rows.member_account.tolist() == [stays]
    assert len(store.standing(LATER).barred_account) == 0
    after = store.campaign("c-1")
    assert (before.members, after.members, store.campaign("c-2").members) == (2, 1, 0)
    assert after.revision > before.revision
    assert set(rows.state_members.tolist()) == {0, 1}
    assert store.member_accounts("c-1")[1] == ["stays"]
    assert store.linking_cache("pairs") is None
    with store.engine.connect() as connection:
        (detail,) = connection.exec_driver_sql("SELECT detail FROM audit").scalars()
    assert json.loads(detail)["campaign_memberships"] == 2
    store.record_detection(found, run=number, as_of=LATER)
    store.record_labels([Label("gone", Verdict.FRAUD, LATER, "ann", campaign_id="c-1")])
    assert store.member_accounts("c-1")[1] == ["stays"]


def test_an_account_that_labels_alone_have_named_can_be_erased(store: Store) -> None:
    store.record_labels([Label("named", Verdict.FRAUD, START, "ann", campaign_id="ring")])
    store.erase("named", "asked for it", LATER)
    assert store.campaign("ring").members == 0
