"""One transaction for any number of arrivals: judge what is new, write it, say what became of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from service.domain.facts import Int8s, LinkFacts, OwnLinkFacts, PaymentFacts, SignalFacts, SignupFacts, UsageFacts
from service.domain.records import Assessment
from service.domain.time import WEEK
from service.storage import factrows, layouts
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW, Arrival, Outcome, judge
from service.storage.assessments import insert_assessments, stored_requests
from service.storage.database import writing
from service.storage.locks import lock_links
from service.storage.memory import Memory
from service.storage.segments import Segments
from service.storage.sql import Int64s
from service.storage.usagerows import compact, insert_tiles, part_number
from service.tiles.usage import usage_tiles

PARTS = ("signups", "payments", "usage", "links", "signals")
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


def write(engine: Engine, segments: Segments, memory: Memory, arrivals: Sequence[Arrival]) -> list[Outcome]:
    """See ``Store.write``. Another server that writes the same ids at the same moment makes this one judge again."""
    for attempt in range(RETRIES):
        try:
            with writing(engine) as connection:
                outcomes, remember = _write(connection, segments, memory, arrivals)
        except (DBAPIError, psycopg.Error) as error:
            state = getattr(getattr(error, "orig", error), "sqlstate", None)
            if state not in _RACES or attempt == RETRIES - 1:
                raise
        else:
            remember()
            return outcomes
    raise AssertionError("unreachable")


def _write(
    connection: Connection, segments: Segments, memory: Memory, arrivals: Sequence[Arrival]
) -> tuple[list[Outcome], Callable[[], None]]:
    lock_links(connection)
    parts = [part for name in PARTS if (part := _gathered(name, arrivals)) is not None]
    accounts = [part.account for part in parts]
    if accounts:
        known, content, erased = factrows.stored_accounts(connection, np.concatenate(accounts))
        for part in parts:
            part.known_ids, part.known_contents = (
                (known, content) if part.name == "signups" else _stored(connection, segments, part)
            )
    else:
        erased = np.empty(0, np.int64)
    asked = [(i, each) for i, arrival in enumerate(arrivals) for each in arrival.assessments]
    stored = stored_requests(connection, [each for _, each in asked])
    verdicts, judged = _settle(arrivals, parts, erased, asked, stored)
    fresh = _insert(connection, parts, judged, memory)
    insert_assessments(
        connection,
        [each for (i, each), (status, _) in zip(asked, verdicts, strict=True) if status == NEW and judged[i]],
    )
    return _outcomes(arrivals, parts, asked, verdicts, judged), fresh


def _gathered(name: str, arrivals: Sequence[Arrival]) -> _Part | None:
    there = [(i, said) for i, arrival in enumerate(arrivals) if (said := getattr(arrival, name)) is not None]
    there = [(i, said) for i, said in there if len(said)]
    if not there:
        return None
    facts: Any = factrows.join([said for _, said in there])
    arrival = np.repeat(np.array([i for i, _ in there], np.int64), [len(said) for _, said in there])
    own = facts.created_at if name == "signups" else facts.links.happened if name == "links" else facts.happened
    stamps = np.array([2**62 if a.learned_at is None else a.learned_at for a in arrivals], np.int64)[arrival]
    learned = np.where(stamps == 2**62, own, stamps)
    account = facts.links.account if name == "links" else facts.account
    ids = facts.account if name == "signups" else facts.event
    none = np.empty(0, np.int64)
    return _Part(name, facts, arrival, learned, ids, account, none, none, np.empty(0, np.int8))


def _stored(connection: Connection, segments: Segments, part: _Part) -> tuple[Int64s, Int64s]:
    if part.name != "usage":
        table = {"payments": "payments", "links": "link_events", "signals": "signals"}[part.name]
        return factrows.stored_events(connection, table, part.ids)
    live, contents = factrows.stored_events(connection, "usage_events", part.ids)
    past, old = segments.known(connection, part.ids, part.facts.happened)
    only = ~np.isin(past, live)
    return np.concatenate([live, past[only]]), np.concatenate([contents, old[only]])


Verdict = tuple[int, Assessment | None]


def _settle(
    arrivals: Sequence[Arrival],
    parts: Sequence[_Part],
    erased: Int64s,
    asked: Sequence[tuple[int, Assessment]],
    stored: dict[str, Assessment],
) -> tuple[list[Verdict], list[bool]]:
    """Statuses of every row, and which arrivals are written.

    An atomic arrival with a conflict drops out, and the rest is judged as if it had not come. Those that conflict with
    what is stored drop out together; those that only conflict with one another one by one, the first first, since its
    leaving may make the next one right.
    """
    in_ = [True] * len(arrivals)
    for part in parts:
        part.statuses = np.full(len(part.ids), CONFLICT, np.int8)
    verdicts: list[Verdict] = [(CONFLICT, None)] * len(asked)
    while True:
        conflicts: set[int] = set()
        certain: set[int] = set()
        for part in parts:
            rows = np.flatnonzero(np.array(in_)[part.arrival])
            statuses = judge(part.ids[rows], part.facts.content[rows], part.known_ids, part.known_contents)
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
        out = {i for i in conflicts if arrivals[i].atomic}
        if not out:
            return verdicts, in_
        for i in (out & certain) or {min(out)}:
            in_[i] = False


def _against(each: Assessment, seen: dict[str, Assessment]) -> Verdict:
    """Judges one assessment against those stored or earlier in the batch, by request or else by its own id."""
    name = f"a:{each.assessment_id}" if each.request_id is None else f"r:{each.request_id}"
    before = seen.setdefault(name, each)
    if before is each:
        return NEW, None
    same = each.request_id is None or before.request_content == each.request_content
    return (DUPLICATE if same else CONFLICT), before


def _insert(connection: Connection, parts: Sequence[_Part], in_: Sequence[bool], memory: Memory) -> Callable[[], None]:
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
    factrows.insert_names(connection, fresh_names)
    if shown:
        together = LinkFacts.concat(shown)
        fresh_kinds = factrows.insert_links(connection, together, np.concatenate(seen_at), set(memory.kinds))

    def remember() -> None:
        memory.layouts_declared = memory.layouts_declared or bool(parts)
        memory.kinds |= fresh_kinds
        memory.names |= fresh_names

    return remember


def add_live_usage(connection: Connection, facts: UsageFacts, learned: Int64s, memory: Memory) -> None:
    """Tiles, ids and raw rows of live exchanges; crowded weeks are compacted by one write in eight."""
    part = part_number(facts.event)
    insert_tiles(connection, usage_tiles(facts, learned), part)
    Segments.log(connection, part, facts, learned)
    if part % 8 == 0:
        compact(connection, facts.account, int(learned.min()) // WEEK, memory)


def _outcomes(
    arrivals: Sequence[Arrival],
    parts: Sequence[_Part],
    asked: Sequence[tuple[int, Assessment]],
    verdicts: Sequence[Verdict],
    in_: Sequence[bool],
) -> list[Outcome]:
    statuses: list[dict[str, Int8s]] = [{} for _ in arrivals]
    for part in parts:
        starts = np.flatnonzero(np.concatenate([[True], part.arrival[1:] != part.arrival[:-1]]))
        for rows in np.split(np.arange(len(part.ids)), starts[1:]):
            statuses[int(part.arrival[rows[0]])][part.name] = part.statuses[rows]
    made: list[list[Verdict]] = [[] for _ in arrivals]
    for (i, _), verdict in zip(asked, verdicts, strict=True):
        made[i].append(verdict)
    return [
        Outcome(
            written=in_[i],
            assessments=np.array([status for status, _ in made[i]], np.int8),
            stored=tuple(before for _, before in made[i]),
            **statuses[i],
        )
        for i in range(len(arrivals))
    ]
