"""Assessments kept thousands to a row: whoever reads them cannot tell them from those that have a row each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.domain.blocks import DECISIONS, NONE, PLACES, AssessmentBlock, LinkColumns, job_assessment_id
from service.domain.codes import hash64_many
from service.domain.enums import Decision, Purpose, Verdict
from service.domain.errors import UnknownAssessment
from service.domain.raw import Label
from service.domain.records import Assessment
from service.domain.time import DAY, HOUR
from service.storage import blockfeatures, blocks
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, assessment, found_campaign, signup

NAMES = tuple(f"account-{i}" for i in range(40))
AT = START + 10 * DAY
KINDS = ("device", "ip", "custom.wallet")


def a_block(names: tuple[str, ...] = NAMES, at: int = AT, seed: int = 1, model: str = "m1") -> AssessmentBlock:
    """What a job might say of these accounts; the same arguments say the same."""
    rng = np.random.default_rng(seed)
    account = hash64_many(list(names))
    by = np.argsort(account)
    n = len(names)
    decision = rng.integers(0, len(DECISIONS), n).astype(np.int8)
    lifted = rng.random(n) < 0.2
    row = np.sort(rng.integers(0, n, 2 * n))
    campaign = [("ring", "club", None)[place] for place in rng.integers(0, 3, n).tolist()]
    return AssessmentBlock(
        account=account[by],
        account_id=[names[i] for i in by.tolist()],
        name=rng.integers(0, 2**58, n),
        assessed_at=at,
        purpose=Purpose.PERIODIC,
        model_version=model,
        policy_version="p1",
        feature_fingerprint="f1",
        score=rng.random(n),
        decision=np.where(lifted, PLACES[Decision.ALLOW], decision).astype(np.int8),
        limit=["low" if DECISIONS[place] is Decision.THROTTLE else None for place in decision.tolist()],
        rules=[(("campaign_member", "many"), (), ("many",))[place] for place in rng.integers(0, 3, n).tolist()],
        campaign=campaign,
        explored_from=np.where(lifted, PLACES[Decision.REVIEW], NONE).astype(np.int8),
        propensity=np.where(lifted, 0.25, np.where(decision == PLACES[Decision.REVIEW], 0.75, np.nan)),
        features=np.where(rng.random((n, 7)) < 0.3, np.nan, rng.normal(size=(n, 7))).astype(np.float32),
        links=LinkColumns(
            KINDS,
            row.astype(np.int64),
            rng.integers(0, len(KINDS), len(row)).astype(np.int8),
            rng.integers(0, 257, len(row)).astype(np.int16),
            rng.integers(0, 9, len(row)).astype(np.int16),
            rng.random(len(row)) < 0.3,
        ),
    )


@pytest.fixture
def store(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Forty accounts, and blocks of some ten."""
    monkeypatch.setattr(blocks, "AIMED_AT", 10)
    monkeypatch.setattr(blockfeatures, "GROUP", 4)
    store.write([arrival(START, signups=signup(name, START)) for name in NAMES])
    return store


def count_blocks(store: Store) -> int:
    with store.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM assessment_blocks").scalar_one())


def test_each_is_found_by_its_id_as_it_was_given(store: Store) -> None:
    made = a_block()
    assert store.append_block(made, len(NAMES)) == 40
    assert count_blocks(store) > 3
    for one in made.assessments():
        assert store.assessment(one.assessment_id) == one
    for unknown in (job_assessment_id(int(made.account[0]), 5), job_assessment_id(5, int(made.name[0]))):
        with pytest.raises(UnknownAssessment):
            store.assessment(unknown)


