from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.domain.time import DAY, HOUR
from service.model.stability import (
    LATER,
    SCORE,
    SIGNUP,
    Drift,
    Reference,
    Seen,
    independent,
    make_reference,
    shifted,
    stability,
    tally,
)

AGES = (0, HOUR, DAY)
CODES = {"agent"}


def people(n: int, seed: int, **changes: object) -> Seen:
    """``n`` accounts, each looked at as it signs up, after an hour and after a day; usage grows as they age."""
    rng = np.random.default_rng(seed)
    columns = {
        "length": rng.normal(12, 3, n),
        "disposable": (rng.random(n) < 0.03).astype(float),
        "agent": rng.choice(40, n, p=np.arange(40, 0, -1) / 820),
        "neighbours": rng.poisson(0.4, n).astype(float),
    }
    columns["length"][rng.random(n) < 0.1] = np.nan
    age = np.tile(AGES, n)
    matrix = {name: np.repeat(values, len(AGES)) for name, values in columns.items()}
    matrix["requests"] = np.where(age == 0, 0, rng.poisson(np.where(age == DAY, 40, 4)))
    table = np.stack(list(matrix.values()), axis=1).astype(np.float32)
    score = np.repeat(rng.beta(1, 60, n), len(AGES))
    account = np.repeat(rng.permutation(n), len(AGES))
    seen = Seen(tuple(matrix), table, age, account, account * HOUR, np.ones(len(age)), score)
    return replace(seen, **changes)  # type: ignore[arg-type]


def with_column(seen: Seen, name: str, values: np.ndarray) -> Seen:
    matrix = seen.matrix.copy()
    matrix[:, list(seen.names).index(name)] = values
    return replace(seen, matrix=matrix)


def of(drift: tuple[Drift, ...], feature: str, side: str = LATER) -> Drift:
    return next(one for one in drift if (one.feature, one.of) == (feature, side))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return make_reference(people(4_000, 1), CODES)


@pytest.mark.parametrize("n", [100, 130, 300, 1_000])
def test_new_people_of_the_same_kind_hardly_ever_raise_an_alarm_however_few(reference: Reference, n: int) -> None:
    """By chance once in a hundred draws, all features and the score together, in signups and older accounts."""
    alarms = [any(one.alarm for one in stability(reference, people(n, 100 + seed))) for seed in range(100)]
    assert sum(alarms) <= 5


def test_a_bin_that_hardly_anybody_is_in_makes_no_index() -> None:
    rare = people(4_000, 1)
    values = np.where(np.random.default_rng(2).random(12_000) < 0.999, 0.0, np.arange(12_000) % 9)
    made = make_reference(with_column(rare, "neighbours", values), CODES)
    few = with_column(people(100, 3), "neighbours", np.zeros(300))
    assert of(stability(made, few), "neighbours", SIGNUP).psi < 0.01


def test_the_index_of_two_samples_of_one_law_is_as_large_as_chance_makes_it(reference: Reference) -> None:
    """Its mean is (bins - 1) * (1/n + 1/m), as Yurdakul (2018) found."""
    small = [of(stability(reference, people(500, seed)), "length", SIGNUP).psi for seed in range(200)]
    assert np.mean(small) == pytest.approx(10 * (1 / 500 + 1 / 4_000), rel=0.15)


def test_a_lesser_change_is_an_alarm_and_not_yet_another_population(reference: Reference) -> None:
    seen = people(2_000, 3)
    longer = with_column(seen, "length", seen.matrix[:, 0] + 1.2)
    found = of(stability(reference, longer), "length", SIGNUP)
    assert found.alarm
    assert 0.1 < found.psi < 0.25
    assert shifted(reference, longer) == {}
    assert list(shifted(reference, longer, level=0.1)) == ["length"]


