"""Which files of a directory are interchange tables, and how each is read."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import UsageError
from service.usecases.interchange import csv_text, json_lines, parquet
from service.usecases.interchange.chunks import Chunk
from service.usecases.interchange.problems import FileProblem
from service.usecases.interchange.schemas import TABLES, Table

_READERS: dict[str, Callable[[Path, Table, str], Generator[Chunk, None, None]]] = {
    ".parquet": parquet.chunks,
    ".csv": csv_text.chunks,
    ".jsonl": json_lines.chunks,
}


@dataclass(frozen=True, slots=True)
class Source:
    """One file of one table."""

    table: Table
    path: Path
    name: str  # as messages show it: relative to the directory

    def chunks(self) -> Generator[Chunk, None, None]:
        """Its rows, a bounded number at a time. Raises FileProblem."""
        return _READERS[self.path.suffix](self.path, self.table, self.name)

    def size(self) -> int:
        """What ``Chunk.read`` ends at: rows of a Parquet file, bytes of another. Raises FileProblem."""
        if self.path.suffix == ".parquet":
            return parquet.size(self.path, self.name)
        try:
            return self.path.stat().st_size
        except OSError as why:
            raise FileProblem(self.name, f"cannot be read ({why.strerror})", "check the file and its rights") from None


def sources(directory: Path) -> list[Source]:
    """Every ``NAME.parquet``, ``.csv``, ``.jsonl`` and ``NAME/*`` of those, in the order of import.

    Other files are nobody's business here; ``truth.parquet`` is one of them. Raises UsageError where there is none.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory; give the one that holds accounts.parquet and the like")
    found = [
        Source(table, path, path.relative_to(directory).as_posix())
        for table in TABLES
        for path in _of_table(directory, table.name)
    ]
    if not found:
        raise UsageError(
            f"{directory} holds none of the tables {', '.join(table.name for table in TABLES)}; "
            f"each is NAME.parquet, NAME.csv, NAME.jsonl or a folder NAME of such files"
        )
    return found


def source(path: Path, table: Table) -> Source:
    """One file, whatever its name, as ``table``. Raises UsageError where its ending is not known."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    if path.suffix not in _READERS:
        raise UsageError(f"{path}: the name must end in one of {', '.join(_READERS)}, which says how to read it")
    return Source(table, path, path.name)


def _of_table(directory: Path, name: str) -> list[Path]:
    single = [directory / f"{name}{suffix}" for suffix in _READERS]
    folder = directory / name
    parts = sorted(path for path in folder.iterdir() if _is_part(path)) if folder.is_dir() else []
    return [path for path in [*single, *parts] if path.is_file()]


def _is_part(path: Path) -> bool:
    """Names that begin with a dot or an underscore are other programs' notes (Spark, macOS)."""
    return path.suffix in _READERS and not path.name.startswith((".", "_"))
