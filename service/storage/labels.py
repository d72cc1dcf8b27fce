"""Labels: appended, retracted by a record, never changed; and the verdicts in force that follow from them."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import Connection

from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.errors import UnknownLabel
from service.domain.facts import Int8s
from service.domain.raw import Label
from service.domain.records import LabelRecord
from service.domain.requests import Page
from service.domain.time import rfc3339
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW
from service.storage.locks import lock_labels, lock_links
from service.storage.pages import page_of, position
from service.storage.placement import place_labelled
from service.storage.sql import Int64s, Row, Values, changed, columns_of, insert, run
from service.storage.states import restate
from service.storage.tables import campaigns, labels, verdict_spans
from service.tiles.history import FRAUD, VerdictSpans
from service.tiles.history import verdict_spans as spans_of

Key = tuple[int, str, int]

_COLUMNS = (
    "account, analyst, decided_at, account_id, verdict, learned_at, campaign_id, evidence, retracted_at, "
    "retraction_learned_at"
)
_COUNTS = ("members", "exchanges", "input_tokens", "output_tokens", "revision")
NEVER = 2**62


@dataclass(frozen=True, slots=True)
class LabelOutcome:
    """One status per label: NEW (a label or a retraction), DUPLICATE or CONFLICT."""

    status: Int8s
    created_campaigns: tuple[str, ...] = ()
    written: bool = True  # False: there was a conflict, and all or nothing was asked


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign, as far as labels made it."""

    campaign_id: str
    state: str
    created_at: int


def record(connection: Connection, said: Sequence[Label], learned_at: int | None, *, atomic: bool) -> LabelOutcome:
    """See ``Store.record_labels``."""
    lock_labels(connection)
    keys = [(hash64(label.account_id), label.analyst, label.decided_at) for label in said]
    now = _stored(connection, np.unique(np.array([key[0] for key in keys], np.int64)))
    before = dict(now)
    status = np.empty(len(said), np.int8)
    for i, (key, label) in enumerate(zip(keys, said, strict=True)):
        status[i], now[key] = _judge(now.get(key), key[0], label, learned_at)
    if atomic and (status == CONFLICT).any():
        return LabelOutcome(status, written=False)
    fresh = [each for key, each in now.items() if key not in before]
    retracted = [each for key, each in now.items() if key in before and each != before[key]]
    _append(connection, fresh)
    for each in retracted:
        _retract(connection, each, "")
    created = _create_campaigns(connection, fresh)
    _follow(connection, fresh, retracted, list(now.values()))
    return LabelOutcome(status, created)


def _judge(stored: LabelRecord | None, account: int, label: Label, learned_at: int | None) -> tuple[int, LabelRecord]:
    retraction = None if label.retracted_at is None else (learned_at if learned_at is not None else label.retracted_at)
    if stored is None:
        return NEW, LabelRecord(
            account_id=label.account_id,
            account=account,
            verdict=label.verdict,
            decided_at=label.decided_at,
            analyst=label.analyst,
            learned_at=label.decided_at if learned_at is None else learned_at,
            campaign_id=label.campaign_id,
            evidence=label.evidence,
            retracted_at=label.retracted_at,
            retraction_learned_at=retraction,
        )
    same = (stored.verdict, stored.campaign_id, stored.evidence) == (label.verdict, label.campaign_id, label.evidence)
    if not same or (
        None not in (stored.retracted_at, label.retracted_at) and stored.retracted_at != label.retracted_at
    ):
        return CONFLICT, stored
    if label.retracted_at is None or stored.retracted_at is not None:
        return DUPLICATE, stored
    return NEW, replace(stored, retracted_at=label.retracted_at, retraction_learned_at=retraction)


def retract(
    connection: Connection, key: tuple[str, str, int], retracted_at: int, learned_at: int, reason: str
) -> LabelRecord:
    """See ``Store.retract_label``."""
    lock_labels(connection)
    account_id, analyst, decided_at = key
    account = hash64(account_id)
    stored = _stored(connection, np.array([account], np.int64)).get((account, analyst, decided_at))
    if stored is None:
        raise UnknownLabel(f"no label of {account_id!r} by {analyst!r} decided at {rfc3339(decided_at)} is known")
    if stored.retracted_at is not None:
        return stored
    retracted = replace(stored, retracted_at=retracted_at, retraction_learned_at=learned_at)
    _retract(connection, retracted, reason)
    _follow(connection, [], [retracted])
    return retracted


def retract_review(connection: Connection, review_id: str, campaign_id: str, at: int, reason: str) -> int:
    """Takes back the labels that a review of a campaign wrote and that still stand; returns how many."""
    lock_labels(connection)
    rows = run(
        connection,
        "UPDATE labels SET retracted_at = :at, retraction_learned_at = :at, retraction_reason = :reason "
        "WHERE campaign_id = :campaign AND evidence = :evidence AND retraction_learned_at IS NULL "
        f"RETURNING {_COLUMNS}",
        at=at,
        reason=reason,
        campaign=campaign_id,
        evidence=review_evidence(review_id),
    )
    _follow(connection, [], [_label(row) for row in rows])
    return len(rows)


