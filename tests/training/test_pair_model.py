from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from click.testing import CliRunner

from service.cli import cli
from service.domain.campaigns import CampaignState, ReviewAction, ReviewAsked
from service.domain.codes import hash64
from service.domain.detection import STATE_CODES, CampaignRows, FoundCampaign
from service.domain.enums import Verdict
from service.domain.facts import Int64s
from service.domain.raw import Label
from service.domain.time import DAY
from service.linking.accounts import Accounts
from service.linking.families import FAMILIES
from service.linking.find import TIED
from service.linking.judge import shipped
from service.linking.pair_model import COLUMNS, SIGNS, SPARED, fingerprint
from service.model.artefact import read_artefact, write_artefact
from service.storage.store import Store, open_store
from service.usecases.detect import Detect
from service.usecases.observe import Observed, Observer
from service.usecases.pair_models import pair_model
from tests.factories import NOON, ints
from training.pair_model import (
    FEWEST,
    FOLDS,
    UNLABELLED,
    Examples,
    Known,
    Learned,
    _folds,
    _out_of_fold,
    _said,
    _tied_at,
    examples,
    known,
    learn,
    train_pair_model,
)
from training.simulate import DEFAULT_START, simulate

PROMPT, MAIL = FAMILIES.index("prompt"), FAMILIES.index("mail")
NEVER = 2**62


# --- made-up pairs --------------------------------------------------------------------------------------------------


def a_world(
    campaigns: int = 12, each: int = 60, strangers: int = 4_000, seed: int = 4, *, tells: bool = True
) -> Examples:
    """Pairs of ``campaigns`` confirmed campaigns and as many refuted ones; where prompts tell, honest mail misleads."""
    rng = np.random.default_rng(seed)
    p = 2 * campaigns * each + strangers
    number = np.repeat(np.arange(2 * campaigns), each)
    left = np.concatenate([number, np.full(strangers, -1)])
    same = left < campaigns
    same[-strangers:] = False
    families = np.zeros((p, len(FAMILIES)))
    families[:, MAIL] = rng.uniform(0, 14, p) * (~same if tells else 1.0)
    families[:, PROMPT] = rng.uniform(0, 8, p) + (4.0 * same if tells else 0.0)
    matrix = np.zeros((p, len(COLUMNS)), np.float32)
    matrix[:, : len(FAMILIES)] = families
    matrix[:, len(FAMILIES)] = families.sum(axis=1)
    return Examples(
        matrix=matrix,
        nats=families.sum(axis=1),
        same=same,
        weight=np.where(left >= 0, 1.0, UNLABELLED),
        left=left,
        right=left.copy(),
        group=np.where(left >= 0, left, 1_000 + np.arange(p)),
        campaigns=campaigns,
        labelled=2 * campaigns * each,
    )


def learned(made: Examples, seed: int = 3) -> Learned:
    return learn(made, as_of=NOON, seed=seed, created_at=NOON, code_version="0")


def test_what_beats_the_label_free_sum_on_campaigns_not_seen_is_kept() -> None:
    out = learned(a_world())
    assert out.kept
    assert out.average_precision is not None
    assert out.label_free is not None
    assert out.standard_error is not None
    assert out.average_precision - out.label_free > out.standard_error > 0
    assert "kept: average precision" in out.why


def test_what_does_not_beat_it_is_not_kept_and_says_by_how_much() -> None:
    out = learned(a_world(tells=False))
    assert not out.kept
    assert out.artefact is None
    assert f"average precision {out.average_precision:.3f} where the label-free sum has {out.label_free:.3f}" in out.why


def test_fewer_campaigns_than_it_can_be_measured_on_are_not_enough() -> None:
    out = learned(a_world(FEWEST - 1))
    assert not out.kept
    assert out.why.startswith(f"not kept: {FEWEST - 1} confirmed campaigns")
    assert learned(a_world(FEWEST)).average_precision is not None


def test_the_same_pairs_and_seed_give_the_same_bytes_and_other_pairs_others() -> None:
    one, again, other = (learned(made).artefact for made in (a_world(), a_world(), a_world(seed=5)))
    assert one is not None
    assert again is not None
    assert other is not None
    assert (one.booster, one.manifest_text) == (again.booster, again.manifest_text)
    assert one.booster != other.booster
    assert one.manifest.data_fingerprint != other.manifest.data_fingerprint


