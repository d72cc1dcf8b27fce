"""A challenger beside the champion: through the real door, store and models, on both databases."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from service.domain.codes import hash64
from service.domain.enums import Decision, Purpose
from service.domain.errors import ArtefactProblem, DatabaseProblem, UsageError
from service.domain.raw import Signup
from service.domain.records import Assessment, ModelRecord, ShadowAssessment
from service.domain.requests import ScoreRequest
from service.domain.time import DAY, HOUR
from service.policy.exploration import Exploration
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import Store
from service.storage.writer import Writer
from service.usecases.champion import Models
from service.usecases.models import ShadowModel
from service.usecases.rescore import Rescore
from service.usecases.score_accounts import ScoreAccounts
from service.usecases.shadow import Shadow
from tests.factories import NOON
from tests.small_models import a_model

NOW = NOON + DAY
CHAMPION, CHALLENGER = "m-champion", "m-challenger"
EXPLORATION = Exploration(0.5, bytes(range(32)))


def where(record: ModelRecord) -> Path:
    return Path(record.location)


class Street:
    """A server's parts, as the app wires them, but for the wire."""

    def __init__(self, store: Store, folder: Path) -> None:
        for record in (
            a_model(CHAMPION, ("mail_length", "device_others_life"), math.inf, folder),
            a_model(CHALLENGER, ("device_others_life", "mail_digits", "mail_length"), 0.0, folder),
        ):
            store.add_model(record)
        store.promote(CHAMPION, NOON, "first")
        self.store, self.folder = store, folder
        self.models = Models(store, where, EXPLORATION)
        self.models.refresh()
        self.shadow = Shadow(self.models, store, rest=0.0)
        self.writer = Writer(store)
        door = Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables())
        self.score = ScoreAccounts(store, self.writer, door, self.models, self.shadow)

    def begin(self) -> None:
        ShadowModel(self.store, where)(CHALLENGER, why="", now=NOW)
        self.models.refresh()

    def ask(self, *accounts: str, request: str = "r", at: int = NOW) -> list[Assessment]:
        known = dict(zip(accounts, self.store.created_at(np.array([hash64(name) for name in accounts])), strict=True))
        requests = [
            ScoreRequest(
                f"{request}-{name}",
                name,
                Purpose.SIGNUP,
                None if known[name] else Signup(name, NOON, email=f"{name}@example.com", device_id="d"),
                content=1,
            )
            for name in accounts
        ]
        answers = self.score(requests, now=at, timeout_s=9)
        assert all(isinstance(each, Assessment) for each in answers), answers
        return [each for each in answers if isinstance(each, Assessment)]

    def close(self) -> None:
        self.writer.close()
        self.shadow.close()


@pytest.fixture
def street(store: Store, tmp_path: Path) -> Iterator[Street]:
    made = Street(store, tmp_path)
    yield made
    made.close()


def test_a_shadow_scores_what_was_answered_and_the_answers_are_what_they_were(street: Street) -> None:
    alone = street.ask("a", "b", request="alone")
    street.begin()
    beside = street.ask("a", "b", request="beside", at=NOW + 1)
    street.shadow.close()
    assert [each.decision for each in beside] == [Decision.ALLOW] * 2
    assert [(a.score, a.features, a.model_version) for a in alone] == [
        (b.score, b.features, b.model_version) for b in beside
    ]
    pairs = street.store.shadow_pairs(CHALLENGER)
    assert (pairs.champion, len(pairs), pairs.missed) == (CHAMPION, 2, 0)
    # what it would have said, before chance lets half of them through
    assert {list(Decision)[i] for i in pairs.shadow_decision} == {Decision.CHALLENGE}
    assert street.shadow.counts() == {"scored": 2, "dropped": 0, "failed": 0}


def test_it_says_of_each_account_exactly_what_it_would_say_if_it_decided(street: Street) -> None:
    street.begin()
    street.ask(*(f"account-{i}" for i in range(40)))
    street.shadow.close()
    pairs = street.store.shadow_pairs(CHALLENGER)
    street.store.promote(CHALLENGER, NOW, "now it decides")
    street.models.refresh()
    decided = {each.account: each for each in street.ask(*(f"account-{i}" for i in range(40)), request="again")}
    assert len(pairs) == 40
    said = dict(zip(pairs.account.tolist(), pairs.shadow_score.tolist(), strict=True))
    assert said == {account: each.score for account, each in decided.items()}


def test_the_same_request_again_is_not_scored_again(street: Street) -> None:
    street.begin()
    street.ask("a")
    street.ask("a")
    street.shadow.close()
    assert street.shadow.counts()["scored"] == 1


