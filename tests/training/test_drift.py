"""A model's reference and what a later dataset is compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.domain.time import DAY
from service.features.columns import Column, Columns
from service.features.feature import MAIL, Feature
from service.model.stability import LATER, SCORE, Reference
from training.dataset import UNLABELLED, Accounts, Dataset
from training.drift import LEAST_NEW, drifted, reference_of, told

NOW = 100 * DAY


def nothing(columns: Columns) -> Column:
    return np.zeros(len(columns), np.float32)


FEATURES = tuple(
    Feature(name, "family", "Meaning.", "unit", "accounts", MAIL, 0, name == "kind", nothing)
    for name in ("length", "kind", "spent")
)


def dataset(old: int, new: int, seed: int, *, longer: float = 0.0, stands_for: float = 1.0) -> Dataset:
    """Accounts looked at twice; ``new`` of them signed up after NOW, with mail addresses ``longer`` than ever."""
    rng = np.random.default_rng(seed)
    n = old + new
    late = np.arange(n) >= old
    row = np.repeat(np.arange(n), 2)
    values = np.stack([rng.normal(12, 3, n) + longer * late, rng.integers(0, 5, n), rng.exponential(1, n)], axis=1)
    accounts = Accounts(
        account=rng.permutation(10**6)[:n].astype(np.int64),
        created_at=np.where(late, NOW + 1, NOW - DAY).astype(np.int64),
        verdict=np.full(n, UNLABELLED, np.int8),
        learned_at=np.zeros(n, np.int64),
        group=np.arange(n),
        campaign=(None,) * n,
        stands_for=np.full(n, stands_for),
    )
    matrix = values[row].astype(np.float32)
    ruled = np.empty((2 * n, 0), np.float32)
    return Dataset(NOW, FEATURES, accounts, row, np.tile([0, DAY], n), matrix, ruled, np.zeros(n, bool))


def scores(of: Dataset, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).beta(1, 50, len(of.row))


@pytest.fixture(scope="module")
def reference() -> Reference:
    learned = dataset(3_000, 0, 1)
    return reference_of(learned, scores(learned, 2), held=learned.row > 2_000)


def names(drift: tuple) -> set[str]:
    return {one.feature for one in drift if one.alarm}


def test_a_reference_knows_codes_and_counts_scores_of_rows_alone_that_were_not_learned(reference: Reference) -> None:
    assert [name for name, bins in reference.features.items() if bins.categories] == ["kind"]
    assert reference.features["length"].accounts == (3_000, 3_000)
    assert reference.score is not None
    assert reference.score.accounts == (999, 999)


def test_scores_of_all_rows_count_where_the_booster_learned_from_all() -> None:
    learned = dataset(500, 0, 1)
    made = reference_of(learned, scores(learned, 2), held=np.zeros(1_000, bool))
    assert made.score is not None
    assert made.score.accounts == (500, 500)


def test_an_account_that_stands_for_nine_is_one_account() -> None:
    learned = dataset(500, 0, 1, stands_for=9.0)
    made = reference_of(learned, scores(learned, 2), held=np.ones(1_000, bool))
    assert made.features["length"].accounts == (500, 500)


def test_probes_before_a_confirmation_are_of_campaigns_only_and_no_reference(reference: Reference) -> None:
    learned = dataset(500, 500, 1)
    odd = replace(learned, age=np.where((learned.age > 0) & (learned.row % 3 == 0), 5 * DAY // 4 - 1, learned.age))
    made = reference_of(odd, scores(odd, 2), held=np.ones(2_000, bool))
    assert made.ages == (0, DAY)
    told_apart = drifted(reference, odd, None, since=NOW)
    assert {one.accounts for one in told_apart if one.of == LATER} == {
        len(np.unique(odd.row[(odd.row >= 500) & (odd.age == DAY)]))
    }


def test_a_reference_leaves_the_calendar_out() -> None:
    learned = dataset(500, 0, 1)
    named = (replace(FEATURES[0], name="local_weekday"), *FEATURES[1:])
    made = reference_of(replace(learned, features=named), scores(learned, 2), held=np.ones(1_000, bool))
    assert list(made.features) == ["kind", "spent"]


def test_those_who_signed_up_since_are_compared_and_not_lost_among_those_before(reference: Reference) -> None:
    later = dataset(20_000, LEAST_NEW, 3, longer=4.0)
    assert names(drifted(reference, later, None, since=NOW)) == {"length"}
    assert names(drifted(reference, later, None, since=NOW - 2 * DAY)) == set()


def test_where_few_signed_up_since_all_are_compared_but_only_their_scores(reference: Reference) -> None:
    later = dataset(4_000, LEAST_NEW - 1, 3)
    by_heart = np.where(later.row < 4_000, 1.0, scores(later, 4))
    drift = drifted(reference, later, by_heart, since=NOW)
    assert names(drift) == set()
    assert {one.accounts for one in drift if one.feature == SCORE} == {LEAST_NEW - 1}
    assert {one.accounts for one in drift if one.feature != SCORE} == {4_000 + LEAST_NEW - 1}


def test_a_report_names_each_feature_once_with_its_share_of_gain_the_farthest_first(reference: Reference) -> None:
    later = dataset(0, 1_000, 3, longer=4.0)
    rows = told(drifted(reference, later, scores(later, 4), since=NOW), {"length": 30.0, "kind": 10.0, "spent": 0.0})
    assert rows[0]["feature"] == "length"
    assert sorted(row["feature"] for row in rows) == ["kind", "length", SCORE, "spent"]
    by_name = {row["feature"]: row for row in rows}
    assert by_name["length"]["alarm"]
    assert by_name["length"]["gain"] == 0.75
    assert by_name[SCORE]["gain"] is None
