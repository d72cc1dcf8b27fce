"""Weights on made-up rows whose truth is known: unlabelled fraud, wrong labels, and campaigns of unequal size."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.time import DAY
from service.features.columns import Column, Columns
from service.features.feature import MAIL, Feature
from tests.factories import NOON
from training.dataset import FRAUD, LEGITIMATE, UNLABELLED, Accounts, Dataset
from training.evaluate import figures
from training.fit import FitRows, fit_booster, parameters_of
from training.silence import account_weight, campaign_share, learning_weight, per_probe, weigh_silence
from training.splits import TEST, TRAIN, Split

SEED = 2
COLUMNS = 8


def nothing(columns: Columns) -> Column:
    return np.zeros(len(columns), np.float32)


FEATURES = tuple(
    Feature(f"made_up_{i}", "family", "Meaning.", "unit", "accounts", MAIL, 0, False, nothing) for i in range(COLUMNS)
)


def world(
    campaigns: list[tuple[int, int]], *, unlabelled: float = 0.0, wrong: float = 0.0, honest: int = 3_000
) -> tuple[Dataset, np.ndarray, Split]:
    """Campaigns of (members, the column that gives their tactic away), honest accounts, truth and sides.

    Every second campaign, and half of the honest accounts, are on the test side.
    """
    rng = np.random.default_rng(SEED)
    of = np.concatenate([np.full(honest, -1), np.repeat(np.arange(len(campaigns)), [size for size, _ in campaigns])])
    truth = of >= 0
    n = len(of)
    matrix = rng.normal(size=(n, COLUMNS)).astype(np.float32)
    tactic = np.array([column for _, column in campaigns])
    matrix[truth, tactic[of[truth]]] += 2.5
    test = np.where(truth, of % 2 == 1, rng.random(n) < 0.5)
    judged = np.where(truth, rng.random(n) >= unlabelled, rng.random(n) < 0.05)
    said = truth ^ (judged & (rng.random(n) < wrong))
    verdict = np.where(judged, np.where(said, FRAUD, LEGITIMATE), UNLABELLED).astype(np.int8)
    group = np.where((verdict == FRAUD) & truth, 10_000 + of, np.arange(n))
    created = NOON + rng.integers(0, 20 * DAY, n)
    accounts = Accounts(
        account=np.arange(n),
        created_at=created,
        verdict=verdict,
        learned_at=np.where(verdict == UNLABELLED, 0, created + 4 * DAY),
        group=group,
        campaign=tuple(f"c{number}" if number >= 0 else None for number in of.tolist()),
        stands_for=np.ones(n),
    )
    dataset = Dataset(
        as_of=NOON + 60 * DAY,
        features=FEATURES,
        accounts=accounts,
        row=np.arange(n),
        age=np.zeros(n, np.int64),
        matrix=matrix,
        ruled=np.zeros((n, 0), np.float32),
        overturned=np.zeros(n, bool),
    )
    return dataset, truth, Split(np.where(test, TEST, TRAIN).astype(np.int8), "time", (), 0)


def scores(dataset: Dataset, sides: Split, weight: np.ndarray) -> np.ndarray:
    of = dataset.accounts
    rows = FitRows(dataset.matrix, of.verdict == FRAUD, weight, of.group)
    booster = fit_booster(
        rows.part(sides.on(TRAIN) & (weight > 0)), dataset.features, parameters_of(dataset.features, 7, SEED), 50
    )
    return np.asarray(booster.predict(dataset.matrix, num_threads=1))


def shipped(dataset: Dataset, sides: Split, share: np.ndarray) -> np.ndarray:
    silence = weigh_silence(dataset, sides, share, SEED)
    return learning_weight(dataset, sides, silence, share, np.zeros(len(dataset.row)))


def precision(score: np.ndarray, truth: np.ndarray, among: np.ndarray) -> float:
    return figures(score[among], truth[among].astype(float), np.ones(int(among.sum())))["average_precision"] or 0.0


EQUAL = [(40, i % 3) for i in range(16)]


def test_a_silent_member_is_an_example_of_honesty_far_less_than_an_honest_account_is() -> None:
    dataset, truth, sides = world(EQUAL, unlabelled=0.3)
    share = campaign_share(dataset.accounts.group)
    silence = weigh_silence(dataset, sides, share, SEED)
    silent = dataset.accounts.verdict == UNLABELLED
    for side in (TRAIN, TEST):
        on = silent & sides.on(side)
        assert silence.hidden[on & truth].mean() > 2 * silence.hidden[on & ~truth].mean()
        assert silence.hidden[on].sum() < 2 * (on & truth).sum()  # the mean of the pilot as estimate: seven times
    assert (silence.hidden[dataset.accounts.verdict == FRAUD] == 1).all()
    assert (silence.hidden[dataset.accounts.verdict == LEGITIMATE] == 0).all()


def test_where_three_in_ten_members_were_never_labelled_weights_find_more_than_taking_them_as_honest() -> None:
    dataset, truth, sides = world(EQUAL, unlabelled=0.3)
    share = campaign_share(dataset.accounts.group)
    plain = per_probe(dataset, account_weight(dataset, sides, share))
    held = sides.on(TEST)
    weighed = scores(dataset, sides, shipped(dataset, sides, share))
    honest = scores(dataset, sides, plain)
    only = scores(dataset, sides, np.where(dataset.accounts.verdict == UNLABELLED, 0.0, plain))
    assert precision(weighed, truth, held) >= precision(honest, truth, held)
    assert precision(weighed, truth, held) > precision(only, truth, held)


@pytest.mark.parametrize("wrong", [0.03, 0.05])
def test_a_few_wrong_verdicts_in_a_hundred_cost_little(wrong: float) -> None:
    def found(share_wrong: float) -> float:
        dataset, truth, sides = world(EQUAL, unlabelled=0.3, wrong=share_wrong)
        share = campaign_share(dataset.accounts.group)
        return precision(scores(dataset, sides, shipped(dataset, sides, share)), truth, sides.on(TEST))

    assert found(wrong) > 0.85 * found(0.0)


def test_one_large_campaign_does_not_drown_five_small_ones() -> None:
    sizes = [(1_500, 0), (1_500, 0)] + [(12, 1)] * 10  # every second is held out
    dataset, truth, sides = world(sizes)
    of = dataset.accounts
    small = truth & (dataset.matrix[:, 0] < 2.0) & (np.arange(len(truth)) >= len(truth) - 120)
    among = sides.on(TEST) & (small | ~truth)
    share = campaign_share(of.group)
    fairly = scores(dataset, sides, shipped(dataset, sides, share))
    alike = scores(dataset, sides, shipped(dataset, sides, np.ones(len(share))))
    assert precision(fairly, truth, among) > 1.5 * precision(alike, truth, among)


def test_a_campaign_of_nine_hundred_weighs_as_three_of_a_hundred() -> None:
    share = campaign_share(np.repeat([1, 2], [900, 100]))
    assert share[:900].sum() == pytest.approx(3 * share[900:].sum())


def test_a_member_that_stands_for_several_weighs_as_they_would() -> None:
    whole = campaign_share(np.zeros(400, np.int64))
    drawn = campaign_share(np.zeros(40, np.int64), np.full(40, 10.0))
    assert drawn.sum() == pytest.approx(whole.sum())
