"""The walk through time: each step does what the jobs and servers of an installation would have done by its moment.

A step's order: labels that came since the last one are recorded; signups since then are scored, each at its own second,
with campaigns as the last detection left them; detection runs; where it is due a model is trained, and promoted past
the gate; accounts of which anything was learned are scored again, all of them under a new model.

All of it is the code that serves: ``Detect``, ``Rescore``, ``assess``, ``retrain`` and the registry. What the replay
adds are ports: which accounts a rescoring looks at, and where its answers go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.blocks import AssessmentBlock, Int8s
from service.domain.campaigns import LIVE_STATES
from service.domain.detection import Standing
from service.domain.enums import Purpose
from service.domain.facts import Int64s
from service.domain.records import Assessment
from service.domain.time import rfc3339
from service.storage.arrivals import CONFLICT
from service.storage.store import Store
from service.tiles.history import History
from service.usecases.assess import Asked, assess
from service.usecases.rescore import Rescore
from training.backtest.ledger import SIGNUP, Ledger, Outcomes, Part, row_of
from training.backtest.models import ReplayModels, Say
from training.backtest.plan import Plan
from training.backtest.stage import Stage

HOLDER = "gatehouse backtest"
EVER = -(2**62)

Clock = Callable[[], int]
Advance = Callable[[int, int], None]


class Replay:
    """One replay, from where its ledger stands to its end."""

    def __init__(self, plan: Plan, stage: Stage, work: Path, *, clock: Clock, say: Say) -> None:
        self.plan, self.app, self.labels, self.clock = plan, stage.app, stage.labels, clock
        self.ledger = Ledger(work / "steps")
        self._moments = plan.moments()
        self.done = sum(self.ledger.has(i, "whole") for i in range(len(self._moments)))
        self._models = ReplayModels(plan, stage.app, say)
        self._facts = _Facts(stage.app.store)

    def run(self, advance: Advance) -> None:
        """Does the steps that are left; ``advance`` is told how many are done, and of how many."""
        advance(self.done, len(self._moments))
        if self.done:
            self._models.resume(str(self.ledger.steps[-1]["champion"]), self._moments[self.done - 1])
        for step in range(self.done, len(self._moments)):
            self._step(step)
            self.done = step + 1
            advance(self.done, len(self._moments))

    def _step(self, step: int) -> None:
        began, at = self.clock(), self._moments[step]
        before = self._moments[step - 1] if step else EVER
        refused = self._record_labels(before, at)
        signups = self._signups(step, before, at) if step else 0
        part = Part(at)
        standing = self._detect(at, part)
        models = self._models.relearn(at) if step else self._models.begin(at)
        scored = self._rescore(before, at, part, everyone=self.app.models.refresh() or not step)
        live = np.array([state in LIVE_STATES for state in standing.state], bool)
        serving = self.app.models.current()
        part.about = {
            "step": step,
            "at": rfc3339(at),
            "champion": serving.version,
            "labels_refused": refused,
            "signups": signups,
            "rescored": scored,
            "campaigns": int(live.sum()),
            "members": int(live[standing.member_campaign].sum()) if len(live) else 0,
            "models": models,
            "thresholds": [None if np.isinf(value) else float(value) for value in serving.policy.thresholds],
            "seconds": round((self.clock() - began) / 1e6, 2),
        }
        self.ledger.keep(step, "whole", part)

    def _record_labels(self, after: int, until: int) -> int:
        """Labels of (after, until]; how many were refused because the same one was said differently before."""
        said = self.labels.between(after, until)
        return int((self.app.store.record_labels(said, atomic=False).status == CONFLICT).sum()) if said else 0

    def _signups(self, step: int, since: int, until: int) -> int:
        """Signups in [since, until) as they would have been answered; how many."""
        account, created = self.app.store.signups_between(since, until)
        by = np.argsort(account)
        made: list[Assessment] = []
        for history, names in self._facts.of(account[by]):
            at = created[by][np.searchsorted(account[by], history.account)]
            asked = [Asked(name, Purpose.SIGNUP) for name in names]
            made += [one for one in assess(self.app.models.current(), history, asked, at) if one is not None]
        if not self.ledger.has(step, "signups"):
            made.sort(key=lambda one: (one.assessed_at, one.account_id))
            self.ledger.keep(step, "signups", Part(until, [row_of(one, SIGNUP) for one in made]))
        return len(made)

    def _detect(self, at: int, part: Part) -> Standing:
        last = self.app.store.last_detection()
        if last is None or last[0] != at:  # else it was recorded before the replay was stopped
            self.app.detect(as_of=at, holder=HOLDER, clock=self.clock)
        standing = self.app.store.standing(at)
        part.members += _newly(standing, self.ledger, self.app.store)
        return standing

    def _rescore(self, before: int, at: int, part: Part, *, everyone: bool) -> int:
        store = self.app.store
        asked = np.sort(store.signups_between(EVER, at)[0])
        if not everyone:
            asked = np.intersect1d(asked, store.accounts_changed_between(before + 1, at))
        jobs = _Jobs(self._facts, asked, Outcomes(self.ledger, part))
        report = Rescore(jobs, self.app.models)(as_of=at, named=True)
        part.rows.sort(key=lambda row: row.account_id)
        return report.scored


class _Facts:
    """Histories of some accounts; links are held, as a replay's links stay what they are."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._links = store.hold_links()

    def histories(self, accounts: Int64s, rows: int = 500_000) -> Iterator[History]:
        """Of ``accounts``, ascending."""
        return self.store.histories(rows=rows, accounts=accounts, links=self._links)

    def of(self, accounts: Int64s) -> Iterator[tuple[History, Sequence[str]]]:
        """The same with the accounts' ids."""
        for history in self.histories(accounts):
            yield history, self.store.account_ids(history.account)


