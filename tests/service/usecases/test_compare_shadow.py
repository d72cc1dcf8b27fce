"""What is said of a challenger beside its champion."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.codes import hash64_many
from service.domain.enums import Decision, ModelState, Verdict
from service.domain.errors import UsageError
from service.domain.raw import Label
from service.domain.records import Assessment, ModelRecord, ShadowAssessment
from service.domain.time import DAY, HOUR
from service.storage.store import Store
from service.usecases.compare_shadow import CompareShadow, Comparison
from tests.service.storage.factories import START, arrival, assessment, signup, usage

ALLOW, CHALLENGE, REVIEW = Decision.ALLOW, Decision.CHALLENGE, Decision.REVIEW


@pytest.fixture
def desk(store: Store) -> Desk:
    for i in (1, 2):
        store.add_model(
            ModelRecord(f"m{i}", ModelState.CHALLENGER, "trained", i, f"models/m{i}", f"sha-{i}", "{}", None, "new")
        )
    store.promote("m1", 5, "first")
    store.start_shadow("m2", START, "")
    return Desk(store)


class Desk:
    """Answers as a server would, analysts' labels, and the comparison."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def answered(self, at: int, **said: tuple[Decision, Decision]) -> None:
        """Each account's answer by the champion, and what the shadow said."""
        given: list[Assessment] = []
        beside: list[ShadowAssessment] = []
        for number, (name, (champion, shadow)) in enumerate(said.items()):
            made = assessment(name, None, at=at)
            given.append(Assessment(**{**_parts(made), "decision": champion, "score": 0.01 * number}))
            beside.append(ShadowAssessment(made.assessment_id, "m2", made.account, at, 0.02 * number, shadow, "p2"))
        self.store.append_assessments(given)
        self.store.append_shadows(beside)

    def labelled(self, verdict: Verdict, at: int, *names: str) -> None:
        self.store.record_labels([Label(name, verdict, at, "ann") for name in names])

    def compared(self) -> Comparison:
        return CompareShadow(self.store)(now=START + 90 * DAY)


def _parts(of: Assessment) -> dict[str, object]:
    return {name: getattr(of, name) for name in of.__slots__}


def test_nothing_is_said_before_anything_was_scored(desk: Desk) -> None:
    found = desk.compared()
    assert (found.scored, found.verdict) == (0, "undecided")
    assert found.sentence.startswith("Nothing can be said yet")
    assert found.to_json()["labelled_fraud"]["champion_share"] is None


def test_without_any_shadow_the_command_that_starts_one_is_named(store: Store) -> None:
    with pytest.raises(UsageError, match="`gatehouse models shadow VERSION`"):
        CompareShadow(store)(now=START)


def test_answers_are_counted_by_both_decisions_and_accounts_by_whether_they_were_ever_touched(desk: Desk) -> None:
    desk.answered(START, a=(ALLOW, ALLOW), b=(CHALLENGE, ALLOW), c=(ALLOW, REVIEW), d=(CHALLENGE, REVIEW))
    desk.answered(START + HOUR, a=(ALLOW, ALLOW), b=(CHALLENGE, CHALLENGE))
    found = desk.compared()
    assert (found.scored, found.accounts, found.missed) == (6, 4, 0)
    assert found.agreement["challenge"] == {"allow": 1, "challenge": 1, "throttle": 0, "review": 1, "block": 0}
    assert found.agreement["allow"]["allow"] == 2
    assert found.to_json()["decisions"]["shadow"] == {
        "allow": 3,
        "challenge": 1,
        "throttle": 0,
        "review": 2,
        "block": 0,
    }
    assert found.touched == {"champion": 2, "shadow": 3, "both": 2, "only_champion": 0, "only_shadow": 1}
    assert found.correlation == pytest.approx(1.0)
    assert found.difference["0.5"] == pytest.approx(np.median([0, 0.01, 0.02, 0.03, 0, 0.01]))


def test_only_verdicts_that_came_after_the_first_look_count_and_only_answers_before_them(desk: Desk) -> None:
    desk.answered(START, known=(ALLOW, CHALLENGE), late=(ALLOW, ALLOW), caught=(ALLOW, CHALLENGE))
    desk.labelled(Verdict.FRAUD, START - HOUR, "known")
    desk.labelled(Verdict.FRAUD, START + DAY, "late", "caught")
    desk.answered(START + 2 * DAY, late=(CHALLENGE, CHALLENGE), caught=(CHALLENGE, CHALLENGE))
    fraud = desk.compared().fraud
    assert (fraud.accounts, fraud.champion, fraud.shadow) == (2, 0, 1)


def test_a_shadow_that_catches_more_is_better_only_beyond_chance(desk: Desk) -> None:
    desk.answered(START, **{f"f{i}": (ALLOW, CHALLENGE) for i in range(5)})
    desk.labelled(Verdict.FRAUD, START + DAY, *(f"f{i}" for i in range(5)))
    found = desk.compared()
    assert found.fraud.chance == pytest.approx(2 * 0.5**5)
    assert found.verdict == "undecided"
    assert "no difference beyond chance yet" in found.sentence
    desk.answered(START, f5=(ALLOW, REVIEW))
    desk.labelled(Verdict.FRAUD, START + DAY, "f5")
    found = desk.compared()
    assert found.verdict == "better"
    assert "Of 6 labelled fraud since, it caught 6 and the champion 0" in found.sentence
    assert found.sentence.endswith("It is better beyond chance.")


def test_a_shadow_that_touches_more_honest_people_is_worse_and_one_that_does_both_is_mixed(desk: Desk) -> None:
    desk.answered(START, **{f"h{i}": (ALLOW, CHALLENGE) for i in range(6)})
    desk.labelled(Verdict.LEGITIMATE, START + DAY, *(f"h{i}" for i in range(6)))
    assert desk.compared().verdict == "worse"
    desk.answered(START, **{f"f{i}": (ALLOW, CHALLENGE) for i in range(6)})
    desk.labelled(Verdict.FRAUD, START + DAY, *(f"f{i}" for i in range(6)))
    assert desk.compared().verdict == "mixed"


def test_exchanges_are_counted_until_each_model_first_touches_the_account(desk: Desk) -> None:
    for i in range(10):
        at = START + i * DAY
        desk.store.write([arrival(at, usage=usage("f", [f"e{i}-{j}" for j in range(3)], at))])
    desk.store.write([arrival(START, signups=signup("f"))])
    desk.answered(START, f=(ALLOW, ALLOW))
    desk.answered(START + 2 * DAY + HOUR, f=(ALLOW, CHALLENGE))
    desk.answered(START + 5 * DAY + HOUR, f=(CHALLENGE, CHALLENGE))
    desk.labelled(Verdict.FRAUD, START + 8 * DAY + HOUR, "f")
    used = desk.compared().exchanges
    assert (used.shadow, used.champion, used.all) == (9, 18, 27)


def test_the_comparison_stays_readable_after_the_end_and_says_when_that_was(desk: Desk) -> None:
    desk.answered(START, a=(ALLOW, CHALLENGE))
    desk.store.stop_shadow(START + DAY, "seen enough")
    found = desk.compared()
    assert (found.shadow.since, found.shadow.until, found.scored) == (START, START + DAY, 1)
    assert set(hash64_many(["a"]).tolist()) == set(desk.store.shadow_pairs("m2").account.tolist())
