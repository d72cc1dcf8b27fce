"""Scores accounts: one, or a batch, walks the same street: door, history, columns, model, policy, record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import hash64_many
from service.domain.enums import Decision
from service.domain.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FieldViolation,
    GatehouseError,
    InvalidInput,
    UnknownAccount,
)
from service.domain.facts import Int64s, LinkFacts, OwnLinkFacts
from service.domain.raw import Link, Payment, Signal, Signup
from service.domain.records import Assessment
from service.domain.requests import ScoreRequest
from service.signals.checks import Rejection
from service.signals.door import Door
from service.storage.arrivals import CONFLICT, Arrivals, Outcome, Outcomes, Rows
from service.tiles.history import History
from service.usecases.assess import Asked, assess
from service.usecases.champion import Models, Serving
from service.usecases.overlay import Brought, overlay

Answer = Assessment | GatehouseError
# A row's contributions take some 0.3 us a leaf: together as many as take a few milliseconds, which all wait for.
LEAVES_TOGETHER = 10_000


class Reads(Protocol):
    """What scoring reads."""

    def history(self, accounts: Int64s, as_of: int, extra_keys: Int64s | None = None) -> History: ...

    def known_events(self, payments: Int64s, signals: Int64s, links: Int64s) -> tuple[Int64s, Int64s, Int64s]: ...


class Writes(Protocol):
    """What scoring writes through: a writer that commits together all that wait."""

    def begin(self, arrivals: Arrivals) -> Future[Outcomes]: ...


class Answered(Protocol):
    """Who looks on; it must neither wait nor raise."""

    def offer(self, history: History, made: Sequence[Assessment]) -> None: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that is computed and on its way to be recorded."""

    requests: Sequence[ScoreRequest]
    answers: Sequence[Answer]  # of each request, if what is written says nothing else
    sent: Sequence[int]  # requests whose facts and assessments are written, in the order of ``written``
    history: History | None  # what was read; None: nothing was
    written: Future[Outcomes]

    def wait(self, timeout_s: float) -> None:
        """Until it is durable; raises DeadlineExceeded after ``timeout_s``, and what the store raises."""
        try:
            self.written.result(timeout_s)
        except TimeoutError:
            self.written.cancel()
            raise DeadlineExceeded(f"not written within {timeout_s:g} s; the same request again is safe") from None


def _nothing() -> Future[Outcomes]:
    written: Future[Outcomes] = Future()
    written.set_result(Outcomes([], {}, [], []))
    return written