def test_the_periodic_job_scores_with_the_shadow_too_and_is_safe_to_run_twice(street: Street) -> None:
    street.ask(*(f"a{i}" for i in range(5)))
    street.begin()
    job = Rescore(street.store, street.models, street.shadow)
    for _ in range(2):
        assert job(as_of=NOW + HOUR).scored == 5
    pairs = street.store.shadow_pairs(CHALLENGER)
    assert (len(pairs), set(pairs.assessed_at.tolist())) == (5, {NOW + HOUR})


def test_stopping_is_followed_and_what_was_said_is_kept(street: Street) -> None:
    street.begin()
    street.ask("a")
    street.shadow.close()
    street.store.stop_shadow(NOW + 1, "")
    street.models.refresh()
    assert street.models.shadow() is None
    street.shadow.offer(street.store.history(np.array([hash64("a")]), NOW), street.ask("a", request="later"))
    assert street.shadow.counts()["dropped"] == 0  # nobody asked for it
    assert len(street.store.shadow_pairs(CHALLENGER)) == 1


class Slow:
    """The store, which lets itself be waited for, or does not work at all."""

    def __init__(self, store: Store, gate: threading.Event | None = None) -> None:
        self._store, self._gate = store, gate

    def append_shadows(self, made: Sequence[ShadowAssessment]) -> int:
        if self._gate is None:
            raise DatabaseProblem("the disk is full")
        self._gate.wait()
        return self._store.append_shadows(made)


def test_what_comes_faster_than_it_scores_is_dropped_and_counted_and_nobody_waits(street: Street) -> None:
    street.begin()
    gate = threading.Event()
    shadow = Shadow(street.models, Slow(street.store, gate), waiting=10, together=5, rest=0.0)
    street.score.answered = shadow
    began = time.monotonic()
    for i in range(30):
        street.ask(f"a{i}")
    assert time.monotonic() - began < 8  # the shadow stands still all this while
    waited = shadow.counts()
    assert waited["scored"] == 0
    assert 15 <= waited["dropped"] <= 20
    gate.set()
    shadow.close()
    done = shadow.counts()
    assert (done["scored"] + done["dropped"], done["failed"]) == (30, 0)
    pairs = street.store.shadow_pairs(CHALLENGER)
    assert len(pairs) == done["scored"]
    assert len(street.store.latest_decisions()) == 30


def test_an_error_fails_no_call_and_no_job_and_is_logged_once(street: Street) -> None:
    street.begin()
    shadow = Shadow(street.models, Slow(street.store), rest=0.0)
    street.score.answered = shadow
    with capture_logs() as logs:
        for i in range(3):
            assert street.ask(f"a{i}")[0].decision is Decision.ALLOW
        job = Rescore(street.store, street.models, shadow)
        assert job(as_of=NOW + HOUR).scored == 3
        shadow.close()
    assert shadow.counts() == {"scored": 0, "dropped": 0, "failed": 6}
    assert [each["event"] for each in logs if each["log_level"] == "error"] == ["shadow_failed"]


def test_a_failure_that_comes_at_once_keeps_nobody_waiting(street: Street) -> None:
    """It was done before anybody had asked to be told, and the caller then waited for a lock that it held itself."""
    street.begin()
    street.score.answered = None
    made = street.ask("a")
    unreadable = replace(street.store.history(np.array([hash64("a")]), NOW), account=None)  # type: ignore[arg-type]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads then change places nearly everywhere
    try:
        for i in range(1, 1_001):
            street.shadow.offer(unreadable, made)
            while street.shadow.counts()["failed"] < i:
                time.sleep(0)
    finally:
        sys.setswitchinterval(interval)
    assert street.shadow.counts() == {"scored": 0, "dropped": 0, "failed": 1_000}


def test_a_model_whose_files_fail_does_not_shadow_and_the_champion_goes_on(street: Street) -> None:
    (street.folder / CHALLENGER / "booster.txt").unlink()
    with pytest.raises(ArtefactProblem, match=r"booster\.txt is missing"):
        street.begin()
    street.store.start_shadow(CHALLENGER, NOW, "on a machine that had them")
    with capture_logs() as logs:
        street.models.refresh()
        street.models.refresh()
    assert [each["event"] for each in logs] == ["shadow_refused"]
    assert street.models.shadow() is None
    assert street.ask("a")[0].model_version == CHAMPION


def test_the_champion_is_not_asked_to_shadow_itself(street: Street) -> None:
    with pytest.raises(UsageError, match="cannot shadow itself"):
        ShadowModel(street.store, where)(CHAMPION, why="", now=NOW)
