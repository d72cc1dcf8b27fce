"""What accounts were scored on, for looking back: first when, by the index alone, then the rows that are wanted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from service.storage.sql import Int64s, Row, columns_of, run


def scored_between(
    connection: Connection, accounts: Int64s, since: int, until: int
) -> tuple[Int64s, Int64s, list[str]]:
    """See ``Store.scored_between``."""
    sql = (
        "SELECT a.account, a.assessed_at, a.assessment_id FROM assessments a "
        "WHERE a.account IN @accounts AND a.assessed_at >= :since AND a.assessed_at <= :until "
        "AND NOT EXISTS (SELECT 1 FROM verdict_spans v WHERE v.account = a.account AND v.verdict = 1 "
        "AND v.start_at <= a.assessed_at AND v.end_at > a.assessed_at) "
        "ORDER BY a.account, a.assessed_at, a.assessment_id"
    )
    rows = run(connection, sql, accounts=accounts, since=since, until=until)
    account, at = columns_of([row[:2] for row in rows], 2)
    return account, at, [row[2] for row in rows]


def scored_rows(connection: Connection, assessments: Sequence[str], version: str) -> list[Row]:
    """See ``Store.scored_rows``."""
    sql = (
        "SELECT assessment_id, score, features FROM assessments "
        "WHERE assessment_id IN @@ids AND model_version = :version AND length(features) > 0"
    )
    return run(connection, sql, ids=list(assessments), version=version) if assessments else []
