"""Who belongs to which campaign from when until when, and whom analysts keep out."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from service.domain.codes import hash64
from service.storage.sql import Int64s, Values, changed, insert, run
from service.storage.tables import campaign_bars, campaign_members

NEVER = 2**62

Span = tuple[int, int]
Place = tuple[int, int]  # account, campaign

_AGAIN = (  # where the account left in the very microsecond in which it joins again
    "ON CONFLICT (account, campaign, joined_at) DO UPDATE SET left_at = excluded.left_at, "
    "membership = excluded.membership, key_types = excluded.key_types, placed_by = excluded.placed_by"
)


@dataclass(frozen=True, slots=True)
class Member:
    """A present member's span."""

    account: int
    joined_at: int
    member_since: int
    membership: float | None
    key_types: str
    placed_by: str


def members_of(connection: Connection, campaign: int) -> dict[int, Member]:
    """Present members by account."""
    sql = (
        "SELECT account, joined_at, member_since, membership, key_types, placed_by FROM campaign_members "
        f"WHERE campaign = :campaign AND left_at = {NEVER}"
    )
    return {row[0]: Member(*row) for row in run(connection, sql, campaign=campaign)}


def join(connection: Connection, campaign: int, who: Sequence[Member]) -> None:
    """Opens spans of accounts that are no members now."""
    rows: dict[str, Values] = {
        "account": [each.account for each in who],
        "campaign": [campaign] * len(who),
        "joined_at": [each.joined_at for each in who],
        "left_at": [NEVER] * len(who),
        "member_since": [each.member_since for each in who],
        "membership": [each.membership for each in who],
        "key_types": [each.key_types for each in who],
        "placed_by": [each.placed_by for each in who],
    }
    insert(connection, campaign_members, rows, _AGAIN)


def leave(connection: Connection, campaign: int, accounts: Int64s, at: int) -> int:
    """Closes the spans of these accounts; returns how many were open. A clock behind the joining closes them there."""
    if not len(accounts):
        return 0
    return changed(
        connection,
        "UPDATE campaign_members SET left_at = CASE WHEN joined_at > :at THEN joined_at ELSE :at END "
        f"WHERE account IN @accounts AND campaign = :campaign AND left_at = {NEVER}",
        at=at,
        accounts=accounts,
        campaign=campaign,
    )


def bar(connection: Connection, campaign: int, accounts: Int64s, at: int) -> None:
    """Keeps accounts out of a campaign from ``at`` on."""
    rows: dict[str, Values] = {
        "account": accounts,
        "campaign": [campaign] * len(accounts),
        "start_at": [at] * len(accounts),
        "end_at": [NEVER] * len(accounts),
    }
    insert(
        connection,
        campaign_bars,
        rows,
        "ON CONFLICT (account, campaign, start_at) DO UPDATE SET end_at = excluded.end_at",
    )


def unbar(connection: Connection, campaign: int, accounts: Int64s, at: int) -> None:
    """Lets accounts into a campaign again."""
    changed(
        connection,
        "UPDATE campaign_bars SET end_at = :at WHERE account IN @accounts AND campaign = :campaign "
        f"AND end_at = {NEVER}",
        at=at,
        accounts=accounts,
        campaign=campaign,
    )


def barred(connection: Connection, campaign: int | None = None) -> dict[int, set[int]]:
    """Accounts kept out now, by campaign; of one campaign, or of all."""
    sql = f"SELECT campaign, account FROM campaign_bars WHERE end_at = {NEVER}"
    rows = run(connection, sql) if campaign is None else run(connection, f"{sql} AND campaign = :c", c=campaign)
    out: dict[int, set[int]] = {}
    for of, account in rows:
        out.setdefault(of, set()).add(account)
    return out


def erased_among(connection: Connection, accounts: Int64s) -> set[int]:
    """Those of these accounts that were erased."""
    if not len(accounts):
        return set()
    sql = "SELECT account FROM accounts WHERE account IN @accounts AND erased_at IS NOT NULL"
    return {account for (account,) in run(connection, sql, accounts=accounts)}


def place_labelled(connection: Connection, accounts: Int64s) -> dict[int, int]:
    """Works out anew where labels place these accounts; since when which campaigns have other members thereby.

    An account belongs to the campaign that a fraud label names, and to whatever that is merged into, from when the
    label was learned until it is retracted. A legitimate label does so in a suspicion that labels made, as long as it
    calls nobody in it fraud: who was cleared is no member of a ring. Not while an analyst keeps the account out, unless
    the label was learned after that; and where it is a member anyhow, a label adds nothing. Since all is worked out
    anew, labels may come in any order.
    """
    if not len(accounts):
        return {}
    known = run(
        connection,
        "SELECT account, joined_at, left_at, campaign, placed_by FROM campaign_members WHERE account IN @accounts",
        accounts=accounts,
    )
    there: dict[Place, set[Span]] = {}
    others: dict[Place, list[Span]] = {}
    for account, joined, left, campaign, placed_by in known:
        if placed_by == "label":
            there.setdefault((account, campaign), set()).add((joined, left))
        else:
            others.setdefault((account, campaign), []).append((joined, left))
    wanted = {
        place: set(_without(_union(spans), others.get(place, ())))
        for place, spans in _labelled(connection, accounts).items()
    }
    since: dict[int, int] = {}
    gone: list[tuple[Place, Span]] = []
    fresh: list[tuple[Place, Span]] = []
    for place in there.keys() | wanted.keys():
        before, after = there.get(place, set()), wanted.get(place, set())
        if before == after:
            continue
        moments = {at for span in before for at in span} ^ {at for span in after for at in span}
        since[place[1]] = min(since.get(place[1], NEVER), *moments)
        gone += [(place, span) for span in before - after]
        fresh += [(place, span) for span in after - before]
    replaced = {(place, joined) for place, (joined, _) in fresh}
    for (account, campaign), (joined, _) in gone:
        if ((account, campaign), joined) in replaced:
            continue
        changed(
            connection,
            "DELETE FROM campaign_members WHERE account = :account AND campaign = :campaign AND joined_at = :joined",
            account=account,
            campaign=campaign,
            joined=joined,
        )
    _insert(connection, sorted(fresh))
    return since


