"""The periodic job: scores known accounts again as of a moment, records it, and says what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from service.domain.blocks import DECISIONS, NONE, PLACES, AssessmentBlock, Int8s
from service.domain.enums import Decision
from service.domain.facts import Int64s
from service.domain.records import Assessment
from service.linking.workers import shared_out
from service.tiles.history import History
from service.usecases.assess import assess_many
from service.usecases.champion import Serving

# Of tiles and links; some nine thousand accounts. Twice as many make no account cheaper, two batches are worked on
# while two wait, and when the last are worked on nothing is left to read beside them.
ROWS_AT_ONCE = 120_000
# A job over at least one account in so many keeps thousands to a row. One over fewer keeps a row each: else whoever
# looks for an account's assessments would have to open the blocks of many jobs that never came near it.
MOST = 5


class Rescored(Protocol):
    """Takes each scored batch, for a file or a count; ``before`` (n,) are places in ``DECISIONS``, NONE: none yet."""

    def __call__(self, made: AssessmentBlock, before: Int8s) -> None: ...


class Decides(Protocol):
    """Knows the model that decides."""

    def current(self) -> Serving: ...


class Jobs(Protocol):
    """What the job reads and writes; reading must be safe to do from several threads."""

    def histories(
        self, *, rows: int, changed_since: int | None = None, as_of: int | None = None, signals: bool = True
    ) -> Iterator[History]: ...

    def account_ids(self, accounts: Int64s) -> Sequence[str]: ...

    def last_decisions(self, accounts: Int64s) -> Int8s: ...

    def append_assessments(self, made: Sequence[Assessment]) -> int: ...

    def append_block(self, made: AssessmentBlock, accounts: int) -> int: ...

    def count_accounts(self, *, changed_since: int | None = None) -> int: ...


class Beside(Protocol):
    """Who looks on; it must not raise."""

    def looking(self) -> bool: ...

    def beside(self, history: History, made: Sequence[Assessment]) -> None: ...


@dataclass(frozen=True, slots=True)
class RescoreReport:
    """What the job did."""

    scored: int
    changed: int  # accounts whose decision is another than that of their latest assessment; none before counts as allow
    decisions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Rescore:
    """The deed, wired to its rooms."""

    jobs: Jobs
    models: Decides
    shadow: Beside | None = None  # None: nobody looks on

    def __call__(
        self,
        *,
        as_of: int,
        changed_since: int | None = None,
        each: Rescored | None = None,
        named: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> RescoreReport:
        """Scores every account that had signed up by ``as_of`` (only those with facts learned after ``changed_since``).

        Two batches at a time; they are recorded in the order of their accounts, each whole or not at all. Run again,
        the job records nothing twice. ``each`` sees every batch. Blocks name their accounts where somebody looks at
        them or they are ``named``; else they have numbers alone, which is all that is kept.
        """
        serving = self.models.current()
        total = self.jobs.count_accounts(changed_since=changed_since)
        most = changed_since is None or total * MOST >= self.jobs.count_accounts()
        looking = self.shadow is not None and self.shadow.looking()
        in_blocks = most and not looking  # a row each, where a challenger's answers are kept beside them
        named = named or each is not None or not in_blocks

        def work(history: History) -> _Batch:
            ids = self.jobs.account_ids(history.account) if named else None
            made = assess_many(serving, history, ids, as_of)
            return _Batch(history, made, self.jobs.last_decisions(made.account))

        scored = changed = seen = 0
        counts = np.zeros(len(DECISIONS), np.int64)
        signals = bool(serving.signal_names) or looking
        histories = self.jobs.histories(rows=ROWS_AT_ONCE, changed_since=changed_since, as_of=as_of, signals=signals)
        for batch in shared_out(work, histories):
            made = batch.made
            self._record(batch, total if in_blocks else None)
            before = np.where(batch.before == NONE, PLACES[Decision.ALLOW], batch.before)
            changed += int((made.decision != before).sum())
            counts += np.bincount(made.decision, minlength=len(DECISIONS))
            scored += len(made)
            seen += len(batch.history.account)
            if each is not None:
                each(made, batch.before)
            if progress is not None:
                progress(seen, total)
        decisions = {DECISIONS[place].value: count for place, count in enumerate(counts.tolist()) if count}
        return RescoreReport(scored, changed, decisions)

    def _record(self, batch: _Batch, accounts: int | None) -> None:
        """Keeps a batch; ``accounts`` None: a row each."""
        if accounts is not None:
            self.jobs.append_block(batch.made, accounts)
            return
        made = batch.made.assessments()
        self.jobs.append_assessments(made)
        if self.shadow is not None:
            self.shadow.beside(batch.history, made)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some accounts scored and not recorded yet."""

    history: History
    made: AssessmentBlock
    before: Int8s  # what each was told last
