"""The periodic job over a crowd that shares keys: what it says, keeps, and leaves alone when run again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.domain.enums import Purpose
from service.domain.time import DAY
from service.storage.store import Store
from service.usecases.assess import Asked, assess, assess_many
from service.usecases.champion import Serving
from tests.service.storage.factories import START, verdicts, world
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