class ScoreAccounts:
    """The deed, wired to its rooms. Safe to call from many threads."""

    def __init__(
        self, reads: Reads, writes: Writes, door: Door, models: Models, answered: Answered | None = None
    ) -> None:
        self.reads, self.writes, self.door, self.models = reads, writes, door, models
        self.answered = answered  # None: nobody looks on
        # Most requests bring no payments, links or signals, and laying out four empty batches took 0.4 ms.
        self._no_signups = door.signups([], 0)[0]
        self._none = (door.payments([], 0)[0], door.links([], 0)[0], door.signals([], 0)[0])

    def __call__(self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float) -> list[Answer]:
        """An assessment, already durable, or an error, for each request in order; one bad request fails alone.

        Raises NotReady without a model, Overloaded or DeadlineExceeded when nothing could be recorded in time.
        """
        begun = self.begin(requests, now=now)
        begun.wait(timeout_s)
        return self.explained(requests, self.end(begun))

    def begin(self, requests: Sequence[ScoreRequest], *, now: int) -> Begun:
        """Answers, handed over to be recorded: to be told once they are durable, and what ``end`` says of them.

        A batch that begins meanwhile does not see the facts of this one, as it would not see another server's.
        Raises NotReady without a model, Overloaded where too much waits to be written.
        """
        serving = self.models.current()
        answers: list[Answer | None] = [None] * len(requests)
        entered = self._enter(requests, now, answers)
        live = [i for i, answer in enumerate(answers) if answer is None]
        if not live:
            return Begun(requests, [answer for answer in answers if answer is not None], [], None, _nothing())
        history = self._known(entered, [requests[i] for i in live], now)
        for i, made in zip(live, self._assess(serving, history, [requests[i] for i in live], now), strict=True):
            answers[i] = made
        said = [answer for answer in answers if answer is not None]
        sent = [i for i in live if not isinstance(said[i], GatehouseError)]
        written = self.writes.begin(_arrivals(said, entered, sent, now)) if sent else _nothing()
        return Begun(requests, said, sent, history, written)

    def end(self, begun: Begun) -> list[Answer]:
        """The answers of what was written, where a request is a repeat those that were given before."""
        answers, outcomes = list(begun.answers), begun.written.result()
        if not outcomes.all_new():
            for i, outcome in zip(begun.sent, outcomes, strict=True):
                answers[i] = _settled(begun.requests[i], answers[i], outcome)
        if self.answered is not None and begun.history is not None:
            kept = [answer for i in begun.sent if (answer := answers[i]) is begun.answers[i]]
            self.answered.offer(begun.history, [answer for answer in kept if isinstance(answer, Assessment)])
        return answers

    def explained(self, requests: Sequence[ScoreRequest], answers: Sequence[Answer]) -> list[Answer]:
        """The answers with reasons where somebody asked for them, or the decision is not ``allow``."""
        out = list(answers)
        wanted = [
            (i, answer)
            for i, (request, answer) in enumerate(zip(requests, answers, strict=True))
            if isinstance(answer, Assessment) and self.wants_reasons(request, answer)
        ]
        told = with_reasons(self.models, [answer for _, answer in wanted])
        for (i, _), answer in zip(wanted, told, strict=True):
            out[i] = answer
        return out

    def explained_together(self) -> int:
        """How many answers are best explained in one go: what takes long is shared among cores."""
        return max(1, LEAVES_TOGETHER // self.models.current().scorer.leaves)

    def wants_reasons(self, request: ScoreRequest, answer: Answer) -> bool:
        """Whether ``explained`` has anything to do, which is a core's time."""
        return isinstance(answer, Assessment) and (request.explain or answer.decision is not Decision.ALLOW)

    def _known(self, entered: _Entered, requests: Sequence[ScoreRequest], now: int) -> History:
        """What is stored of the accounts, with what the requests bring."""
        account = hash64_many([request.account_id for request in requests])
        brought = entered.brought
        history = self.reads.history(account, now, brought.links().key)
        none = np.empty(0, np.int64)
        paid, said = none, none
        if len(brought.payments) or len(brought.signals):
            paid, said, _ = self.reads.known_events(brought.payments.event, brought.signals.event, none)
        return overlay(
            history,
            brought,
            now,
            payments=_first_new(brought.payments.event, paid),
            signals=_first_new(brought.signals.event, said),
        )

    def _assess(self, serving: Serving, history: History, requests: Sequence[ScoreRequest], now: int) -> list[Answer]:
        asked = [
            Asked(request.account_id, request.purpose, request.request_id, request.content) for request in requests
        ]
        made = assess(serving, history, asked, now)
        return [
            UnknownAccount(request.account_id) if found is None else found
            for request, found in zip(requests, made, strict=True)
        ]

    def _enter(self, requests: Sequence[ScoreRequest], now: int, answers: list[Answer | None]) -> _Entered:
        for i, request in enumerate(requests):
            violations = _misaddressed(request)
            if violations:
                answers[i] = InvalidInput(*violations)
        places = [i for i, answer in enumerate(answers) if answer is None]
        signups = [(i, s) for i in places if (s := requests[i].signup) is not None]
        payments = [(i, j, p) for i in places for j, p in enumerate(requests[i].payments)]
        links = [(i, j, k) for i in places for j, k in enumerate(requests[i].links)]
        signals = [(i, j, s) for i in places for j, s in enumerate(requests[i].signals)]
        signup_facts, bad_signups = (
            self.door.signups([s for _, s in signups], now) if signups else (self._no_signups, [])
        )
        payment_facts, bad_payments = (
            self.door.payments([p for _, _, p in payments], now) if payments else (self._none[0], [])
        )
        link_facts, bad_links = self.door.links([k for _, _, k in links], now) if links else (self._none[1], [])
        signal_facts, bad_signals = (
            self.door.signals([s for _, _, s in signals], now) if signals else (self._none[2], [])
        )
        wrong: dict[int, list[FieldViolation]] = {}
        for bad in bad_signups:
            wrong.setdefault(signups[bad.row][0], []).append(FieldViolation(f"signup.{bad.field}", bad.reason))
        for name, rows, rejections in (
            ("payments", payments, bad_payments),
            ("links", links, bad_links),
            ("signals", signals, bad_signals),
        ):
            for bad in rejections:
                i, j = rows[bad.row][0], rows[bad.row][1]
                wrong.setdefault(i, []).append(FieldViolation(f"{name}[{j}].{bad.field}", bad.reason))
        for i, found in wrong.items():
            answers[i] = InvalidInput(*found)
        # Nothing of a request that was refused counts for the others.
        signup_of, signup = _owners([i for i, _ in signups], bad_signups, wrong)
        payment_of, payment = _owners([i for i, _, _ in payments], bad_payments, wrong)
        link_of, link = _owners([i for i, _, _ in links], bad_links, wrong)
        signal_of, signal = _owners([i for i, _, _ in signals], bad_signals, wrong)
        if wrong:
            signup_facts, payment_facts = signup_facts.take(signup), payment_facts.take(payment)
            link_facts, signal_facts = link_facts.take(link), signal_facts.take(signal)
        own_links = LinkFacts.concat([link_facts.links, link_facts.older])
        return _Entered(
            Brought(signup_facts, payment_facts, own_links, signal_facts),
            link_facts,
            {"signups": signup_of, "payments": payment_of, "links": link_of, "signals": signal_of},
        )


def with_reasons(models: Models, assessments: Sequence[Assessment]) -> list[Assessment]:
    """Each with its reasons, computed exactly from the row it was made from, by the model that made it.

    Erased assessments have no row left and get none.
    """
    out = list(assessments)
    by_model: dict[str, list[int]] = {}
    for i, assessment in enumerate(assessments):
        if assessment.features:
            by_model.setdefault(assessment.model_version, []).append(i)
    for version, places in by_model.items():
        serving = models.of_version(version)
        rows = serving.features_of([assessments[i].features for i in places])
        told = serving.reasons(rows, [assessments[i].rules for i in places])
        for i, reasons in zip(places, told, strict=True):
            out[i] = replace(assessments[i], reasons=reasons)
    return out


@dataclass(frozen=True, slots=True)
class _Entered:
    """What the door let in, and which request each row belongs to."""

    brought: Brought
    own_links: OwnLinkFacts
    owners: dict[str, list[int]]  # by name of ``arrivals.PARTS``; ascending


def _misaddressed(request: ScoreRequest) -> list[FieldViolation]:
    bare = not (request.payments or request.links or request.signals)  # a signup alone, as most are
    if bare and (request.signup is None or request.signup.account_id == request.account_id):
        return []
    said: list[tuple[str, Signup | Payment | Link | Signal]] = []
    if request.signup is not None:
        said.append(("signup", request.signup))
    said += [(f"payments[{j}]", p) for j, p in enumerate(request.payments)]
    said += [(f"links[{j}]", k) for j, k in enumerate(request.links)]
    said += [(f"signals[{j}]", s) for j, s in enumerate(request.signals)]
    return [
        FieldViolation(f"{path}.account_id", f"is not the request's account {request.account_id!r}")
        for path, fact in said
        if fact.account_id != request.account_id
    ]


def _owners(
    owners: Sequence[int], rejections: Sequence[Rejection], wrong: Collection[int]
) -> tuple[list[int], NDArray[np.intp]]:
    """Of the rows that the door let in: the requests of those that count, ascending, and their places."""
    if not rejections and not wrong:
        return list(owners), np.arange(len(owners))
    rejected = {bad.row for bad in rejections}
    entered = [owner for row, owner in enumerate(owners) if row not in rejected]
    places = [place for place, owner in enumerate(entered) if owner not in wrong]
    return [entered[place] for place in places], np.array(places, np.intp)


def _first_new(events: Int64s, stored: Int64s) -> Int64s:
    """Rows of the events that are not stored, the first of each."""
    if not len(events):
        return np.empty(0, np.int64)
    _, first = np.unique(events, return_index=True)
    rows = np.sort(first)
    return rows[~np.isin(events[rows], stored)].astype(np.int64)


def _arrivals(answers: Sequence[Answer], entered: _Entered, sent: Sequence[int], now: int) -> Arrivals:
    """The requests ``sent``, each with its facts and its assessment, as they are written: whole or not at all."""
    brought = entered.brought
    place = {request: i for i, request in enumerate(sent)}
    parts: dict[str, Rows] = {}
    for name, facts in (
        ("signups", brought.signups),
        ("payments", brought.payments),
        ("links", entered.own_links),
        ("signals", brought.signals),
    ):
        owners = entered.owners[name]
        rows = [row for row, owner in enumerate(owners) if owner in place]
        if rows:
            kept = facts if len(rows) == len(owners) else facts.take(np.array(rows, np.intp))
            parts[name] = Rows(kept, np.array([place[owners[row]] for row in rows], np.int64))
    made = [answer for i in sent if isinstance(answer := answers[i], Assessment)]
    return Arrivals(np.full(len(sent), now), np.ones(len(sent), np.bool_), parts, made, range(len(sent)))


def _settled(request: ScoreRequest, made: Answer, outcome: Outcome) -> Answer:
    if outcome.stored_assessment is not None:  # this request was answered before
        stored = outcome.stored_assessment
        return stored if stored.request_content == request.content else AlreadyExists("request", request.request_id)
    if CONFLICT in outcome.signups.tolist():
        return AlreadyExists("account", request.account_id)
    if not (request.payments or request.links or request.signals):
        return made
    for what, statuses, identifiers in (
        ("payment", outcome.payments, [p.event_id for p in request.payments]),
        ("link", outcome.links, [k.event_id or k.key_type for k in request.links]),
        ("signal", outcome.signals, [s.event_id or s.name for s in request.signals]),
    ):
        for row in np.flatnonzero(statuses == CONFLICT):
            return AlreadyExists(what, identifiers[row])
    return made
