"""Scoring through the real door, store and writer, with a small model, on both databases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from service.domain.enums import CardFunding, Decision, ModelState, PaymentKind, PaymentMethod, Purpose
from service.domain.errors import AlreadyExists, InvalidInput, UnknownAccount
from service.domain.raw import Payment, Signal, Signup
from service.domain.records import Assessment, ModelRecord
from service.domain.requests import ScoreRequest
from service.domain.time import DAY
from service.features.catalogue import features_for, fingerprint
from service.model.artefact import Manifest, make_artefact, write_artefact
from service.model.calibration import Calibration
from service.policy.policy import Policy
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import Store
from service.storage.writer import Writer
from service.usecases.champion import Models
from service.usecases.rescore import Rescore
from service.usecases.score_accounts import Answer, ScoreAccounts
from tests.factories import NOON

NOW = NOON + DAY
NAMES = ("device_others_life", "charges_life", "mail_length", "signal.captcha")


@pytest.fixture(scope="module")
def door() -> Door:
    return Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in which a shared device, charges, long mail names and a signal each move the score."""
    features = tuple(f for name in NAMES for f in features_for(["captcha"]) if f.name == name)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 12, (600, len(NAMES))).astype(np.float32)
    parameters = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, rows.sum(axis=1) > 24), num_boost_round=20)
    manifest = Manifest(
        version="m-small",
        created_at="2026-04-01T00:00:00Z",
        origin="trained",
        code_version="0",
        features=NAMES,
        feature_fingerprint=fingerprint(features),
        data_fingerprint="0",
        training={},
        lightgbm={},
        calibration=Calibration.identity().to_json(),
        policy=Policy(0.001, (math.inf,) * 4).to_json(),
        metrics={},
        gain={},
    )
    directory = tmp_path_factory.mktemp("models") / "m-small"
    write_artefact(make_artefact(manifest, booster.model_to_string()), directory)
    return directory


@pytest.fixture
def models(store: Store, model: Path) -> Models:
    text = (model / "manifest.json").read_text()
    record = ModelRecord("m-small", ModelState.CHALLENGER, "trained", NOON, str(model), "", text)
    store.add_model(record)
    store.promote("m-small", NOON, "test")
    held = Models(_Unsealed(store), lambda _: model)
    held.refresh()
    return held


class _Unsealed:
    """The store's registry, without comparing the manifest's hash: this test wrote no hash."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def champion(self) -> ModelRecord | None:
        found = self._store.champion()
        return replace(found, manifest_sha256=None) if found else None  # type: ignore[arg-type]

    def shadow(self) -> None:
        return None

    def model(self, version: str) -> ModelRecord:
        return replace(self._store.model(version), manifest_sha256=None)  # type: ignore[arg-type]


@pytest.fixture
def score(store: Store, door: Door, models: Models) -> Iterator[ScoreAccounts]:
    writer = Writer(store)
    yield ScoreAccounts(store, writer, door, models)
    writer.close()


def asked(account: str, request: str, *, device: str | None = "d", **parts: object) -> ScoreRequest:
    signup = Signup(account, NOON, email=f"{account}@example.com", country="DE", device_id=device) if device else None
    return ScoreRequest(request, account, Purpose.SIGNUP, signup, content=hash((account, device)), **parts)  # type: ignore[arg-type]


def paid(account: str, event: str, amount: int = 500, happened: int = NOON) -> Payment:
    return Payment(
        event,
        account,
        happened,
        PaymentKind.CHARGE_SUCCEEDED,
        PaymentMethod.CARD,
        card_fingerprint="c",
        card_funding=CardFunding.DEBIT,
        amount_minor=amount,
        currency="EUR",
    )


def features_of(answer: Answer) -> dict[str, float]:
    assert isinstance(answer, Assessment), answer
    return dict(zip(NAMES, np.frombuffer(answer.features, "<f4").tolist(), strict=True))


def linked(answer: Answer) -> dict[str, int]:
    assert isinstance(answer, Assessment), answer
    return {link.key_type: link.linked for link in answer.links}


def test_an_answer_counts_what_the_request_brings_and_what_is_stored_and_nothing_twice(score: ScoreAccounts) -> None:
    payments = (paid("a", "p1"), paid("a", "p2"))
    signals = (Signal("a", NOON, "captcha", 0.25),)
    (first,) = score([asked("a", "r1", payments=payments, signals=signals)], now=NOW, timeout_s=9)
    assert features_of(first)["charges_life"] == 2
    assert features_of(first)["signal.captcha"] == 0.25
    again = asked("a", "r2", device=None, payments=(*payments, paid("a", "p3")))
    (second,) = score([again], now=NOW + 1, timeout_s=9)
    assert features_of(second)["charges_life"] == 3
    (third,) = score([asked("a", "r3", device=None)], now=NOW + 2, timeout_s=9)
    assert features_of(third) == features_of(second)


def test_a_refused_request_fails_alone_and_counts_for_nobody(score: ScoreAccounts, store: Store) -> None:
    bad = asked("bad", "r-bad", payments=(paid("bad", "p-bad", happened=NOW + DAY),))
    stranger = asked("stranger", "r-stranger", device=None)
    answers = score([asked("one", "r-one"), bad, stranger, asked("two", "r-two")], now=NOW, timeout_s=9)
    assert isinstance(answers[1], InvalidInput)
    assert "payments[0].happened_at" in str(answers[1])
    assert isinstance(answers[2], UnknownAccount)
    assert linked(answers[0])["device"] == linked(answers[3])["device"] == 1
    (later,) = score([asked("three", "r-three")], now=NOW + 1, timeout_s=9)
    assert linked(later)["device"] == 2
    assert len(store.accounts()) == 3


def test_a_request_that_contradicts_what_is_stored_writes_nothing(score: ScoreAccounts, store: Store) -> None:
    score([asked("a", "r1", payments=(paid("a", "p1"),))], now=NOW, timeout_s=9)
    other_amount = asked("a", "r2", payments=(paid("a", "p1", amount=501), paid("a", "p2")))
    other_signup = asked("a", "r3", device="elsewhere")
    answers = score([other_amount, other_signup], now=NOW + 1, timeout_s=9)
    assert [type(answer) for answer in answers] == [AlreadyExists, AlreadyExists]
    assert "payment 'p1'" in str(answers[0])
    (after,) = score([asked("a", "r4", device=None)], now=NOW + 2, timeout_s=9)
    assert features_of(after)["charges_life"] == 1
    assert len(store.assessments_of("a", 10).items) == 2


def test_the_same_request_gives_the_same_answer_and_one_record(score: ScoreAccounts, store: Store) -> None:
    request = asked("a", "r1", explain=True)
    (first,) = score([request], now=NOW, timeout_s=9)
    (again,) = score([request], now=NOW + DAY, timeout_s=9)
    assert first == again
    assert isinstance(first, Assessment)
    assert first.reasons
    assert first.decision is Decision.ALLOW
    assert len(store.assessments_of("a", 10).items) == 1


def test_a_job_that_is_run_again_records_nothing_twice(score: ScoreAccounts, store: Store, models: Models) -> None:
    answers = score([asked(f"a{i}", f"r{i}") for i in range(5)], now=NOW, timeout_s=9)
    job = Rescore(store, models)
    first = job(as_of=NOW)
    second = job(as_of=NOW)
    assert (first.scored, second.scored) == (5, 5)
    for answer in answers:
        assert isinstance(answer, Assessment)
        kept = store.assessments_of(answer.account_id, 10).items
        assert len(kept) == 2
        assert {one.score for one in kept} == {answer.score}  # a call and a job walk one street
