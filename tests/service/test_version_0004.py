"""A database that the version with schema 0004 filled goes on being true when this version has upgraded it.

``version_0004.json`` holds every row of one, as that version's own code wrote them: eleven signups through its door,
eight of them from one device, a campaign of six, two jobs (the second with a challenger beside it), a label, a look
again and an erasure; the files of its two models; and what it then said of each assessment, with reasons. None of it
was made by the code that is tested here.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from service.app import App
from service.domain.codes import hash64
from service.domain.enums import Decision, Purpose
from service.domain.errors import AlreadyExists
from service.domain.raw import Signup
from service.domain.records import Assessment
from service.domain.requests import ScoreRequest
from service.domain.time import DAY, HOUR
from service.settings import Settings
from service.storage.database import opened
from service.storage.schema import SchemaState, _config, check
from service.storage.store import Store
from service.usecases.assessments import GetAssessment, ListAssessments
from service.usecases.score_accounts import ScoreAccounts
from tests.factories import NOON

OLD = json.loads(Path(__file__).with_name("version_0004.json").read_text(encoding="utf-8"))
SAID: dict[str, list[dict[str, Any]]] = OLD["said"]  # of each account, the newest first
ERASED = "alone-2"
KEYS = ",".join(
    f"{name}:{b64encode(bytes(range(start, start + 32))).decode()}" for name, start in (("content", 0), ("k1", 32))
)
LATER = NOON + 5 * DAY


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The product on what was version 0004's, its model loaded."""

    app: App
    store: Store

    def get(self, assessment_id: str) -> Assessment:
        return GetAssessment(self.store, self.app.models)(assessment_id, explain=True)

    def listed(self, account_id: str, page_size: int = 2) -> list[Assessment]:
        """All of an account's, page by page."""
        deed = ListAssessments(self.store)
        page = deed(account_id, page_size=page_size, page_token="")
        found = list(page.items)
        while page.next_page_token:
            page = deed(account_id, page_size=page_size, page_token=page.next_page_token)
            found += page.items
        return found

    def rescore(self, as_of: int) -> None:
        """By a job that keeps blocks, as one over all accounts does where no challenger looks on."""
        self.store.stop_shadow(as_of, "tests")
        self.app.models.refresh()
        self.app.rescore(as_of=as_of)
        with self.store.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM assessment_blocks").scalar_one() > 0


@pytest.fixture
def upgraded(database_url: str, tmp_path: Path) -> Iterator[Upgraded]:
    """Migrated up to 0004, filled with the old rows, and then opened by this version."""
    with opened(database_url) as engine:
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "0004")
            _fill(connection)
        assert check(engine) is SchemaState.BEHIND
    for name, content in OLD["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    settings = Settings(database_url=database_url, data_dir=tmp_path, hmac_keys=KEYS, explore=0.2)
    with App.open(settings, upgrade=True) as app:
        app.load_model()
        yield Upgraded(app, app.store)


def _fill(connection: sa.Connection) -> None:
    there = sa.MetaData()
    there.reflect(connection)
    for name, held in OLD["tables"].items():
        table = there.tables[name]
        assert set(held["columns"]) == set(table.c.keys())
        rows = [[b64decode(v["base64"]) if isinstance(v, dict) else v for v in row] for row in held["rows"]]
        connection.execute(table.insert(), [dict(zip(held["columns"], row, strict=True)) for row in rows])
    if connection.dialect.name == "postgresql":  # numbers that the database deals out go on behind the old ones
        for table, column in (("audit", "number"), ("campaign_events", "number"), ("detect_runs", "run")):
            greatest = f"(SELECT max({column}) FROM {table})"
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), {greatest})")


def as_said(one: Assessment) -> dict[str, Any]:
    """An assessment in the words of the file."""
    return {
        "assessment_id": one.assessment_id,
        "assessed_at": one.assessed_at,
        "purpose": one.purpose.value,
        "score": one.score,
        "decision": one.decision.value,
        "recommended_limit": one.recommended_limit,
        "model_version": one.model_version,
        "policy_version": one.policy_version,
        "feature_fingerprint": one.feature_fingerprint,
        "features": b64encode(one.features).decode(),
        "rules": list(one.rules),
        "campaign_id": one.campaign_id,
        "links": [[link.key_type, link.linked, link.confirmed, link.campaign_id] for link in one.links],
        "explored_from": one.explored_from.value if one.explored_from else None,
        "propensity": one.propensity,
        "request_id": one.request_id,
    }


def without_reasons(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "reasons"}


def asked(account: str, request: str, content: int) -> ScoreRequest:
    """The signup as it was sent to the old version."""
    mail = f"{account}@example.com"
    signup = Signup(account, NOON + hash64(account) % HOUR, email=mail, country="DE", device_id="d", ip="84.56.1.2")
    return ScoreRequest(request, account, Purpose.SIGNUP, signup, content=content)


def test_what_was_answered_before_is_listed_as_it_was(upgraded: Upgraded) -> None:
    for account, said in SAID.items():
        assert [as_said(one) for one in upgraded.listed(account)] == [without_reasons(one) for one in said]