def test_a_listing_goes_through_rows_and_blocks_from_the_newest_on(store: Store) -> None:
    name = NAMES[3]
    given: list[Assessment] = []
    for i in range(9):
        if i % 3:
            made = a_block(at=AT + i // 2 * HOUR, seed=i, model=f"m{i}")  # some at the same moment
            store.append_block(made, len(NAMES) * 4**i)  # of jobs of other sizes, on shelves of other widths
            given += [one for one in made.assessments() if one.account_id == name]
        else:
            one = assessment(name, at=AT + i // 2 * HOUR)
            store.append_assessments([one])
            given.append(one)
    given.sort(key=lambda one: (one.assessed_at, one.assessment_id), reverse=True)
    for size in (1, 2, 5, 20):
        page = store.assessments_of(name, size)
        seen = list(page.items)
        while page.next_page_token:
            assert len(page.items) == size
            page = store.assessments_of(name, size, page.next_page_token)
            seen += page.items
        assert seen == given


def test_what_is_there_already_is_not_recorded_again_in_whatever_parts_it_comes(store: Store) -> None:
    made = a_block()
    rows = made.assessments()
    assert store.append_assessments(rows[:6]) == 6
    first = a_block(NAMES[:15], seed=2)
    assert store.append_block(first, len(NAMES)) == 15
    assert store.append_block(first, 10**6) == 0
    assert store.append_block(made, len(NAMES)) == 34
    assert store.append_block(made, len(NAMES)) == 0
    for one in [*rows, *first.assessments()]:
        assert store.assessment(one.assessment_id) == one
        kept = [each.assessment_id for each in store.assessments_of(one.account_id, 50).items]
        assert len(kept) == len(set(kept)) == 1 + (one.account in first.account)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_the_latest_word_on_an_account_may_stand_in_a_row_or_in_a_block(store: Store, all_of_them: bool) -> None:
    given: list[Assessment] = []
    for seed, at, names in ((1, AT, NAMES), (2, AT, NAMES[:20]), (3, AT + DAY, NAMES[10:30])):
        made = a_block(names, at, seed)
        store.append_block(made, len(NAMES))
        given += made.assessments()
    for i, name in enumerate(NAMES[::4]):
        one = replace(assessment(name, at=AT + (i % 3 - 1) * DAY), decision=Decision.BLOCK, campaign_id="row")
        given.append(one)
    store.append_assessments([one for one in given if one.policy_version == "p1" and one.campaign_id == "row"])
    asked = hash64_many([*NAMES, "nobody"] if all_of_them else [*NAMES[::9], "nobody"])
    for before in (AT - 2 * DAY, AT - DAY, AT, AT + DAY - 1, 2**62):
        latest = store.latest_decisions(None if all_of_them else asked, before)
        places = store.last_decisions(asked, before)
        for account, place in zip(asked.tolist(), places.tolist(), strict=True):
            said = [one for one in given if one.account == account and one.assessed_at <= before]
            if not said:
                assert account not in latest
                assert place == NONE
                continue
            last = max(said, key=lambda one: (one.assessed_at, one.assessment_id))
            found = latest[account]
            assert (found.assessment_id, found.assessed_at, found.score) == (
                last.assessment_id,
                last.assessed_at,
                last.score,
            )
            assert (found.decision, found.campaign_id) == (last.decision, last.campaign_id)
            assert DECISIONS[place] is last.decision


def test_accounts_that_signed_up_since_are_not_looked_for_in_older_blocks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(30):
        store.append_block(a_block(at=AT + day * DAY, seed=day), len(NAMES))
    store.write([arrival(AT + 29 * DAY + 1, signups=signup(f"new-{i}", AT + 29 * DAY + 1)) for i in range(5)])
    opened = []
    answers = blocks.Held.answers
    monkeypatch.setattr(blocks.Held, "answers", lambda held: opened.append(held.assessed_at) or answers(held))
    latest = store.latest_decisions()
    assert set(latest) == set(hash64_many(list(NAMES)).tolist())
    assert set(opened) == {AT + 29 * DAY}


def test_chance_is_told_from_rows_and_blocks_alike(store: Store) -> None:
    made, later = a_block(), a_block(seed=4, at=AT + DAY)
    store.append_block(made, len(NAMES))
    store.append_assessments(later.assessments())
    found = store.chances(AT + DAY)
    said = [one for one in (*made.assessments(), *later.assessments()) if one.propensity is not None]
    assert found.account.tolist() == sorted({one.account for one in said})
    for account, through, rate in zip(found.account.tolist(), found.let_through, found.rate, strict=True):
        mine = [one for one in said if one.account == account]
        assert through == all(one.explored_from is not None for one in mine)
        shares = [one.propensity if one.explored_from else 1.0 - one.propensity for one in mine if one.propensity]
        assert rate == min(shares)
    assert len(store.chances(AT - 1).account) == 0


def test_drift_finds_what_was_scored_and_leaves_out_verdicts_and_other_models(store: Store) -> None:
    store.record_labels([Label(NAMES[0], Verdict.FRAUD, AT - HOUR, "ann")])
    made, other = a_block(), a_block(seed=5, at=AT + HOUR, model="m2")
    for block in (made, other):
        store.append_block(block, len(NAMES))
    asked = np.sort(hash64_many(list(NAMES[:12])))
    account, at, ids = store.scored_between(asked, AT, AT + DAY)
    assert np.unique(account).tolist() == sorted(set(asked.tolist()) - {hash64_many([NAMES[0]])[0]})
    assert at.tolist() == [AT, AT + HOUR] * 11
    wanted = {one.assessment_id: one for one in made.assessments() if one.account in account}
    rows = store.scored_rows(ids, "m1", AT, AT + DAY)
    assert {row[0]: (row[1], row[2]) for row in rows} == {
        name: (one.score, one.features) for name, one in wanted.items()
    }


def test_erasing_an_account_takes_its_features_and_leaves_the_others_and_what_was_decided(store: Store) -> None:
    made = a_block()
    store.append_block(made, len(NAMES))
    store.erase(NAMES[7], "asked to", AT + DAY)
    store.append_block(a_block(seed=9, at=AT + 2 * DAY), len(NAMES))  # a job that had read it before
    for one in made.assessments():
        gone = one.account_id == NAMES[7]
        assert store.assessment(one.assessment_id) == (replace(one, features=b"") if gone else one)
    after = store.assessments_of(NAMES[7], 9).items
    assert [one.features for one in after] == [b"", b""]
    held = [bytes(one.features) for one in made.assessments() if one.account_id == NAMES[7]]
    ids = [one.assessment_id for one in made.assessments()]
    assert {row[0] for row in store.scored_rows(ids, "m1")} == set(ids) - {
        one.assessment_id for one in made.assessments() if one.features in held
    }
    with store.engine.connect() as connection:
        sql = "SELECT sum(erased), sum(assessments) FROM assessment_blocks"
        assert tuple(connection.exec_driver_sql(sql).one()) == (2, 80)


def test_a_campaign_counts_what_its_rules_changed_in_blocks_too(store: Store) -> None:
    number = store.begin_detection(AT, "host", AT)
    store.record_detection([found_campaign("ring", list(NAMES[:3]))], run=number, as_of=AT)
    store.finish_detection(number, AT, "{}")
    made = a_block()
    raised = [one for one in made.assessments() if one.campaign_id == "ring" and "campaign_member" in one.rules]
    store.append_block(made, len(NAMES))
    store.append_assessments([replace(assessment(NAMES[0]), campaign_id="ring", rules=("campaign_tie",))])
    assert store.campaign_evidence("ring").changed_assessments == len(raised) + 1 > 1


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 40])
def test_features_come_back_bit_for_bit(rows: int) -> None:
    features = np.random.default_rng(rows).normal(size=(rows, 5)).astype(np.float32)
    features[0, 0] = np.nan
    packed = blockfeatures.pack(features)
    assert [blockfeatures.one(packed, row) for row in range(rows)] == [row.tobytes() for row in features]
    less = blockfeatures.without(packed, rows - 1)
    assert blockfeatures.some(less, list(range(rows - 1))) == [row.tobytes() for row in features[:-1]]
    assert np.isnan(np.frombuffer(blockfeatures.one(less, rows - 1), "<f4")).all()


def test_an_account_has_one_shelf_of_each_width() -> None:
    made = a_block()
    for depth in (0, 1, 5, 24):
        for account in made.account.tolist():
            shelf = blocks.shelf_of(account, depth)
            assert shelf.bit_length() == depth + 1
            assert depth == 0 or shelf >> 1 == blocks.shelf_of(account, depth - 1)
