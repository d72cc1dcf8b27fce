"""What the report measures of a training run, on datasets small enough to count by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.records import LabelRecord
from service.domain.time import DAY, HOUR, rfc3339
from service.features.catalogue import FEATURES, RULED
from service.policy.policy import Policy
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from tests.factories import NOON, make_signups, make_usage
from training.dataset import FRAUD, LEGITIMATE, Accounts, Dataset
from training.report.catching import NEVER, caught_campaigns, first_caught
from training.report.friction import friction_curve
from training.report.measured import analysts


def dataset(verdicts: list[int], ages: list[list[int]], campaign: list[str | None] | None = None) -> Dataset:
    """Accounts 1, 2, ... created a day apart, whose verdict was known ten days later, with probes at ``ages``."""
    n = len(verdicts)
    created = NOON + DAY * np.arange(n)
    row = np.repeat(np.arange(n), [len(of) for of in ages])
    return Dataset(
        as_of=NOON + 90 * DAY,
        features=FEATURES[:2],
        accounts=Accounts(
            np.arange(1, n + 1),
            created,
            np.array(verdicts, np.int8),
            created + 10 * DAY,
            np.arange(n),
            tuple(campaign or [None] * n),
            np.ones(n),
        ),
        row=row,
        age=np.concatenate([np.array(of, np.int64) for of in ages]),
        matrix=np.zeros((len(row), 2), np.float32),
        ruled=np.full((len(row), len(RULED)), np.nan, np.float32),
        overturned=np.zeros(n, bool),
    )


def test_friction_and_recall_count_accounts_by_their_highest_score() -> None:
    rows = dataset([FRAUD, LEGITIMATE, FRAUD, LEGITIMATE], [[0, DAY], [0], [0], [0]])
    fraud = np.array([1.0, 1.0, 0.0, 1.0, 0.0])
    made = friction_curve(rows, np.arange(5), fraud, np.array([0.1, 0.9, 0.5, 0.3, 0.2]))
    assert (made["frauds"], made["legitimate"]) == (2, 2.0)
    assert made["points"] == [[0.0, 0.5, 0.9], [0.5, 1.0, 0.3], [1.0, 1.0, 0.2]]


def test_a_silent_account_is_as_legitimate_as_its_latest_probe_says() -> None:
    rows = dataset([FRAUD, -1, LEGITIMATE], [[0], [0, DAY], [0]])
    made = friction_curve(rows, np.arange(4), np.array([1.0, 0.9, 0.25, 0.0]), np.array([0.1, 0.9, 0.5, 0.3]))
    assert made["legitimate"] == pytest.approx(1.75)
    assert made["points"][0] == pytest.approx([0.75 / 1.75, 0.0, 0.9])


def test_without_fraud_on_the_held_out_side_there_is_no_curve() -> None:
    rows = dataset([LEGITIMATE, LEGITIMATE], [[0], [0]])
    assert friction_curve(rows, np.arange(2), np.zeros(2), np.array([0.1, 0.2]))["points"] == []


def test_a_crowded_curve_is_thinned_and_keeps_its_ends() -> None:
    n = 4_000
    rows = dataset([FRAUD] + [LEGITIMATE] * n, [[0]] * (n + 1))
    score = np.linspace(1, 0, n + 1)
    made = friction_curve(rows, np.arange(n + 1), np.append(1.0, np.zeros(n)), score)
    assert len(made["points"]) < 200
    assert made["points"][-1][:2] == [1.0, 1.0]
    assert made["points"][0][:2] == [0.0, 1.0]


BY_SCORE = Policy(0.01, (0.5, 0.6, 0.7, 0.8))


def test_an_account_is_caught_at_its_first_probe_that_is_not_allowed() -> None:
    rows = dataset([FRAUD, FRAUD], [[0, HOUR, DAY], [0]])
    caught = first_caught(rows, np.arange(4), np.array([0.2, 0.9, 0.9, 0.5]), BY_SCORE)
    assert caught.tolist() == [NOON + HOUR, NEVER]  # a score equal to a threshold stays below it


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url, upgrading=True)
    yield opened
    opened.close()


def test_exchanges_are_let_through_until_a_member_is_caught_and_counted_until_its_verdict(store: Store) -> None:
    ids = sorted(["a", "b", "c"], key=hash64)
    created = [NOON + DAY * place for place in range(3)]
    store.write([Arrival(None, signups=make_signups(list(zip(ids, created, strict=True))))])
    moments = [(0, HOUR), (0, 2 * DAY), (0, 11 * DAY), (1, HOUR), (2, 5 * DAY)]  # the third is past its verdict
    usage = [
        {"event": f"e{i}", "account": ids[place], "at": created[place] + after}
        for i, (place, after) in enumerate(moments)
    ]
    store.write([Arrival(None, usage=make_usage(usage))])
    rows = dataset([FRAUD] * 3, [[0, DAY], [0], [0]], ["ring", "ring", "other"])
    rows = replace(rows, accounts=replace(rows.accounts, account=np.array([hash64(one) for one in ids])))
    ring, other = caught_campaigns(store, rows, np.arange(4), np.array([0.1, 0.9, 0.1, 0.7]), BY_SCORE)
    assert (ring["members"], ring["caught"], ring["recall"], ring["median_days_to_catch"]) == (2, 1, 0.5, 1.0)
    assert (ring["exchanges"], ring["exchanges_before"]) == (3, 2)
    assert ring["timeline"][-1] == {
        "at": rfc3339(created[1] + 10 * DAY),
        "members": 2,
        "caught": 1,
        "exchanges": 3,
        "exchanges_let_through": 2,
    }
    assert (other["campaign_id"], other["exchanges"], other["exchanges_before"]) == ("other", 1, 0)


def test_campaigns_that_nothing_was_held_out_of_are_not_shown(store: Store) -> None:
    rows = dataset([FRAUD, LEGITIMATE], [[0], [0]], ["ring", None])
    assert caught_campaigns(store, rows, np.array([1]), np.array([0.9]), BY_SCORE) == []


def label(analyst: str, decided: int, verdict: Verdict = Verdict.FRAUD, retracted: int | None = None) -> LabelRecord:
    return LabelRecord(
        "a", 1, verdict, decided, analyst, decided, retracted_at=retracted, retraction_learned_at=retracted
    )


def test_an_analysts_labels_and_retractions_count_as_far_as_they_were_known() -> None:
    labels = [
        label("ann", NOON, retracted=NOON + DAY),
        label("ann", NOON + DAY, Verdict.LEGITIMATE, retracted=NOON + 9 * DAY),
        label("bob", NOON + 2 * DAY),
        label("eve", NOON + 8 * DAY),
    ]
    ann, bob = analysts(labels, NOON + 3 * DAY)
    assert ann == {
        "analyst": "ann",
        "labels": 2,
        "fraud": 1,
        "legitimate": 1,
        "retracted": 1,
        "first": rfc3339(NOON),
        "last": rfc3339(NOON + DAY),
    }
    assert bob["analyst"] == "bob"
