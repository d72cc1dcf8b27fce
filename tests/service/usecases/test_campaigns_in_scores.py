"""What a campaign does to the score of its members and of whoever comes with its keys, through the real store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from gatehouse.risk.v1 import scoring_pb2

from service.domain.campaigns import CampaignEvidence, CampaignState, ReviewAction, ReviewAsked
from service.domain.codes import code32, hash64, hash64_many
from service.domain.detection import CampaignKeys, FoundCampaign
from service.domain.enums import CardFunding, Decision, PaymentKind, PaymentMethod, Purpose, Verdict
from service.domain.raw import Label, Payment, Signup
from service.domain.records import Assessment
from service.domain.requests import ScoreRequest
from service.domain.time import DAY, HOUR
from service.features.catalogue import features_for, fingerprint
from service.model.artefact import Manifest, make_artefact, write_artefact
from service.model.calibration import Calibration
from service.policy.exploration import Exploration
from service.policy.policy import Policy
from service.rpc.convert.scoring import assessment_to_wire
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import Store
from service.storage.writer import Writer
from service.usecases.champion import Serving
from service.usecases.rescore import Rescore
from service.usecases.score_accounts import ScoreAccounts
from tests.factories import NOON

T = NOON + 2 * DAY
RING = ("a", "b", "c")


@pytest.fixture(scope="module")
def old_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model from before there were campaigns, whose policy never acts by score."""
    names = ("mail_length", "device_others_life")
    features = tuple(f for name in names for f in features_for() if f.name == name)
    rows = np.random.default_rng(1).integers(0, 12, (300, 2)).astype(np.float32)
    parameters = {"objective": "binary", "num_leaves": 4, "verbosity": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, rows.sum(axis=1) > 12), num_boost_round=5)
    manifest = Manifest(
        version="m-old",
        created_at="2026-04-01T00:00:00Z",
        origin="trained",
        code_version="0",
        features=names,
        feature_fingerprint=fingerprint(features),
        data_fingerprint="0",
        training={},
        lightgbm={},
        calibration=Calibration.identity().to_json(),
        policy=Policy(0.001, (math.inf,) * 4).to_json(),
        metrics={},
        gain={},
    )
    directory = tmp_path_factory.mktemp("models") / "m-old"
    write_artefact(make_artefact(manifest, booster.model_to_string()), directory)
    return directory


class OneModel:
    """Models, of which there is one."""

    def __init__(self, directory: Path) -> None:
        self._serving = Serving.load(directory)

    def current(self) -> Serving:
        return self._serving

    def of_version(self, version: str) -> Serving:
        assert version == self._serving.version
        return self._serving


class Desk:
    """Asks for scores, as an onboarding flow would, and detects and reviews, as others would meanwhile."""

    def __init__(self, store: Store, models: OneModel, writer: Writer) -> None:
        door = Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables())
        self.store, self.models = store, models
        self.score = ScoreAccounts(store, writer, door, models)  # type: ignore[arg-type]
        self._number = 0

    def ask(self, account: str, at: int, *, device: str | None = None, bin_: str | None = None) -> Assessment:
        """The answer to a signup with this device and a card of this BIN; with neither, about a known account."""
        self._number += 1
        signup = None if device is None else Signup(account, at, email=f"{account}@example.com", device_id=device)
        paid = () if bin_ is None else (_paid(account, bin_, at),)
        request = ScoreRequest(f"r{self._number}", account, Purpose.SIGNUP, signup, payments=paid, content=1)
        (answer,) = self.score([request], now=at, timeout_s=9)
        assert isinstance(answer, Assessment), answer
        return answer

    def detect(self, at: int, *, score: float = 0.95, device: float = 4.0, bin_: float = 1.5) -> None:
        """A run finds the ring again: its device is private, and its BIN says something."""
        _, key, kind, _ = self.store.link_rows(at)
        keys = [int(np.unique(key[kind == code32(name)])[0]) for name in ("device", "card_bin")]
        held = CampaignKeys(
            np.array(keys),
            np.array([code32("device"), code32("card_bin")], np.int32),
            np.array([device, bin_]),
            np.array([True, False]),
            np.array([2, 5], np.int8),
        )
        found = FoundCampaign(
            "c-ring",
            hash64_many(list(RING)),
            np.full(len(RING), 0.9, np.float32),
            ["device"] * len(RING),
            score,
            CampaignState.DETECTED,
            CampaignEvidence(),
            held,
        )
        number = self.store.begin_detection(at, "host", at)
        self.store.record_detection([found], run=number, as_of=at)
        self.store.finish_detection(number, at, "{}")

    def review(self, action: ReviewAction, at: int, *accounts: str) -> None:
        self.store.review(ReviewAsked("c-ring", action, "ann", "looked", accounts), at=at, two_above=100)


