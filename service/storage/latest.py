# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter
"""What accounts were told last, from rows and from blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.domain.blocks import DECISIONS, NONE, PLACES, Int8s, job_assessment_id
from service.domain.enums import Decision
from service.domain.facts import Float64s, Int64s
from service.storage.blocks import Held, within
from service.storage.gathered import Rows, integers_of
from service.storage.listing import RANGE, dense, ends
from service.storage.sql import run
from service.storage.wide import integers

_NEVER = -(2**63)


@dataclass(frozen=True, slots=True)
class LatestDecision:
    """What an account was told last."""

    account: int
    assessment_id: str
    assessed_at: int
    score: float
    decision: Decision
    campaign_id: str | None  # None: in no campaign then


@dataclass(slots=True, eq=False)
class _Last:
    """The latest answer of each of ``account`` (n,), ascending, as far as it was looked for."""

    account: Int64s
    at: Int64s  # _NEVER: none
    name: NDArray[np.object_]  # the assessment's id, or the number that a block has in its place
    score: Float64s
    decision: Int8s
    campaign: NDArray[np.object_]
    found: NDArray[np.bool_]  # in a block; no earlier one matters then

    def assessment_id(self, row: int) -> str:
        """Shaped from what was kept."""
        name = self.name[row]
        return name if isinstance(name, str) else job_assessment_id(int(self.account[row]), int(name))

    def take(self, held: Held) -> None:
        """Looks into a block; blocks come the newest first."""
        said = held.answers()
        place = np.minimum(np.searchsorted(said.account, self.account), len(said.account) - 1)
        mine = said.account[place] == self.account
        newer = mine & (self.at < held.assessed_at)
        for row in np.flatnonzero(mine & (self.at == held.assessed_at)).tolist():
            name = job_assessment_id(int(self.account[row]), int(said.name[place[row]]))
            newer[row] = name > self.assessment_id(row)
        rows, of = np.flatnonzero(newer), place[newer]
        self.at[rows] = held.assessed_at
        self.name[rows], self.score[rows], self.decision[rows] = said.name[of], said.score[of], said.decision[of]
        self.campaign[rows] = np.array(said.campaign, np.object_)[of]
        self.found |= mine


def last_decisions(connection: Connection, accounts: Int64s, before: int) -> Int8s:
    """Places in ``DECISIONS`` of what each was told last at or before ``before``, shape (n,); NONE: nothing."""
    account, back = np.unique(accounts, return_inverse=True)
    return _last(connection, account, before).decision[back]


def latest_decisions(connection: Connection, accounts: Int64s | None, before: int) -> dict[int, LatestDecision]:
    """What each account was told last, at or before ``before``; accounts never assessed are absent. None: all."""
    if accounts is None:
        accounts = integers(connection, "SELECT account FROM accounts UNION SELECT account FROM assessments", 1)[:, 0]
    last = _last(connection, np.unique(accounts), before)
    return {
        int(last.account[i]): LatestDecision(
            int(last.account[i]),
            last.assessment_id(i),
            int(last.at[i]),
            float(last.score[i]),
            DECISIONS[last.decision[i]],
            last.campaign[i],
        )
        for i in np.flatnonzero(last.at != _NEVER).tolist()
    }


def _last(connection: Connection, account: Int64s, before: int) -> _Last:
    n = len(account)
    last = _Last(
        account=account,
        at=np.full(n, _NEVER, np.int64),
        name=np.full(n, "", np.object_),
        score=np.full(n, np.nan),
        decision=np.full(n, NONE, np.int8),
        campaign=np.full(n, None, np.object_),
        found=np.zeros(n, np.bool_),
    )
    if n:
        many = dense(connection, account)
        _from_rows(connection, last, before, many=many)
        _from_blocks(connection, last, before, many=many)
    return last


def _from_rows(connection: Connection, last: _Last, before: int, *, many: bool) -> None:
    which = RANGE if many else "account IN @accounts"
    sql = (
        "SELECT a.account, a.assessment_id, a.assessed_at, a.score, a.decision, a.campaign_id FROM assessments a JOIN ("
        "SELECT account, max(assessed_at) AS assessed_at FROM assessments "
        f"WHERE {which} AND assessed_at <= :before GROUP BY account"
        ") newest ON a.account = newest.account AND a.assessed_at = newest.assessed_at ORDER BY a.assessment_id"
    )
    of = ends(last.account) if many else {"accounts": last.account}
    rows = run(connection, sql, before=before, **of)
    if not rows:
        return
    account, ids, at, score, decision, campaign = zip(*rows, strict=True)
    place = np.minimum(np.searchsorted(last.account, np.array(account, np.int64)), len(last.account) - 1)
    mine = last.account[place] == account
    place = place[mine]  # of two at the same moment the greater id comes later, and stays
    last.at[place], last.score[place] = np.array(at, np.int64)[mine], np.array(score)[mine]
    last.name[place], last.campaign[place] = np.array(ids, np.object_)[mine], np.array(campaign, np.object_)[mine]
    last.decision[place] = np.array([PLACES[Decision(each)] for each in decision], np.int8)[mine]


def _from_blocks(connection: Connection, last: _Last, before: int, *, many: bool) -> None:
    """Looks into blocks until those that are left were not known yet, or were told something later."""
    low, high = int(last.account[0]), int(last.account[-1])
    learned: Int64s | None = None
    for held in within(connection, low, high, _NEVER, before):
        open_ = ~last.found & (last.at <= held.assessed_at)
        if open_.any() and last.found.any():
            learned = _learned(connection, last.account, many=many) if learned is None else learned
            open_ &= learned <= held.assessed_at
        if not (open_ | (last.at == held.assessed_at)).any():
            return
        last.take(held)


def _learned(connection: Connection, account: Int64s, *, many: bool) -> Int64s:
    """When each signup was learned: nobody was assessed before. _NEVER: not known, so at any time."""
    which, of = (RANGE, ends(account)) if many else ("account IN @accounts", {"accounts": account})
    there, learned = integers_of(connection, Rows("accounts", which, of, "account"), ("account", "learned_at"))
    place = np.searchsorted(there, account)
    place[place == len(there)] = 0
    known = there[place] == account if len(there) else np.zeros(len(account), np.bool_)
    return np.where(known, learned[place], _NEVER) if len(there) else np.full(len(account), _NEVER)
