# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter
"""Assessments of a job over most accounts: appended thousands to a row, never rewritten, and read like any others.

A row each took a job over a million accounts as long to write as to score, and a gigabyte every night. A block holds
the accounts of one shelf, the range of account numbers that begin with some bits; the more accounts a job has, the
narrower its shelves. So an account's assessments are found by its number, on one shelf of each width, and an id of a
job's assessment tells the number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table

from service.domain.blocks import DECISIONS, NONE, AssessmentBlock, LinkColumns, job_assessment_id, told_by_id
from service.domain.enums import Purpose
from service.domain.facts import Int64s
from service.domain.records import Assessment
from service.storage import blockanswers, blockfeatures
from service.storage.blockanswers import Answers
from service.storage.locks import lock_links
from service.storage.sql import Row, Values, blocks, changed, insert, run
from service.storage.tables import assessment_blocks, block_campaigns
from service.storage.wide import integers

AIMED_AT = 4_096  # assessments in a block
DEEPEST = 24  # bits of the narrowest shelf: 2**24 blocks of AIMED_AT

_OF_ALL = "block, assessed_at, purpose, model_version, policy_version, feature_fingerprint, answers"


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A block without its features."""

    block: int
    assessed_at: int
    purpose: Purpose
    model_version: str
    policy_version: str
    feature_fingerprint: str
    packed: bytes

    def answers(self) -> Answers:
        """What it says of all its accounts."""
        return blockanswers.answers(self.packed)