def test_no_column_moves_the_answer_against_its_sign_whatever_labels_say() -> None:
    made = a_world()
    rng = np.random.default_rng(9)
    matrix = rng.uniform(0, 8, made.matrix.shape).astype(np.float32)
    against = -(matrix * np.array(SIGNS)).sum(axis=1)  # the labels say the opposite of every sign
    made = replace(made, matrix=matrix, same=(against > np.quantile(against, 0.8)) & (made.left >= 0))
    prompts = matrix[:, PROMPT] > 5  # and something that it may learn
    made = replace(made, same=made.same | prompts)
    out = _booster(made)
    base = rng.uniform(0, 8, (50, len(COLUMNS))).astype(np.float32)
    moved = 0.0
    for column, sign in enumerate(SIGNS):
        probe = np.repeat(base, 20, axis=0)
        probe[:, column] = np.tile(np.linspace(0, 8, 20), 50)
        answers = np.asarray(out.predict(probe, raw_score=True, num_threads=1)).reshape(50, 20)
        steps = sign * np.diff(answers, axis=1)
        assert (steps >= -1e-12).all(), COLUMNS[column]
        moved += float(steps.max())
    assert moved > 0.5


def _booster(made: Examples) -> lightgbm.Booster:
    from training.pair_model import _fitted

    return _fitted(made, np.ones(len(made.same), bool), 3)


def test_no_campaign_confirmed_or_refuted_is_on_both_sides_of_a_fold() -> None:
    made = a_world()
    rng = np.random.default_rng(2)
    across = rng.random(len(made.same)) < 0.2
    made = replace(made, right=np.where(across, rng.permutation(made.left), made.right))
    one, other = _folds(made, 3)
    confirmed = set(range(made.campaigns))
    for fold in range(FOLDS):
        asked, learned_from = (one == fold) & (other == fold), (one != fold) & (other != fold)
        tested = {int(c) for c in np.concatenate([made.left[asked], made.right[asked]])} - {-1}
        trained = {int(c) for c in np.concatenate([made.left[learned_from], made.right[learned_from]])} - {-1}
        assert not tested & trained
        assert tested & confirmed  # dealt out evenly: every fold has some
    assert np.isnan(_out_of_fold(made, 3)).any()  # pairs of two folds' campaigns are not asked about


def tied_of(made: Examples) -> np.ndarray:
    """Which pairs are tied by models that have not seen their campaigns."""
    score = _out_of_fold(made, 3)
    return (score >= _tied_at(made, score, np.arange(len(score)))) | (made.nats >= TIED + SPARED)


def test_no_more_strangers_are_tied_than_the_sum_ties_and_more_pairs_of_campaigns() -> None:
    made = a_world()
    tied, free = tied_of(made), made.nats >= TIED

    def strangers(which: np.ndarray) -> float:
        return float(made.weight[~made.same & which].sum() / made.weight[~made.same].sum())

    assert strangers(free) > 0.05
    assert 0.7 * strangers(free) < strangers(tied) <= strangers(free)  # trees answer in steps
    assert tied[made.same].mean() > free[made.same].mean() + 0.05


def test_where_the_sum_ties_no_stranger_none_is_tied() -> None:
    made = a_world()
    made = replace(made, nats=np.where(made.same, made.nats, 0.0))
    assert not tied_of(made)[~made.same].any()


def test_what_is_kept_is_sealed_and_serves_as_it_was_measured(tmp_path: Path) -> None:
    out = learned(a_world())
    assert out.artefact is not None
    write_artefact(out.artefact, tmp_path / "p-1")
    read = read_artefact(tmp_path / "p-1")
    assert read.manifest.feature_fingerprint == fingerprint()
    assert read.manifest.metrics["label_free"] == out.label_free
    assert read.manifest.calibration["threshold"] == TIED
    assert pair_model(read).tied_at == read.manifest.calibration["tied_at"]
    assert out.to_json()["version"] == read.manifest.version


# --- what labels say of pairs ---------------------------------------------------------------------------------------


