"""What a store remembers between calls. Forgetting any of it costs time and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.storage.layouts import Fields
from service.storage.layouts import known as known_layouts
from service.storage.sights import Sights
from service.storage.sql import Runs


@dataclass(slots=True)
class Memory:
    """Small sets that only grow in the database. Sets are replaced, never changed, so threads may read them."""

    kinds: frozenset[int] = frozenset()  # link kinds that are surely in ``link_kinds``
    names: frozenset[tuple[str, str]] = frozenset()  # (space, name) that are surely in ``names``
    layouts_declared: bool = False
    layouts: dict[int, Fields] = field(default_factory=dict)
    sights: Sights = field(default_factory=Sights)

    def layouts_for(self, connection: Runs, used: set[int]) -> dict[int, Fields]:
        """Layouts by number, at least those ``used`` ones."""
        if not used <= self.layouts.keys():
            self.layouts = known_layouts(connection)
        return self.layouts
