"""The models of a replay: with which one it begins, and what each training that is due comes to.

Relearning, the gate and the registry are those of ``gatehouse train``; which model decides is what servers follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from service.app import App
from service.domain.errors import UsageError
from service.domain.records import ModelRecord
from service.domain.time import rfc3339
from training.backtest.plan import Plan
from training.dataset import FRAUD as LABELLED_FRAUD
from training.gate import LEAST_FRAUD, LEAST_GROUPS
from training.probe_cache import ProbeCache
from training.retrain import Lesson, lesson, retrain

Say = Callable[[str], None]
Entry = dict[str, Any]


class ReplayModels:
    """Trains and promotes on schedule; the registry's champion decides."""

    def __init__(self, plan: Plan, app: App, say: Say) -> None:
        self._plan, self._app, self._say = plan, app, say
        self._rows = ProbeCache(app.store)

    def begin(self, at: int) -> list[Entry]:
        """The starting model: trained on what precedes ``at``, or else the starter."""
        try:
            known = self._lesson(at)
            _enough(known)
            return [self._train(at, known, promote="always")]
        except UsageError as error:
            self._app.load_model()
            why = f"the starter model decides at first: {error}"
            self._say(why)
            record = self._record()
            return [_entry(at, record.version, record.origin, why, promoted=True)]

    def relearn(self, at: int) -> list[Entry]:
        """What a training that is due at ``at`` came to; nothing where none is."""
        if at not in self._plan.relearns_at():
            return []
        try:
            return [self._train(at, self._lesson(at), promote="auto")]
        except UsageError as error:
            self._say(f"{rfc3339(at)}: not trained: {error}")
            return [_entry(at, None, "trained", f"not trained: {error}", promoted=False)]

    def resume(self, version: str, at: int) -> None:
        """Takes up the model that decided last, whatever the registry learned in a step that was broken off."""
        if self._record().version != version:
            self._app.store.promote(version, at, "the replay goes on")
        self._app.models.refresh()

    def _lesson(self, at: int) -> Lesson:
        return lesson(self._app, as_of=at, seed=self._plan.seed, cache=self._rows)

    def _train(self, at: int, known: Lesson, *, promote: str) -> Entry:
        plan = self._plan
        found = retrain(self._app, known, at=at, promote=promote, budget=plan.budget, seed=plan.seed)
        manifest, told = found.made.artefact.manifest, found.registered
        self._say(f"{rfc3339(at)}: {manifest.version}: {told.why}")
        return _entry(at, manifest.version, manifest.origin, told.why, promoted=told.promoted) | {
            "positives": manifest.training["positives"],
            "campaigns": manifest.training["campaigns"],
            "metrics": dict(manifest.metrics),
        }

    def _record(self) -> ModelRecord:
        record = self._app.store.champion()
        if record is None:
            raise RuntimeError("the registry has no champion")
        return record


def _entry(at: int, version: str | None, origin: str, why: str, *, promoted: bool) -> Entry:
    """One line of the report's list of models."""
    entry = {"at": rfc3339(at), "model_version": version, "origin": origin, "promoted": promoted, "why": why}
    return {**entry, "positives": 0, "campaigns": 0, "metrics": {}}


def _enough(known: Lesson) -> None:
    """Raises UsageError where the gate would not look at what can be learned: the starter then is the better start."""
    accounts = known.dataset.accounts
    fraud = accounts.verdict == LABELLED_FRAUD
    groups = len(np.unique(accounts.group[fraud]))
    if int(fraud.sum()) < LEAST_FRAUD or groups < LEAST_GROUPS:
        raise UsageError(
            f"{int(fraud.sum())} accounts labelled as fraud in {groups} campaigns or single cases are too few to "
            f"start from; {LEAST_FRAUD} in {LEAST_GROUPS} are the least"
        )
