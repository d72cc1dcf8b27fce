"""The models of a replay: which one decides, what it learned, and the friction guard over its thresholds.

Relearning, the gate and the registry are those of ``gatehouse train``. The guard (``service/policy/friction.py``) is
set anew after every step from the highest scores so far, so that whatever model decides, and however often it asks, no
more than the friction budget is ever touched by scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.app import App
from service.domain.enums import Decision
from service.domain.errors import UsageError
from service.domain.facts import Int64s
from service.domain.records import ModelRecord
from service.domain.time import rfc3339
from service.policy.friction import guarded
from service.policy.policy import SEVERITY
from service.tiles.history import FRAUD
from service.usecases.champion import Serving
from training.backtest.ledger import Ledger
from training.backtest.plan import Plan
from training.backtest.scores import Highest
from training.dataset import FRAUD as LABELLED_FRAUD
from training.gate import LEAST_FRAUD, LEAST_GROUPS
from training.probe_cache import ProbeCache
from training.retrain import Lesson, lesson, retrain

Say = Callable[[str], None]
Entry = dict[str, Any]


class ReplayModels:
    """The registry's champion with the guard laid over its policy. Jobs ask for ``current``, as servers do."""

    def __init__(self, plan: Plan, app: App, say: Say) -> None:
        self._plan, self._app, self._say = plan, app, say
        self._serving: Serving | None = None
        self._rows = ProbeCache(app.store)

    def current(self) -> Serving:
        """The model that decides; there is one from ``switch`` on."""
        if self._serving is None:
            raise RuntimeError("no model was switched to yet")
        return self._serving

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

    def switch(self) -> bool:
        """Follows the registry; whether another model decides now than before."""
        self._app.models.refresh()
        current = self._app.models.current()
        switched = self._serving is None or self._serving.version != current.version
        if switched:
            self._serving = self._plain()
        return switched

    def resume(self, version: str, at: int) -> None:
        """Takes up the model that decided last, whatever the registry learned in a step that was broken off."""
        if self._record().version != version:
            self._app.store.promote(version, at, "the replay goes on")
        self.switch()

    def guard(self, highest: Highest, ledger: Ledger, at: int) -> None:
        """Sets thresholds so that no more than the friction budget is ever touched, as things are known at ``at``."""
        worst, by_campaign = _worst(highest.account, ledger)
        account, verdict = self._app.store.verdicts(at)
        # Those who belong to a campaign, or are judged, are no measure of what honest people would meet.
        fraud = by_campaign | np.isin(highest.account, account[verdict == FRAUD])
        plain = self._plain()
        policy = guarded(plain.policy, highest.score, worst, legitimate=np.where(fraud, 0.0, 1.0))
        self._serving = replace(plain, policy=policy)

    def _plain(self) -> Serving:
        current = self._app.models.current()
        return replace(current, policy=replace(current.policy, friction_budget=self._plan.budget))

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


def _worst(account: Int64s, ledger: Ledger) -> tuple[Int64s, NDArray[np.bool_]]:
    """Of each account: the worst decision so far, as a place in ``LEVELS``, and whether rules of campaigns made one."""
    worst, campaign = np.zeros(len(account), np.int64), np.zeros(len(account), bool)
    rows = ledger.rows
    said = np.array([row.account for row in rows], np.int64)
    place = np.minimum(np.searchsorted(account, said), max(len(account) - 1, 0))
    known = account[place] == said if len(account) else np.zeros(len(said), bool)
    level = np.array([SEVERITY[Decision(row.decision)] for row in rows], np.int64)
    np.maximum.at(worst, place[known], level[known])
    np.logical_or.at(campaign, place[known], np.array([row.by_campaign for row in rows], bool)[known])
    return worst, campaign


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