def _insert(connection: Connection, fresh: Sequence[tuple[Place, Span]]) -> None:
    rows: dict[str, Values] = {
        "account": [account for (account, _), _ in fresh],
        "campaign": [campaign for (_, campaign), _ in fresh],
        "joined_at": [joined for _, (joined, _) in fresh],
        "left_at": [left for _, (_, left) in fresh],
        "member_since": [joined for _, (joined, _) in fresh],
        "membership": [None] * len(fresh),
        "key_types": [""] * len(fresh),
        "placed_by": ["label"] * len(fresh),
    }
    insert(connection, campaign_members, rows, _AGAIN)


def _labelled(connection: Connection, accounts: Int64s) -> dict[Place, list[Span]]:
    """Spans in which labels would place accounts, if they were no members otherwise."""
    said = run(
        connection,
        f"SELECT account, campaign_id, learned_at, coalesce(retraction_learned_at, {NEVER}), verdict = 'fraud' "
        "FROM labels WHERE account IN @accounts AND campaign_id IS NOT NULL",
        accounts=accounts,
    )
    if not said:
        return {}
    erased = erased_among(connection, accounts)
    bars: dict[Place, list[Span]] = {}
    sql = "SELECT account, campaign, start_at, end_at FROM campaign_bars WHERE account IN @accounts"
    for account, campaign, start, end in run(connection, sql, accounts=accounts):
        bars.setdefault((account, campaign), []).append((start, end))
    chains = _chains(connection, {row[1] for row in said})
    called_fraud = _called_fraud(connection, {row[1] for row in said if not row[4]})
    out: dict[Place, list[Span]] = {}
    for account, campaign_id, learned, retracted, fraud in said:
        if account in erased or (not fraud and campaign_id not in called_fraud):
            continue
        for campaign, start, end in chains[campaign_id] if fraud else chains[campaign_id][:1]:
            span = max(learned, start), min(retracted, end)
            cut = [each for each in bars.get((account, campaign), ()) if each[0] >= learned]
            cut += () if fraud else called_fraud[campaign_id]
            if span[0] < span[1]:
                out.setdefault((account, campaign), []).extend(_without([span], cut))
    return out


def _called_fraud(connection: Connection, names: set[str]) -> dict[str, list[Span]]:
    """When somebody of a campaign that labels made was called fraud; other campaigns are absent."""
    sql = "SELECT campaign_id FROM campaigns WHERE origin = 'label' AND campaign_id IN @@ids"
    out: dict[str, list[Span]] = {name: [] for (name,) in run(connection, sql, ids=sorted(names))} if names else {}
    sql = (
        f"SELECT campaign_id, learned_at, coalesce(retraction_learned_at, {NEVER}) FROM labels "
        "WHERE campaign_id IN @@ids AND verdict = 'fraud'"
    )
    for name, learned, retracted in run(connection, sql, ids=sorted(out)) if out else ():
        out[name].append((learned, retracted))
    return {name: _union(spans) for name, spans in out.items()}


def _chains(connection: Connection, names: set[str]) -> dict[str, list[tuple[int, int, int]]]:
    """The campaigns that each name stood for, as (campaign, start, end): itself until it was merged, and so on."""
    merged: dict[str, tuple[str, int]] = {}
    asked = set(names)
    while asked:
        sql = "SELECT campaign_id, merged_into, merged_at FROM campaigns WHERE campaign_id IN @@ids"
        found = {row[0]: (row[1], row[2]) for row in run(connection, sql, ids=sorted(asked)) if row[1] is not None}
        merged |= found
        asked = {into for into, _ in found.values()} - merged.keys()
    out: dict[str, list[tuple[int, int, int]]] = {}
    for name in names:
        chain: list[tuple[int, int, int]] = []
        at, start = name, -NEVER
        while at in merged:
            into, until = merged[at]
            chain.append((hash64(at), start, until))
            at, start = into, max(start, until)
        chain.append((hash64(at), start, NEVER))
        out[name] = chain
    return out


def _union(spans: Iterable[Span]) -> list[Span]:
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def _without(spans: Iterable[Span], cut: Iterable[Span]) -> list[Span]:
    """What of ``spans`` is outside of every span of ``cut``."""
    left = list(spans)
    for start, end in cut:
        pieces = [piece for low, high in left for piece in ((low, min(high, start)), (max(low, end), high))]
        left = [(low, high) for low, high in pieces if low < high] if start < end else left
    return left


def as_accounts(accounts: Iterable[int]) -> Int64s:
    """Account numbers as an array, ascending."""
    return np.array(sorted(accounts), np.int64)