def _paid(account: str, bin_: str, at: int) -> Payment:
    return Payment(
        f"p-{account}",
        account,
        at,
        PaymentKind.METHOD_ADDED,
        PaymentMethod.CARD,
        card_fingerprint=f"card-of-{account}",
        card_bin=bin_,
        card_funding=CardFunding.PREPAID,
    )


@pytest.fixture
def desk(store: Store, old_model: Path) -> Iterator[Desk]:
    """A ring of three on one device with cards of one BIN, found at T; a bystander has other things."""
    writer = Writer(store)
    made = Desk(store, OneModel(old_model), writer)
    for i, account in enumerate(RING):
        made.ask(account, NOON + i * HOUR, device="shared", bin_="40000001")
    yield made
    writer.close()


def said(answer: Assessment) -> tuple[Decision, str | None, tuple[str, ...]]:
    return answer.decision, answer.campaign_id, answer.rules


NOTHING = (Decision.ALLOW, None, ())


def test_a_private_key_and_a_second_cue_of_a_detected_campaign_are_challenged_at_once(desk: Desk) -> None:
    assert said(desk.ask("before", T - 1, device="shared", bin_="40000001")) == NOTHING
    desk.detect(T)
    answer = desk.ask("new", T + 1, device="shared", bin_="40000001")
    assert said(answer) == (Decision.CHALLENGE, "c-ring", ("campaign_tie",))
    ties = {link.key_type: link.campaign_id for link in answer.links}
    assert ties.pop("device") == ties.pop("card_bin") == "c-ring"
    assert set(ties.values()) == {None}  # a provider's domain and the like lead to no campaign


def test_one_key_alone_is_not_enough_however_private(desk: Desk) -> None:
    desk.detect(T)
    assert said(desk.ask("new", T + 1, device="shared", bin_="51000001")) == NOTHING
    assert said(desk.ask("other", T + 2, device="own", bin_="40000001")) == NOTHING


def test_confirming_makes_a_person_look_at_newcomers_and_reopening_takes_it_back(desk: Desk) -> None:
    desk.detect(T)
    desk.ask("new", T + 1, device="shared", bin_="40000001")
    desk.review(ReviewAction.CONFIRM, T + HOUR)
    assert said(desk.ask("new", T + HOUR)) == (Decision.REVIEW, "c-ring", ("campaign_tie_confirmed",))
    assert said(desk.ask("next", T + HOUR + 1, device="shared", bin_="40000001"))[0] is Decision.REVIEW
    desk.review(ReviewAction.REOPEN, T + 2 * HOUR)
    assert said(desk.ask("new", T + 2 * HOUR)) == (Decision.CHALLENGE, "c-ring", ("campaign_tie",))


def test_refuting_takes_everything_back(desk: Desk) -> None:
    desk.detect(T)
    desk.review(ReviewAction.REFUTE, T + HOUR)
    assert said(desk.ask("new", T + HOUR, device="shared", bin_="40000001")) == NOTHING
    assert said(desk.ask("a", T + HOUR)) == NOTHING