def test_what_was_answered_before_is_shown_with_the_same_reasons(upgraded: Upgraded) -> None:
    for account, said in SAID.items():
        if account == ERASED:
            continue
        for one in said:
            shown = upgraded.get(one["assessment_id"])
            assert as_said(shown) == without_reasons(one)
            assert [reason.code for reason in shown.reasons] == [code for code, _ in one["reasons"]]
            given = [contribution for _, contribution in one["reasons"]]
            assert [reason.contribution for reason in shown.reasons] == pytest.approx(given, abs=1e-12)


def test_a_jobs_new_answers_supersede_the_old_ones_and_leave_them_as_they_were(upgraded: Upgraded) -> None:
    for at in (LATER, LATER + DAY):
        upgraded.rescore(at)
    known = [account for account in SAID if account != ERASED]
    accounts = {account: hash64(account) for account in SAID}
    latest = upgraded.store.latest_decisions()
    for account in known:
        newest, newer, *old = upgraded.listed(account)
        assert (newest.assessed_at, newer.assessed_at) == (LATER + DAY, LATER)
        assert [as_said(one) for one in old] == [without_reasons(one) for one in SAID[account]]
        assert upgraded.get(newest.assessment_id).reasons
        last = latest[accounts[account]]
        assert (last.assessment_id, last.decision) == (newest.assessment_id, newest.decision)
        before = upgraded.store.latest_decisions(None, LATER - 1)[accounts[account]]
        assert before.assessment_id == SAID[account][0]["assessment_id"]
    assert latest[accounts[ERASED]].assessment_id == SAID[ERASED][0]["assessment_id"]  # nobody scores it any more


def test_a_job_that_is_run_again_after_the_upgrade_records_nothing_twice(upgraded: Upgraded) -> None:
    for _ in range(2):
        upgraded.rescore(LATER)
    for account, said in SAID.items():
        assert len(upgraded.listed(account)) == len(said) + (account != ERASED)


def test_a_request_that_was_answered_before_gets_the_same_answer_and_no_second_record(upgraded: Upgraded) -> None:
    deed = ScoreAccounts(upgraded.store, upgraded.app.writer, upgraded.app.door, upgraded.app.models)
    repeated, other = asked("al", "signup-0", hash64("signup-0")), asked("al", "signup-0", hash64("else"))
    new = asked("isolde", "signup-8", hash64("signup-8"))
    same, refused, fresh = [deed([one], now=LATER, timeout_s=9)[0] for one in (repeated, other, new)]
    assert isinstance(same, Assessment)
    assert as_said(same) == without_reasons(SAID["al"][-1])
    assert isinstance(refused, AlreadyExists)
    assert len(upgraded.listed("al")) == len(SAID["al"])
    assert isinstance(fresh, Assessment)
    assert {link.key_type: link.linked for link in fresh.links}["device"] == 8  # the old accounts' key is still theirs


def test_a_campaign_counts_what_it_changed_before_and_after(upgraded: Upgraded) -> None:
    before = OLD["changed_by_campaign"]
    assert upgraded.store.campaign_evidence("ring").changed_assessments == before > 0
    upgraded.rescore(LATER)
    newest = [upgraded.listed(account)[0] for account in SAID if account != ERASED]
    raised = [one for one in newest if one.campaign_id == "ring" and any("campaign_" in rule for rule in one.rules)]
    assert raised
    assert upgraded.store.campaign_evidence("ring").changed_assessments == before + len(raised)


def test_whom_chance_let_through_before_is_remembered_beside_whom_it_lets_through_now(upgraded: Upgraded) -> None:
    drawn = {
        hash64(account): all(one["explored_from"] for one in said if one["propensity"] is not None)
        for account, said in SAID.items()
        if any(one["propensity"] is not None for one in said)
    }
    for _ in range(2):
        found = upgraded.store.chances(LATER + DAY)
        now = dict(zip(found.account.tolist(), found.let_through.tolist(), strict=True))
        assert {account: now[account] for account in drawn} == drawn  # an account is drawn for once, for good
        upgraded.rescore(LATER)
    assert True in drawn.values()


def test_what_a_challenger_said_before_is_still_beside_what_was_answered(upgraded: Upgraded) -> None:
    pairs = upgraded.store.shadow_pairs("m-beside")
    said = {
        (hash64(account), one["assessed_at"]): (one["score"], one["explored_from"] or one["decision"])
        for account, of in SAID.items()
        for one in of
    }
    assert len(pairs.account) == len(OLD["tables"]["shadow_assessments"]["rows"])
    for row, key in enumerate(zip(pairs.account.tolist(), pairs.assessed_at.tolist(), strict=True)):
        score, decision = said[key]
        assert pairs.champion_score[row] == score
        assert list(Decision)[pairs.champion_decision[row]].value == decision


def test_an_erasure_takes_an_accounts_features_from_old_and_new_answers_alike(upgraded: Upgraded) -> None:
    upgraded.rescore(LATER)
    gone = "bea"
    kept = {account: upgraded.listed(account) for account in SAID if account != gone}
    upgraded.store.erase(gone, "asked to", LATER + HOUR)
    after = upgraded.listed(gone)
    assert [one.features for one in after] == [b""] * (len(SAID[gone]) + 1)
    assert [one.decision.value for one in after[1:]] == [one["decision"] for one in SAID[gone]]
    assert {account: upgraded.listed(account) for account in kept} == kept