def campaigns(*members: tuple[int, str, int, int], states: dict[str, tuple[int, CampaignState]]) -> CampaignRows:
    """Members as (account, campaign, joined, left), and each campaign's state with its moment."""
    none = np.empty(0, np.int64)
    return CampaignRows(
        member_account=ints([one[0] for one in members]),
        member_campaign=ints([hash64(one[1]) for one in members]),
        member_start=ints([one[2] for one in members]),
        member_end=ints([one[3] for one in members]),
        membership=np.ones(len(members)),
        key=none,
        key_campaign=none,
        key_start=none,
        key_end=none,
        key_kind=none.astype(np.int32),
        key_weight=none.astype(np.float64),
        key_private=none.astype(bool),
        key_family=none.astype(np.int8),
        state_campaign=ints([hash64(name) for name in states]),
        state_at=ints([at for at, _ in states.values()]),
        state=np.array([STATE_CODES[state] for _, state in states.values()], np.int8),
        state_score=np.full(len(states), 0.95),
        state_members=np.full(len(states), 3),
    )


RING, CREW, CLUB, OPEN = "ring", "crew", "club", "open"
STATES = {
    RING: (NOON - DAY, CampaignState.CONFIRMED),
    CREW: (NOON - DAY, CampaignState.CONFIRMED),
    CLUB: (NOON - DAY, CampaignState.REFUTED),
    OPEN: (NOON - DAY, CampaignState.DETECTED),
}


def standing(n: int = 12) -> Known:
    """0-2 ring (2 without a verdict), 3-4 crew, 5-6 club, 7-8 open, 9 cleared, 10 fraud of its own, 11 silent."""
    of = [(0, RING), (1, RING), (2, RING), (3, CREW), (4, CREW), (5, CLUB), (6, CLUB), (7, OPEN), (8, OPEN)]
    rows = campaigns(*((account, name, NOON - DAY, NEVER) for account, name in of), states=STATES)
    verdicts = ints([0, 1, 3, 4, 9, 10]), ints([1, 1, 1, 1, 2, 1])
    ones = np.ones(n, np.int64)
    return known(Accounts(np.arange(n), ones, ones, ones, ones, NOON), rows, verdicts)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (0, 1, "same"),
        (3, 4, "same"),
        (0, 3, "strangers"),  # two campaigns
        (0, 9, "strangers"),  # a member and somebody cleared
        (0, 5, "strangers"),  # ... or of a refuted campaign
        (5, 6, "strangers"),  # refuting teaches
        (5, 9, "strangers"),
        (0, 11, "nothing"),
        (9, 11, "nothing"),
        (5, 11, "nothing"),
        (0, 2, "left out"),  # the confirmed campaign's member of whom no verdict is known
        (7, 8, "left out"),  # members of one that nobody has judged
        (7, 11, "nothing"),
        (0, 10, "left out"),  # fraud that no campaign explains
        (10, 11, "left out"),
    ],
)
def test_labels_say_of_a_pair(one: int, other: int, said: str) -> None:
    same, strangers, silent = (found[0] for found in _said(standing(), ints([one]), ints([other])))
    words = {"same": same, "strangers": strangers, "nothing": silent}
    assert [word for word, holds in words.items() if holds] == ([] if said == "left out" else [said])


def test_who_has_left_a_campaign_by_then_or_joins_later_is_no_member() -> None:
    rows = campaigns(
        (0, RING, NOON - 2 * DAY, NOON - DAY), (1, RING, NOON + 1, NEVER), (2, RING, NOON, NEVER), states=STATES
    )
    ones = np.ones(3, np.int64)
    about = known(Accounts(np.arange(3), ones, ones, ones, ones, NOON), rows, (ints([0, 1, 2]), ints([1, 1, 1])))
    assert about.confirmed.tolist() == [-1, -1, 0]


# --- a simulated world with analysts' labels ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    simulate(
        folder / "world", accounts=2_400, days=40, campaigns=30, seed=11, start=DEFAULT_START, exchanges_per_day=1.0
    )
    database = f"sqlite:///{folder / 'gatehouse.db'}"
    done = CliRunner().invoke(cli, ["import", str(folder / "world"), "--database", database], catch_exceptions=False)
    assert done.exit_code == 0
    return folder


