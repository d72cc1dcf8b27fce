"""Campaigns as scoring reads them: what bears on a few accounts at one moment, by index, and on all of them in bulk."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.domain.campaigns import LIVE_STATES, CampaignState
from service.domain.detection import STATE_CODES, CampaignRows
from service.storage.sql import Int64s, Row, Runs, blocks, run
from service.tiles.fold import expand
from service.tiles.history import NO_CAMPAIGNS, CampaignFacts

ANY_CAMPAIGN = "SELECT EXISTS (SELECT 1 FROM campaigns)"
_LIVE = {state.value for state in LIVE_STATES}

_MEMBERS = (
    "SELECT m.account, m.campaign, m.joined_at, m.left_at, m.membership FROM {each} CROSS JOIN campaign_members m "
    "WHERE m.account = e.value AND m.joined_at <= :as_of AND m.left_at > :as_of"
)
_KEYS = (
    "SELECT m.key, m.campaign, m.start_at, m.end_at, m.kind, m.weight, m.private, m.family FROM {each} "
    "CROSS JOIN campaign_keys m WHERE m.key = e.value AND m.start_at <= :as_of AND m.end_at > :as_of"
)
_NEWEST = (
    "SELECT s.campaign, s.at, s.state, s.score, s.members, c.campaign_id FROM campaigns c JOIN campaign_states s "
    "ON s.campaign = c.campaign AND s.at = (SELECT max(x.at) FROM campaign_states x WHERE x.campaign = c.campaign "
    "AND x.at <= :as_of) WHERE c.campaign IN @campaigns"
)

SQLITE_MEMBERS = _MEMBERS.format(each="json_each(:accounts) e")  # SQLite keeps the order of what is cross joined
SQLITE_KEYS = _KEYS.format(each="json_each(:keys) e")


def _lateral(select: str, each: str) -> str:
    """OFFSET 0 keeps PostgreSQL from reading whole tables; nothing runs where there are no campaigns."""
    inner = select.replace("{each} CROSS JOIN ", "") + " OFFSET 0"
    return f"SELECT f.* FROM {each} CROSS JOIN LATERAL ({inner}) f WHERE EXISTS (SELECT 1 FROM campaigns)"


POSTGRES_MEMBERS = _lateral(_MEMBERS, "unnest(:accounts::bigint[]) AS e(value)")


def postgres_keys(keys: str) -> str:
    """The statement on the keys that ``keys``, a subquery, selects."""
    return _lateral(_KEYS, f"({keys}) AS e(value)")


def campaign_facts(connection: Runs, members: Sequence[Row], held: Sequence[Row], as_of: int) -> CampaignFacts:
    """What the statements above found, with the states that held; most accounts have nothing to do with campaigns."""
    if not members and not held:
        return NO_CAMPAIGNS
    concerned = sorted({row[1] for row in members} | {row[1] for row in held})
    states = run(connection, _NEWEST, campaigns=concerned, as_of=as_of)
    live = {row[0]: row[5] for row in states if row[2] in _LIVE}
    if not live:
        return NO_CAMPAIGNS
    return CampaignFacts(CampaignRows(**_members(members), **_keys(held), **_states(states)), live)


def _columns(rows: Iterable[Row], names: Sequence[str], types: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The first columns of ``rows`` as arrays of int64, or of what ``types`` says; NULL becomes NaN in a float."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: np.array(columns[i], types.get(name, np.int64)) for i, name in enumerate(names)}


def _members(rows: Sequence[Row]) -> dict[str, Any]:
    names = ("member_account", "member_campaign", "member_start", "member_end", "membership")
    return _columns(rows, names, {"membership": np.float64})


def _keys(rows: Sequence[Row]) -> dict[str, Any]:
    names = ("key", "key_campaign", "key_start", "key_end", "key_kind", "key_weight", "key_private", "key_family")
    types = {"key_kind": np.int32, "key_weight": np.float64, "key_private": np.bool_, "key_family": np.int8}
    return _columns(rows, names, types)


def _states(rows: Sequence[Row]) -> dict[str, Any]:
    names = ("state_campaign", "state_at", "state", "state_score", "state_members")
    coded = [(row[0], row[1], STATE_CODES[CampaignState(row[2])], row[3], row[4]) for row in rows]
    return _columns(coded, names, {"state": np.int8, "state_score": np.float64})


class AllCampaigns:
    """Every campaign's members, keys and states, of any time, held for bulk reads; 50 bytes a row."""

    def __init__(self, connection: Connection) -> None:
        self._names: dict[int, str] = dict(run(connection, "SELECT campaign, campaign_id FROM campaigns"))
        if not self._names:
            return
        members = "SELECT account, campaign, joined_at, left_at, membership FROM campaign_members ORDER BY account"
        keys = "SELECT key, campaign, start_at, end_at, kind, weight, private, family FROM campaign_keys ORDER BY key"
        states = "SELECT campaign, at, state, score, members FROM campaign_states"
        self._members = _joined([_members(rows) for rows in blocks(connection, members)] or [_members([])])
        self._keys = _joined([_keys(rows) for rows in blocks(connection, keys)] or [_keys([])])
        self._states = _joined([_states(rows) for rows in blocks(connection, states)] or [_states([])])

    def of(self, accounts: Int64s, keys: Int64s) -> CampaignFacts:
        """What bears on ``accounts`` and on ``keys``, both ascending and distinct."""
        if not self._names:
            return NO_CAMPAIGNS
        members = _places(self._members["member_account"], accounts)
        held = _places(self._keys["key"], keys)
        if not len(members) and not len(held):
            return NO_CAMPAIGNS
        rows = {name: column[members] for name, column in self._members.items()}
        rows |= {name: column[held] for name, column in self._keys.items()}
        return CampaignFacts(CampaignRows(**rows, **self._states), self._names)


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _places(ascending: Int64s, values: Int64s) -> Int64s:
    """Places of all elements of ``ascending`` that are among ``values``."""
    return expand(np.searchsorted(ascending, values, "left"), np.searchsorted(ascending, values, "right"))[1]
