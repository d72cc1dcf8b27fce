"""One transaction for any number of arrivals: judge what is new, write it, say what became of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from service.domain.facts import Int8s, LinkFacts, OwnLinkFacts, PaymentFacts, SignalFacts, SignupFacts, UsageFacts
from service.domain.records import Assessment
from service.domain.time import WEEK
from service.storage import factrows, layouts
from service.storage.arrivals import (
    CONFLICT,
    DUPLICATE,
    NEW,
    OWN_TIME,
    PARTS,
    Arrivals,
    Outcomes,
    Rows,
    Verdict,
    judge,
)
from service.storage.assessments import insert_assessments, stored_requests
from service.storage.byindex import by_index
from service.storage.database import committing
from service.storage.locks import lock_links
from service.storage.memory import Memory
from service.storage.segments import Segments
from service.storage.sql import Int64s, Runs
from service.storage.usagerows import compact, insert_tiles, part_number
from service.tiles.usage import usage_tiles

RETRIES = 5
_RACES = {"23505", "40001", "40P01"}  # unique violation, serialisation failure, deadlock

Facts = SignupFacts | PaymentFacts | UsageFacts | OwnLinkFacts | SignalFacts


@dataclass(slots=True)
class _Part:
    """One kind of fact of all arrivals."""

    name: str
    facts: Any  # of one type of Facts
    arrival: Int64s  # which arrival each row came with
    learned: Int64s
    ids: Int64s
    account: Int64s
    known_ids: Int64s
    known_contents: Int64s
    statuses: Int8s


def write(engine: Engine, segments: Segments, memory: Memory, arrivals: Arrivals) -> tuple[Outcomes, int]:
    """See ``Store.write_together``; and how many rows that changed on SQLite, on PostgreSQL 0.

    Where another server writes the same ids at that moment, this one judges again.
    """
    for attempt in range(RETRIES):
        try:
            with committing(engine) as connection:
                before = _changes(connection)
                outcomes, remember = _write(connection, segments, memory, arrivals)
                rows = _changes(connection) - before
        except (DBAPIError, psycopg.Error) as error:
            state = getattr(getattr(error, "orig", error), "sqlstate", None)
            if state not in _RACES or attempt == RETRIES - 1:
                raise
        else:
            remember()
            return outcomes, rows
    raise AssertionError("unreachable")


def _changes(connection: Runs) -> int:
    """Rows that a connection to SQLite has changed so far."""
    return int(connection.connection.total_changes) if connection.dialect.name == "sqlite" else 0


def _write(
    connection: Runs, segments: Segments, memory: Memory, arrivals: Arrivals
) -> tuple[Outcomes, Callable[[], None]]:
    lock_links(connection)
    by_index(connection)
    parts = [_part(name, arrivals.parts[name], arrivals.learned_at) for name in PARTS if name in arrivals.parts]
    accounts = [part.account for part in parts]
    if accounts:
        known, content, erased = factrows.stored_accounts(connection, np.concatenate(accounts))
        for part in parts:
            part.known_ids, part.known_contents = (
                (known, content) if part.name == "signups" else _stored(connection, segments, part)
            )
    else:
        erased = np.empty(0, np.int64)
    stored = stored_requests(connection, arrivals.assessments)
    verdicts, judged = _settle(arrivals, parts, erased, stored)
    fresh = _insert(connection, parts, judged, memory)
    made = zip(arrivals.assessment_of, arrivals.assessments, verdicts, strict=True)
    insert_assessments(connection, [each for i, each, (status, _) in made if status == NEW and judged[i]])
    statuses = {part.name: (part.arrival, part.statuses) for part in parts}
    return Outcomes(judged, statuses, arrivals.assessment_of, verdicts), fresh


def _part(name: str, rows: Rows, learned_at: Int64s) -> _Part:
    facts = rows.facts
    own = facts.created_at if name == "signups" else facts.links.happened if name == "links" else facts.happened
    stamps = learned_at[rows.of]
    learned = np.where(stamps == OWN_TIME, own, stamps)
    account = facts.links.account if name == "links" else facts.account
    ids = facts.account if name == "signups" else facts.event
    none = np.empty(0, np.int64)
    return _Part(name, facts, rows.of, learned, ids, account, none, none, np.empty(0, np.int8))


def _stored(connection: Runs, segments: Segments, part: _Part) -> tuple[Int64s, Int64s]:
    if part.name != "usage":
        table = {"payments": "payments", "links": "link_events", "signals": "signals"}[part.name]
        return factrows.stored_events(connection, table, part.ids)
    live, contents = factrows.stored_events(connection, "usage_events", part.ids)
    past, old = segments.known(connection, part.ids, part.facts.happened)
    only = ~np.isin(past, live)
    return np.concatenate([live, past[only]]), np.concatenate([contents, old[only]])


def _settle(
    arrivals: Arrivals, parts: Sequence[_Part], erased: Int64s, stored: dict[str, Assessment]
) -> tuple[list[Verdict], list[bool]]:
    """Statuses of every row, and which arrivals are written.

    An atomic arrival with a conflict drops out, and the rest is judged as if it had not come. Those that conflict with
    what is stored drop out together; those that only conflict with one another one by one, the first first, since its
    leaving may make the next one right.
    """
    in_ = [True] * len(arrivals)
    for part in parts:
        part.statuses = np.full(len(part.ids), CONFLICT, np.int8)
    asked = list(zip(arrivals.assessment_of, arrivals.assessments, strict=True))
    verdicts: list[Verdict] = [(CONFLICT, None)] * len(asked)
    while True:
        conflicts: set[int] = set()
        certain: set[int] = set()
        for part in parts:
            if all(in_) and _all_new(part, erased):
                part.statuses[:] = NEW
                continue
            rows = np.flatnonzero(np.array(in_)[part.arrival])
            worded = getattr(part.facts, "worded", None)
            worded = worded if worded is None else worded.take(rows)
            statuses = judge(part.ids[rows], part.facts.content[rows], part.known_ids, part.known_contents, worded)
            statuses[np.isin(part.account[rows], erased)] = CONFLICT
            part.statuses[rows] = statuses
            bad = rows[statuses == CONFLICT]
            conflicts.update(part.arrival[bad].tolist())
            sure = np.isin(part.ids[bad], part.known_ids) | np.isin(part.account[bad], erased)
            certain.update(part.arrival[bad[sure]].tolist())
        seen = dict(stored)
        for place, (i, each) in enumerate(asked):
            if in_[i]:
                verdicts[place] = _against(each, seen)
                if verdicts[place][0] == CONFLICT:
                    conflicts.add(i)
        out = {i for i in conflicts if arrivals.atomic[i]}
        if not out:
            return verdicts, in_
        for i in (out & certain) or {min(out)}:
            in_[i] = False


def _all_new(part: _Part, erased: Int64s) -> bool:
    """Whether nothing is stored under its ids, none comes twice and no account was erased, as with nearly all calls."""
    return not len(part.known_ids) and not len(erased) and len(set(part.ids.tolist())) == len(part.ids)


def _against(each: Assessment, seen: dict[str, Assessment]) -> Verdict:
    """Judges one assessment against those stored or earlier in the batch, by request or else by its own id."""
    name = f"a:{each.assessment_id}" if each.request_id is None else f"r:{each.request_id}"
    before = seen.setdefault(name, each)
    if before is each:
        return NEW, None
    same = each.request_id is None or before.request_content == each.request_content
    return (DUPLICATE if same else CONFLICT), before


def _insert(connection: Runs, parts: Sequence[_Part], in_: Sequence[bool], memory: Memory) -> Callable[[], None]:
    shown: list[LinkFacts] = []
    seen_at: list[Int64s] = []
    said: set[tuple[str, str]] = set()
    if parts and not memory.layouts_declared:
        layouts.declare(connection)
    for part in parts:
        rows = np.flatnonzero((part.statuses == NEW) & np.array(in_)[part.arrival])
        if len(rows):
            facts, learned = factrows.pick(part.facts, rows), part.learned[rows]
            if isinstance(facts, UsageFacts):
                add_live_usage(connection, facts, learned, memory)
            else:
                factrows.insert_facts(connection, facts, learned)
            links, stamps = factrows.links_shown(facts, learned, whole=len(rows) == len(part.ids))
            shown.append(links)
            seen_at.append(stamps)
            said |= factrows.names_said(facts)
    fresh_names, fresh_kinds = said - memory.names, set[int]()
    together, learned_at = LinkFacts.empty(), np.empty(0, np.int64)
    factrows.insert_names(connection, fresh_names)
    if shown:
        together, learned_at = factrows.first_sights(LinkFacts.concat(shown), np.concatenate(seen_at))
        unknown = ~memory.sights.known(together.account, together.key, learned_at)
        together, learned_at = together.take(unknown), learned_at[unknown]
        fresh_kinds = factrows.insert_sights(connection, together, learned_at, set(memory.kinds))

    def remember() -> None:
        memory.sights.remember(together.account, together.key, learned_at)
        memory.layouts_declared = memory.layouts_declared or bool(parts)
        memory.kinds |= fresh_kinds
        memory.names |= fresh_names

    return remember


def add_live_usage(connection: Runs, facts: UsageFacts, learned: Int64s, memory: Memory) -> None:
    """Tiles, ids and raw rows of live exchanges; crowded weeks are compacted by one write in eight."""
    part = part_number(facts.event)
    insert_tiles(connection, usage_tiles(facts, learned), part)
    Segments.log(connection, part, facts, learned)
    if part % 8 == 0:
        compact(connection, facts.account, int(learned.min()) // WEEK, memory)
