"""One campaign becomes part of another."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from service.domain.campaigns import CampaignRecord, CampaignState
from service.domain.codes import hash64
from service.storage.campaigns import note
from service.storage.placement import (
    NEVER,
    as_accounts,
    bar,
    barred,
    join,
    leave,
    members_of,
    place_labelled,
    unbar,
)
from service.storage.sql import Int64s, changed
from service.storage.states import Said, restate, said_now


def absorb(
    connection: Connection, source: CampaignRecord, target: CampaignRecord, at: int, *, review_id: str | None = None
) -> None:
    """Makes one campaign part of another: members, keys and what was found of it go over. ``review_id`` None: a run's.

    An analyst's merging keeps all its members; of a run's only those go over that analysts placed, as the run says who
    else belongs there. A verdict of analysts goes over where the other has none.
    """
    here, there = hash64(source.campaign_id), hash64(target.campaign_id)
    moving, staying = members_of(connection, here), members_of(connection, there)
    said, theirs = said_now(connection, here), said_now(connection, there)
    kept = moving if review_id is not None else {a: m for a, m in moving.items() if m.placed_by != "detect"}
    if review_id is None:
        kept = {a: m for a, m in kept.items() if a not in barred(connection, there).get(there, set())}
    leave(connection, here, as_accounts(moving), at)
    unbar(connection, there, as_accounts(kept), at)
    out = barred(connection, here).get(here, set()) - staying.keys() - kept.keys()
    bar(connection, there, as_accounts(out), at)
    _move_keys(connection, here, there, at)
    changed(
        connection,
        "UPDATE campaigns SET merged_into = :into, merged_at = :at WHERE campaign = :campaign",
        into=target.campaign_id,
        at=at,
        campaign=here,
    )
    changed(
        connection,
        "UPDATE campaigns SET exchanges = exchanges + :exchanges, input_tokens = input_tokens + :input, "
        "output_tokens = output_tokens + :output, detected_at = CASE WHEN detected_at IS NULL OR "
        "detected_at > coalesce(:detected, detected_at) THEN :detected ELSE detected_at END WHERE campaign = :campaign",
        exchanges=source.exchanges,
        input=source.input_tokens,
        output=source.output_tokens,
        detected=source.detected_at,
        campaign=there,
    )
    place_labelled(connection, as_accounts(moving))
    staying = members_of(connection, there)
    going = [
        replace(member, joined_at=at, membership=None, placed_by="analyst")
        for account, member in kept.items()
        if account not in staying
    ]
    join(connection, there, going)
    restate(connection, here, at, said=replace(said, verdict=CampaignState.MERGED.value))
    found = max((said.found, theirs.found), key=lambda each: (each is not None, each == "detected"))
    scores = [each for each in (said.score, theirs.score) if each is not None]
    restate(connection, there, at, said=Said(max(scores, default=None), found, theirs.verdict or said.verdict))
    detail = {} if review_id is None else {"review_id": review_id}
    note(connection, at, source.campaign_id, "merged", into=target.campaign_id, members=len(moving), **detail)
    note(connection, at, target.campaign_id, "merged", source=source.campaign_id, members=len(kept), **detail)


def _move_keys(connection: Connection, here: int, there: int, at: int) -> None:
    """So that a newcomer on a key of either is seen before the next run."""
    changed(
        connection,
        "INSERT INTO campaign_keys (key, campaign, start_at, end_at, kind, weight, private, family) "
        f"SELECT key, :there, :at, {NEVER}, kind, weight, private, family FROM campaign_keys "
        f"WHERE campaign = :here AND end_at = {NEVER} AND key NOT IN "
        f"(SELECT key FROM campaign_keys WHERE campaign = :there AND end_at = {NEVER}) "
        "ON CONFLICT (key, campaign, start_at) DO UPDATE SET end_at = excluded.end_at, kind = excluded.kind, "
        "weight = excluded.weight, private = excluded.private, family = excluded.family",
        here=here,
        there=there,
        at=at,
    )
    close_keys(connection, here, at)


def close_keys(connection: Connection, campaign: int, at: int, keys: Int64s | None = None) -> int:
    """Ends the open spans of a campaign's keys, or of some of them; returns of how many."""
    some = "" if keys is None else "key IN @keys AND "
    return changed(
        connection,
        "UPDATE campaign_keys SET end_at = CASE WHEN start_at > :at THEN start_at ELSE :at END "
        f"WHERE {some}campaign = :campaign AND end_at = {NEVER}",
        at=at,
        campaign=campaign,
        **({} if keys is None else {"keys": keys}),
    )
