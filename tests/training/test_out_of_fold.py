"""No stage sees its own labels: changing the labels of one side, or one fold, leaves what it is given as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.time import DAY
from service.storage.arrivals import Arrival
from service.storage.store import open_store
from tests.factories import NOON, make_signups
from training.dataset import FRAUD, UNLABELLED, Dataset, build
from training.fit import folds_of
from training.pipeline import Trained, train
from training.silence import PILOT_FOLDS, campaign_share, learning_weight, pilot_scores, weigh_silence
from training.splits import CALIBRATION, TEST, TRAIN, Split, split

T = NOON + 60 * DAY
HONEST, FRAUDS = 900, 120
SEED = 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Honest accounts, and frauds without campaigns, two on a device, half of them with a free mailbox."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('folds')}/gatehouse.db", upgrading=True)
    rng = np.random.default_rng(5)
    names = [f"h{i}" for i in range(HONEST)] + [f"f{i}" for i in range(FRAUDS)]
    when = {name: NOON + int(rng.integers(0, 50 * DAY)) for name in names}
    for free in (0.0, 1.0):
        mine = [name for name in names if (hash64(name) % 4 == 0 or (name[0] == "f" and hash64(name) % 2 == 0)) == free]
        links = [
            (name, "device", int(name[1:]) // 2 + 10**6 if name[0] == "f" else hash64(name), when[name])
            for name in mine
        ]
        signups = make_signups([(name, when[name]) for name in mine], links, {"mail_free": free})
        store.write([Arrival(None, signups=signups)])
    said = [Label(f"f{i}", Verdict.FRAUD, when[f"f{i}"] + 4 * DAY, "ann") for i in range(0, FRAUDS, 2)]
    said += [Label(f"f{i}", Verdict.FRAUD, when[f"f{i}"] + 9 * DAY, "bob") for i in range(1, FRAUDS, 2)]
    said += [Label(f"h{i}", Verdict.LEGITIMATE, when[f"h{i}"] + 5 * DAY, "bob") for i in range(0, HONEST, 9)]
    store.record_labels(said)
    made = build(store, store.labels_at(T), as_of=T, seed=SEED)
    store.close()
    return made


def sides_of(dataset: Dataset) -> Split:
    of = dataset.accounts
    share = campaign_share(of.group, of.stands_for)
    return split(of.created_at, of.group, np.where(of.verdict == FRAUD, share, 0.0), seed=SEED)


def exchanged(dataset: Dataset, among: np.ndarray) -> Dataset:
    """The same rows, with the verdicts of the first frauds and the first silent accounts ``among`` these exchanged."""
    of = dataset.accounts
    frauds = np.flatnonzero(among & (of.verdict == FRAUD))[:10]
    silent = np.flatnonzero(among & (of.verdict == UNLABELLED))[: len(frauds)]
    assert len(frauds) >= 8
    verdict, learned = of.verdict.copy(), of.learned_at.copy()
    verdict[frauds], verdict[silent] = UNLABELLED, FRAUD
    learned[silent], learned[frauds] = of.created_at[silent] + 31 * DAY, 0
    return replace(dataset, accounts=replace(of, verdict=verdict, learned_at=learned))


def weights(dataset: Dataset, sides: Split) -> np.ndarray:
    of = dataset.accounts
    share = campaign_share(of.group, of.stands_for)
    silence = weigh_silence(dataset, sides, share, SEED)
    return learning_weight(dataset, sides, silence, share, np.zeros(len(dataset.row)))


def trained(dataset: Dataset) -> Trained:
    return train(dataset, seed=SEED, budget=0.02, origin="trained", created_at=T, code_version="0")


@pytest.fixture(scope="module")
def model(dataset: Dataset) -> Trained:
    return trained(dataset)


def test_sides_are_by_time(dataset: Dataset) -> None:
    sides = sides_of(dataset)
    of = dataset.accounts
    assert sides.by == "time"
    for earlier, later in ((TRAIN, CALIBRATION), (CALIBRATION, TEST)):
        assert of.created_at[sides.on(earlier)].max() < of.created_at[sides.on(later)].min()


@pytest.mark.parametrize("side", [CALIBRATION, TEST], ids=["calibration", "test"])
def test_labels_that_calibrate_or_test_reach_no_training_weight(dataset: Dataset, side: int) -> None:
    sides = sides_of(dataset)
    other = exchanged(dataset, sides.on(side))
    learned = sides.on(TRAIN)[dataset.row]
    before, after = weights(dataset, sides), weights(other, sides)
    assert (before[learned] == after[learned]).all()
    assert (before[~learned] != after[~learned]).any()


def test_test_labels_change_neither_the_booster_nor_its_calibration(dataset: Dataset, model: Trained) -> None:
    sides = sides_of(dataset)
    other = exchanged(dataset, sides.on(TEST))
    assert (sides_of(other).side == sides.side).all()
    again = trained(other)
    assert again.artefact.booster == model.artefact.booster
    assert again.artefact.manifest.calibration == model.artefact.manifest.calibration
    assert (again.scores == model.scores).all()
    assert again.report["metrics"] != model.report["metrics"]


def test_calibration_labels_change_the_calibration_and_not_the_booster(dataset: Dataset, model: Trained) -> None:
    sides = sides_of(dataset)
    other = exchanged(dataset, sides.on(CALIBRATION))
    if not (sides_of(other).side == sides.side).all():
        pytest.fail("the exchange moved the sides, so that nothing can be said")
    again = trained(other)
    assert again.artefact.booster == model.artefact.booster
    assert again.artefact.manifest.calibration != model.artefact.manifest.calibration


def test_training_labels_do_change_the_booster(dataset: Dataset, model: Trained) -> None:
    again = trained(exchanged(dataset, sides_of(dataset).on(TRAIN)))
    assert again.artefact.booster != model.artefact.booster


def test_a_folds_labels_do_not_reach_its_own_pilot_scores(dataset: Dataset) -> None:
    sides, of = sides_of(dataset), dataset.accounts
    share = campaign_share(of.group, of.stands_for)
    fold = folds_of(of.group, PILOT_FOLDS, SEED)
    mine = sides.on(TRAIN) & (fold == 1)
    others = sides.on(TRAIN) & (fold != 1)
    before = pilot_scores(dataset, sides, share, SEED)
    after = pilot_scores(exchanged(dataset, mine), sides, share, SEED)
    assert (before[mine[dataset.row]] == after[mine[dataset.row]]).all()
    assert (before[others[dataset.row]] != after[others[dataset.row]]).any()


def test_members_of_one_campaign_are_in_one_fold() -> None:
    group = np.repeat(np.arange(40) * 7919, 25)
    fold = folds_of(group, PILOT_FOLDS, SEED)
    assert len(np.unique(np.stack([group, fold], axis=1), axis=0)) == 40
    assert len(np.unique(fold)) == PILOT_FOLDS