def shelf_depth(accounts: int) -> int:
    """Bits of the shelves of a job over so many accounts."""
    return min(DEEPEST, max(0, (accounts // AIMED_AT).bit_length()))


def shelf_of(account: int, depth: int) -> int:
    """The shelf of an account among those of ``depth`` bits."""
    return 1 << depth | (account % (1 << 64)) >> (64 - depth)


def _shelves(account: int) -> Int64s:
    return np.array([shelf_of(account, depth) for depth in range(DEEPEST + 1)], np.int64)


# --- writing ---------------------------------------------------------------------------------------------------------


def append(connection: Connection, made: AssessmentBlock, accounts: int) -> int:
    """Appends what is new of a job over so many accounts; returns how much was."""
    fresh = _only(made, ~_there(connection, made))
    if not len(fresh):
        return 0
    lock_links(connection)  # an erasure either sees these rows, or is seen
    gone = np.isin(
        fresh.account, integers(connection, _ERASED, 1, low=int(fresh.account[0]), high=int(fresh.account[-1]))
    )
    depth = shelf_depth(accounts)
    shelf = (fresh.account.view(np.uint64) >> np.uint64(64 - depth)).astype(np.int64) if depth else fresh.account * 0
    starts = np.flatnonzero(np.append(True, shelf[1:] != shelf[:-1]))
    rows, named = list[tuple[Any, ...]](), list[tuple[str, int, int]]()
    for low, high in zip(starts.tolist(), [*starts[1:].tolist(), len(fresh)], strict=True):
        part = _part(fresh, low, high)
        row = _row(part, gone[low:high], depth)
        rows.append(row)
        named += [(campaign, row[0], count) for campaign, count in _raised(part).items()]
    insert(connection, assessment_blocks, _columns(assessment_blocks, rows), "ON CONFLICT DO NOTHING")
    insert(connection, block_campaigns, _columns(block_campaigns, named), "ON CONFLICT DO NOTHING")
    return len(fresh)


def _columns(table: Table, rows: Sequence[tuple[Any, ...]]) -> dict[str, Values]:
    return {name: [row[i] for row in rows] for i, name in enumerate(table.c.keys())}


_ERASED = "SELECT account FROM accounts WHERE erased_at IS NOT NULL AND account BETWEEN :low AND :high"


def _there(connection: Connection, made: AssessmentBlock) -> NDArray[np.bool_]:
    """Which of them are recorded already, in a row or in a block; shape (n,)."""
    out = np.zeros(len(made), np.bool_)
    if not len(made):
        return out
    within = {"at": made.assessed_at, "low": int(made.account[0]), "high": int(made.account[-1])}
    sql = "SELECT assessment_id FROM assessments WHERE account BETWEEN :low AND :high AND assessed_at = :at"
    pairs = [told for (name,) in run(connection, sql, **within) if (told := told_by_id(name)) is not None]
    sql = (
        "SELECT answers FROM assessment_blocks WHERE assessed_at = :at "
        "AND first_account <= :high AND last_account >= :low"
    )
    parts = [np.array(pairs, np.int64).reshape(-1, 2).T]
    for (packed,) in run(connection, sql, **within):
        said = blockanswers.answers(bytes(packed))
        parts.append(np.stack([said.account, said.name]))
    account, name = np.concatenate(parts, axis=1)
    if len(account):
        by = np.lexsort((name, account))
        account, name = account[by], name[by]
        low, high = np.searchsorted(account, made.account, "left"), np.searchsorted(account, made.account, "right")
        for row in np.flatnonzero(low < high).tolist():
            out[row] = (name[low[row] : high[row]] == made.name[row]).any()
    return out


def _only(made: AssessmentBlock, kept: NDArray[np.bool_]) -> AssessmentBlock:
    if kept.all():
        return made
    rows = np.flatnonzero(kept)
    place = np.cumsum(kept) - 1
    links = made.links
    mine = kept[links.row] if len(links.row) else np.zeros(0, np.bool_)
    return replace(
        made,
        account=made.account[rows],
        account_id=None if made.account_id is None else [made.account_id[i] for i in rows.tolist()],
        name=made.name[rows],
        score=made.score[rows],
        decision=made.decision[rows],
        limit=[made.limit[i] for i in rows.tolist()],
        rules=[made.rules[i] for i in rows.tolist()],
        campaign=[made.campaign[i] for i in rows.tolist()],
        explored_from=made.explored_from[rows],
        propensity=made.propensity[rows],
        features=made.features[rows],
        links=LinkColumns(
            links.kinds,
            place[links.row[mine]],
            links.kind[mine],
            links.linked[mine],
            links.confirmed[mine],
            links.tied[mine],
        ),
    )


def _part(made: AssessmentBlock, low: int, high: int) -> AssessmentBlock:
    mine, links = slice(low, high), made.links
    told = slice(*np.searchsorted(links.row, [low, high]).tolist())
    return replace(
        made,
        account=made.account[mine],
        account_id=None if made.account_id is None else made.account_id[mine],
        name=made.name[mine],
        score=made.score[mine],
        decision=made.decision[mine],
        limit=made.limit[mine],
        rules=made.rules[mine],
        campaign=made.campaign[mine],
        explored_from=made.explored_from[mine],
        propensity=made.propensity[mine],
        features=made.features[mine],
        links=LinkColumns(
            links.kinds,
            links.row[told] - low,
            links.kind[told],
            links.linked[told],
            links.confirmed[told],
            links.tied[told],
        ),
    )


def _row(made: AssessmentBlock, gone: NDArray[np.bool_], depth: int) -> tuple[Any, ...]:
    features = made.features
    if gone.any():
        features = np.where(gone[:, None], np.float32(np.nan), features)
    answers = blockanswers.pack(made, gone)
    first, last = int(made.account[0]), int(made.account[-1])
    head = f"{made.assessed_at}/{made.model_version}/{made.policy_version}/".encode()
    content = head + made.account.tobytes() + made.name.tobytes()
    return (
        int.from_bytes(blake2b(content, digest_size=8).digest(), "little", signed=True),
        shelf_of(first, depth),
        first,
        last,
        made.assessed_at,
        made.purpose.value,
        made.model_version,
        made.policy_version,
        made.feature_fingerprint,
        len(made),
        int(gone.sum()),
        int((~np.isnan(made.propensity)).sum()),
        answers,
        blockfeatures.pack(features),
    )


def _raised(made: AssessmentBlock) -> dict[str, int]:
    """Of each campaign that the block names, how many of its assessments rules of campaigns raised."""
    out: dict[str, int] = {}
    for row, campaign in enumerate(made.campaign):
        if campaign is not None:
            out[campaign] = out.get(campaign, 0) + any("campaign_" in rule for rule in made.rules[row])
    return out


def erase(connection: Connection, account: int) -> None:
    """Takes the features of an account's assessments away; what was decided stays."""
    sql = (
        "SELECT block FROM assessment_blocks WHERE shelf IN @shelves "
        "AND first_account <= :account AND last_account >= :account"
    )
    for (block,) in run(connection, sql, shelves=_shelves(account), account=account):
        sql = "SELECT answers, features FROM assessment_blocks WHERE block = :block"
        packed, features = run(connection, sql, block=block)[0]  # one at a time: a year of nights has 150 MB of them
        said = blockanswers.answers(bytes(packed))
        row = said.place(account)
        if row is None or said.erased[row]:
            continue
        changed(
            connection,
            "UPDATE assessment_blocks SET answers = :answers, features = :features, erased = erased + 1 "
            "WHERE block = :block",
            answers=blockanswers.without(bytes(packed), row),
            features=blockfeatures.without(bytes(features), row),
            block=block,
        )


# --- reading ---------------------------------------------------------------------------------------------------------


def by_id(connection: Connection, assessment_id: str) -> Assessment | None:
    """The assessment of that id; None: it is in no block."""
    told = told_by_id(assessment_id)
    if told is None:
        return None
    account, name = told
    for held in _on_shelves(connection, account, 2**62):
        said = held.answers()
        row = said.place(account)
        if row is not None and int(said.name[row]) == name:
            return _record(connection, held, said, row, _account_id(connection, account))
    return None


def of_account(
    connection: Connection, account: int, account_id: str, before: tuple[int, str], size: int
) -> list[Assessment]:
    """The newest ``size`` of an account's, from just before (assessed_at, assessment_id) on, the newest first."""
    out: list[Assessment] = []
    at, last = before
    reached = at
    for held in _on_shelves(connection, account, at):
        if len(out) >= size and held.assessed_at < reached:
            break
        said = held.answers()
        row = said.place(account)
        if row is not None:
            made = _record(connection, held, said, row, account_id)
            if (made.assessed_at, made.assessment_id) < (at, last):
                out.append(made)
                reached = held.assessed_at
    return sorted(out, key=lambda each: (each.assessed_at, each.assessment_id), reverse=True)[:size]


def _on_shelves(connection: Connection, account: int, before: int) -> Iterator[Held]:
    """Blocks that may hold the account, of ``before`` or earlier, the newest first."""
    sql = (
        f"SELECT {_OF_ALL} FROM assessment_blocks WHERE shelf IN @shelves AND assessed_at <= :before "
        "AND first_account <= :account AND last_account >= :account ORDER BY assessed_at DESC"
    )
    for rows in blocks(connection, sql, 8, shelves=_shelves(account), before=before, account=account):
        for row in rows:
            yield _held(row)


def _held(row: Row) -> Held:
    return Held(row[0], row[1], Purpose(row[2]), row[3], row[4], row[5], bytes(row[6]))


def _record(connection: Connection, held: Held, said: Answers, row: int, account_id: str) -> Assessment:
    told = blockanswers.told(held.packed, row)
    features = b""
    if not said.erased[row]:
        sql = "SELECT features FROM assessment_blocks WHERE block = :block"
        features = blockfeatures.one(bytes(run(connection, sql, block=held.block)[0][0]), row)
    explored, propensity = int(said.explored_from[row]), float(said.propensity[row])
    return Assessment(
        assessment_id=job_assessment_id(int(said.account[row]), int(said.name[row])),
        account_id=account_id,
        account=int(said.account[row]),
        assessed_at=held.assessed_at,
        purpose=held.purpose,
        score=float(said.score[row]),
        decision=DECISIONS[said.decision[row]],
        recommended_limit=told.limit,
        model_version=held.model_version,
        policy_version=held.policy_version,
        feature_fingerprint=held.feature_fingerprint,
        features=features,
        links=told.links,
        rules=told.rules,
        campaign_id=said.campaign[row],
        explored_from=None if explored == NONE else DECISIONS[explored],
        propensity=None if np.isnan(propensity) else propensity,
    )


def _account_id(connection: Connection, account: int) -> str:
    rows = run(connection, "SELECT account_id FROM accounts WHERE account = :account", account=account)
    return str(rows[0][0]) if rows else ""


def within(connection: Connection, low: int, high: int, since: int, until: int) -> Iterator[Held]:
    """Blocks from ``since`` to ``until`` with accounts from ``low`` to ``high``, the newest first."""
    sql = (
        f"SELECT {_OF_ALL} FROM assessment_blocks WHERE assessed_at BETWEEN :since AND :until "
        "AND first_account <= :high AND last_account >= :low ORDER BY assessed_at DESC"
    )
    for rows in blocks(connection, sql, 8, low=low, high=high, since=since, until=until):
        for row in rows:
            yield _held(row)


def features_of(connection: Connection, block: int, rows: list[int]) -> list[bytes]:
    """The features of some rows of a block, in order."""
    sql = "SELECT features FROM assessment_blocks WHERE block = :block"
    return blockfeatures.some(bytes(run(connection, sql, block=block)[0][0]), rows)


def with_chances(connection: Connection, until: int) -> Iterator[Answers]:
    """Blocks by ``until`` in which chance had a say, the earliest first."""
    sql = "SELECT answers FROM assessment_blocks WHERE chances > 0 AND assessed_at <= :until ORDER BY assessed_at"
    for rows in blocks(connection, sql, 8, until=until):
        for (packed,) in rows:
            yield blockanswers.answers(bytes(packed))


def count_given(connection: Connection, model_version: str, first: int, last: int) -> int:
    """Assessments by a model from ``first`` to ``last`` that have their features."""
    sql = (
        "SELECT coalesce(sum(assessments - erased), 0) FROM assessment_blocks "
        "WHERE model_version = :model AND assessed_at BETWEEN :first AND :last"
    )
    return int(run(connection, sql, model=model_version, first=first, last=last)[0][0])


def count_raised(connection: Connection, campaign_id: str) -> int:
    """Assessments that name a campaign and that rules of campaigns raised."""
    sql = "SELECT coalesce(sum(changed), 0) FROM block_campaigns WHERE campaign_id = :id"
    return int(run(connection, sql, id=campaign_id)[0][0])
