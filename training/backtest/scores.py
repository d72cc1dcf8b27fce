"""The highest score that each account got from the model in charge, for the guard of the friction budget.

Scores of another model are on another scale: when one is promoted everybody is scored again and counting begins anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from service.domain.facts import Float64s, Int64s


class Highest:
    """Accounts ascending and their highest scores so far."""

    def __init__(self, folder: Path, step: int | None) -> None:
        """As kept after ``step``; None: nothing yet."""
        self.folder = folder
        self.account: Int64s = np.empty(0, np.int64)
        self.score: Float64s = np.empty(0)
        if step is not None:
            with np.load(self._path(step)) as held:
                self.account, self.score = held["account"], held["score"]

    def add(self, account: Int64s, score: Float64s) -> None:
        """Takes in scores; an account may come several times."""
        if not len(account):
            return
        who = np.concatenate([self.account, account])
        found = np.concatenate([self.score, score])
        order = np.lexsort((found, who))
        last = np.append(who[order][1:] != who[order][:-1], True)
        self.account, self.score = who[order][last], found[order][last]

    def forget(self) -> None:
        """Begins anew."""
        self.account, self.score = np.empty(0, np.int64), np.empty(0)

    def keep(self, step: int) -> None:
        """Writes what is known after ``step``, whole or not at all; what was kept two steps ago goes."""
        draft = self.folder / ".scores.part.npz"
        np.savez(draft, account=self.account, score=self.score)
        draft.replace(self._path(step))
        for path in self.folder.glob("scores-*.npz"):
            if path not in (self._path(step), self._path(step - 1)):
                path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"scores-{step:05d}.npz"