def test_what_wandered_while_the_model_learned_is_no_news_and_more_is() -> None:
    seen = people(4_000, 1)
    growing = with_column(seen, "length", seen.matrix[:, 0] + seen.account / 1_000)
    made = make_reference(growing, CODES)
    steady = make_reference(seen, CODES)
    last = with_column(people(1_000, 3), "length", people(1_000, 3).matrix[:, 0] + 4)
    assert made.features["length"].wander[SIGNUP] > 0.3 > steady.features["length"].wander.get(SIGNUP, 0.0)
    assert shifted(made, last) == {}
    assert list(shifted(steady, last)) == ["length"]
    farther = with_column(people(1_000, 3), "length", people(1_000, 3).matrix[:, 0] + 12)
    assert list(shifted(made, farther)) == ["length"]


def test_too_few_accounts_say_nothing(reference: Reference) -> None:
    assert stability(reference, people(99, 2)) == ()


def test_many_rows_of_few_accounts_are_few(reference: Reference) -> None:
    few = people(1_000, 2)
    assert stability(reference, replace(few, account=few.account % 50)) == ()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("length", lambda old, _: old + 3),
        ("length", lambda old, rng: np.where(rng.random(len(old)) < 0.5, np.nan, old)),
        ("disposable", lambda old, rng: (rng.random(len(old)) < 0.3).astype(float)),
        ("agent", lambda old, rng: np.where(rng.random(len(old)) < 0.4, 99.0, old)),
        ("neighbours", lambda old, _: old * 2),
        ("neighbours", lambda old, _: np.full(len(old), -1.0)),
    ],
    ids=["longer", "half unknown", "ten times as often", "a code never seen", "doubled", "below all that was seen"],
)
def test_the_feature_that_changed_raises_the_alarm_and_no_other(
    reference: Reference, name: str, change: object
) -> None:
    seen = people(1_000, 3)
    old = seen.matrix[:, list(seen.names).index(name)]
    changed = with_column(seen, name, change(old, np.random.default_rng(4)))  # type: ignore[operator]
    assert list(shifted(reference, changed)) == [name]
    assert stability(reference, changed)[0].feature == name


def test_doubled_usage_shows_in_older_accounts_and_not_in_signups_which_have_none(reference: Reference) -> None:
    seen = people(1_000, 3)
    doubled = with_column(seen, "requests", seen.matrix[:, list(seen.names).index("requests")] * 2)
    found = stability(reference, doubled)
    assert of(found, "requests", LATER).alarm
    assert not of(found, "requests", SIGNUP).alarm


def test_accounts_are_compared_with_what_they_were_at_that_age(reference: Reference) -> None:
    """Live rows are mostly of old accounts where training has a third: another mix of ages is no drift."""
    seen = people(3_000, 5)
    rare = np.random.default_rng(6).random(len(seen.age)) < 0.1
    assert shifted(reference, seen.part((seen.age == DAY) | rare)) == {}
    with_all_ages_as_one = make_reference(replace(people(4_000, 1), age=np.full(12_000, DAY)), CODES)
    old = seen.part(seen.age == DAY)
    assert "requests" in shifted(with_all_ages_as_one, old)


def test_an_age_at_which_training_never_looked_is_compared_with_nothing(reference: Reference) -> None:
    age = np.array([0, 4 * 60 * 10**6, -(10**6), 20 * 60 * 10**6, HOUR, 70 * 60 * 10**6, 3 * HOUR, DAY, 10 * DAY])
    assert reference.stratum(age).tolist() == [0, 0, 0, -1, 1, 1, -1, 2, -1]


def test_another_score_is_named_score(reference: Reference) -> None:
    seen = people(1_000, 3)
    assert seen.score is not None
    assert list(shifted(reference, replace(seen, score=np.sqrt(seen.score)))) == [SCORE]


def test_scores_that_do_not_count_are_not_compared(reference: Reference) -> None:
    seen = people(1_000, 3)
    assert seen.score is not None
    by_heart = seen.account < 500
    twisted = replace(seen, score=np.where(by_heart, 0.9, seen.score), scored=~by_heart)
    assert shifted(reference, twisted) == {}
    assert of(stability(reference, twisted), SCORE).accounts == 500


