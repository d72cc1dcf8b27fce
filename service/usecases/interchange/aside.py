"""The file to which ``--skip-bad-rows`` writes what it left out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from service.domain.errors import UsageError
from service.usecases.interchange.problems import BadRow
from service.usecases.interchange.text_cells import shown


class Aside:
    """JSON Lines: ``file``, ``row``, ``column``, ``reason`` and ``record``, the row as its file says it.

    Where more than one thing is wrong with a row, ``also`` lists the rest. The file holds what the rows hold, personal
    data included, so only its owner may read it. It takes its name when the import is over: one that was interrupted
    leaves an earlier file as it was. Raises UsageError where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: BinaryIO

    def __enter__(self) -> Self:
        try:
            if self._path.is_dir():
                raise IsADirectoryError(21, "is a directory")
            descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as why:
            raise UsageError(f"--skip-bad-rows: {self._path} cannot be written ({why.strerror})") from None
        self._file = os.fdopen(descriptor, "wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)

    def mark(self) -> int:
        """A place to ``rewind`` to."""
        return self._file.tell()

    def rewind(self, mark: int) -> None:
        """Forgets what was written since ``mark``."""
        self._file.seek(mark)
        self._file.truncate()

    def write(self, bad: Sequence[BadRow], record: object) -> None:
        """One row with everything that is wrong with it; ``bad`` has at least one element, all of the same row."""
        first = bad[0]
        line = {
            "file": first.file,
            "row": first.row,
            "column": first.column,
            "reason": first.reason,
            "record": _plain(record),
        }
        if len(bad) > 1:
            line["also"] = [{"column": problem.column, "reason": problem.reason} for problem in bad[1:]]
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z, default=str))


def _plain(value: object) -> object:
    """The value as JSON can say it; text and bytes that are not UTF-8 with backslash escapes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {shown(str(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return str(value)  # JSON has no word for these, and null would hide what was wrong
    return value
