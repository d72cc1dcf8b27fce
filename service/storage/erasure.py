"""Erasing an account: all that tells of the person goes; what was decided, and its id, stay."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, Engine

from service.domain.codes import hash64
from service.domain.errors import UnknownAccount
from service.domain.records import ErasureRecord
from service.storage import blocks
from service.storage.campaigns import evidence_of, evidence_text
from service.storage.database import reading, writing
from service.storage.locks import lock_labels, lock_links
from service.storage.segments import Segment, Segments
from service.storage.sql import Values, changed, insert, run
from service.storage.states import restate
from service.storage.tables import accounts, audit
from service.storage.usagerows import part_number

_GONE = (
    *("links", "payments", "signals", "link_events", "usage_tiles", "campaign_members", "campaign_bars"),
    "shadow_assessments",
)


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """Segments as they were seen, those that held the account, and what takes their place."""

    seen: frozenset[str]
    old: tuple[Segment, ...]
    new: tuple[Segment, ...]

    @property
    def exchanges(self) -> int:
        return sum(each.exchanges for each in self.old) - sum(each.exchanges for each in self.new)


def erase(engine: Engine, segments: Segments, account_id: str, reason: str, at: int) -> ErasureRecord:
    """See ``Store.erase``."""
    account = hash64(account_id)
    while True:
        with reading(engine) as connection:
            rewrite = _rewrite(connection, segments, account)
        done = None
        try:
            with writing(engine) as connection:
                lock_labels(connection)
                lock_links(connection, alone=True)  # whoever writes facts of it now, is waited for
                if {each.name for each in segments.listed(connection)} <= rewrite.seen:
                    done = _erase(connection, segments, account_id, rewrite, (reason, at))
        finally:
            if done is None:
                segments.remove([each.path for each in rewrite.new])
        if done is not None:
            segments.remove([each.path for each in rewrite.old])
            return done


def _rewrite(connection: Connection, segments: Segments, account: int) -> _Rewrite:
    listed = segments.listed(connection)
    old: list[Segment] = []
    new: list[Segment] = []
    for segment in listed:
        if (segments.read(segment, ["account"])["account"].to_numpy() == account).any():
            table = segments.read(segment)
            rest = table.filter(table["account"].to_numpy() != account)
            old.append(segment)
            if rest.num_rows:
                new.append(segments.stage([rest]))
    return _Rewrite(frozenset(each.name for each in listed), tuple(old), tuple(new))


def _erase(
    connection: Connection, segments: Segments, account_id: str, rewrite: _Rewrite, why: tuple[str, int]
) -> ErasureRecord:
    account = hash64(account_id)
    reason, at = why
    if connection.dialect.name == "sqlite":  # or deleted rows stay readable in the file's free pages
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    known = run(connection, "SELECT erased_at FROM accounts WHERE account = :account", account=account)
    belonged = _campaigns(connection, account)
    gone = {
        table: changed(connection, f"DELETE FROM {table} WHERE account = :account", account=account) for table in _GONE
    }
    exchanges = rewrite.exchanges + _erase_from_log(connection, segments, account)
    if not known and not exchanges and not any(gone.values()):
        raise UnknownAccount(account_id)
    for each in rewrite.old:
        changed(connection, "DELETE FROM segments WHERE segment = :name", name=each.name)
    segments.publish(connection, rewrite.new)
    _leave_tombstone(connection, account, account_id, at)
    _leave_campaigns(connection, account, belonged)
    sql = "UPDATE assessments SET features = :none WHERE account = :account"
    changed(connection, sql, none=b"", account=account)
    blocks.erase(connection, account)
    record = ErasureRecord(
        account_id=account_id,
        reason=reason,
        erased_at=at,
        signups=sum(row[0] is None for row in known),
        link_keys=gone["links"],
        payments=gone["payments"],
        signals=gone["signals"],
        usage_events=exchanges,
    )
    counts = {name: value for name, value in asdict(record).items() if isinstance(value, int)}
    detail = json.dumps({**counts, "campaign_memberships": len(belonged)})
    rows: dict[str, Values] = {
        "happened_at": [at],
        "what": ["erased"],
        "subject": [account_id],
        "reason": [reason],
        "detail": [detail],
    }
    insert(connection, audit, rows)
    return record


def _campaigns(connection: Connection, account: int) -> dict[int, int]:
    """The campaigns that it ever belonged to, or was kept out of, each with the moment at which that began."""
    sql = (
        "SELECT campaign, min(start_at) FROM (SELECT campaign, joined_at AS start_at FROM campaign_members "
        "WHERE account = :account UNION ALL SELECT campaign, start_at FROM campaign_bars WHERE account = :account) b "
        "GROUP BY campaign"
    )
    return dict(run(connection, sql, account=account))


def _leave_campaigns(connection: Connection, account: int, belonged: dict[int, int]) -> None:
    """Campaigns count the account no more, and their evidence names it no more.

    What detection keeps for its next run holds the account's keys, so that run starts anew.
    """
    for campaign, since in sorted(belonged.items()):
        restate(connection, campaign, since)
        sql = "SELECT evidence FROM campaigns WHERE campaign = :campaign AND evidence IS NOT NULL"
        for (text,) in run(connection, sql, campaign=campaign):
            said = evidence_of(text)
            kept = replace(
                said,
                typical_accounts=tuple(each for each in said.typical_accounts if each != account),
                edges=tuple(edge for edge in said.edges if account not in edge[:2]),
            )
            sql = "UPDATE campaigns SET evidence = :text WHERE campaign = :campaign"
            changed(connection, sql, text=evidence_text(kept), campaign=campaign)
    changed(connection, "DELETE FROM linking_cache")


def _leave_tombstone(connection: Connection, account: int, account_id: str, at: int) -> None:
    """Also where no signup is known: facts of the account that come later are then refused."""
    row: dict[str, Values] = {
        "account": [account],
        "account_id": [account_id],
        "created_at": [0],
        "learned_at": [0],
        "content": [0],
        "layout": [0],
        "profile": [b""],
        "erased_at": [at],
    }
    columns = ("created_at", "learned_at", "content", "layout", "profile", "erased_at")
    clause = ", ".join(f"{name} = excluded.{name}" for name in columns)
    insert(connection, accounts, row, f"ON CONFLICT (account) DO UPDATE SET {clause} WHERE accounts.erased_at IS NULL")


def _erase_from_log(connection: Connection, segments: Segments, account: int) -> int:
    """Takes the account's exchanges out of those that wait for a segment.

    What is left of a part gets a new number, so that a server that is moving the old one finds it gone and gives up.
    """
    erased = 0
    for part, table in list(segments.logged(connection)):
        mine = table["account"].to_numpy() == account
        if mine.any():
            erased += int(mine.sum())
            changed(connection, "DELETE FROM usage_log WHERE part = :part", part=part)
            events = table["event"].to_numpy()[mine]
            changed(connection, "DELETE FROM usage_events WHERE event IN @events", events=events)
            rest = table.filter(~mine)
            if rest.num_rows:
                segments.keep(connection, part_number(rest["event"].to_numpy()), rest)
    return erased
