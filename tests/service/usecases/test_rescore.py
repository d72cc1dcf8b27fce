"""The periodic job over a crowd that shares keys: what it says, keeps, and leaves alone when run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.domain.blocks import AssessmentBlock
from service.domain.enums import Purpose
from service.domain.errors import DatabaseProblem
from service.domain.records import Assessment
from service.domain.time import DAY
from service.storage import blocks
from service.storage import histories as bulk_reads
from service.storage.store import Store
from service.usecases import rescore
from service.usecases.assess import Asked, assess, assess_many
from service.usecases.champion import Serving
from service.usecases.rescore import Rescore
from tests.service.storage.factories import START, arrival, signal, verdicts, world
from tests.small_models import a_model

FEATURES = ("idle", "device_others_life", "ip_others_7d", "device_fraud", "requests_7d", "mail_domain_fraud_share")
AS_OF = START + 30 * DAY


@pytest.fixture
def crowd(store: Store) -> Store:
    """Thirty accounts, some of them judged."""
    store.write(world(5))
    store.record_labels(verdicts(5))
    return store


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    return Serving.load(Path(a_model("m-job", FEATURES, 0.3, tmp_path).location))


@pytest.mark.parametrize("as_of", [AS_OF, START + 8 * DAY])
def test_columns_of_a_job_say_what_single_assessments_say(crowd: Store, serving: Serving, as_of: int) -> None:
    (history,) = crowd.histories()
    names = crowd.account_ids(history.account)
    one_by_one = assess(serving, history, [Asked(name, Purpose.PERIODIC) for name in names], as_of)
    together = assess_many(serving, history, names, as_of)
    assert together.assessments() == [one for one in one_by_one if one is not None]
    assert len(together) == int((history.known & (history.learned_at <= as_of)).sum()) > 0
    assert np.unique(together.score).size > 1
    assert any(one.links for one in together.assessments())


class OneModel:
    """Models, of which there is one."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def current(self) -> Serving:
        return self._serving


class BrokenOff:
    """The store, which fails for good after some parts of a job."""

    def __init__(self, store: Store, parts: int) -> None:
        self._store, self._left = store, parts

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def append_block(self, made: AssessmentBlock, accounts: int) -> int:
        if not self._left:
            raise DatabaseProblem("the power failed")
        self._left -= 1
        return self._store.append_block(made, accounts)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescore, "ROWS_AT_ONCE", 60)
    monkeypatch.setattr(bulk_reads, "_FIRST_CHUNK", 7)
    monkeypatch.setattr(blocks, "AIMED_AT", 10)


def answers(store: Store) -> dict[str, list[Assessment]]:
    """All that is kept of each account."""
    return {name: list(store.assessments_of(name, 50).items) for name in store.account_ids(store.accounts())}


@pytest.mark.usefixtures("small_parts")
def test_a_job_that_was_broken_off_goes_on_and_records_nothing_twice(crowd: Store, serving: Serving) -> None:
    with pytest.raises(DatabaseProblem):
        Rescore(BrokenOff(crowd, 1), OneModel(serving))(as_of=AS_OF)  # type: ignore[arg-type]
    begun = sum(len(made) for made in answers(crowd).values())
    assert 0 < begun < len(crowd.accounts())
    steps: list[tuple[int, int]] = []
    for _ in range(2):
        report = Rescore(crowd, OneModel(serving))(as_of=AS_OF, progress=lambda *at: steps.append(at))
        assert report.scored == len(crowd.accounts())
    assert {len(made) for made in answers(crowd).values()} == {1}
    assert steps[-1] == (30, 30)


class NamesUnread:
    """The store, which nobody may ask for accounts' ids."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        assert name != "account_ids"
        return getattr(self._store, name)


@pytest.mark.usefixtures("small_parts")
def test_a_job_that_nobody_looks_at_reads_no_ids_and_keeps_the_same(crowd: Store, serving: Serving) -> None:
    Rescore(NamesUnread(crowd), OneModel(serving))(as_of=AS_OF)  # type: ignore[arg-type]
    said: list[AssessmentBlock] = []
    Rescore(crowd, OneModel(serving))(as_of=AS_OF, each=lambda made, _: said.append(made))
    assert [one for made in said for one in made.assessments()] == [one for (one,) in answers(crowd).values()]
    with pytest.raises(ValueError, match="numbers alone"):
        replace(said[0], account_id=None).assessment(0)


@pytest.mark.usefixtures("small_parts")
def test_a_job_over_few_accounts_says_and_counts_the_same_and_keeps_a_row_each(crowd: Store, serving: Serving) -> None:
    said: list[AssessmentBlock] = []
    whole = Rescore(crowd, OneModel(serving))(as_of=AS_OF, each=lambda made, _: said.append(made))
    assert (whole.scored, sum(whole.decisions.values())) == (30, 30)
    kept = answers(crowd)
    assert [one for made in said for one in made.assessments()] == [
        one for name in crowd.account_ids(crowd.accounts()) for one in kept[name]
    ]
    since = START + 45 * DAY
    crowd.write([arrival(since, signals=signal(f"account-{i}", "calls", 1.0, since)) for i in (3, 8)])
    late = Rescore(crowd, OneModel(serving))(as_of=AS_OF + 1, changed_since=since)
    assert (late.scored, late.changed) == (2, 0)  # what was learned since counts for no earlier moment
    with crowd.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM assessments").scalar_one() == late.scored
    again = [made[0] for made in answers(crowd).values() if len(made) == 2]
    assert len(again) == late.scored
    assert all(
        replace(one, assessed_at=AS_OF, assessment_id="")
        in [replace(first, assessment_id="") for first in kept[one.account_id]]
        for one in again
    )
