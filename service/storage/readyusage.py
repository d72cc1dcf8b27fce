"""What an import makes of a batch of exchanges, whatever the database may say of them.

Most batches of most imports are new from their first row to their last. So this is made where the batch is, and made
again of fewer rows where some turn out to be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import UsageFacts
from service.storage.sql import Int64s
from service.storage.usagerows import part_number
from service.tiles.rows import Tiles
from service.tiles.usage import usage_tiles


@dataclass(frozen=True, slots=True)
class ReadyUsage:
    """``n`` exchanges, learned when they happened; none of them need be new."""

    facts: UsageFacts
    events: Int64s  # their ids, ascending; shape (n,)
    order: NDArray[np.intp]  # row of each of those
    tiles: Tiles
    part: int

    def __len__(self) -> int:
        return len(self.facts)


def ready(facts: UsageFacts) -> ReadyUsage:
    """Asks no database, and may run in any thread or process."""
    order = np.argsort(facts.event)
    events = facts.event[order]
    return ReadyUsage(
        facts,
        events,
        order,
        usage_tiles(facts, facts.happened),
        part_number(events, ascending=True),
    )
