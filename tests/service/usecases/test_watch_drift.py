"""What a model scored lately, read from the record, against what it learned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from service.domain.codes import hash64_many
from service.domain.enums import Decision, ModelState, Purpose
from service.domain.errors import ArtefactProblem
from service.domain.records import Assessment, ModelRecord
from service.domain.time import DAY, HOUR
from service.model.artefact import Manifest
from service.model.stability import LATER, SCORE, SIGNUP, Seen, make_reference
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from service.usecases import watch_drift
from service.usecases.watch_drift import WatchDrift, Watched
from tests.factories import NOON, make_signups

NAMES = ("length", "light", "requests")
GAIN = {"length": 60.0, "light": 0.3, "requests": 39.7}
NOW = NOON + 40 * DAY


def rows(n: int, seed: int, *, longer: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = [rng.normal(12, 3, n) + longer, rng.normal(0, 1, n), rng.poisson(20, n)]
    return np.stack(columns, axis=1).astype("<f4")


def scores(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).beta(1, 50, n)


def a_model(reference: dict[str, object] | None = None) -> ModelRecord:
    n = 2_000
    seen = Seen(
        NAMES,
        np.concatenate([rows(n, 1) * [1, 1, 0], rows(n, 1)]).astype(np.float32),
        np.repeat([0, DAY], n),
        np.tile(np.arange(n), 2),
        np.tile(np.arange(n), 2),
        np.ones(2 * n),
        np.tile(scores(n, 2), 2),
    )
    nothing: dict[str, object] = {}
    manifest = Manifest(
        version="m1",
        created_at="2026-05-01T00:00:00Z",
        origin="trained",
        code_version="0",
        features=NAMES,
        feature_fingerprint="f",
        data_fingerprint="d",
        training=nothing,
        lightgbm=nothing,
        calibration=nothing,
        policy=nothing,
        metrics=nothing,
        gain=GAIN,
        reference=make_reference(seen).to_json() if reference is None else reference,
    )
    return ModelRecord("m1", ModelState.CHAMPION, "trained", NOON, "", "", manifest.text(), NOON, "")


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url, upgrading=True)
    yield opened
    opened.close()


def live(store: Store, n: int, matrix: np.ndarray, score: np.ndarray, **changes: object) -> list[Assessment]:
    """``n`` accounts sign up over the last week, and are scored at their signup and about a day later, if it came."""
    names = [f"a{i}" for i in range(n)]
    created = NOW - 7 * DAY + HOUR + np.arange(n) * (6 * DAY // n)
    signups = list(zip(names, created.tolist(), strict=True))
    store.write([Arrival(None, signups=make_signups(signups))])
    accounts = hash64_many(names)
    made = []
    for i, name in enumerate(names):
        for late in (0, DAY - HOUR, DAY + HOUR // 2):
            if (at := int(created[i]) + late) > NOW:
                continue
            row = matrix[i] * ([1, 1, 0] if late == 0 else [1, 1, 1])
            one = Assessment(
                assessment_id=f"{name}-{late}",
                account_id=name,
                account=int(accounts[i]),
                assessed_at=at,
                purpose=Purpose.PERIODIC if late else Purpose.SIGNUP,
                score=float(score[i]),
                decision=Decision.ALLOW,
                recommended_limit=None,
                model_version="m1",
                policy_version="p",
                feature_fingerprint="f",
                features=row.astype("<f4").tobytes(),
            )
            made.append(replace(one, **changes))  # type: ignore[arg-type]
    store.append_assessments(made)
    return made


def watched(store: Store) -> Watched:
    return WatchDrift(store)(a_model(), now=NOW)


def test_people_like_those_it_learned_from_are_no_alarm(store: Store) -> None:
    live(store, 600, rows(600, 7), scores(600, 8))
    found = watched(store)
    assert {one.of for one in found.drift} == {SIGNUP, LATER}
    assert found.alarms == ()


def test_each_account_counts_once_at_each_age(store: Store) -> None:
    made = live(store, 600, rows(600, 7), scores(600, 8))
    found = watched(store)
    after_a_day = {one.account for one in made if one.purpose is Purpose.PERIODIC}
    assert found.rows == 600 + len(after_a_day)
    assert {one.accounts for one in found.drift if one.of == LATER} == {len(after_a_day)}


def test_what_drifted_is_an_alarm_where_the_score_rests_on_it(store: Store) -> None:
    changed = rows(600, 7, longer=3)
    changed[:, 1] += 3
    live(store, 600, changed, scores(600, 8))
    found = watched(store)
    assert {one.feature for one in found.drift if one.alarm} == {"length", "light"}
    assert [one.feature for one in found.alarms] == ["length"]


def test_the_score_comes_first(store: Store) -> None:
    live(store, 600, rows(600, 7, longer=6), np.sqrt(scores(600, 8)))
    assert [one.feature for one in watched(store).alarms] == [SCORE, "length"]


def test_what_was_scored_by_another_model_or_before_the_week_is_not_compared(store: Store) -> None:
    live(store, 600, rows(600, 7), scores(600, 8), model_version="m0")
    assert watched(store).rows == 0
    later = WatchDrift(store)(a_model(), now=NOW + 30 * DAY)
    assert (later.rows, later.drift) == (0, ())


def test_too_few_accounts_are_quiet(store: Store) -> None:
    live(store, 60, rows(60, 7, longer=9), scores(60, 8))
    found = watched(store)
    assert found.rows > 60
    assert found.drift == ()


def test_a_sample_is_taken_of_many_and_it_is_the_same_each_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    live(store, 900, rows(900, 7), scores(900, 8))
    monkeypatch.setattr(watch_drift, "MOST", 300)
    first, second = watched(store), watched(store)
    assert {one.accounts for one in first.drift if one.of == SIGNUP} == {300}
    assert first == second


def test_a_model_of_before_there_were_references_says_nothing(store: Store) -> None:
    live(store, 300, rows(300, 7), scores(300, 8))
    found = WatchDrift(store)(a_model(reference={}), now=NOW)
    assert (found.rows, found.drift) == (0, ())


def test_a_broken_reference_is_said(store: Store) -> None:
    with pytest.raises(ArtefactProblem, match="m1 has a broken reference"):
        WatchDrift(store)(a_model(reference={"ages": [0]}), now=NOW)


def test_a_look_in_many_pieces_with_rests_finds_what_one_in_few_pieces_finds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(store, 600, rows(600, 7, longer=4.0), scores(600, 8))
    whole = watched(store)
    assert whole.rows > 1_000
    assert whole.alarms
    monkeypatch.setattr(watch_drift, "TOGETHER", 7)
    rests = []
    assert WatchDrift(store)(a_model(), now=NOW, rest=lambda: rests.append(1)) == whole
    assert len(rests) > 2 * 600 // 7


def test_who_does_not_want_to_go_on_after_a_rest_ends_the_look(store: Store) -> None:
    live(store, 300, rows(300, 7), scores(300, 8))

    def rest() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        WatchDrift(store)(a_model(), now=NOW, rest=rest)