def test_members_are_challenged_and_held_back_where_the_evidence_leaves_no_doubt(desk: Desk) -> None:
    assert said(desk.ask("a", T - 1)) == NOTHING
    desk.detect(T)
    assert said(desk.ask("a", T)) == (Decision.CHALLENGE, "c-ring", ("campaign_member",))
    desk.detect(T + HOUR, score=0.995)
    answer = desk.ask("a", T + HOUR)
    assert said(answer) == (Decision.THROTTLE, "c-ring", ("campaign_member_beyond_doubt",))
    assert answer.recommended_limit is not None


def test_a_member_of_a_confirmed_campaign_is_looked_at_once(desk: Desk) -> None:
    desk.detect(T)
    desk.review(ReviewAction.CONFIRM, T + HOUR, "a")
    assert said(desk.ask("b", T + HOUR)) == (Decision.REVIEW, "c-ring", ("campaign_member_unreviewed",))
    assert said(desk.ask("a", T + HOUR)) == (Decision.THROTTLE, "c-ring", ("campaign_member_beyond_doubt",))


def test_whom_an_analyst_found_legitimate_is_left_alone(desk: Desk) -> None:
    desk.detect(T, score=0.999)
    desk.ask("new", T, device="shared", bin_="40000001")
    judged = [Label(name, Verdict.LEGITIMATE, T + HOUR, "ann") for name in ("a", "new")]
    desk.store.record_labels(judged, None)
    assert said(desk.ask("a", T + HOUR)) == (Decision.ALLOW, "c-ring", ())
    assert said(desk.ask("new", T + HOUR)) == NOTHING
    assert said(desk.ask("b", T + HOUR))[0] is Decision.THROTTLE


def test_many_keys_of_several_kinds_hold_back_without_a_private_one(desk: Desk) -> None:
    desk.detect(T, device=9.0, bin_=3.5)
    answer = desk.ask("new", T + 1, device="shared", bin_="40000001")
    assert said(answer) == (Decision.THROTTLE, "c-ring", ("campaign_tie_strong",))


def test_the_periodic_job_answers_as_the_call_does_and_is_safe_to_run_twice(desk: Desk) -> None:
    desk.detect(T)
    desk.ask("new", T + 1, device="shared", bin_="40000001")
    job = Rescore(desk.store, desk.models)  # type: ignore[arg-type]
    assert job(as_of=T + 2, changed_since=T).decisions == {Decision.CHALLENGE: 4}
    for name in (*RING, "new"):
        decision = desk.store.latest_decisions(np.array([hash64(name)]))[hash64(name)]
        assert (decision.decision, decision.campaign_id) == (Decision.CHALLENGE, "c-ring")
        listed = len(desk.store.assessments_of(name, page_size=9, page_token="").items)
        job(as_of=T + 2, changed_since=T)
        assert len(desk.store.assessments_of(name, page_size=9, page_token="").items) == listed


def test_the_campaign_is_kept_told_and_explained(desk: Desk) -> None:
    desk.detect(T)
    answer = desk.ask("new", T + 1, device="shared", bin_="40000001")
    kept = desk.store.assessment(answer.assessment_id)
    assert replace(kept, reasons=answer.reasons) == answer
    wire = assessment_to_wire(answer)
    assert wire.campaign_id == "c-ring"
    assert {link.key_type for link in wire.links if link.campaign_id} == {"device", "card_bin"}
    assert all(isinstance(link, scoring_pb2.LinkSummary) for link in wire.links)
    assert answer.reasons[0].code == "policy_rule.campaign_tie"
    assert "campaign" not in answer.reasons[0].customer_text


def explore(desk: Desk, rate: float, *thresholds: float) -> None:
    """From now on this share of whom it may is let through, and where given scores decide, too."""
    serving = desk.models.current()
    policy = replace(serving.policy, thresholds=thresholds) if thresholds else serving.policy
    exploration = Exploration(rate, bytes(range(32)))
    desk.models._serving = replace(serving, policy=policy, exploration=exploration)


ALMOST_ALL, HARDLY_ANY = 1 - 1e-12, 1e-12


