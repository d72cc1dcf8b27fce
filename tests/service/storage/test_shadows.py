"""What challengers said beside the champion: the registry's side of it, and the rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.codes import hash64
from service.domain.enums import Decision, ModelState, Verdict
from service.domain.errors import UnknownModel, UsageError
from service.domain.raw import Label
from service.domain.records import Assessment, ModelRecord, ShadowAssessment
from service.domain.time import DAY
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, assessment, ints, signup


@pytest.fixture
def models(store: Store) -> Store:
    """A champion, m1, and two challengers."""
    for i in (1, 2, 3):
        store.add_model(
            ModelRecord(f"m{i}", ModelState.CHALLENGER, "trained", i, f"models/m{i}", f"sha-{i}", "{}", None, "new")
        )
    store.promote("m1", 5, "first")
    return store


def states(store: Store) -> dict[str, str]:
    return {each.version: each.state.value for each in store.models()}


def beside(champion: Assessment, version: str = "m2", decision: Decision = Decision.REVIEW) -> ShadowAssessment:
    return ShadowAssessment(
        champion.assessment_id, version, champion.account, champion.assessed_at, 0.75, decision, "p2"
    )


def test_a_model_shadows_until_it_is_stopped_and_is_then_what_it_was(models: Store) -> None:
    assert models.shadow() is None
    assert models.start_shadow("m2", 10, "let us see").state is ModelState.SHADOW
    found = models.shadow()
    assert found is not None
    assert (found.model.version, found.model.why, found.since, found.until) == ("m2", "let us see", 10, None)
    assert states(models) == {"m1": "champion", "m2": "shadow", "m3": "challenger"}
    stopped = models.stop_shadow(20, "seen enough")
    assert stopped is not None
    assert (stopped.version, stopped.state) == ("m2", ModelState.CHALLENGER)
    found = models.shadow()
    assert found is not None
    assert (found.model.version, found.since, found.until) == ("m2", 10, 20)
    assert models.stop_shadow(30, "again") is None


def test_one_model_shadows_at_a_time_and_a_former_champion_may(models: Store) -> None:
    models.promote("m3", 6, "better")
    models.start_shadow("m2", 10, "")
    models.start_shadow("m1", 11, "was it better?")
    assert states(models) == {"m1": "shadow", "m2": "challenger", "m3": "champion"}
    models.stop_shadow(12, "")
    assert states(models)["m1"] == "retired"


def test_the_champion_cannot_shadow_itself_and_a_stranger_neither(models: Store) -> None:
    with pytest.raises(UsageError, match="m1 is the champion"):
        models.start_shadow("m1", 10, "")
    with pytest.raises(UnknownModel, match="m9"):
        models.start_shadow("m9", 10, "")
    assert models.shadow() is None


def test_a_shadow_that_is_promoted_decides_and_shadows_no_more_and_rolling_back_finds_the_one_before(
    models: Store,
) -> None:
    models.start_shadow("m2", 10, "")
    models.promote("m2", 20, "better")
    found = models.shadow()
    assert found is not None
    assert (found.model.version, found.since, found.until) == ("m2", 10, 20)
    assert states(models) == {"m1": "retired", "m2": "champion", "m3": "challenger"}
    models.start_shadow("m1", 30, "for comparison")
    assert models.roll_back(40, "worse after all").version == "m1"
    assert states(models) == {"m1": "champion", "m2": "retired", "m3": "challenger"}


def test_what_a_shadow_said_comes_back_beside_what_was_answered(models: Store) -> None:
    made = [replace(assessment(f"a{i}", None, at=START + i), score=i / 10) for i in range(4)]
    made[1] = replace(made[1], decision=Decision.CHALLENGE)
    made[2] = replace(made[2], decision=Decision.ALLOW, explored_from=Decision.REVIEW, propensity=0.005)
    models.append_assessments(made)
    assert models.append_shadows([beside(each) for each in made[:3]]) == 3
    models.append_shadows([replace(beside(made[0]), score=0.1)])  # once more: as it was
    models.append_shadows([beside(made[0], "m3", Decision.ALLOW)])
    pairs = models.shadow_pairs("m2")
    assert pairs.champion == "m1"
    assert pairs.account.tolist() == [each.account for each in made[:3]]
    assert pairs.assessed_at.tolist() == [START, START + 1, START + 2]
    assert pairs.champion_score.tolist() == [0.0, 0.1, 0.2]
    assert pairs.shadow_score.tolist() == [0.75] * 3
    assert [list(Decision)[i] for i in pairs.champion_decision] == [Decision.ALLOW, Decision.CHALLENGE, Decision.REVIEW]
    assert [list(Decision)[i] for i in pairs.shadow_decision] == [Decision.REVIEW] * 3
    assert len(models.shadow_pairs("m3")) == 1
    assert models.shadow_pairs("m9").champion is None


def test_a_job_that_runs_again_keeps_what_the_shadow_said_the_first_time(models: Store) -> None:
    made = [assessment(f"a{i}", None) for i in range(2_500)]
    models.append_assessments(made)
    models.append_shadows([beside(each) for each in made[:100]])
    for _ in range(2):
        models.append_shadows([replace(beside(each), score=0.5) for each in made])
    pairs = models.shadow_pairs("m2")
    assert (len(pairs), pairs.missed) == (2_500, 0)
    assert sorted(set(pairs.shadow_score.tolist())) == [0.5, 0.75]
    assert int((pairs.shadow_score == 0.75).sum()) == 100


def test_answers_in_between_that_it_did_not_score_are_missed_and_those_of_other_champions_apart(models: Store) -> None:
    made = [assessment(f"a{i}", None, at=START + i) for i in range(5)]
    earlier = [replace(assessment("a9", None, at=START - 9), model_version="m0")]
    models.append_assessments([*earlier, *made])
    models.append_shadows([beside(earlier[0]), beside(made[1]), beside(made[4])])
    pairs = models.shadow_pairs("m2")
    assert (len(pairs), pairs.missed, pairs.others) == (2, 2, 1)


def test_verdicts_on_accounts_that_it_scored_are_told_with_their_moment(models: Store) -> None:
    made = [assessment(name, None) for name in ("a", "b", "c")]
    models.append_assessments(made)
    models.append_shadows([beside(each) for each in made[:2]])
    models.record_labels([Label(name, Verdict.FRAUD, START + DAY, "ann") for name in ("a", "c")])
    account, verdict, since = models.shadow_judged("m2", START + 2 * DAY)
    assert (account.tolist(), verdict.tolist(), since.tolist()) == ([hash64("a")], [1], [START + DAY])
    assert not len(models.shadow_judged("m2", START)[0])


def test_erasing_an_account_takes_what_was_said_of_it_and_nothing_comes_after(models: Store) -> None:
    made = [assessment(name, f"r-{name}") for name in ("gone", "stays")]
    models.write([arrival(START, signups=signup(each.account_id), assessments=(each,)) for each in made])
    models.append_shadows([beside(each) for each in made])
    models.erase("gone", "asked for it", START + DAY)
    assert models.append_shadows([beside(each, "m3") for each in made]) == 1  # it waited to be written meanwhile
    for version in ("m2", "m3"):
        pairs = models.shadow_pairs(version)
        assert pairs.account.tolist() == [hash64("stays")]
        assert pairs.missed == 0
    assert len(models.latest_decisions(ints(hash64("gone")))) == 1  # what was answered stays on record
