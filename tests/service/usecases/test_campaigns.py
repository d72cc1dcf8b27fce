"""Campaigns through the real store, on both databases: what is read, what verdicts do, and what undoes them."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import lightgbm
import numpy as np
import pyarrow.parquet as pq
import pytest

from service.domain.campaigns import (
    CampaignEvidence,
    CampaignRecord,
    CampaignState,
    KeyEvidence,
    ReviewAction,
    ReviewAsked,
    ReviewReceipt,
    ReviewState,
)
from service.domain.codes import hash64, hash64_many
from service.domain.detection import FoundCampaign
from service.domain.enums import ModelState, Purpose, Verdict
from service.domain.errors import CampaignChanged, CampaignMerged, InvalidInput, UnknownCampaign, UsageError
from service.domain.raw import Signup
from service.domain.records import Assessment, ModelRecord
from service.domain.requests import ScoreRequest
from service.domain.time import DAY, MINUTE
from service.features.catalogue import features_for, fingerprint
from service.model.artefact import Manifest, make_artefact, write_artefact
from service.model.calibration import Calibration
from service.policy.policy import Policy
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import Store, open_store
from service.storage.writer import Writer
from service.usecases.campaigns import GetCampaign, ListCampaignMembers, ListCampaigns
from service.usecases.champion import Models
from service.usecases.export_indicators import ExportIndicators, read_key_texts
from service.usecases.import_directory import Counts, import_directory
from service.usecases.review_campaign import ReviewCampaign
from service.usecases.score_accounts import ScoreAccounts
from tests.factories import NOON
from training.examples.safe_airdrop import CREATED, convert

ROOT = Path(__file__).resolve().parents[3]
Result = TypeVar("Result")

NOW = NOON + DAY
NAMES = ("device_fraud", "device_others_life")


def found(campaign_id: str, members: Sequence[str], *, score: float = 0.99) -> FoundCampaign:
    accounts = hash64_many(list(members))
    return FoundCampaign(
        campaign_id=campaign_id,
        accounts=accounts,
        membership=np.full(len(accounts), 0.9, np.float32),
        key_types=["device,card"] * len(accounts),
        score=score,
        state=CampaignState.DETECTED,
        evidence=CampaignEvidence(
            keys=(KeyEvidence("device", hash64("d"), len(accounts), 2, 0.1, 1e-30, 1e-28),),
            keys_looked_at=100,
            counter_evidence=("all use one mail domain",),
            typical_accounts=tuple(accounts[:2].tolist()),
            edges=((int(accounts[0]), int(accounts[-1]), 12.5, "device"),),
            as_of=NOON,
        ),
        exchanges=1000,
    )


def detect(store: Store, campaigns: Sequence[FoundCampaign], at: int = NOON + 1) -> None:
    run = store.begin_detection(at, "test", at)
    store.record_detection(campaigns, run=run, as_of=at)
    store.finish_detection(run, at, "{}")


def signed_up(store: Store, door: Door, members: Sequence[str], device: str = "d") -> None:
    signups, bad = door.signups([Signup(name, NOON, device_id=device) for name in members], NOON)
    assert not bad
    with store.bulk() as bulk:
        bulk.signups(signups)


def asked(action: ReviewAction, campaign_id: str = "c-1", analyst: str = "ann", **more: object) -> ReviewAsked:
    return ReviewAsked(campaign_id, action, analyst, "one device for all", **more)  # type: ignore[arg-type]


def verdicts(store: Store, campaign_id: str = "c-1") -> dict[str, Verdict | None]:
    page = ListCampaignMembers(store)(campaign_id, page_size=1000, page_token="")
    return {member.account_id: member.verdict for member in page.items}


@pytest.fixture(scope="module")
def door() -> Door:
    return Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables())


@pytest.fixture
def review(store: Store) -> Callable[..., ReviewReceipt]:
    deed = ReviewCampaign(store, two_above=3)
    moments = iter(range(NOW, NOW + 1000 * MINUTE, MINUTE))
    return lambda *args, **more: deed(asked(*args, **more), now=next(moments))


@pytest.fixture
def trio(store: Store, door: Door) -> tuple[str, ...]:
    """A detected campaign of three, which one analyst may judge."""
    members = ("a0", "a1", "a2")
    signed_up(store, door, members)
    detect(store, [found("c-1", members)])
    return members


def listed(store: Store, *states: CampaignState, min_members: int = 0) -> list[CampaignRecord]:
    deed = ListCampaigns(store)
    page = deed(states=frozenset(states), min_members=min_members, page_size=1000, page_token="")
    return list(page.items)


def test_a_campaign_is_read_with_its_evidence_by_the_names_of_its_accounts(store: Store, trio: tuple[str, ...]) -> None:
    file = GetCampaign(store)("c-1")

    assert (file.record.state, file.record.score, file.record.members) == (CampaignState.DETECTED, 0.99, 3)
    assert file.evidence.counter_evidence == ("all use one mail domain",)
    assert file.typical_account_ids() == trio[:2]
    assert set(file.account_ids.values()) == set(trio)
    assert file.reviews == ()
    assert verdicts(store) == dict.fromkeys(trio)
    assert [record.campaign_id for record in listed(store, CampaignState.DETECTED)] == ["c-1"]
    assert listed(store, CampaignState.CONFIRMED) == []
    assert listed(store, min_members=4) == []


@pytest.mark.parametrize("name", ["no-such", "nul\0", ""])
def test_a_campaign_that_does_not_exist_is_unknown_to_every_deed(store: Store, name: str) -> None:
    for deed in (
        lambda: GetCampaign(store)(name),
        lambda: ListCampaignMembers(store)(name, page_size=5, page_token=""),
        lambda: ExportIndicators(store)(name, now=NOW),
    ):
        with pytest.raises(UnknownCampaign):
            deed()


def test_confirming_labels_every_member_and_reopening_takes_all_of_it_back(
    store: Store, trio: tuple[str, ...], review: Callable[..., ReviewReceipt]
) -> None:
    before = GetCampaign(store)("c-1").record

    confirmed = review(ReviewAction.CONFIRM)

    assert (confirmed.review.state, confirmed.labels_recorded) == (ReviewState.APPLIED, 3)
    assert (confirmed.campaign.state, confirmed.campaign.confirmed_members) == (CampaignState.CONFIRMED, 3)
    assert verdicts(store) == dict.fromkeys(trio, Verdict.FRAUD)
    labels = store.list_labels(campaign_id="c-1").items
    assert {(label.analyst, label.verdict) for label in labels} == {("ann", Verdict.FRAUD)}

    reopened = review(ReviewAction.REOPEN)

    assert reopened.labels_recorded == 3
    after = reopened.campaign
    assert (after.state, after.score, after.members) == (before.state, before.score, before.members)
    assert after.confirmed_members == 0
    assert after.revision > confirmed.campaign.revision > before.revision
    assert verdicts(store) == dict.fromkeys(trio)
    history = [each.action for each in GetCampaign(store)("c-1").reviews]
    assert history == [ReviewAction.REOPEN, ReviewAction.CONFIRM]


def test_refuting_clears_every_member_and_reopening_takes_that_back_too(
    store: Store, trio: tuple[str, ...], review: Callable[..., ReviewReceipt]
) -> None:
    refuted = review(ReviewAction.REFUTE)
    assert refuted.campaign.state is CampaignState.REFUTED
    assert verdicts(store) == dict.fromkeys(trio, Verdict.LEGITIMATE)

    assert review(ReviewAction.REOPEN).campaign.state is CampaignState.DETECTED
    assert verdicts(store) == dict.fromkeys(trio)


def test_above_the_two_analyst_size_nothing_is_labelled_until_another_analyst_agrees(
    store: Store, door: Door, review: Callable[..., ReviewReceipt]
) -> None:
    members = [f"m{i}" for i in range(4)]
    signed_up(store, door, members)
    detect(store, [found("c-1", members)])

    first = review(ReviewAction.CONFIRM)
    same = review(ReviewAction.CONFIRM, analyst=" ann ")
    assert {first.review.state, same.review.state} == {ReviewState.PENDING_SECOND_ANALYST}
    assert first.review.review_id == same.review.review_id
    assert first.labels_recorded == same.labels_recorded == 0
    assert first.campaign.state is CampaignState.DETECTED
    assert verdicts(store) == dict.fromkeys(members)

    second = review(ReviewAction.CONFIRM, analyst="bob")
    assert (second.review.state, second.labels_recorded) == (ReviewState.APPLIED, 4)
    assert (second.review.analyst, second.review.second_analyst) == ("ann", "bob")
    assert verdicts(store) == dict.fromkeys(members, Verdict.FRAUD)


def test_of_two_analysts_at_once_one_wins_and_the_other_is_told_to_look_again(
    store: Store, trio: tuple[str, ...], review: Callable[..., ReviewReceipt]
) -> None:
    seen = GetCampaign(store)("c-1").record.revision

    review(ReviewAction.CONFIRM, revision=seen)
    with pytest.raises(CampaignChanged):
        review(ReviewAction.REFUTE, analyst="bob", revision=seen)

    assert verdicts(store) == dict.fromkeys(trio, Verdict.FRAUD)
    assert len(GetCampaign(store)("c-1").reviews) == 1


def test_a_merged_campaign_takes_no_verdict_and_says_where_its_members_are(
    store: Store, door: Door, trio: tuple[str, ...], review: Callable[..., ReviewReceipt]
) -> None:
    signed_up(store, door, ["b0"])
    detect(store, [found("c-1", trio), found("c-2", ["b0"])], NOON + 2)

    merged = review(ReviewAction.MERGE, merge_into="c-2")

    assert (merged.campaign.campaign_id, merged.campaign.members) == ("c-2", 4)
    with pytest.raises(CampaignMerged) as caught:
        review(ReviewAction.CONFIRM)
    assert caught.value.merged_into == "c-2"
    assert [record.campaign_id for record in listed(store)] == ["c-2"]
    assert listed(store, CampaignState.MERGED)[0].merged_into == "c-2"


@pytest.mark.usefixtures("trio")
def test_a_split_makes_a_campaign_of_its_own(store: Store, review: Callable[..., ReviewReceipt]) -> None:
    made = review(ReviewAction.SPLIT, account_ids=("a2",)).campaign

    assert (made.members, made.split_from) == (1, "c-1")
    assert set(verdicts(store)) == {"a0", "a1"}
    assert set(verdicts(store, made.campaign_id)) == {"a2"}


@pytest.mark.parametrize(
    ("action", "more", "field"),
    [
        (ReviewAction.CONFIRM, {"analyst": "  "}, "analyst"),
        (ReviewAction.CONFIRM, {"analyst": "a" * 201}, "analyst"),
        (ReviewAction.CONFIRM, {"analyst": "a\0b"}, "analyst"),
        (ReviewAction.CONFIRM, {"request_id": "\0"}, "request_id"),
        (ReviewAction.CONFIRM, {"account_ids": ("a0", "\0")}, "account_ids[1]"),
        (ReviewAction.CONFIRM, {"account_ids": ("a0", "stranger")}, "account_ids[1]"),
        (ReviewAction.SPLIT, {}, "account_ids"),
        (ReviewAction.REOPEN, {"account_ids": ("a0",)}, "account_ids"),
        (ReviewAction.MERGE, {"account_ids": ("a0",), "merge_into": "c-2"}, "account_ids"),
    ],
)
def test_a_verdict_that_cannot_be_is_refused_and_nothing_is_recorded(
    store: Store,
    trio: tuple[str, ...],
    review: Callable[..., ReviewReceipt],
    action: ReviewAction,
    more: dict[str, object],
    field: str,
) -> None:
    with pytest.raises(InvalidInput) as caught:
        review(action, **more)

    assert [violation.field for violation in caught.value.violations] == [field]
    assert GetCampaign(store)("c-1").reviews == ()
    assert verdicts(store) == dict.fromkeys(trio)


@pytest.mark.usefixtures("trio")
def test_a_member_that_is_erased_is_named_no_more_and_the_others_can_be_confirmed(
    store: Store, review: Callable[..., ReviewReceipt]
) -> None:
    store.erase("a0", "asked", NOON + 5)

    assert GetCampaign(store)("c-1").typical_account_ids() == ("a1",)
    assert review(ReviewAction.CONFIRM).labels_recorded == 2


# --- at once, before any retraining ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelRecord:
    """A model in which confirmed accounts on the same device raise the score."""
    features = tuple(f for name in NAMES for f in features_for(()) if f.name == name)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 4, (600, len(NAMES))).astype(np.float32)
    parameters = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, rows[:, 0] > 1), num_boost_round=20)
    manifest = Manifest(
        version="m-links",
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
    directory = tmp_path_factory.mktemp("models") / "m-links"
    made = make_artefact(manifest, booster.model_to_string())
    write_artefact(made, directory)
    return ModelRecord(
        "m-links",
        ModelState.CHALLENGER,
        "trained",
        NOON,
        str(directory),
        made.manifest_sha256,
        made.manifest_text,
    )


@pytest.fixture
def score(store: Store, door: Door, model: ModelRecord) -> Iterator[Callable[[str, int], Assessment]]:
    store.add_model(model)
    store.promote(model.version, NOON, "test")
    models = Models(store, lambda record: Path(record.location))
    models.refresh()
    writer = Writer(store)
    deed = ScoreAccounts(store, writer, door, models)

    def scored(account: str, at: int) -> Assessment:
        known = store.created_at(hash64_many([account]))[0]
        form = None if known else Signup(account, at, device_id="d")
        (answer,) = deed([ScoreRequest(f"r-{account}-{at}", account, Purpose.SIGNUP, form)], now=at, timeout_s=9)
        assert isinstance(answer, Assessment), answer
        return answer

    yield scored
    writer.close()


def confirmed_on_device(answer: Assessment) -> int:
    return next((link.confirmed for link in answer.links if link.key_type == "device"), 0)


@pytest.mark.usefixtures("trio")
def test_a_signup_on_the_key_of_a_confirmed_campaign_scores_differently_until_the_verdict_is_taken_back(
    review: Callable[..., ReviewReceipt],
    score: Callable[[str, int], Assessment],
) -> None:
    before = score("n1", NOW - MINUTE)
    assert confirmed_on_device(before) == 0

    confirmed = review(ReviewAction.CONFIRM)
    after = score("n2", confirmed.review.reviewed_at + 1)
    assert confirmed_on_device(after) == 3
    assert after.score > before.score + 0.5

    reopened = review(ReviewAction.REOPEN)
    again = score("n3", reopened.review.reviewed_at + 1)
    assert confirmed_on_device(again) == 0
    assert again.score == before.score


@pytest.mark.usefixtures("trio")
def test_a_member_that_nobody_has_looked_at_scores_differently_once_the_others_are_confirmed(
    review: Callable[..., ReviewReceipt], score: Callable[[str, int], Assessment]
) -> None:
    before = score("a2", NOW - MINUTE)

    review(ReviewAction.CONFIRM, account_ids=("a0", "a1"))
    after = score("a2", NOW + MINUTE)

    assert (confirmed_on_device(before), confirmed_on_device(after)) == (0, 2)
    assert after.score > before.score


# --- size ------------------------------------------------------------------------------------------------------------


def test_a_campaign_of_5511_members_is_listed_shown_paged_confirmed_and_exported_whole(
    store: Store, door: Door
) -> None:
    members = [f"m{i:04}" for i in range(5511)]
    signed_up(store, door, members)
    detect(store, [found("c-1", members)])

    walk_through(store, "c-1", members, NOW)


def test_the_largest_campaign_that_reviewers_of_an_airdrop_confirmed_is_walked_through_whole(
    safe_airdrop: Path, sqlite_url: str, door: Door, tmp_path: Path
) -> None:
    convert(safe_airdrop, tmp_path / "facts")
    labels = pq.read_table(tmp_path / "facts" / "labels.parquet").to_pylist()
    largest, _ = Counter(label["campaign_id"] for label in labels).most_common(1)[0]
    members = sorted(label["account_id"] for label in labels if label["campaign_id"] == largest)
    now = CREATED + 90 * DAY
    with closing(open_store(sqlite_url, upgrading=True)) as store:
        import_directory(tmp_path / "facts", door=door, store=store, now=now, skip_bad_rows=None, progress=Quiet())

        assert len(listed(store)) == 68
        walk_through(store, largest, members, now)


def walk_through(store: Store, campaign_id: str, members: Sequence[str], at: int) -> None:
    """What an analyst does with a campaign of 5,511 members; benchmarks/campaign_size.py measures it."""
    review = ReviewCampaign(store, two_above=100)

    def every_page() -> list[str]:
        deed, token, seen = ListCampaignMembers(store), "", list[str]()
        while True:
            page = deed(campaign_id, page_size=1000, page_token=token)
            seen += [member.account_id for member in page.items]
            token = page.next_page_token
            if not token:
                return seen

    def twice(action: ReviewAction, moment: int) -> ReviewReceipt:
        first = review(asked(action, campaign_id, "ann"), now=moment)
        assert first.review.state is ReviewState.PENDING_SECOND_ANALYST
        return review(asked(action, campaign_id, "bob"), now=moment + 1)

    assert campaign_id in {record.campaign_id for record in listed(store)}
    before = GetCampaign(store)(campaign_id).record
    assert before.members == 5511
    assert sorted(every_page()) == members
    confirmed = twice(ReviewAction.CONFIRM, at)
    assert confirmed.labels_recorded == confirmed.campaign.confirmed_members == 5511
    assert b'"bundle"' in ExportIndicators(store)(campaign_id, now=at).data
    reopened = review(asked(ReviewAction.REOPEN, campaign_id), now=at + 2)
    assert reopened.campaign.confirmed_members == before.confirmed_members


class Quiet:
    """Nobody watches."""

    def begins(self, name: str, size: int) -> None: ...

    def advanced(self, read: int, rows: int) -> None: ...

    def ends(self, name: str, counts: Counts, *, published: bool) -> None: ...


@pytest.fixture
def safe_airdrop() -> Path:
    """The real records, where they are."""
    shared = Path(os.environ.get("GATEHOUSE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (shared / "safe_airdrop").is_dir():
        pytest.skip("the real records are not here; set GATEHOUSE_SHARED_DATA to the folder that has safe_airdrop")
    return shared / "safe_airdrop"


# --- texts of keys ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("trio")
def test_an_export_shows_keyed_hashes_unless_the_operator_named_texts_for_them(store: Store, tmp_path: Path) -> None:
    keyed = f"{hash64('d') % 2**64:016x}"
    texts = tmp_path / "texts.csv"
    texts.write_text(f"key_type,key_hash,text\ndevice,{keyed.upper()},the grey laptop\ncard,{keyed},no\n")

    plain = ExportIndicators(store)("c-1", now=NOW)
    named = ExportIndicators(store, texts)("c-1", now=NOW)

    assert plain.keys == named.keys == 1
    assert keyed in patterns(plain.data)
    assert "the grey laptop" in patterns(named.data)
    assert keyed not in patterns(named.data)
    assert read_key_texts(texts)("card", 1) == "0000000000000001"


def patterns(bundle: bytes) -> str:
    return " ".join(each["pattern"] for each in json.loads(bundle)["objects"] if each["type"] == "indicator")


@pytest.mark.parametrize("content", [b"key_type,text\n", b"\xff\xfe", b""])
def test_a_file_of_texts_that_is_not_one_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"GATEHOUSE_EXPORT_KEYS names .*texts\.csv"):
        read_key_texts(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_key_texts(tmp_path / "absent.csv")
