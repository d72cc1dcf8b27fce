"""Labels as analysts would have given them: days late, incomplete, sometimes wrong, sometimes taken back.

Case names are the analysts' own; a campaign may get two of them, and nothing here is written from the truth but what
a person who looked at the accounts would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.simulate.habits import NEVER
from training.simulate.members import Crowd
from training.simulate.population import CAMPAIGN
from training.simulate.rng import DAY, HOUR, Bools, Ints, generator, mix, salt

ANALYSTS = tuple(f"analyst-{n}" for n in range(1, 7))
LOOKED_AT = 0.8  # of campaigns, ever
FOUND = 0.65  # of a looked-at campaign's members
WRONG = 0.04  # honest accounts among a case's verdicts
MISTAKEN_PARDON = 0.03
SUSPECTED_GROUPS = 0.35
REVIEWED = 0.025  # of all accounts, at random
LONE_FOUND = 0.6
EVIDENCE = (
    "shared network and timing",
    "near-duplicate prompts",
    "payment pattern",
    "mail pattern",
    "customer report",
    "manual review",
)


@dataclass(slots=True)
class _Book:
    """Verdicts as they are written down; one per (account, analyst, moment)."""

    end: int
    rng: np.random.Generator
    rows: list[tuple[int, str, int, str, str | None, str, int | None]] = field(default_factory=list)

    def write(
        self, row: int, verdict: str, moment: float, case: str | None, *, back: float, analyst: int | None = None
    ) -> None:
        """Note one verdict if its moment is before the end; ``back`` is the chance that it is retracted later."""
        who = ANALYSTS[int(self.rng.integers(0, len(ANALYSTS))) if analyst is None else analyst]
        evidence = EVIDENCE[int(self.rng.integers(0, len(EVIDENCE)))]
        wait = float(np.exp(self.rng.normal(np.log(4.0), 0.8))) * DAY
        retract = self.rng.random() < back
        if moment < self.end:
            later = int(moment + wait)
            self.rows.append(
                (row, verdict, int(moment), who, case, evidence, later if retract and later < self.end else None)
            )


def judge(crowd: Crowd, created: Ints, first_use: Ints, stolen: Bools, end: int) -> dict[str, object]:
    """The labels table's columns (``row`` in place of account_id), in order of decision."""
    rng = generator(crowd.seed, "labels")
    book = _Book(end, rng)
    group_of = crowd.population.group
    campaigns = {group.index for group in crowd.population.campaigns}
    honest = np.flatnonzero(~np.isin(group_of, list(campaigns)) & ~stolen)
    began = np.where(first_use == NEVER, created, first_use)
    _cases(crowd, book, created, began, honest)
    for group in crowd.population.groups:
        if group.kind != CAMPAIGN and rng.random() < SUSPECTED_GROUPS:
            seen = float(np.quantile(created[group.members], 0.8)) + _days(rng, 3.0)
            for row in group.members[rng.random(len(group.members)) < rng.uniform(0.1, 0.5)].tolist():
                book.write(
                    row, "legitimate", max(seen, float(created[row])) + rng.exponential(12) * HOUR, None, back=0.01
                )
    for row in np.flatnonzero(stolen).tolist():
        if rng.random() < LONE_FOUND:
            book.write(row, "fraud", created[row] + _days(rng, 7.0), None, back=0.03)
    for row in np.flatnonzero(rng.random(crowd.population.size) < REVIEWED).tolist():
        moment = created[row] + _days(rng, 4.0)
        if group_of[row] not in campaigns and not stolen[row]:
            verdict = "fraud" if rng.random() < 0.015 else "legitimate"
            book.write(row, verdict, moment, None, back=0.4 if verdict == "fraud" else 0.01)
        elif rng.random() < 0.6:  # looked at alone, a member of a campaign is often an ordinary account
            book.write(row, "legitimate", moment, None, back=0.15)
    return _columns(book)


def _cases(crowd: Crowd, book: _Book, created: Ints, began: Ints, honest: Ints) -> None:
    """Verdicts on campaigns that were found, with some honest accounts among them."""
    rng, key = book.rng, salt(crowd.seed, "cases")
    campaigns = crowd.population.campaigns
    earliest = min(campaigns, key=lambda group: group.begins).index if campaigns else -1
    for group in campaigns:
        looked = rng.random() < LOOKED_AT or group.index == earliest
        seen = float(np.quantile(began[group.members], 0.25)) + _days(rng, 2.5)
        second = seen + _days(rng, 4.0)  # a follow-up finds those who came after the first look
        split, lead = rng.random() < 0.15, int(rng.integers(0, len(ANALYSTS)))
        if not looked:
            continue
        caught: list[int] = []
        for row in group.members[rng.random(len(group.members)) < FOUND].tolist():
            moment = (
                max(seen if rng.random() < 0.7 else second, float(created[row]) + 6 * HOUR) + rng.exponential(14) * HOUR
            )
            case = _case(key, 2 * group.index + int(split and rng.random() < 0.4))
            analyst = lead if rng.random() < 0.7 else None
            book.write(row, "fraud", moment, case, back=0.01, analyst=analyst)
            caught.append(row)
        for row in group.members[rng.random(len(group.members)) < MISTAKEN_PARDON].tolist():
            book.write(row, "legitimate", float(created[row]) + _days(rng, 5.0), None, back=0.3)
        for row in rng.choice(honest, min(len(honest), rng.binomial(len(caught), WRONG)), replace=False).tolist():
            moment = max(seen, float(created[row])) + rng.exponential(20) * HOUR
            book.write(row, "fraud", moment, _case(key, 2 * group.index), back=0.4, analyst=lead)


def _case(key: int, number: int) -> str:
    return f"case-{int(mix(np.array([number]), key)[0]) >> 40:06x}"


def _days(rng: np.random.Generator, median: float) -> float:
    return float(np.exp(rng.normal(np.log(median), 0.6))) * DAY


def _columns(book: _Book) -> dict[str, object]:
    rows = sorted(set(book.rows), key=lambda one: (one[2], one[0], one[3]))
    row, verdict, decided, analyst, case, evidence, retracted = zip(*rows, strict=True) if rows else ([],) * 7
    return {
        "row": np.array(row, dtype=np.int64),
        "verdict": list(verdict),
        "decided_at": np.array(decided, dtype=np.int64),
        "analyst": list(analyst),
        "campaign_id": list(case),
        "evidence": list(evidence),
        "retracted_at": list(retracted),
    }
