"""Columns as of a moment: what every feature is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import code32
from service.domain.profile import PROFILE_INDEX

Column = NDArray[np.float32]
Int64s = NDArray[np.int64]


class Windowed(Protocol):
    """Integer columns per window, as the fold of tiles makes them."""

    def column(self, name: str, window: str) -> Int64s:
        """Shape (n,)."""
        ...

    @property
    def empty(self) -> bool:
        """Whether nothing at all is known of any row."""
        ...


class Shared(Protocol):
    """Integer columns per kind of link key."""

    def column(self, kind: int, measure: str) -> Int64s:
        """Shape (n,); ``kind`` is the code of the kind's name."""
        ...

    def several(self, wanted: Sequence[tuple[int, str]]) -> Int64s:
        """The columns of some (kind, measure), shape (n, wanted)."""
        ...


class Belongs(Protocol):
    """What campaigns the accounts belonged or were tied to."""

    @property
    def campaign(self) -> Int64s:
        """Shape (n,); its number; 0: none."""
        ...

    @property
    def tied_probe(self) -> Int64s:
        """Rows (probe, kind): one of the account's keys of that kind speaks for its campaign; shape (ties,)."""
        ...

    @property
    def tied_kind(self) -> Int64s:
        """Codes of the kinds, shape (ties,)."""
        ...

    def column(self, name: str) -> NDArray[np.float64]:
        """Shape (n,); NaN: unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Columns:
    """One row per (account, as_of). Nothing in it was learned after its row's ``as_of``."""

    account: Int64s
    as_of: Int64s  # microseconds
    created_at: Int64s  # microseconds; 0 where the signup is not known
    known: NDArray[np.bool_]
    facts: NDArray[np.float32]  # (n, profile facts)
    usage: Windowed
    payments: Windowed
    sharing: Shared
    campaigns: Belongs
    signals: Mapping[str, Column]  # the customer's own numbers: latest value learned; NaN: none yet

    def __len__(self) -> int:
        return len(self.account)

    def profile(self, name: str) -> Column:
        """A fact of the signup; NaN: unknown. KeyError for a name that ``domain/profile.py`` does not declare."""
        return np.ascontiguousarray(self.facts[:, PROFILE_INDEX[name]])

    def shared(self, kind: str, measure: str) -> Int64s:
        """``keys``, ``others_<window>``, ``fraud`` or ``legitimate`` of a kind of link key; counted up to 256."""
        return self.sharing.column(code32(kind), measure)

    def shared_by(self, wanted: Sequence[tuple[str, str]]) -> Int64s:
        """The same of some (kind, measure), shape (n, wanted)."""
        return self.sharing.several([(code32(kind), measure) for kind, measure in wanted])

    def campaign(self, measure: str) -> NDArray[np.float64]:
        """One of the fold's ``MEASURES`` (``tiles/campaigns.py``); 0 where the account is in no live campaign."""
        return self.campaigns.column(measure)

    def signal(self, name: str) -> Column:
        """The customer's own number; NaN: not told yet."""
        missing = np.full(len(self), np.nan, np.float32)
        return self.signals.get(name, missing)