def test_a_feature_that_is_not_there_is_left_out_and_columns_may_come_in_any_order(reference: Reference) -> None:
    seen = people(1_000, 3)
    turned = replace(seen, names=tuple(seen.names[::-1]), matrix=seen.matrix[:, ::-1])
    assert stability(reference, turned) == stability(reference, seen)
    less = replace(seen, names=seen.names[1:], matrix=seen.matrix[:, 1:])
    assert {one.feature for one in stability(reference, less)} == {*seen.names[1:], SCORE}


def test_rows_count_as_many_as_they_stand_for() -> None:
    seen = people(4_000, 1)
    agent = list(seen.names).index("agent")
    rare = seen.matrix[:, agent] >= 20
    sampled = seen.part(rare | (seen.account % 4 == 0))
    weighted = replace(sampled, weight=np.where(sampled.matrix[:, agent] >= 20, 1.0, 4.0))
    assert "agent" in shifted(make_reference(sampled, CODES), people(1_000, 3))
    assert shifted(make_reference(weighted, CODES), people(1_000, 3)) == {}


def test_equal_accounts_count_one_each_and_weights_make_them_fewer() -> None:
    assert independent(np.arange(50).repeat(3), np.ones(150)) == pytest.approx(50)
    assert independent(np.arange(3), np.array([1.0, 1.0, 100.0])) == pytest.approx(1.04, abs=0.01)
    assert independent(np.empty(0, np.int64), np.empty(0)) == 0


def test_a_constant_feature_alarms_as_soon_as_it_moves_to_either_side() -> None:
    steady = with_column(people(1_000, 1), "length", np.ones(3_000))
    made = make_reference(steady, CODES)
    for other in (0.0, 2.0, np.nan):
        assert list(shifted(made, with_column(people(500, 2), "length", np.full(1_500, other)))) == ["length"]
    assert shifted(made, with_column(people(500, 2), "length", np.ones(1_500))) == {}


def test_a_feature_that_nobody_had_alarms_when_it_is_known() -> None:
    for name in ("length", "agent"):
        made = make_reference(with_column(people(1_000, 1), name, np.full(3_000, np.nan)), CODES)
        assert list(shifted(made, people(500, 2))) == [name]


def test_another_processors_last_bit_moves_nobody(reference: Reference) -> None:
    seen = people(1_000, 1)
    nudged = replace(seen, matrix=np.nextafter(seen.matrix, np.float32(np.inf)))
    same = [name for name in reference.features if name != "length" and name not in CODES]
    for name in same:
        bins = reference.features[name]
        i = list(seen.names).index(name)
        assert (bins.place(seen.matrix[:, i]) == bins.place(nudged.matrix[:, i])).all()


def test_it_goes_through_json_unchanged(reference: Reference) -> None:
    text = json.dumps(reference.to_json(), allow_nan=False)
    assert Reference.from_json(json.loads(text)) == reference
    assert Reference.from_json({}) is None


@pytest.mark.parametrize("change", ["ages", "features", "score"])
def test_a_reference_that_lacks_a_part_is_refused(reference: Reference, change: str) -> None:
    body = reference.to_json()
    del body[change]
    with pytest.raises(ValueError, match=change):
        Reference.from_json(body)


def test_shares_that_do_not_fit_their_cuts_are_refused(reference: Reference) -> None:
    body = json.loads(json.dumps(reference.to_json()))
    body["features"][0]["cuts"] += " 1e9"
    with pytest.raises(ValueError, match="each bin has its share"):
        Reference.from_json(body)


def test_counts_of_two_batches_add_up_to_those_of_both(reference: Reference) -> None:
    seen = people(300, 7)
    first = seen.account < 120
    parts = tally(reference, seen.part(first)).counts + tally(reference, seen.part(~first)).counts
    assert (parts == tally(reference, seen).counts).all()


def test_no_rows_are_no_drift(reference: Reference) -> None:
    nobody = people(10, 1).part(np.zeros(30, bool))
    assert stability(reference, nobody) == ()
