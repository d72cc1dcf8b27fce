"""What is written, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import (
    Int8s,
    Int64s,
    OwnLinkFacts,
    PaymentFacts,
    SignalFacts,
    SignupFacts,
    UsageFacts,
    Worded,
)
from service.domain.records import Assessment
from service.storage.factrows import join

NEW, DUPLICATE, CONFLICT = 0, 1, 2
PARTS = ("signups", "payments", "usage", "links", "signals")
OWN_TIME = 2**62  # in place of a moment: each fact was learned when it happened

_NONE = np.empty(0, np.int8)
_NONE.setflags(write=False)


def _none() -> Int8s:
    return _NONE


@dataclass(frozen=True, slots=True)
class Arrival:
    """Facts and assessments that belong together, such as one request's."""

    learned_at: int | None  # None: each fact was learned when it happened, as imports have it
    signups: SignupFacts | None = None
    payments: PaymentFacts | None = None
    usage: UsageFacts | None = None
    links: OwnLinkFacts | None = None
    signals: SignalFacts | None = None
    assessments: Sequence[Assessment] = ()
    atomic: bool = False  # one conflict anywhere, and nothing of this arrival is written


@dataclass(frozen=True, slots=True)
class Outcome:
    """One int8 per row of each part: NEW, DUPLICATE or CONFLICT; empty where the arrival had no such part.

    CONFLICT: the same id came before with different content, or the row belongs to an erased account. The first is
    kept. Where ``written`` is False the arrival was atomic and something conflicted: then NEW rows are not kept either.
    """

    written: bool = True
    signups: Int8s = field(default_factory=_none)
    payments: Int8s = field(default_factory=_none)
    usage: Int8s = field(default_factory=_none)
    links: Int8s = field(default_factory=_none)
    signals: Int8s = field(default_factory=_none)
    assessments: Int8s = field(default_factory=_none)
    stored: tuple[Assessment | None, ...] = ()  # per assessment, the one kept under its id; None: it was new

    @property
    def stored_assessment(self) -> Assessment | None:
        """The first assessment that was there before under the same request; None: all were new."""
        return next((each for each in self.stored if each is not None), None)


@dataclass(frozen=True, slots=True)
class Rows:
    """All facts of one kind, and whose each is."""

    facts: Any  # of one type of facts
    of: Int64s  # place of the arrival that row i came with, ascending


@dataclass(frozen=True, slots=True)
class Arrivals:
    """``n`` arrivals as one: a batch that was computed together is not taken apart to be written together."""

    learned_at: Int64s  # (n,); OWN_TIME where each fact was learned when it happened
    atomic: NDArray[np.bool_]  # (n,)
    parts: Mapping[str, Rows]  # by name of PARTS, those that have rows
    assessments: Sequence[Assessment]
    assessment_of: Sequence[int]  # place of the arrival of each, ascending

    def __len__(self) -> int:
        return len(self.learned_at)

    @classmethod
    def of(cls, arrivals: Sequence[Arrival]) -> Arrivals:
        """Single ones as one."""
        parts: dict[str, Rows] = {}
        for name in PARTS:
            there = [(i, said) for i, each in enumerate(arrivals) if (said := getattr(each, name)) is not None]
            there = [(i, said) for i, said in there if len(said)]
            if there:
                owner = np.repeat(np.array([i for i, _ in there], np.int64), [len(said) for _, said in there])
                parts[name] = Rows(join([said for _, said in there]), owner)
        return cls(
            np.array([OWN_TIME if each.learned_at is None else each.learned_at for each in arrivals], np.int64),
            np.array([each.atomic for each in arrivals], np.bool_),
            parts,
            [one for each in arrivals for one in each.assessments],
            [i for i, each in enumerate(arrivals) for _ in each.assessments],
        )

    @classmethod
    def joined(cls, groups: Sequence[Arrivals]) -> Arrivals:
        """Groups one after the other."""
        if len(groups) == 1:
            return groups[0]
        starts = np.cumsum([0, *map(len, groups)]).tolist()[:-1]
        parts: dict[str, Rows] = {}
        for name in PARTS:
            there = [
                (start, rows) for start, each in zip(starts, groups, strict=False) if (rows := each.parts.get(name))
            ]
            if there:
                owner = np.concatenate([rows.of + start for start, rows in there])
                parts[name] = Rows(join([rows.facts for _, rows in there]), owner)
        return cls(
            np.concatenate([each.learned_at for each in groups]),
            np.concatenate([each.atomic for each in groups]),
            parts,
            [one for each in groups for one in each.assessments],
            [place + start for start, each in zip(starts, groups, strict=True) for place in each.assessment_of],
        )