def test_an_account_that_chance_lets_through_is_allowed_says_so_and_stays_so(desk: Desk) -> None:
    desk.detect(T)
    explore(desk, ALMOST_ALL)
    answer = desk.ask("new", T + 1, device="shared", bin_="40000001")
    assert said(answer) == (Decision.ALLOW, "c-ring", ("campaign_tie",))
    assert (answer.explored_from, answer.propensity) == (Decision.CHALLENGE, ALMOST_ALL)
    assert desk.store.assessment(answer.assessment_id) == answer
    wire = assessment_to_wire(answer)
    assert (wire.explored_from, wire.propensity) == (scoring_pb2.DECISION_CHALLENGE, ALMOST_ALL)
    job = Rescore(desk.store, desk.models)  # type: ignore[arg-type]
    assert job(as_of=T + 6 * HOUR, changed_since=T).decisions == {Decision.ALLOW: 4}
    seen = desk.store.chances(T + 6 * HOUR)
    assert seen.account.tolist() == sorted(hash64(name) for name in (*RING, "new"))
    assert seen.let_through.all()
    assert set(seen.rate) == {ALMOST_ALL}
    assert not len(desk.store.chances(T).account)  # nothing of it was known before


def test_an_account_that_chance_passes_by_keeps_its_decision_and_how_likely_that_was(desk: Desk) -> None:
    desk.detect(T)
    explore(desk, HARDLY_ANY)
    allowed = desk.ask("stranger", T + 1, device="own")
    assert (said(allowed), allowed.explored_from, allowed.propensity) == (NOTHING, None, None)
    assert not assessment_to_wire(allowed).HasField("propensity")
    answer = desk.ask("new", T + 1, device="shared", bin_="40000001")
    assert (answer.decision, answer.explored_from, answer.propensity) == (Decision.CHALLENGE, None, 1 - HARDLY_ANY)
    seen = desk.store.chances(T + 1)
    assert seen.account.tolist() == [hash64("new")]
    assert not seen.let_through.any()
    assert seen.rate == pytest.approx(HARDLY_ANY, rel=1e-3)


def test_chance_lets_nobody_through_who_is_known_as_fraud_held_back_or_kept_out(desk: Desk) -> None:
    desk.detect(T)
    desk.store.record_labels([Label("judged", Verdict.FRAUD, T, "ann"), Label("b", Verdict.LEGITIMATE, T, "ann")])
    desk.ask("judged", T + 1, device="own")
    for thresholds, decision in (
        ((0.0, 0.0, math.inf, math.inf), Decision.THROTTLE),
        ((0.0, 0.0, 0.0, 0.0), Decision.BLOCK),
    ):
        explore(desk, ALMOST_ALL, *thresholds)
        answer = desk.ask("judged", T + 2)
        assert (answer.decision, answer.propensity) == (decision, None)
        assert desk.ask("stranger", T + 2, device="other").decision is decision
    explore(desk, ALMOST_ALL, 0.0, math.inf, math.inf, math.inf)
    assert desk.ask("stranger", T + 3).explored_from is Decision.CHALLENGE
    assert desk.ask("judged", T + 3).decision is Decision.CHALLENGE
    assert desk.ask("a", T + 3).explored_from is Decision.CHALLENGE  # of a campaign that nobody has confirmed
    desk.review(ReviewAction.CONFIRM, T + HOUR, "c")
    answer = desk.ask("a", T + HOUR)
    assert (answer.decision, answer.explored_from, answer.propensity) == (Decision.REVIEW, None, None)


def test_a_job_run_again_with_more_let_through_records_whose_decision_that_changes(desk: Desk) -> None:
    desk.detect(T)
    explore(desk, HARDLY_ANY)
    job = Rescore(desk.store, desk.models)  # type: ignore[arg-type]
    assert job(as_of=T + 1).decisions == {Decision.CHALLENGE: 3}
    explore(desk, ALMOST_ALL)
    assert job(as_of=T + 1).changed == 3
    kept = desk.store.assessments_of("a", page_size=9, page_token="").items
    assert {each.decision for each in kept if each.assessed_at == T + 1} == {Decision.CHALLENGE, Decision.ALLOW}
