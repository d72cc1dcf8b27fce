"""What is to be replayed, and whether a folder holds the beginning of just that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from service.domain.time import rfc3339


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay's options; times and spans in microseconds."""

    directory: Path
    out: Path
    start: int  # signups from here on are decided about
    end: int  # and until before here
    step: int  # between detections and rescorings
    retrain_every: int
    budget: float  # friction budget
    seed: int

    def moments(self) -> list[int]:
        """``start``, every ``step`` after it, and ``end``."""
        return [*range(self.start, self.end, self.step), self.end]

    def relearns_at(self) -> frozenset[int]:
        """The moments at which a model is trained again: the first step at or after each ``retrain_every``.

        Not at the end, after which nothing is decided any more.
        """
        moments = self.moments()[1:-1]
        due = range(self.start + self.retrain_every, self.end, self.retrain_every)
        return frozenset(next((at for at in moments if at >= wanted), self.end) for wanted in due) - {self.end}

    def fingerprint(self, code_version: str) -> str:
        """A hash of the options, the version of the code and the directory's files as they are (name, size, time).

        ``truth.parquet`` is not among them: nothing reads it.
        """
        said = [code_version, *map(str, (self.start, self.end, self.step, self.retrain_every, self.budget, self.seed))]
        for path in sorted(_files(self.directory)):
            about = path.stat()
            said.append(f"{path.relative_to(self.directory)} {about.st_size} {about.st_mtime_ns}")
        return sha256("\n".join(said).encode()).hexdigest()[:24]

    def told(self) -> dict[str, object]:
        """For the report."""
        return {
            "from": rfc3339(self.start),
            "to": rfc3339(self.end),
            "step_hours": self.step / 3_600e6,
            "retrain_every_days": self.retrain_every / 86_400e6,
            "friction_budget": self.budget,
            "seed": self.seed,
        }


def _files(directory: Path) -> Iterator[Path]:
    for path in directory.rglob("*"):
        if path.is_file() and path.name != "truth.parquet":
            yield path
