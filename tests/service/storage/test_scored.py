"""Looking back at what accounts were scored on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.time import DAY, HOUR
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, assessment, ints, signup


def test_assessments_of_some_accounts_in_a_stretch_of_time_come_by_account_and_moment(store: Store) -> None:
    made = [assessment(name, at=START + hour * HOUR) for name in "abc" for hour in (5, 1, 9)]
    store.append_assessments(made)
    wanted = np.sort(ints(hash64("a"), hash64("c")))
    account, at, ids = store.scored_between(wanted, START + HOUR, START + 5 * HOUR)
    assert account.tolist() == np.repeat(wanted, 2).tolist()
    assert at.tolist() == [START + HOUR, START + 5 * HOUR] * 2
    by_id = {one.assessment_id: one for one in made}
    assert [(by_id[name].account, by_id[name].assessed_at) for name in ids] == list(
        zip(account.tolist(), at.tolist(), strict=True)
    )


def test_what_was_scored_under_a_verdict_of_fraud_is_left_out_and_under_another_is_not(store: Store) -> None:
    store.write([arrival(START, signups=signup(name, START)) for name in ("judged", "cleared", "pardoned")])
    store.record_labels(
        [
            Label("judged", Verdict.FRAUD, START + 5 * HOUR, "ann"),
            Label("cleared", Verdict.LEGITIMATE, START + 5 * HOUR, "ann"),
            Label("pardoned", Verdict.FRAUD, START + 2 * HOUR, "ann", retracted_at=START + 3 * HOUR),
        ]
    )
    made = [assessment(name, at=START + hour * HOUR) for name in ("judged", "cleared", "pardoned") for hour in (4, 6)]
    store.append_assessments(made)
    _, _, ids = store.scored_between(np.sort(ints(*{one.account for one in made})), START, START + DAY)
    left_out = {one.account_id for one in made if one.assessment_id not in ids}
    assert len(ids) == 5
    assert left_out == {"judged"}


def test_rows_of_another_model_and_of_erased_accounts_are_left_out(store: Store) -> None:
    kept, other, erased = assessment("a"), replace(assessment("b"), model_version="m2"), assessment("c")
    store.append_assessments([kept, other, replace(erased, features=b"")])
    ids = [one.assessment_id for one in (kept, other, erased)]
    assert store.scored_rows(ids, "m1") == [(kept.assessment_id, kept.score, kept.features)]
    assert store.scored_rows([], "m1") == []