def review_evidence(review_id: str) -> str:
    """What labels that a review writes say of where they come from."""
    return f"review {review_id}"


def _follow(
    connection: Connection,
    fresh: Sequence[LabelRecord],
    retracted: Sequence[LabelRecord],
    known: Sequence[LabelRecord] | None = None,
) -> None:
    """What labels bring about: verdicts in force, marks on links, places in campaigns, and those campaigns' states.

    ``known``: all labels of these accounts, and maybe of others; None: they are read.
    """
    touched = np.unique(np.array([each.account for each in (*fresh, *retracted)], np.int64))
    refresh_verdicts(connection, touched, known)
    since: dict[str, int] = {}
    moments = [(each, each.learned_at) for each in fresh]
    moments += [(each, at) for each in retracted if (at := each.retraction_learned_at) is not None]
    for label, at in moments:
        if label.campaign_id is not None:
            since[label.campaign_id] = min(since.get(label.campaign_id, NEVER), at)
    if not since:
        return
    # Those that a suspicion holds on a cleared label leave it with the first that is called fraud.
    names = sorted({each.campaign_id for each, _ in moments if each.campaign_id and each.verdict is Verdict.FRAUD})
    sql = (
        "SELECT DISTINCT l.account FROM labels l JOIN campaigns c ON c.campaign_id = l.campaign_id "
        "AND c.origin = 'label' WHERE l.campaign_id IN @@ids AND l.verdict = 'legitimate'"
    )
    cleared = columns_of(run(connection, sql, ids=names), 1)[0] if names else np.empty(0, np.int64)
    placed = place_labelled(connection, np.union1d(touched, cleared))
    stated = {hash64(name): at for name, at in _up(connection, since).items()}
    for campaign in sorted(placed.keys() | stated.keys()):
        at = min(placed.get(campaign, NEVER), stated.get(campaign, NEVER))
        restate(connection, campaign, at, members_changed=campaign in placed)


def _up(connection: Connection, since: dict[str, int]) -> dict[str, int]:
    """The campaigns named, and those that they were merged into."""
    out, asked = dict(since), sorted(since)
    while asked:
        sql = "SELECT campaign_id, merged_into FROM campaigns WHERE campaign_id IN @@ids AND merged_into IS NOT NULL"
        found = [row for row in run(connection, sql, ids=asked) if row[1] not in out]
        out |= {into: out[name] for name, into in found}
        asked = [into for _, into in found]
    return out


def _stored(connection: Connection, accounts: Int64s) -> dict[Key, LabelRecord]:
    sql = f"SELECT {_COLUMNS} FROM labels WHERE account IN @accounts"
    return {(row[0], row[1], row[2]): _label(row) for row in run(connection, sql, accounts=accounts)}


def _label(row: Row) -> LabelRecord:
    return LabelRecord(
        account=row[0],
        analyst=row[1],
        decided_at=row[2],
        account_id=row[3],
        verdict=Verdict(row[4]),
        learned_at=row[5],
        campaign_id=row[6],
        evidence=row[7],
        retracted_at=row[8],
        retraction_learned_at=row[9],
    )


def _append(connection: Connection, fresh: Sequence[LabelRecord]) -> None:
    rows: dict[str, Values] = {name: [getattr(each, name) for each in fresh] for name in _COLUMNS.split(", ")}
    rows["verdict"] = [each.verdict.value for each in fresh]
    insert(connection, labels, rows)


def _retract(connection: Connection, label: LabelRecord, reason: str) -> None:
    changed(
        connection,
        "UPDATE labels SET retracted_at = :at, retraction_learned_at = :learned, retraction_reason = :reason "
        "WHERE account = :account AND analyst = :analyst AND decided_at = :decided",
        at=label.retracted_at,
        learned=label.retraction_learned_at,
        reason=reason,
        account=label.account,
        analyst=label.analyst,
        decided=label.decided_at,
    )


