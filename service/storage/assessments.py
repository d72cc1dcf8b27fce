# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter
"""Assessments: appended, never rewritten."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.domain.blocks import NONE
from service.domain.codes import hash64
from service.domain.enums import Decision, Purpose
from service.domain.errors import UnknownAssessment
from service.domain.records import Assessment, LinkSummary
from service.domain.requests import Page
from service.storage import blocks
from service.storage.pages import page_of, position
from service.storage.sql import Int64s, Row, Runs, Values, insert, run
from service.storage.tables import assessments

_COLUMNS = (
    "assessment_id, account, account_id, assessed_at, purpose, score, decision, recommended_limit, model_version, "
    "policy_version, feature_fingerprint, features, links, rules, degraded, campaign_id, request_id, request_content, "
    "explored_from, propensity"
)


@dataclass(frozen=True, slots=True)
class Chances:
    """Accounts that chance had a say in, by number; shape (n,) each."""

    account: Int64s
    let_through: NDArray[np.bool_]  # each time it would have been challenged or reviewed
    rate: NDArray[np.float64]  # chance of that: the least share that was let through at any of those times


def insert_assessments(connection: Runs, made: Sequence[Assessment], on_conflict: str = "") -> None:
    """Appends assessments."""
    rows: dict[str, Values] = {
        "assessment_id": [a.assessment_id for a in made],
        "account": [a.account for a in made],
        "account_id": [a.account_id for a in made],
        "assessed_at": [a.assessed_at for a in made],
        "purpose": [a.purpose.value for a in made],
        "score": [a.score for a in made],
        "decision": [a.decision.value for a in made],
        "recommended_limit": [a.recommended_limit for a in made],
        "model_version": [a.model_version for a in made],
        "policy_version": [a.policy_version for a in made],
        "feature_fingerprint": [a.feature_fingerprint for a in made],
        "features": [a.features for a in made],
        "links": [orjson.dumps([_link(each) for each in a.links]).decode() if a.links else "[]" for a in made],
        "rules": [json.dumps(a.rules) if a.rules else "[]" for a in made],
        "degraded": [json.dumps(a.degraded) if a.degraded else "[]" for a in made],
        "campaign_id": [a.campaign_id for a in made],
        "request_id": [a.request_id for a in made],
        "request_content": [a.request_content for a in made],
        "explored_from": [a.explored_from.value if a.explored_from is not None else None for a in made],
        "propensity": [a.propensity for a in made],
    }
    insert(connection, assessments, rows, on_conflict)


def _link(link: LinkSummary) -> list[str | int]:
    """A campaign comes last, and only where there is one: so read those that were kept before there were campaigns."""
    said: list[str | int] = [link.key_type, link.linked, link.confirmed]
    return said if link.campaign_id is None else [*said, link.campaign_id]


def _record(row: Row) -> Assessment:
    return Assessment(
        assessment_id=row[0],
        account=row[1],
        account_id=row[2],
        assessed_at=row[3],
        purpose=Purpose(row[4]),
        score=row[5],
        decision=Decision(row[6]),
        recommended_limit=row[7],
        model_version=row[8],
        policy_version=row[9],
        feature_fingerprint=row[10],
        features=bytes(row[11]),
        links=tuple(LinkSummary(*each) for each in json.loads(row[12])),
        rules=tuple(json.loads(row[13])),
        degraded=tuple(json.loads(row[14])),
        campaign_id=row[15],
        request_id=row[16],
        request_content=row[17],
        explored_from=Decision(row[18]) if row[18] is not None else None,
        propensity=row[19],
    )


def stored_requests(connection: Runs, asked: Sequence[Assessment]) -> dict[str, Assessment]:
    """Those kept under the same requests (``r:id``), or under the same ids where no request made them (``a:id``)."""
    out: dict[str, Assessment] = {}
    requests = [each.request_id for each in asked if each.request_id is not None]
    if requests:
        sql = f"SELECT {_COLUMNS} FROM assessments WHERE request_id IN @@ids"
        out.update((f"r:{row[16]}", _record(row)) for row in run(connection, sql, ids=requests))
    own = [each.assessment_id for each in asked if each.request_id is None]
    if own:
        sql = f"SELECT {_COLUMNS} FROM assessments WHERE assessment_id IN @@ids"
        out.update((f"a:{row[0]}", _record(row)) for row in run(connection, sql, ids=own))
    return out


def assessment(connection: Connection, assessment_id: str) -> Assessment:
    """One assessment. Raises UnknownAssessment."""
    sql = f"SELECT {_COLUMNS} FROM assessments WHERE assessment_id = :id"
    rows = run(connection, sql, id=assessment_id)
    found = _record(rows[0]) if rows else blocks.by_id(connection, assessment_id)
    if found is None:
        raise UnknownAssessment(assessment_id)
    return found


def assessments_of(connection: Connection, account_id: str, page_size: int, page_token: str) -> Page[Assessment]:
    """An account's assessments, newest first. Raises InvalidPageToken."""
    scope = f"assessments:{account_id}"
    at, last = position(page_token, scope, (int, str)) or (2**62, "")
    sql = (
        f"SELECT {_COLUMNS} FROM assessments WHERE account = :account AND assessed_at <= :at "
        "AND (assessed_at < :at OR assessment_id < :last) "
        "ORDER BY assessed_at DESC, assessment_id DESC LIMIT :size"
    )
    account, size = hash64(account_id), page_size + 1
    made = [_record(row) for row in run(connection, sql, account=account, at=at, last=last, size=size)]
    made += blocks.of_account(connection, account, account_id, (at, last), size)
    made.sort(key=_by_moment, reverse=True)
    return page_of(made[:size], page_size, scope, _by_moment)


