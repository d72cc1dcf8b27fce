"""What challengers said of assessments that a champion gave: kept beside them, compared, and never given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.domain.enums import Decision
from service.domain.records import ShadowAssessment
from service.storage.blocks import count_given
from service.storage.locks import lock_links
from service.storage.sql import Int64s, Values, blocks, columns_of, insert, run
from service.storage.tables import shadow_assessments

_PLACE = {decision.value: place for place, decision in enumerate(Decision)}


@dataclass(frozen=True, slots=True)
class ShadowPairs:
    """Answers of one champion beside what one challenger said, in order of (assessed_at, assessment); shape (n,) each.

    Decisions are places in ``Decision``, and the champion's are as they were before chance lifted any.
    """

    champion: str | None  # None: the challenger has said nothing
    account: Int64s
    assessed_at: Int64s
    champion_score: NDArray[np.float64]
    shadow_score: NDArray[np.float64]
    champion_decision: NDArray[np.int8]
    shadow_decision: NDArray[np.int8]
    missed: int  # answers of that champion in the same span of time that the challenger has not scored
    others: int  # answers of earlier champions that it has scored, not among these

    def __len__(self) -> int:
        return len(self.account)


def append(connection: Connection, made: Sequence[ShadowAssessment]) -> int:
    """Keeps those that are new and whose account was not erased meanwhile; returns how many were kept."""
    if not made:
        return 0
    lock_links(connection)  # an erasure either sees these rows, or is seen
    sql = "SELECT account FROM accounts WHERE erased_at IS NOT NULL AND account IN @accounts"
    erased = {row[0] for row in run(connection, sql, accounts=np.unique([each.account for each in made]))}
    kept = [each for each in made if each.account not in erased]
    rows: dict[str, Values] = {
        "assessment_id": [each.assessment_id for each in kept],
        "model_version": [each.model_version for each in kept],
        "account": [each.account for each in kept],
        "assessed_at": [each.assessed_at for each in kept],
        "score": [each.score for each in kept],
        "decision": [each.decision.value for each in kept],
        "policy_version": [each.policy_version for each in kept],
    }
    insert(connection, shadow_assessments, rows, "ON CONFLICT DO NOTHING")
    return len(kept)


def pairs(connection: Connection, version: str) -> ShadowPairs:
    """What the model ``version`` said beside the champion that it was beside last."""
    sql = (
        "SELECT a.model_version, count(*), min(a.assessed_at), max(a.assessed_at) FROM shadow_assessments s "
        "JOIN assessments a ON a.assessment_id = s.assessment_id WHERE s.model_version = :version "
        "GROUP BY a.model_version ORDER BY 4, 1"
    )
    beside = run(connection, sql, version=version)
    if not beside:
        none, scores, decisions = np.empty(0, np.int64), np.empty(0), np.empty(0, np.int8)
        return ShadowPairs(None, none, none, scores, scores, decisions, decisions, 0, 0)
    champion, scored, first, last = beside[-1]
    sql = "SELECT count(*) FROM assessments WHERE model_version = :champion AND assessed_at BETWEEN :first AND :last"
    given = run(connection, f"{sql} AND length(features) > 0", champion=champion, first=first, last=last)[0][0]
    given += count_given(connection, champion, first, last)
    sql = (
        "SELECT s.account, s.assessed_at, a.score, s.score, coalesce(a.explored_from, a.decision), s.decision "
        "FROM shadow_assessments s JOIN assessments a ON a.assessment_id = s.assessment_id "
        "WHERE s.model_version = :version AND a.model_version = :champion ORDER BY s.assessed_at, s.assessment_id"
    )
    parts = [
        (
            *columns_of([row[:2] for row in rows], 2),
            np.array([row[2] for row in rows], np.float64),
            np.array([row[3] for row in rows], np.float64),
            np.array([_PLACE[row[4]] for row in rows], np.int8),
            np.array([_PLACE[row[5]] for row in rows], np.int8),
        )
        for rows in blocks(connection, sql, version=version, champion=champion)
    ]
    account, at, said, beside_it, decided, would = (np.concatenate(column) for column in zip(*parts, strict=True))
    others = sum(row[1] for row in beside[:-1])
    return ShadowPairs(champion, account, at, said, beside_it, decided, would, max(0, given - scored), others)


def judged(connection: Connection, version: str, as_of: int) -> tuple[Int64s, Int64s, Int64s]:
    """Accounts that the model scored and that are under a verdict at ``as_of``: (account, verdict, since when)."""
    sql = (
        "SELECT account, verdict, start_at FROM verdict_spans WHERE start_at <= :as_of AND end_at > :as_of "
        "AND account IN (SELECT account FROM shadow_assessments WHERE model_version = :version) ORDER BY account"
    )
    account, verdict, since = columns_of(run(connection, sql, as_of=as_of, version=version), 3)
    return account, verdict, since