@pytest.fixture(scope="module")
def held(world: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{world / 'gatehouse.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def end(held: Store) -> int:
    newest = held.newest_fact()
    assert newest is not None
    return newest


@pytest.fixture(scope="module")
def observed(held: Store, end: int) -> Observed:
    return Observer(held)(end - 5 * DAY)


def pairs_of(store: Store, observed: Observed, *, most: int = 10**9) -> Examples:
    at = observed.accounts.as_of
    rows = store.campaign_rows(None, np.empty(0, np.int64), at)
    return examples(
        observed.seen, observed.accounts, known(observed.accounts, rows, store.verdicts(at)), seed=1, most=most
    )


def test_a_simulated_worlds_labels_make_pairs_of_each_sort(held: Store, observed: Observed) -> None:
    made = pairs_of(held, observed)
    assert made.campaigns >= FEWEST
    assert 0 < made.same.sum() < made.labelled < len(made.same)
    assert made.weight[made.same].mean() == pytest.approx(1.0)
    strangers = made.weight[~made.same]
    assert set(np.unique(strangers).tolist()) == {UNLABELLED, 1.0}
    assert (made.left[made.same] == made.right[made.same]).all()


def test_of_too_many_unlabelled_pairs_some_are_drawn_that_weigh_as_much(held: Store, observed: Observed) -> None:
    whole, few = pairs_of(held, observed), pairs_of(held, observed, most=1_000)
    assert len(few.same) == whole.labelled + 1_000
    assert few.same.sum() == whole.same.sum()
    assert few.weight.sum() == pytest.approx(whole.weight.sum())


def test_training_says_how_it_did_on_a_simulated_world(held: Store, end: int) -> None:
    out = train_pair_model(held, as_of=end, seed=1, created_at=end, code_version="0")
    assert out.campaigns >= FEWEST
    assert out.label_free is not None
    assert out.average_precision is not None
    assert out.standard_error is not None
    assert out.kept == (out.average_precision - out.label_free > out.standard_error)
    early = train_pair_model(held, as_of=end - 39 * DAY, seed=1, created_at=end, code_version="0")
    assert (early.kept, early.pairs) == (False, 0)
    assert "5 are the least" in early.why


def test_what_a_replay_has_just_seen_teaches_the_same_as_reading_everything(held: Store, end: int) -> None:
    anew = train_pair_model(held, as_of=end, seed=1, created_at=end, code_version="0")
    detect = Detect(held, shipped())
    for at in (end - DAY, end):
        detect.observed(at)
    seen = train_pair_model(held, as_of=end, seed=1, created_at=end, code_version="0", observe=detect.observed)
    assert seen == anew


def accounts_of(observed: Observed, silent: Int64s, n: int) -> Int64s:
    free = ~np.isin(observed.accounts.account, silent)
    return np.asarray(observed.accounts.account[free][:n])


def test_labels_learned_later_change_nothing_and_then_they_count(held: Store, observed: Observed, end: int) -> None:
    """The world's last test: it adds a refuted campaign and a label to it."""
    before = pairs_of(held, observed)
    members = np.sort(np.unique(observed.seen.account[observed.seen.key == np.argmax(observed.seen.degree)])[:12])
    run = held.begin_detection(end, "test", end)
    club = FoundCampaign(
        campaign_id="club",
        accounts=observed.accounts.account[members],
        membership=np.full(len(members), 0.9, np.float32),
        key_types=["ip"] * len(members),
        score=0.95,
        state=CampaignState.DETECTED,
        evidence=held.campaign_evidence(held.campaigns()[0].campaign_id),
    )
    held.record_detection([club], run=run, as_of=end)
    held.finish_detection(run, end, "{}")
    held.review(ReviewAsked("club", ReviewAction.REFUTE, "ann", "a hall"), at=end + DAY, two_above=100)
    other = held.account_ids(accounts_of(observed, held.verdicts(end)[0], 1))[0]
    held.record_labels([Label(other, Verdict.LEGITIMATE, end + DAY, "ann")], end + DAY)

    after = pairs_of(held, observed)
    assert (after.matrix == before.matrix).all()
    assert (after.weight == before.weight).all()

    now = replace(observed, accounts=replace(observed.accounts, as_of=end + 2 * DAY))
    assert (
        pairs_of(held, now).labelled
        > pairs_of(held, replace(observed, accounts=replace(observed.accounts, as_of=end))).labelled
    )
