"""Plain questions about accounts and names."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.domain.time import HOUR
from service.storage.gathered import Rows, texts_of
from service.storage.sql import Int64s, blocks, columns_of, run
from service.storage.wide import integers

NEVER = 2**62


def signups_between(connection: Connection, start: int, end: int) -> tuple[Int64s, Int64s]:
    """See ``Store.signups_between``."""
    sql = (
        "SELECT account, created_at FROM accounts WHERE created_at >= :start AND created_at < :end "
        "AND erased_at IS NULL ORDER BY created_at, account"
    )
    # as rows of Python ten million take 1.4 GB, as arrays 160 MB
    parts = [columns_of(rows, 2) for rows in blocks(connection, sql, start=start, end=end)]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def accounts(connection: Connection, after: int | None, limit: int) -> Int64s:
    """See ``Store.accounts``."""
    sql = (
        "SELECT account FROM accounts WHERE account > :after AND erased_at IS NULL ORDER BY account LIMIT :size"
        if after is not None
        else "SELECT account FROM accounts WHERE erased_at IS NULL ORDER BY account LIMIT :size"
    )
    parameters = {"size": limit} if after is None else {"size": limit, "after": after}
    return integers(connection, sql, 1, **parameters)[:, 0]


def verdicts(connection: Connection, as_of: int) -> tuple[Int64s, Int64s]:
    """See ``Store.verdicts``."""
    sql = "SELECT account, verdict FROM verdict_spans WHERE start_at <= :as_of AND end_at > :as_of ORDER BY account"
    account, verdict = columns_of(run(connection, sql, as_of=as_of), 2)
    return account, verdict


def ping(connection: Connection) -> None:
    """See ``Store.ping``."""
    run(connection, "SELECT 1")


def count_accounts(connection: Connection) -> int:
    """See ``Store.count_accounts``."""
    return int(run(connection, "SELECT count(*) FROM accounts WHERE erased_at IS NULL")[0][0])


def account_ids(connection: Connection, asked: Int64s) -> list[str]:
    """See ``Store.account_ids``."""
    distinct = np.unique(asked)
    if not len(distinct):
        return []
    names: dict[int, str] = {}
    for where, parameters in _parts(connection, distinct):
        account, ids = texts_of(connection, Rows("accounts", where, parameters, "account"), "account", "account_id")
        if np.array_equal(account, asked):
            return ids
        names.update(zip(account.tolist(), ids, strict=True))
    return [names.get(account, "") for account in asked.tolist()]


def _parts(connection: Connection, distinct: Int64s) -> Iterator[tuple[str, dict[str, Any]]]:
    """Conditions that together find these accounts, ascending; at least one."""
    if dense(connection, distinct):
        yield RANGE, dict(ends(distinct))
        return
    for i in range(0, len(distinct), 100_000):
        yield "account IN @accounts", {"accounts": distinct[i : i + 100_000]}


RANGE = "account BETWEEN :low AND :high"


def ends(distinct: Int64s) -> dict[str, int]:
    """The parameters of ``RANGE`` for accounts in ascending order; at least one."""
    return {"low": int(distinct[0]), "high": int(distinct[-1])}


def dense(connection: Connection, distinct: Int64s) -> bool:
    """Whether most accounts from the first to the last of these are asked about: then reading a range is cheaper."""
    there = run(connection, f"SELECT count(*) FROM accounts WHERE {RANGE}", **ends(distinct))[0][0]
    return bool(len(distinct) * 2 >= there)


def created_at(connection: Connection, asked: Int64s) -> Int64s:
    """See ``Store.created_at``."""
    sql = "SELECT account, created_at FROM accounts WHERE account IN @accounts AND erased_at IS NULL"
    out = np.zeros(len(asked), np.int64)
    distinct, inverse = np.unique(asked, return_inverse=True)
    for i in range(0, len(distinct), 100_000):
        some = distinct[i : i + 100_000]
        account, created = columns_of(run(connection, sql, accounts=some), 2)
        values = np.zeros(len(some), np.int64)
        values[np.searchsorted(some, account)] = created
        here = (inverse >= i) & (inverse < i + len(some))
        out[here] = values[inverse[here] - i]
    return out


def newest_fact(connection: Connection) -> int | None:
    """See ``Store.newest_fact``."""
    newest = [
        run(connection, f"SELECT max({column}) FROM {table}")[0][0]
        for table, column in (
            ("accounts", "learned_at"),
            ("links", "learned_at"),
            ("payments", "learned_at"),
            ("signals", "learned_at"),
            ("labels", "learned_at"),
            ("segments", "last_learned"),
            ("usage_log", "last_learned"),
            ("usage_tiles", "last_hour"),  # where its segment has been pruned
        )
    ]
    return max((at for at in newest if at is not None), default=None)


def names(connection: Connection, space: str) -> dict[int, str]:
    """See ``Store.names``."""
    return dict(run(connection, "SELECT code, name FROM names WHERE space = :space ORDER BY name", space=space))


def accounts_changed_since(connection: Connection, since: int) -> Int64s:
    """Signed-up accounts of which anything was learned at or after ``since``; ascending.

    Their own facts and labels count, and what became of campaigns that they belong to or have a private key of; not
    facts of accounts with whom they share a key.
    """
    sql = f"{_CHANGED} UNION SELECT account FROM usage_tiles WHERE last_hour >= :hour"
    none = np.empty(0, np.int64)
    return _signed_up(connection, sql, none, since=since, until=NEVER, hour=since - since % HOUR)


def accounts_changed_between(connection: Connection, since: int, until: int, used: Int64s) -> Int64s:
    """See ``Store.accounts_changed_between``; ``used`` are the accounts with an exchange in that time."""
    return _signed_up(connection, _CHANGED, used, since=since, until=until)


_LEARNED = "learned_at BETWEEN :since AND :until"
_CHANGED = (
    f"SELECT account FROM accounts WHERE {_LEARNED} UNION "
    f"SELECT account FROM links WHERE {_LEARNED} UNION "
    f"SELECT account FROM payments WHERE {_LEARNED} UNION "
    f"SELECT account FROM signals WHERE {_LEARNED} UNION "
    f"SELECT account FROM labels WHERE {_LEARNED} OR retraction_learned_at BETWEEN :since AND :until UNION "
    "SELECT account FROM campaign_members WHERE joined_at BETWEEN :since AND :until OR left_at BETWEEN :since AND "
    f"{NEVER - 1} AND left_at <= :until UNION "
    "SELECT m.account FROM campaign_states s JOIN campaign_members m ON m.campaign = s.campaign "
    "WHERE s.at BETWEEN :since AND :until AND m.left_at > s.at UNION "
    "SELECT l.account FROM campaign_keys k JOIN links l ON l.key = k.key WHERE k.private = 1 AND (k.start_at BETWEEN "
    ":since AND :until OR k.campaign IN (SELECT campaign FROM campaign_states WHERE at BETWEEN :since AND :until))"
)


def _signed_up(connection: Connection, sql: str, more: Int64s, **parameters: int) -> Int64s:
    changed = columns_of(run(connection, sql, **parameters), 1)[0]
    known = columns_of(run(connection, "SELECT account FROM accounts WHERE erased_at IS NULL"), 1)[0]
    return np.intersect1d(np.concatenate([changed, more]), known)
