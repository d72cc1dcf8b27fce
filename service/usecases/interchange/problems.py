"""What can be wrong with a file, or with one row of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.domain.errors import UsageError


class FileProblem(UsageError):
    """A file cannot be read at all; nothing of it was imported. Says which file, what is wrong, and the mend."""

    def __init__(self, file: str, wrong: str, mend: str) -> None:
        self.file = file
        self._said = (file, wrong, mend)
        super().__init__(f"{file}: {wrong}; {mend}")

    def __reduce__(self) -> tuple[type[FileProblem], tuple[str, str, str]]:
        """By what it was made of: an import may read in a process of its own."""
        return FileProblem, self._said


@dataclass(frozen=True, slots=True)
class BadRow:
    """One thing wrong with one row. Reasons never repeat personal data."""

    file: str
    row: int  # 1 is the first row of data; a CSV file's header is not counted
    column: str  # "" where the row as a whole cannot be read
    reason: str

    def __str__(self) -> str:
        """``accounts.csv row 7, created_at: is missing``."""
        return f"{self.file} row {self.row}" + (f", {self.column}" if self.column else "") + f": {self.reason}"


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that never became columns: CSV with too few fields, a line that is no JSON."""

    row: int
    reason: str
    content: Any  # as much of it as was read: its fields, or its text
