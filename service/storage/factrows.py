# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter
"""Facts as rows of their tables. Every function takes the rows to keep; what they were judged by is the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import code32
from service.domain.facts import (
    LinkFacts,
    OwnLinkFacts,
    PaymentFacts,
    Repeated,
    SignalFacts,
    SignupFacts,
    UsageFacts,
    Worded,
)
from service.storage import layouts
from service.storage.crowds import crowded
from service.storage.sql import Int64s, Row, Runs, Values, columns_of, insert, run
from service.storage.tables import accounts, link_events, link_kinds, links, names, payments, signals

AnyFacts: TypeAlias = SignupFacts | PaymentFacts | UsageFacts | SignalFacts | OwnLinkFacts
Facts = TypeVar("Facts", bound=AnyFacts)

_FIRST_SIGHT = (
    "ON CONFLICT (account, key) DO UPDATE SET learned_at = excluded.learned_at "
    "WHERE excluded.learned_at < links.learned_at"
)


def pick(facts: Facts, rows: NDArray[np.intp]) -> Facts:
    """Some rows of facts. Links are left as they are, except a customer's own, which are rows themselves."""
    if isinstance(facts, OwnLinkFacts):
        links = facts.links.take(rows)
        older = _links_of(facts.older, links.account, links.happened)
        return type(facts)(facts.event[rows], facts.content[rows], links, facts.kinds, older)
    chosen: dict[str, Any] = {}
    for name in type(facts).__dataclass_fields__:
        value = getattr(facts, name)
        if isinstance(value, np.ndarray):
            chosen[name] = value[rows]
        elif isinstance(value, Repeated | Worded):
            chosen[name] = value.take(rows)
        elif name in {"account_id", "event_id"}:
            chosen[name] = [value[i] for i in rows.tolist()]
        else:
            chosen[name] = value
    return type(facts)(**chosen)


def join(parts: Sequence[Facts]) -> Facts:
    """Batches as one, in order; at least one."""
    if len(parts) == 1:
        return parts[0]
    joined: dict[str, Any] = {}
    for name in type(parts[0]).__dataclass_fields__:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            joined[name] = np.concatenate(values)
        elif isinstance(values[0], LinkFacts):
            joined[name] = LinkFacts.concat(values)
        elif name == "worded":
            joined[name] = Worded.concat(values)
        elif name in {"names", "kinds"}:
            joined[name] = tuple(sorted(set().union(*values)))
        else:
            joined[name] = [one for value in values for one in value]
    return type(parts[0])(**joined)


def _links_of(shown: LinkFacts, account: Int64s, happened: Int64s) -> LinkFacts:
    """Those of a batch's link rows that some kept row showed: same account, same moment."""
    who = np.unique(np.concatenate([account, shown.account]), return_inverse=True)[1]
    when, at = np.unique(np.concatenate([happened, shown.happened]), return_inverse=True)
    pair = who * len(when) + at
    return shown.take(np.isin(pair[len(account) :], pair[: len(account)]))


def first_sights(shown: LinkFacts, learned: Int64s) -> tuple[LinkFacts, Int64s]:
    """Each (account, key) once, sorted, with the earliest ``learned``."""
    order = np.lexsort((learned, shown.key, shown.account))
    account, key = shown.account[order], shown.key[order]
    new = np.ones(len(order), bool)
    new[1:] = (account[1:] != account[:-1]) | (key[1:] != key[:-1])
    rows = order[new]
    return shown.take(rows), learned[rows]


def insert_links(connection: Runs, shown: LinkFacts, learned: Int64s, kinds_known: set[int]) -> set[int]:
    """Keeps first sights of rows in any order, repeated or not; returns the kinds new to ``kinds_known``."""
    return insert_sights(connection, *first_sights(shown, learned), kinds_known)


def insert_sights(connection: Runs, shown: LinkFacts, learned: Int64s, kinds_known: set[int]) -> set[int]:
    """The same for what ``first_sights`` made."""
    if not len(shown):
        return set()
    fresh = set(np.unique(shown.kind).tolist()) - kinds_known
    if fresh:
        insert(connection, link_kinds, {"kind": sorted(fresh)}, "ON CONFLICT DO NOTHING")
    rows: dict[str, Values] = {
        "account": shown.account,
        "key": shown.key,
        "kind": shown.kind,
        "learned_at": learned,
        "verdicts": verdict_bits(connection, shown.account),
        "crowded": crowded(connection, shown.account),
    }
    insert(connection, links, rows, _FIRST_SIGHT)
    return fresh


def verdict_bits(connection: Runs, account: Int64s) -> Int64s:
    """For each account 1 if it was ever called fraud, plus 2 if it was ever called legitimate."""
    distinct, inverse = np.unique(account, return_inverse=True)
    sql = "SELECT account, verdict FROM verdict_spans WHERE account IN @accounts GROUP BY account, verdict"
    bits = np.zeros(len(distinct), np.int64)
    for who, verdict in run(connection, sql, accounts=distinct):
        bits[np.searchsorted(distinct, who)] |= 1 << (verdict - 1)
    return bits[inverse]


def insert_signups(connection: Runs, facts: SignupFacts, learned: Int64s) -> None:
    """Accounts, without their links."""
    profile = np.ascontiguousarray(facts.profile, "<f4")
    rows: dict[str, Values] = {
        "account": facts.account,
        "account_id": list(facts.account_id),
        "created_at": facts.created_at,
        "learned_at": learned,
        "content": facts.content,
        "layout": [layouts.number(layouts.PROFILE_FIELDS)] * len(facts),
        "profile": [row.tobytes() for row in profile],
    }
    insert(connection, accounts, rows)