def _create_campaigns(connection: Connection, fresh: Sequence[LabelRecord]) -> tuple[str, ...]:
    """Campaigns that nobody had named before; ``states.py`` says when a fraud verdict among its labels confirms it."""
    named: dict[str, list[LabelRecord]] = {}
    for label in fresh:
        if label.campaign_id is not None:
            named.setdefault(label.campaign_id, []).append(label)
    if not named:
        return ()
    sql = "SELECT campaign_id FROM campaigns WHERE campaign_id IN @@ids"
    created = sorted(named.keys() - {name for (name,) in run(connection, sql, ids=sorted(named))})
    of = [min(label.learned_at for label in named[name]) for name in sorted(named)]
    rows: dict[str, Values] = {
        "campaign_id": sorted(named),
        "campaign": [hash64(name) for name in sorted(named)],
        "state": ["suspected"] * len(named),
        "origin": ["label"] * len(named),
        "created_at": of,
        "updated_at": of,
        **{name: [0] * len(named) for name in _COUNTS},
    }
    # Whichever label comes first, the campaign ends the same.
    insert(
        connection,
        campaigns,
        rows,
        "ON CONFLICT (campaign_id) DO UPDATE SET created_at = excluded.created_at "
        "WHERE campaigns.origin = 'label' AND excluded.created_at < campaigns.created_at",
    )
    return tuple(created)


def refresh_verdicts(connection: Connection, accounts: Int64s, labelled: Sequence[LabelRecord] | None = None) -> None:
    """Works out anew under which verdict these accounts stood when, and marks their links."""
    if not len(accounts):
        return
    of = set(accounts.tolist())
    stored = _stored(connection, accounts).values() if labelled is None else labelled
    known = [each for each in stored if each.account in of]
    spans = spans_of(
        np.array([each.account for each in known], np.int64),
        np.array([each.verdict is Verdict.FRAUD for each in known], bool),
        np.array([each.decided_at for each in known], np.int64),
        np.array([each.learned_at for each in known], np.int64),
        np.array([NEVER if (at := each.retraction_learned_at) is None else at for each in known], np.int64),
    )
    changed(connection, "DELETE FROM verdict_spans WHERE account IN @accounts", accounts=accounts)
    rows: dict[str, Values] = {
        "account": spans.account,
        "start_at": spans.start,
        "end_at": spans.end,
        "verdict": spans.verdict,
    }
    insert(connection, verdict_spans, rows)
    lock_links(connection, alone=True)
    _mark(connection, spans, accounts)


def mark_all(connection: Connection) -> None:
    """Marks the links of every account that ever stood under a verdict, where that is not done."""
    rows = run(connection, "SELECT account, verdict, start_at, end_at FROM verdict_spans")
    spans = VerdictSpans(*columns_of(rows, 4))
    _mark(connection, spans, np.unique(spans.account))


def _mark(connection: Connection, spans: VerdictSpans, accounts: Int64s) -> None:
    for bits, of in _by_bits(spans, accounts).items():
        sql = "UPDATE links SET verdicts = :bits WHERE account IN @accounts AND verdicts <> :bits"
        changed(connection, sql, bits=bits, accounts=of)


def _by_bits(spans: VerdictSpans, accounts: Int64s) -> dict[int, Int64s]:
    fraud = np.isin(accounts, spans.account[spans.verdict == FRAUD])
    legitimate = np.isin(accounts, spans.account[spans.verdict != FRAUD])
    bits = fraud + 2 * legitimate
    return {int(value): accounts[bits == value] for value in np.unique(bits)}


def listed(
    connection: Connection, filters: dict[str, str | None], page_size: int, page_token: str
) -> Page[LabelRecord]:
    """See ``Store.list_labels``."""
    given = {name: value for name, value in filters.items() if value is not None}
    scope = f"labels:{sorted(given.items())}"
    decided, account, analyst = position(page_token, scope, (int, int, str)) or (2**62, 0, "")
    asked: dict[str, str | int] = dict(given)
    if "account_id" in given:
        asked["account"] = hash64(str(asked.pop("account_id")))
    where = " AND ".join([f"{name} = :{name}" for name in asked] + ["(decided_at, account, analyst) < (:d, :a, :n)"])
    sql = (
        f"SELECT {_COLUMNS} FROM labels WHERE {where} ORDER BY decided_at DESC, account DESC, analyst DESC LIMIT :size"
    )
    rows = run(connection, sql, d=decided, a=account, n=analyst, size=page_size + 1, **asked)
    return page_of([_label(row) for row in rows], page_size, scope, lambda x: (x.decided_at, x.account, x.analyst))


def known_at(connection: Connection, as_of: int) -> list[LabelRecord]:
    """See ``Store.labels_at``."""
    sql = f"SELECT {_COLUMNS} FROM labels WHERE learned_at <= :as_of ORDER BY account, decided_at, analyst"
    return [
        replace(label, retracted_at=None, retraction_learned_at=None)
        if label.retraction_learned_at is not None and label.retraction_learned_at > as_of
        else label
        for label in map(_label, run(connection, sql, as_of=as_of))
    ]


def campaign_rows(connection: Connection) -> list[CampaignRow]:
    """All campaigns, by id."""
    sql = "SELECT campaign_id, state, created_at FROM campaigns ORDER BY campaign_id"
    return [CampaignRow(*row) for row in run(connection, sql)]
