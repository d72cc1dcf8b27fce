"""What is written, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from service.domain.facts import (
    Int8s,
    Int64s,
    OwnLinkFacts,
    PaymentFacts,
    SignalFacts,
    SignupFacts,
    UsageFacts,
)
from service.domain.records import Assessment

NEW, DUPLICATE, CONFLICT = 0, 1, 2


def _none() -> Int8s:
    return np.empty(0, np.int8)


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


def judge(ids: Int64s, contents: Int64s, known_ids: Int64s, known_contents: Int64s) -> Int8s:
    """Rows against what is stored, and against earlier rows of the same ids; shape (n,).

    ``known_ids`` in any order, each once.
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
    out = np.where(contents == kept[inverse], DUPLICATE, CONFLICT).astype(np.int8)
    out[first & ~stored[inverse]] = NEW
    return out