class _Jobs:
    """What ``Rescore`` reads and writes here: the accounts of one step, and the ledger."""

    def __init__(self, facts: _Facts, accounts: Int64s, outcomes: Outcomes) -> None:
        self._facts, self._accounts, self._outcomes = facts, accounts, outcomes

    def histories(
        self,
        *,
        rows: int,
        changed_since: int | None = None,  # noqa: ARG002  which accounts those are was asked for before
        as_of: int | None = None,  # noqa: ARG002  links are held, so histories are of any moment
        signals: bool = True,  # noqa: ARG002  there are few
    ) -> Iterator[History]:
        """Of the step's accounts."""
        return self._facts.histories(self._accounts, rows)

    def account_ids(self, accounts: Int64s) -> Sequence[str]:
        """As the store's."""
        return self._facts.store.account_ids(accounts)

    def last_decisions(self, accounts: Int64s) -> Int8s:
        """As the ledger has them."""
        return self._outcomes.last_decisions(accounts)

    def append_assessments(self, made: Sequence[Assessment]) -> int:
        """To the ledger."""
        return self._outcomes.append_assessments(made)

    def append_block(self, made: AssessmentBlock, accounts: int) -> int:  # noqa: ARG002  the ledger has no blocks
        """To the ledger."""
        return self._outcomes.append_block(made)

    def count_accounts(self, *, changed_since: int | None = None) -> int:  # noqa: ARG002  as above
        """Of the step."""
        return len(self._accounts)


def _newly(standing: Standing, ledger: Ledger, store: Store) -> list[tuple[str, int, str]]:
    """Memberships of live campaigns that were not seen before: campaign, account, its id."""
    live = {i for i, state in enumerate(standing.state) if state in LIVE_STATES}
    rows = zip(standing.member_campaign.tolist(), standing.member_account.tolist(), strict=True)
    pairs = [(standing.campaign_id[campaign], account) for campaign, account in rows if campaign in live]
    fresh = [(campaign, account) for campaign, account in pairs if ledger.fresh(campaign, account)]
    names: Any = store.account_ids(np.array([account for _, account in fresh], np.int64))
    return sorted((campaign, account, name) for (campaign, account), name in zip(fresh, names, strict=True) if name)
