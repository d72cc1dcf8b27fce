"""The periodic job: scores known accounts again as of a moment, records it, and says what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.domain.enums import Decision, Purpose
from service.domain.facts import Int64s
from service.domain.records import Assessment
from service.tiles.history import History
from service.usecases.assess import Asked, assess
from service.usecases.champion import Serving

ROWS_AT_ONCE = 500_000


class Rescored(Protocol):
    """Takes each scored batch, for a file or a count."""

    def __call__(self, made: Sequence[Assessment], before: Mapping[int, Decision]) -> None: ...


class Latest(Protocol):
    """What an account was told last."""

    @property
    def decision(self) -> Decision: ...


class Decides(Protocol):
    """Knows the model that decides."""

    def current(self) -> Serving: ...


class Jobs(Protocol):
    """What the job reads and writes."""

    def histories(
        self, *, rows: int, accounts: Int64s | None = None, changed_since: int | None = None
    ) -> Iterator[History]: ...

    def account_ids(self, accounts: Int64s) -> Sequence[str]: ...

    def latest_decisions(self, accounts: Int64s | None = None, before: int = 2**62) -> Mapping[int, Latest]: ...

    def append_assessments(self, made: Sequence[Assessment]) -> int: ...

    def count_accounts(self, *, changed_since: int | None = None) -> int: ...


class Beside(Protocol):
    """Who looks on; it must not raise."""

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
        progress: Callable[[int, int], None] | None = None,
    ) -> RescoreReport:
        """Scores every account that had signed up by ``as_of`` (only those with facts learned after ``changed_since``).

        Batches are recorded as they are done, each whole or not at all; run again, the job records nothing twice.
        """
        serving = self.models.current()
        total = self.jobs.count_accounts(changed_since=changed_since)
        scored = changed = seen = 0
        decisions: dict[str, int] = {}
        for history in self.jobs.histories(rows=ROWS_AT_ONCE, changed_since=changed_since):
            asked = [Asked(name, Purpose.PERIODIC) for name in self.jobs.account_ids(history.account)]
            made = [found for found in assess(serving, history, asked, as_of) if found is not None]
            latest = self.jobs.latest_decisions(history.account)
            before = {account: told.decision for account, told in latest.items()}
            self.jobs.append_assessments(made)
            if self.shadow is not None:
                self.shadow.beside(history, made)
            for assessment in made:
                changed += assessment.decision is not before.get(assessment.account, Decision.ALLOW)
                decisions[assessment.decision] = decisions.get(assessment.decision, 0) + 1
            scored += len(made)
            seen += len(history.account)
            if each is not None:
                each(made, before)
            if progress is not None:
                progress(seen, total)
        return RescoreReport(scored, changed, decisions)