def _by_moment(made: Assessment) -> tuple[int, str]:
    return made.assessed_at, made.assessment_id


def chances(connection: Connection, as_of: int) -> Chances:
    """Accounts with an answer by ``as_of`` that chance had a say in.

    Its draw is one for an account's whole life, so it was let through each time where the draw lay below every rate.
    """
    sql = (
        "SELECT account, min(CASE WHEN explored_from IS NULL THEN 0 ELSE 1 END), "
        "min(CASE WHEN explored_from IS NULL THEN 1 - propensity ELSE propensity END) "
        "FROM assessments WHERE propensity IS NOT NULL AND assessed_at <= :as_of GROUP BY account ORDER BY account"
    )
    rows = run(connection, sql, as_of=as_of)
    account = [np.array([row[0] for row in rows], np.int64)]
    through = [np.array([row[1] == 1 for row in rows], np.bool_)]
    rate = [np.array([row[2] for row in rows], np.float64)]
    for said in blocks.with_chances(connection, as_of):
        had = ~np.isnan(said.propensity)
        lifted = said.explored_from[had] != NONE
        account.append(said.account[had])
        through.append(lifted)
        rate.append(np.where(lifted, said.propensity[had], 1.0 - said.propensity[had]))
    distinct, place = np.unique(np.concatenate(account), return_inverse=True)
    each, least = np.ones(len(distinct), np.bool_), np.full(len(distinct), np.inf)
    np.logical_and.at(each, place, np.concatenate(through))
    np.minimum.at(least, place, np.concatenate(rate))
    return Chances(distinct, each, least)


def append(connection: Connection, made: Sequence[Assessment]) -> int:
    """Appends a job's assessments that are new; returns how many were."""
    ids = [each.assessment_id for each in made]
    sql = "SELECT assessment_id FROM assessments WHERE assessment_id IN @@ids"
    there = {name for (name,) in run(connection, sql, ids=ids)} if ids else set()
    fresh = list({each.assessment_id: each for each in reversed(made) if each.assessment_id not in there}.values())
    insert_assessments(connection, fresh[::-1], "ON CONFLICT DO NOTHING")
    return len(fresh)