def insert_payments(connection: Runs, facts: PaymentFacts, learned: Int64s) -> None:
    """Payment events, without their links."""
    values = np.ascontiguousarray(facts.values, "<i8")
    rows: dict[str, Values] = {
        "event": facts.event,
        "event_id": list(facts.event_id),
        "account": facts.account,
        "happened_at": facts.happened,
        "learned_at": learned,
        "content": facts.content,
        "layout": [layouts.number(layouts.PAYMENT_FIELDS)] * len(facts),
        "facts": [row.tobytes() for row in values],
    }
    insert(connection, payments, rows)


def insert_signals(connection: Runs, facts: SignalFacts, learned: Int64s) -> None:
    """The customer's own numbers."""
    rows: dict[str, Values] = {
        "event": facts.event,
        "account": facts.account,
        "name": facts.name,
        "happened_at": facts.happened,
        "learned_at": learned,
        "value": facts.value,
        "content": facts.content,
    }
    insert(connection, signals, rows)


def insert_link_events(connection: Runs, facts: OwnLinkFacts) -> None:
    """Which of the customer's own links were recorded; the links themselves go to ``insert_links``."""
    rows: dict[str, Values] = {"event": facts.event, "account": facts.links.account, "content": facts.content}
    insert(connection, link_events, rows)


def insert_facts(
    connection: Runs, facts: SignupFacts | PaymentFacts | SignalFacts | OwnLinkFacts, learned: Int64s
) -> None:
    """Rows of any kind of fact but usage, without their links."""
    if isinstance(facts, SignupFacts):
        insert_signups(connection, facts, learned)
    elif isinstance(facts, PaymentFacts):
        insert_payments(connection, facts, learned)
    elif isinstance(facts, SignalFacts):
        insert_signals(connection, facts, learned)
    else:
        insert_link_events(connection, facts)


def names_said(
    facts: AnyFacts,
) -> set[tuple[str, str]]:
    """Names that come with facts, as (space, name)."""
    if isinstance(facts, OwnLinkFacts):
        return {("kind", name) for name in facts.kinds}
    return {("signal", name) for name in facts.names} if isinstance(facts, SignalFacts) else set()


def insert_names(connection: Runs, said: set[tuple[str, str]]) -> None:
    """Names by which codes are shown."""
    listed = sorted(said)
    rows: dict[str, Values] = {
        "space": [space for space, _ in listed],
        "code": [code32(name) for _, name in listed],
        "name": [name for _, name in listed],
    }
    insert(connection, names, rows, "ON CONFLICT DO NOTHING")


def links_shown(facts: AnyFacts, learned: Int64s, *, whole: bool) -> tuple[LinkFacts, Int64s]:
    """The links that kept facts showed, and when each was learned.

    ``learned`` is the facts', shape (n,). ``whole``: the facts are a batch of which nothing was dropped.
    """
    if isinstance(facts, OwnLinkFacts):
        stamps = _stamps(facts.older, facts.links.account, facts.links.happened, learned, by_moment=True)
        return LinkFacts.concat([facts.links, facts.older]), np.concatenate([learned, stamps])
    if isinstance(facts, SignalFacts):
        return LinkFacts.empty(), np.empty(0, np.int64)
    if isinstance(facts, SignupFacts):  # an account has one signup, so its links need no moment to be told apart
        kept = facts.links if whole else facts.links.of(facts.account)
        return kept, _stamps(kept, facts.account, facts.created_at, learned, by_moment=False)
    kept = facts.links if whole else _links_of(facts.links, facts.account, facts.happened)
    return kept, _stamps(kept, facts.account, facts.happened, learned, by_moment=True)


def _stamps(shown: LinkFacts, account: Int64s, happened: Int64s, learned: Int64s, *, by_moment: bool) -> Int64s:
    """When each link row was learned: as the fact that showed it."""
    if np.array_equal(happened, learned):
        return shown.happened
    if len(learned) and (learned == learned[0]).all():  # what came in one call was learned at one moment
        return np.full(len(shown), learned[0])
    keys = np.stack([account, happened if by_moment else np.zeros_like(happened)], axis=1)
    stamp: dict[tuple[int, int], int] = {}
    for (who, at), when in zip(keys.tolist(), learned.tolist(), strict=True):
        stamp[who, at] = min(when, stamp.get((who, at), when))
    moments = shown.happened.tolist() if by_moment else [0] * len(shown)
    return np.array([stamp[key] for key in zip(shown.account.tolist(), moments, strict=True)], np.int64)


def stored_events(connection: Runs, table: str, events: Int64s) -> tuple[Int64s, Int64s]:
    """Ids and contents of those events that ``table`` has."""
    if not run(connection, f"SELECT 1 FROM {table} LIMIT 1"):  # a first import asks a hundred thousand ids at a time
        return np.empty(0, np.int64), np.empty(0, np.int64)
    sql = f"SELECT event, content FROM {table} WHERE event IN @events"
    event, content = columns_of(run(connection, sql, events=events), 2)
    return event, content


def stored_accounts(connection: Runs, account: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Ids and contents of those accounts that have signed up, and which of all were erased."""
    sql = "SELECT account, content, erased_at FROM accounts WHERE account IN @accounts"
    found: list[Row] = run(connection, sql, accounts=np.unique(account))
    known, content = columns_of([row[:2] for row in found], 2)
    return known, content, np.array([row[0] for row in found if row[2] is not None], np.int64)
