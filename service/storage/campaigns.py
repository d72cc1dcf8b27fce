"""Campaigns as analysts read them."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Connection

from service.domain.campaigns import (
    CampaignEvidence,
    CampaignMember,
    CampaignRecord,
    CampaignState,
    KeyEvidence,
    TimelineSpan,
)
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.errors import UnknownCampaign
from service.domain.requests import Page
from service.storage.blocks import count_raised
from service.storage.pages import page_of, position
from service.storage.sql import Int64s, Row, Values, insert, run
from service.storage.tables import campaign_events
from service.tiles.history import FRAUD

NEVER = 2**62

_COLUMNS = (
    "campaign_id, state, origin, score, members, created_at, detected_at, updated_at, first_signup_at, last_signup_at, "
    "exchanges, input_tokens, output_tokens, revision, merged_into, split_from"
)


def campaign(connection: Connection, campaign_id: str) -> CampaignRecord:
    """See ``Store.campaign``."""
    rows = run(connection, f"SELECT {_COLUMNS} FROM campaigns WHERE campaign_id = :id", id=campaign_id)
    if not rows:
        raise UnknownCampaign(campaign_id)
    return _records(connection, rows)[0]


def listed(
    connection: Connection, states: frozenset[CampaignState], min_members: int, page_size: int, page_token: str
) -> Page[CampaignRecord]:
    """See ``Store.list_campaigns``."""
    wanted = sorted(states or frozenset(CampaignState) - {CampaignState.MERGED})
    scope = f"campaigns:{wanted}:{min_members}"
    updated, last = position(page_token, scope, (int, str)) or (NEVER, "")
    sql = (
        f"SELECT {_COLUMNS} FROM campaigns WHERE (updated_at, campaign_id) < (:updated, :last) "
        "AND state IN @@states AND members >= :least ORDER BY updated_at DESC, campaign_id DESC LIMIT :size"
    )
    names = [state.value for state in wanted]
    rows = run(connection, sql, updated=updated, last=last, states=names, least=min_members, size=page_size + 1)
    return page_of(_records(connection, rows), page_size, scope, lambda each: (each.updated_at, each.campaign_id))


def _records(connection: Connection, rows: Sequence[Row]) -> list[CampaignRecord]:
    sql = (
        "SELECT m.campaign, count(*) FROM campaign_members m JOIN verdict_spans v ON v.account = m.account "
        f"AND v.verdict = {FRAUD} AND v.end_at = {NEVER} WHERE m.campaign IN @campaigns AND m.left_at = {NEVER} "
        "GROUP BY m.campaign"
    )
    confirmed: dict[int, int] = dict(run(connection, sql, campaigns=[hash64(row[0]) for row in rows]))
    return [
        CampaignRecord(
            campaign_id=row[0],
            state=CampaignState(row[1]),
            origin=row[2],
            score=row[3],
            members=row[4],
            confirmed_members=confirmed.get(hash64(row[0]), 0),
            created_at=row[5],
            detected_at=row[6],
            updated_at=row[7],
            first_signup_at=row[8],
            last_signup_at=row[9],
            exchanges=row[10],
            input_tokens=row[11],
            output_tokens=row[12],
            revision=row[13],
            merged_into=row[14],
            split_from=row[15],
        )
        for row in rows
    ]


def members(connection: Connection, campaign_id: str, page_size: int, page_token: str) -> Page[CampaignMember]:
    """See ``Store.list_members``."""
    _must_exist(connection, campaign_id)
    scope = f"members:{campaign_id}"
    joined, last = position(page_token, scope, (int, int)) or (-(2**62), 0)
    sql = (
        "SELECT m.account, a.account_id, m.member_since, m.membership, m.key_types, v.verdict FROM campaign_members m "
        "LEFT JOIN accounts a ON a.account = m.account "
        f"LEFT JOIN verdict_spans v ON v.account = m.account AND v.end_at = {NEVER} "
        f"WHERE m.campaign = :campaign AND m.left_at = {NEVER} AND (m.member_since, m.account) > (:joined, :last) "
        "ORDER BY m.member_since, m.account LIMIT :size"
    )
    rows = run(connection, sql, campaign=hash64(campaign_id), joined=joined, last=last, size=page_size + 1)
    said = _said_ids(connection, [row[0] for row in rows if row[1] is None])
    listed = [
        CampaignMember(
            account=row[0],
            account_id=row[1] or said.get(row[0], ""),
            joined_at=row[2],
            membership=row[3],
            key_types=tuple(row[4].split(",")) if row[4] else (),
            verdict=None if row[5] is None else (Verdict.FRAUD if row[5] == FRAUD else Verdict.LEGITIMATE),
        )
        for row in rows
    ]
    return page_of(listed, page_size, scope, lambda each: (each.joined_at, each.account))


def member_accounts(connection: Connection, campaign_id: str) -> tuple[Int64s, list[str]]:
    """See ``Store.member_accounts``."""
    _must_exist(connection, campaign_id)
    return present(connection, hash64(campaign_id))


def present(connection: Connection, number: int) -> tuple[Int64s, list[str]]:
    """Members now, as (accounts, ids), the earliest joined first; the id is empty where nobody has said it."""
    sql = (
        "SELECT m.account, a.account_id FROM campaign_members m LEFT JOIN accounts a ON a.account = m.account "
        f"WHERE m.campaign = :campaign AND m.left_at = {NEVER} ORDER BY m.member_since, m.account"
    )
    rows = run(connection, sql, campaign=number)
    said = _said_ids(connection, [row[0] for row in rows if row[1] is None])
    ids = [row[1] or said.get(row[0], "") for row in rows]
    return np.array([row[0] for row in rows], np.int64), ids


def _said_ids(connection: Connection, accounts: Sequence[int]) -> dict[int, str]:
    """Ids of accounts that labels alone have named."""
    if not accounts:
        return {}
    sql = "SELECT account, account_id FROM labels WHERE account IN @accounts"
    return dict(run(connection, sql, accounts=list(accounts)))


def _must_exist(connection: Connection, campaign_id: str) -> None:
    if not run(connection, "SELECT 1 FROM campaigns WHERE campaign_id = :id", id=campaign_id):
        raise UnknownCampaign(campaign_id)


def evidence(connection: Connection, campaign_id: str) -> CampaignEvidence:
    """See ``Store.campaign_evidence``."""
    rows = run(connection, "SELECT evidence FROM campaigns WHERE campaign_id = :id", id=campaign_id)
    if not rows:
        raise UnknownCampaign(campaign_id)
    kept = CampaignEvidence() if rows[0][0] is None else evidence_of(rows[0][0])
    return replace(kept, changed_assessments=_changed_assessments(connection, campaign_id))


def _changed_assessments(connection: Connection, campaign_id: str) -> int:
    """Assessments whose decision a rule about this campaign raised."""
    sql = "SELECT count(*) FROM assessments WHERE campaign_id = :id AND rules LIKE '%campaign_%'"
    return int(run(connection, sql, id=campaign_id)[0][0]) + count_raised(connection, campaign_id)


def evidence_text(said: CampaignEvidence) -> str:
    """Evidence as it is stored."""
    return orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY).decode()  # runs count in numpy's numbers


def evidence_of(text: str) -> CampaignEvidence:
    """Evidence as it was stored."""
    kept = orjson.loads(text)
    return CampaignEvidence(
        keys=tuple(KeyEvidence(**each) for each in kept["keys"]),
        keys_looked_at=kept["keys_looked_at"],
        timeline=tuple(TimelineSpan(**each) for each in kept["timeline"]),
        families=tuple((name, nats) for name, nats in kept["families"]),
        counter_evidence=tuple(kept["counter_evidence"]),
        typical_accounts=tuple(kept["typical_accounts"]),
        edges=tuple((one, other, nats, kind) for one, other, nats, kind in kept["edges"]),
        changed_assessments=kept["changed_assessments"],
        as_of=kept["as_of"],
    )


Event = tuple[int, str, dict[str, Any]]


def events(connection: Connection, campaign_id: str) -> list[Event]:
    """See ``Store.campaign_events``."""
    _must_exist(connection, campaign_id)
    sql = "SELECT happened_at, what, detail FROM campaign_events WHERE campaign_id = :id ORDER BY number"
    return [(row[0], row[1], orjson.loads(row[2])) for row in run(connection, sql, id=campaign_id)]


def note(connection: Connection, at: int, campaign_id: str, what: str, **detail: Any) -> None:
    """Adds an event to a campaign's history. ``detail`` names no accounts: an erasure leaves it as it is."""
    row: dict[str, Values] = {
        "happened_at": [at],
        "campaign_id": [campaign_id],
        "what": [what],
        "detail": [orjson.dumps(detail).decode()],
    }
    insert(connection, campaign_events, row)
