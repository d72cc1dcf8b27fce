"""What accounts were scored on, for looking back: first when, by the index alone, then the rows that are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection

from service.domain.blocks import job_assessment_id, told_by_id
from service.storage import blocks
from service.storage.sql import Int64s, columns_of, run

Row = tuple[str, float, bytes]


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
    found = [(row[0], row[1], row[2]) for row in rows]
    found += _in_blocks(connection, np.unique(accounts), since, until)
    found.sort()
    account, at = columns_of([row[:2] for row in found], 2)
    return account, at, [row[2] for row in found]


def _in_blocks(connection: Connection, accounts: Int64s, since: int, until: int) -> Iterator[tuple[int, int, str]]:
    if not len(accounts):
        return
    sql = "SELECT account, start_at, end_at FROM verdict_spans WHERE verdict = 1 AND account IN @accounts"
    who, start, end = columns_of(run(connection, sql, accounts=accounts), 3)
    for held in blocks.within(connection, int(accounts[0]), int(accounts[-1]), since, until):
        said = held.answers()
        mine = np.isin(said.account, accounts)
        mine &= ~np.isin(said.account, who[(start <= held.assessed_at) & (end > held.assessed_at)])
        for account, name in zip(said.account[mine].tolist(), said.name[mine].tolist(), strict=True):
            yield account, held.assessed_at, job_assessment_id(account, name)


def scored_rows(connection: Connection, assessments: Sequence[str], version: str, since: int, until: int) -> list[Row]:
    """See ``Store.scored_rows``."""
    if not assessments:
        return []
    sql = (
        "SELECT assessment_id, score, features FROM assessments "
        "WHERE assessment_id IN @@ids AND model_version = :version AND length(features) > 0"
    )
    rows = [(row[0], row[1], bytes(row[2])) for row in run(connection, sql, ids=list(assessments), version=version)]
    there = {row[0] for row in rows}
    told = [pair for name in assessments if name not in there and (pair := told_by_id(name)) is not None]
    return [*rows, *_rows_in_blocks(connection, set(told), version, since, until)]


def _rows_in_blocks(
    connection: Connection, wanted: set[tuple[int, int]], version: str, since: int, until: int
) -> Iterator[Row]:
    """``wanted``: pairs of account and name."""
    if not wanted:
        return
    accounts = np.unique([account for account, _ in wanted])
    for held in blocks.within(connection, int(accounts[0]), int(accounts[-1]), since, until):
        if held.model_version != version:
            continue
        said = held.answers()
        rows = [
            row
            for row in np.flatnonzero(np.isin(said.account, accounts) & ~said.erased).tolist()
            if (int(said.account[row]), int(said.name[row])) in wanted
        ]
        packed = blocks.features_of(connection, held.block, rows) if rows else []
        for row, features in zip(rows, packed, strict=True):
            yield job_assessment_id(int(said.account[row]), int(said.name[row])), float(said.score[row]), features
