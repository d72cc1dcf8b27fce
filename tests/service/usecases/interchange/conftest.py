from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.usecases.interchange.problems import UnreadableRow
from service.usecases.interchange.schemas import Table
from service.usecases.interchange.sources import source


@dataclass(frozen=True)
class Read:
    """A whole file, put together again."""

    rows: dict[int, dict[str, Any]]  # by row number; bad cells are None
    problems: dict[tuple[int, str], str]  # (row number, column) -> reason
    unreadable: dict[int, UnreadableRow]
    originals: dict[int, Any]  # of rows with problems
    chunks: int


@pytest.fixture
def read_file() -> Callable[[Path, Table], Read]:
    def read(path: Path, table: Table) -> Read:
        out = Read({}, {}, {}, {}, 0)
        count = 0
        for chunk in source(path, table).chunks():
            count += 1
            numbers = chunk.rows.tolist()
            out.rows.update(zip(numbers, chunk.batch.to_pylist(), strict=True))
            for problem in chunk.problems:
                out.problems[numbers[problem.place], problem.column] = problem.reason
                out.originals[numbers[problem.place]] = chunk.original(problem.place)
            out.unreadable.update({row.row: row for row in chunk.unreadable})
        return Read(out.rows, out.problems, out.unreadable, out.originals, count)

    return read