Verdict = tuple[int, Assessment | None]  # on an assessment: its status, and the one that was there before


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of ``Arrivals``."""

    written: Sequence[bool]
    statuses: Mapping[str, tuple[Int64s, Int8s]]  # by name of PARTS: place of the arrival and status, of each row
    assessment_of: Sequence[int]
    verdicts: Sequence[Verdict]  # of each assessment

    def __len__(self) -> int:
        return len(self.written)

    def all_new(self) -> bool:
        """Whether all of it was new and is kept now."""
        return (
            all(self.written)
            and not any(status.any() for _, status in self.statuses.values())
            and not any(status for status, _ in self.verdicts)
        )

    def some(self, start: int, stop: int) -> Outcomes:
        """Those of the arrivals from ``start`` to before ``stop``, as if they had come alone."""
        if (start, stop) == (0, len(self)):
            return self
        statuses: dict[str, tuple[Int64s, Int8s]] = {}
        for name, (owner, status) in self.statuses.items():
            low, high = np.searchsorted(owner, (start, stop))
            if low < high:
                statuses[name] = owner[low:high] - start, status[low:high]
        mine = [i for i, place in enumerate(self.assessment_of) if start <= place < stop]
        return Outcomes(
            self.written[start:stop],
            statuses,
            [self.assessment_of[i] - start for i in mine],
            [self.verdicts[i] for i in mine],
        )

    def __iter__(self) -> Iterator[Outcome]:
        """One for each arrival, in order."""
        made: list[list[Verdict]] = [[] for _ in self.written]
        for place, verdict in zip(self.assessment_of, self.verdicts, strict=True):
            made[place].append(verdict)
        statuses: list[dict[str, Int8s]] = [{} for _ in self.written]
        for name, (owner, status) in self.statuses.items():
            starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]])).tolist()
            for low, high in zip(starts, [*starts[1:], len(owner)], strict=True):
                statuses[int(owner[low])][name] = status[low:high]
        for i, verdicts in enumerate(made):
            yield Outcome(
                written=self.written[i],
                assessments=np.array([status for status, _ in verdicts], np.int8),
                stored=tuple(before for _, before in verdicts),
                **statuses[i],
            )


def judge(
    ids: Int64s, contents: Int64s, known_ids: Int64s, known_contents: Int64s, worded: Worded | None = None
) -> Int8s:
    """Rows against what is stored, and against earlier rows of the same ids; shape (n,).

    ``known_ids`` in any order, each once. ``worded`` are the rows, where an older release may have stored them under
    another hash.
    """
    first = np.zeros(len(ids), bool)
    distinct, where, inverse = np.unique(ids, return_index=True, return_inverse=True)
    first[where] = True
    kept = contents[where]
    stored = np.zeros(len(distinct), bool)
    if len(known_ids):
        order = np.argsort(known_ids)
        place = order[np.minimum(np.searchsorted(known_ids[order], distinct), len(order) - 1)]
        stored = known_ids[place] == distinct
        kept = np.where(stored, known_contents[place], kept)
    same = contents == kept[inverse]
    if worded is not None:
        other = np.flatnonzero(~same & stored[inverse])
        if len(other):
            same[other] = worded.take(other).hashes() == kept[inverse[other]]
    out = np.where(same, DUPLICATE, CONFLICT).astype(np.int8)
    out[first & ~stored[inverse]] = NEW
    return out
