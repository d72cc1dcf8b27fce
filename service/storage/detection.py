"""What the detection job reads, writes and leaves for its next run, and the lock that keeps two runs apart."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy import Connection

from service.domain.campaigns import CampaignState
from service.domain.codes import hash64
from service.domain.detection import (
    PLACED_ANALYST,
    PLACED_DETECT,
    PLACED_LABEL,
    CampaignKeys,
    DetectionOutcome,
    FoundCampaign,
    Standing,
)
from service.domain.errors import DetectionRunning
from service.domain.facts import Int64s
from service.domain.time import SECOND
from service.storage.campaigns import campaign as record_of
from service.storage.campaigns import evidence_text, note
from service.storage.locks import lock_labels, lock_runs
from service.storage.merging import absorb, close_keys
from service.storage.placement import (
    NEVER,
    Member,
    as_accounts,
    barred,
    join,
    leave,
    members_of,
    place_labelled,
)
from service.storage.sql import Values, changed, columns_of, insert, run
from service.storage.states import restate, said_now
from service.storage.tables import campaign_keys, campaigns, detect_runs, linking_cache

PIECE = 32 << 20  # bytes
SILENCE = 60 * SECOND  # a run that says nothing for so long has died, and another may take its place

# What is written anew; less than that says nothing new, and would make every run change every campaign.
SURER = 0.1  # of a membership
LIKELIER = 0.005  # of a campaign's score
HEAVIER = 0.25  # nats of a key's weight


# --- runs -----------------------------------------------------------------------------------------------------------


def begin(connection: Connection, as_of: int, holder: str, now: int) -> int:
    """See ``Store.begin_detection``."""
    lock_runs(connection)
    running = _unfinished(connection)
    if running is not None:
        run_, other, since, heartbeat = running
        if now - heartbeat < SILENCE:
            raise DetectionRunning(other, since)
        sql = "UPDATE detect_runs SET finished_at = :now WHERE run = :run"
        changed(connection, sql, now=now, run=run_)
    row: dict[str, Values] = {"as_of": [as_of], "started_at": [now], "holder": [holder], "heartbeat_at": [now]}
    insert(connection, detect_runs, row)
    return int(run(connection, "SELECT max(run) FROM detect_runs")[0][0])


def _unfinished(connection: Connection) -> tuple[int, str, int, int] | None:
    sql = "SELECT run, holder, started_at, heartbeat_at FROM detect_runs WHERE finished_at IS NULL ORDER BY run DESC"
    rows = run(connection, sql)
    return (rows[0][0], rows[0][1], rows[0][2], rows[0][3]) if rows else None


def heartbeat(connection: Connection, number: int, now: int) -> None:
    """See ``Store.heartbeat``."""
    sql = (
        "UPDATE detect_runs SET heartbeat_at = CASE WHEN heartbeat_at > :now THEN heartbeat_at ELSE :now END "
        "WHERE run = :run AND finished_at IS NULL"
    )
    if not changed(connection, sql, now=now, run=number):
        raise _taken(connection, number)


def finish(connection: Connection, number: int, now: int, report: str) -> None:
    """See ``Store.finish_detection``."""
    sql = "UPDATE detect_runs SET finished_at = :now, report = :report WHERE run = :run AND finished_at IS NULL"
    if not changed(connection, sql, now=now, report=report, run=number):
        if run(connection, "SELECT 1 FROM detect_runs WHERE run = :run AND report IS NOT NULL", run=number):
            return  # the same call again
        raise _taken(connection, number)


def abandon(connection: Connection, number: int) -> None:
    """See ``Store.abandon_detection``."""
    # without a report, as where another run takes over: that is what keeps it from counting as the latest one
    sql = "UPDATE detect_runs SET finished_at = heartbeat_at WHERE run = :run AND finished_at IS NULL"
    changed(connection, sql, run=number)


def last(connection: Connection) -> tuple[int, str] | None:
    """See ``Store.last_detection``."""
    rows = run(connection, "SELECT as_of, report FROM detect_runs WHERE report IS NOT NULL ORDER BY run DESC LIMIT 1")
    return (rows[0][0], rows[0][1]) if rows else None


def looked_before(connection: Connection, as_of: int) -> int | None:
    """See ``Store.looked_before``."""
    sql = "SELECT max(as_of) FROM detect_runs WHERE report IS NOT NULL AND as_of < :as_of"
    before: int | None = run(connection, sql, as_of=as_of)[0][0]
    return before


def _taken(connection: Connection, number: int) -> DetectionRunning:
    running = _unfinished(connection)
    if running is not None:
        return DetectionRunning(running[1], running[2])
    sql = "SELECT holder, started_at FROM detect_runs WHERE run >= :run ORDER BY run DESC LIMIT 1"
    rows = run(connection, sql, run=number)
    return DetectionRunning(rows[0][0], rows[0][1]) if rows else DetectionRunning("no run", 0)


# --- what there is --------------------------------------------------------------------------------------------------

_STANDING_NOW = (
    "SELECT campaign, campaign_id, state, origin, created_at, score FROM campaigns WHERE merged_into IS NULL "
    "ORDER BY campaign_id"
)
_STANDING_THEN = (
    "SELECT c.campaign, c.campaign_id, s.state, c.origin, c.created_at, s.score FROM campaigns c "
    "JOIN campaign_states s ON s.campaign = c.campaign WHERE s.state <> 'merged' AND s.at = "
    "(SELECT max(x.at) FROM campaign_states x WHERE x.campaign = c.campaign AND (x.at < :at OR x.at = :at "
    "AND x.verdict IS NOT NULL)) ORDER BY c.campaign_id"
)
_MEMBERS_THEN = (
    "(joined_at < :at OR joined_at = :at AND placed_by <> 'detect') "
    "AND (left_at > :at OR left_at = :at AND placed_by = 'detect' AND NOT EXISTS (SELECT 1 FROM campaign_bars b "
    "WHERE b.campaign = campaign_members.campaign AND b.account = campaign_members.account AND b.start_at = :at))"
)


def standing(connection: Connection, as_of: int, at: int | None) -> Standing:
    """See ``Store.standing``."""
    rows = run(connection, _STANDING_NOW) if at is None else run(connection, _STANDING_THEN, at=at)
    then = "left_at = :at" if at is None else _MEMBERS_THEN
    open_then = "end_at = :at" if at is None else "start_at <= :at AND end_at > :at"
    moment = NEVER if at is None else at
    number = np.array([row[0] for row in rows], np.int64)
    order = np.argsort(number)
    sql = (
        f"SELECT campaign, account, member_since, CASE placed_by WHEN 'detect' THEN {PLACED_DETECT} "
        f"WHEN 'analyst' THEN {PLACED_ANALYST} ELSE {PLACED_LABEL} END "
        f"FROM campaign_members WHERE {then} ORDER BY campaign, member_since, account"
    )
    of, account, joined, placed = columns_of(run(connection, sql, at=moment), 4)
    sql = f"SELECT campaign, account FROM campaign_bars WHERE {open_then} ORDER BY campaign, account"
    barred_of, barred_account = columns_of(run(connection, sql, at=moment), 2)
    kept, place = _places(number, order, of)
    barred_kept, barred_place = _places(number, order, barred_of)
    by = np.argsort(place, kind="stable")
    return Standing(
        as_of=as_of,
        campaign_id=tuple(row[1] for row in rows),
        state=tuple(CampaignState(row[2]) for row in rows),
        origin=tuple(row[3] for row in rows),
        created_at=np.array([row[4] for row in rows], np.int64),
        score=np.array([row[5] for row in rows], np.float64),
        member_campaign=place[by],
        member_account=account[kept][by],
        member_joined=joined[kept][by],
        member_placed=placed[kept][by].astype(np.int8),
        barred_campaign=barred_place,
        barred_account=barred_account[barred_kept],
    )


def _places(number: Int64s, order: Int64s, of: Int64s) -> tuple[Int64s, Int64s]:
    """Rows whose campaign is among ``number``, and its place there."""
    if not len(number):
        none = np.empty(0, np.int64)
        return none, none
    place = order[np.minimum(np.searchsorted(number[order], of), len(number) - 1)]
    kept = np.flatnonzero(number[place] == of)
    return kept, place[kept]


# --- what a run found -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Outcome:
    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def record(connection: Connection, found: Sequence[FoundCampaign], number: int, as_of: int) -> DetectionOutcome:
    """See ``Store.record_detection``."""
    lock_labels(connection)
    running = _unfinished(connection)
    if running is None or running[0] != number:
        raise _taken(connection, number)
    outcome = _Outcome()
    erased = {row[0] for row in run(connection, "SELECT account FROM accounts WHERE erased_at IS NOT NULL")}
    kept_out = barred(connection)
    known = set(_known(connection, [each.campaign_id for each in found]))
    for each in found:
        if each.campaign_id in known and record_of(connection, each.campaign_id).merged_into is not None:
            outcome.skipped.append(each.campaign_id)
            continue
        new = each.campaign_id not in known
        if new and not set(each.accounts.tolist()) - erased:
            continue
        if new:
            _create(connection, each, as_of)
            outcome.created.append(each.campaign_id)
        for name in each.merged_from:
            if _absorb(connection, name, each.campaign_id, found, as_of):
                outcome.merged.append(name)
        out = kept_out.get(hash64(each.campaign_id), set()) | erased
        if _keep(connection, each, out, as_of, new=new):
            outcome.changed.append(each.campaign_id)
    outcome.closed += _close(connection, {each.campaign_id for each in found}, as_of)
    return DetectionOutcome(
        tuple(outcome.created),
        tuple(outcome.changed),
        tuple(outcome.merged),
        tuple(outcome.closed),
        tuple(outcome.skipped),
    )


def _known(connection: Connection, names: Sequence[str]) -> list[str]:
    sql = "SELECT campaign_id FROM campaigns WHERE campaign_id IN @@ids"
    return [name for (name,) in run(connection, sql, ids=names)]


def _create(connection: Connection, each: FoundCampaign, as_of: int) -> None:
    row: dict[str, Values] = {
        "campaign_id": [each.campaign_id],
        "campaign": [hash64(each.campaign_id)],
        "state": [CampaignState.SUSPECTED.value],
        "origin": ["detect"],
        "created_at": [as_of],
        "updated_at": [as_of],
        "split_from": [each.split_from],
        **{name: [0] for name in ("members", "exchanges", "input_tokens", "output_tokens", "revision")},
    }
    insert(connection, campaigns, row)
    detail = {} if each.split_from is None else {"split_from": each.split_from}
    note(connection, as_of, each.campaign_id, "created", members=len(each.accounts), **detail)
    if each.split_from is not None and _known(connection, [each.split_from]):
        note(connection, as_of, each.split_from, "split", into=each.campaign_id, members=len(each.accounts))


def _absorb(connection: Connection, name: str, into: str, found: Sequence[FoundCampaign], as_of: int) -> bool:
    """Merges a campaign that a run found to be part of another, unless analysts have decided on one of the two."""
    if name == into or not _known(connection, [name]) or any(each.campaign_id == name for each in found):
        return False
    source, target = record_of(connection, name), record_of(connection, into)
    decided = {CampaignState.CONFIRMED, CampaignState.REFUTED, CampaignState.MERGED}
    if source.state in decided or target.state is CampaignState.REFUTED:
        return False
    absorb(connection, source, target, max(as_of, source.updated_at, target.updated_at))
    return True


def _keep(connection: Connection, each: FoundCampaign, out: set[int], as_of: int, *, new: bool) -> bool:
    """Brings a campaign to what the run found; True: its state, score or members are other than before."""
    number = hash64(each.campaign_id)
    before = record_of(connection, each.campaign_id)
    at = max(as_of, before.updated_at)
    said = said_now(connection, number)
    joined, left, touched = _settle_members(connection, number, each, out, at)
    fresh = new or said.found != each.state.value or said.score is None or abs(said.score - each.score) > LIKELIER
    _settle_keys(connection, number, each.keys, at)
    if fresh:
        score, state = float(each.score), each.state.value
        restate(connection, number, at, said=replace(said, score=score, found=state), members_changed=touched)
    elif touched:
        restate(connection, number, at)
    _count(connection, number, each)
    first = each.state is CampaignState.DETECTED and before.detected_at is None
    if first:
        sql = "UPDATE campaigns SET detected_at = :at WHERE campaign = :campaign AND detected_at IS NULL"
        changed(connection, sql, at=at, campaign=number)
        note(connection, at, each.campaign_id, "detected", score=round(float(each.score), 4))
    if joined and not new:
        note(connection, at, each.campaign_id, "grew" if before.members else "revived", joined=joined)
    if left:
        note(connection, at, each.campaign_id, "shrank", left=left)
    return fresh or touched


def _settle_members(
    connection: Connection, number: int, each: FoundCampaign, out: set[int], at: int
) -> tuple[int, int, bool]:
    """Opens and closes spans; returns how many joined and left, and whether any span was written."""
    there = members_of(connection, number)
    surely = dict(zip(each.accounts.tolist(), each.membership.tolist(), strict=True))
    types = dict(zip(each.accounts.tolist(), each.key_types, strict=True))
    wanted = surely.keys() - out
    joining = [Member(a, at, at, surely[a], types[a], "detect") for a in sorted(wanted - there.keys())]
    mine = {account: member for account, member in there.items() if member.placed_by == "detect"}
    leaving = as_accounts(mine.keys() - wanted)
    surer = [
        replace(mine[a], joined_at=at, membership=surely[a], key_types=types[a])
        for a in sorted(wanted & mine.keys())
        if abs((mine[a].membership or 0.0) - surely[a]) > SURER
    ]
    leave(connection, number, leaving, at)
    leave(connection, number, as_accounts(member.account for member in surer), at)
    join(connection, number, [*joining, *surer])
    if len(leaving):
        place_labelled(connection, leaving)
    retied = [a for a in wanted & there.keys() if there[a].key_types != types[a]]
    for account in sorted(retied):
        changed(
            connection,
            "UPDATE campaign_members SET key_types = :types WHERE account = :account AND campaign = :campaign "
            f"AND left_at = {NEVER}",
            types=types[account],
            account=account,
            campaign=number,
        )
    return len(joining), len(leaving), bool(joining or len(leaving) or surer)


def _settle_keys(connection: Connection, number: int, keys: CampaignKeys, at: int) -> None:
    sql = f"SELECT key, weight, private, family FROM campaign_keys WHERE campaign = :campaign AND end_at = {NEVER}"
    there = {row[0]: row[1:] for row in run(connection, sql, campaign=number)}
    columns = (keys.weight.tolist(), keys.private.tolist(), keys.family.tolist())
    wanted = dict(zip(keys.key.tolist(), zip(*columns, strict=True), strict=True))
    same = {
        key
        for key in there.keys() & wanted.keys()
        if abs(there[key][0] - wanted[key][0]) <= HEAVIER and there[key][1:] == (int(wanted[key][1]), wanted[key][2])
    }
    gone = as_accounts(there.keys() - same)
    if len(gone):
        close_keys(connection, number, at, gone)
    fresh = ~np.isin(keys.key, as_accounts(same))
    rows: dict[str, Values] = {
        "key": keys.key[fresh],
        "campaign": [number] * int(fresh.sum()),
        "start_at": [at] * int(fresh.sum()),
        "end_at": [NEVER] * int(fresh.sum()),
        "kind": keys.kind[fresh],
        "weight": keys.weight[fresh],
        "private": keys.private[fresh].astype(np.int8),
        "family": keys.family[fresh],
    }
    insert(
        connection,
        campaign_keys,
        rows,
        "ON CONFLICT (key, campaign, start_at) DO UPDATE SET end_at = excluded.end_at, kind = excluded.kind, "
        "weight = excluded.weight, private = excluded.private, family = excluded.family",
    )


def _count(connection: Connection, number: int, each: FoundCampaign) -> None:
    """What members used, and the evidence: no new revision, or every exchange would make an analyst look again."""
    changed(
        connection,
        "UPDATE campaigns SET exchanges = :exchanges, input_tokens = :input, output_tokens = :output, "
        "evidence = :evidence WHERE campaign = :campaign",
        exchanges=int(each.exchanges),
        input=int(each.input_tokens),
        output=int(each.output_tokens),
        evidence=evidence_text(each.evidence),
        campaign=number,
    )


def _close(connection: Connection, found: set[str], as_of: int) -> list[str]:
    """Suspicions that were not found again lose what a run gave them; a detected campaign does not vanish."""
    sql = (
        "SELECT DISTINCT c.campaign_id, c.campaign, c.updated_at FROM campaigns c JOIN campaign_members m "
        f"ON m.campaign = c.campaign AND m.left_at = {NEVER} AND m.placed_by = 'detect' WHERE c.state = 'suspected' "
        "ORDER BY c.campaign_id"
    )
    closed = []
    for name, number, updated in run(connection, sql):
        if name in found:
            continue
        at = max(as_of, updated)
        mine = [account for account, member in members_of(connection, number).items() if member.placed_by == "detect"]
        leave(connection, number, as_accounts(mine), at)
        place_labelled(connection, as_accounts(mine))
        close_keys(connection, number, at)
        restate(connection, number, at)
        note(connection, at, name, "shrank", left=len(mine))
        closed.append(name)
    return closed


# --- what a run leaves for the next one -----------------------------------------------------------------------------


def cached(connection: Connection, name: str) -> tuple[int, bytes] | None:
    """See ``Store.linking_cache``."""
    rows = run(
        connection,
        "SELECT name, as_of, content FROM linking_cache WHERE name = :name OR name LIKE :pieces ORDER BY name",
        name=name,
        pieces=f"{name}/%",
    )
    if not rows:
        return None
    found = [row for row in rows if row[0] == name] or rows  # the earlier version's own, where one ran in between
    return found[0][1], b"".join(content for _, _, content in found)


def cache(connection: Connection, name: str, content: bytes, as_of: int) -> None:
    """See ``Store.put_linking_cache``.

    In pieces, each a row ``NAME/NUMBER``: a value of SQLite or PostgreSQL has a gigabyte at most, which 120 million
    exchanges' prompts pass, and a driver holds it three times. Earlier versions wrote one row ``NAME``, and find none
    where there are pieces.
    """
    sql = "DELETE FROM linking_cache WHERE name = :name OR name LIKE :pieces"
    changed(connection, sql, name=name, pieces=f"{name}/%")
    for number, low in enumerate(range(0, max(len(content), 1), PIECE)):
        row: dict[str, Values] = {
            "name": [f"{name}/{number:06d}"],
            "as_of": [as_of],
            "content": [content[low : low + PIECE]],
        }
        insert(connection, linking_cache, row)
