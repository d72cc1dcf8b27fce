"""A database of the replay's own: everything but the labels is imported at once, each fact learned at its own time.

Labels are kept aside and recorded when their moment comes. What else reads a database asks for what was known at a
moment and is tested to get nothing later (``tests/promises``); a label also makes campaigns and marks keys, and whether
those can be told from the later ones need not be asked where the later ones are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from service.app import App
from service.domain.errors import UsageError
from service.domain.raw import Label
from service.settings import Settings
from service.storage.arrivals import NEW
from service.storage.bulk import Bulk
from service.storage.store import Store
from service.usecases.import_directory import ImportReport, Progress, import_directory

# Fixed: the database goes when the replay ends, and the same directory must give the same decisions.
_KEYS = f"content:{'c3' * 32},backtest:{'3c' * 32}"


def settings_of(settings: Settings, work: Path) -> Settings:
    """The operator's settings, but for everything that would reach or be reached by the operator's installation.

    A starter model that the installation has is used, not made anew.
    """
    starter = settings.starter_model
    if starter is None and (settings.models_dir() / "starter").is_dir():
        starter = (settings.models_dir() / "starter").resolve()
    return settings.model_copy(
        update={
            "database_url": f"sqlite:///{work}/replay.db",
            "data_dir": work,
            "segments_url": None,
            "hmac_keys": _KEYS,
            "starter_model": starter,
        }
    )


class LabelStream:
    """Analysts' words in the order in which they came."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = tuple(labels)
        words = [(label.decided_at, i, replace(label, retracted_at=None)) for i, label in enumerate(labels)]
        words += [(label.retracted_at, i, label) for i, label in enumerate(labels) if label.retracted_at is not None]
        self._words = sorted(words, key=lambda word: word[:2])
        self._at = np.array([word[0] for word in self._words], np.int64)

    def __len__(self) -> int:
        """Words in all, retractions too."""
        return len(self._words)

    def between(self, after: int, until: int) -> list[Label]:
        """Labels decided, and labels with the retraction that was made, in (after, until], in order."""
        low, high = np.searchsorted(self._at, [after, until], "right")
        return [label for _, _, label in self._words[low:high]]


@dataclass(frozen=True, slots=True)
class Stage:
    """The database, and the labels that are still to come."""

    app: App
    labels: LabelStream


class _LabelsAside:
    """A store whose imports keep labels in a list."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.labels: list[Label] = []

    @contextmanager
    def bulk(self) -> Iterator[Any]:
        """As the store's; what was kept of a file that is refused goes again."""
        kept = len(self.labels)
        try:
            with self._store.bulk() as bulk:
                yield _KeepsLabels(bulk, self.labels)
        except BaseException:  # a refused file, or Ctrl-C: its labels go as its facts do
            del self.labels[kept:]
            raise


class _KeepsLabels:
    def __init__(self, bulk: Bulk, labels: list[Label]) -> None:
        self._bulk, self._labels = bulk, labels

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bulk, name)

    def labels(self, said: Sequence[Label]) -> Any:
        self._labels.extend(said)
        return np.full(len(said), NEW, np.int8)


def fill(app: App, directory: Path, *, now: int, progress: Progress) -> Stage:
    """Imports ``directory`` into ``app``'s database, again where that was broken off; ``now`` tells the future's facts.

    Raises UsageError where a file has bad rows: a replay of half the facts would look like one of all.
    """
    aside = _LabelsAside(app.store)
    report = import_directory(directory, door=app.door, store=aside, now=now, skip_bad_rows=None, progress=progress)
    if report.refused:
        raise UsageError(
            f"{directory}: nothing was replayed, since {', '.join(report.refused)} cannot be imported: "
            f"{_first(report)}. Mend it, or import with --skip-bad-rows FILE elsewhere to see all that is wrong"
        )
    return Stage(app, LabelStream(aside.labels))


def _first(report: ImportReport) -> str:
    wrong = [*report.problems, *map(str, report.bad_rows[:3])]
    more = report.bad + len(report.problems) - len(wrong)
    return "; ".join(wrong) + (f"; and {more:,} more" if more > 0 else "")
