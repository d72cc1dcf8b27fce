"""Files that analysts bring and take away: lists of accounts, and tables of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from service.domain.errors import UsageError

COLUMN = "account_id"
TABLES = (".parquet", ".csv", ".jsonl")


def read_account_ids(path: Path) -> tuple[str, ...]:
    """The accounts that a file names, each once, in its order.

    ``.parquet``, ``.csv`` and ``.jsonl`` have a column ``account_id``; of anything else each line is an account's id,
    but for empty ones. Raises UsageError where the file is not of its form, or names no account: an empty list would
    mean everybody.
    """
    read = _READERS.get(path.suffix.lower(), _lines)
    try:
        found = tuple(dict.fromkeys(read(path)))
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as problem:
        raise UsageError(f"{path} cannot be read: {problem}") from None
    if not found:
        raise UsageError(f"{path} names no account")
    return found


def check_table_name(path: Path | None) -> None:
    """Raises UsageError where a table cannot be written to ``path``; None: none is asked for."""
    if path is None:
        return
    if path.suffix not in TABLES:
        raise UsageError(f"--out {path}: the name must end in {', '.join(TABLES[:-1])} or {TABLES[-1]}")
    check_folder(path)


def check_folder(path: Path | None) -> None:
    """Raises UsageError where the folder of ``path`` is missing; None: no file is asked for."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}")


def write_table(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a table whole or not at all, in the form that the file's name asks for; times are RFC 3339 in ``rows``."""
    if path.suffix == ".parquet":
        said = pa.schema([field.with_type(_said_as(field.type)) for field in schema])
        replace_file(path, lambda part: pq.write_table(pa.Table.from_pylist(list(rows), said).cast(schema), part))
    elif path.suffix == ".jsonl":
        replace_file(path, lambda part: part.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows)))
    else:
        replace_file(path, lambda part: _write_csv(part, schema.names, rows))


def write_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    replace_file(path, lambda part: part.write_bytes(content))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Has ``write`` fill a file beside ``path``, which then takes its place. Raises UsageError where it cannot."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise UsageError(f"--out {path} cannot be written: {problem.strerror or problem}") from None


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        yield from filter(None, (line.strip() for line in file))


def _csv(path: Path) -> Iterator[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if COLUMN not in (reader.fieldnames or ()):
            raise UsageError(f"{path} has no column {COLUMN}")
        yield from _checked(path, (row[COLUMN] for row in reader), first=2)


def _jsonl(path: Path) -> Iterator[str]:
    def said() -> Iterator[object]:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as problem:
                raise UsageError(f"{path} line {number} is not JSON: {problem}") from None
            yield row.get(COLUMN) if isinstance(row, dict) else None

    yield from _checked(path, said(), first=1)


def _parquet(path: Path) -> Iterator[str]:
    if COLUMN not in pq.read_schema(path).names:
        raise UsageError(f"{path} has no column {COLUMN}")
    yield from _checked(path, pq.read_table(path, columns=[COLUMN])[COLUMN].to_pylist(), first=1)


def _checked(path: Path, values: Iterable[object], *, first: int) -> Iterator[str]:
    for number, value in enumerate(values, first):
        if not isinstance(value, str) or not value:
            raise UsageError(f"{path} row {number} has no {COLUMN}")
        yield value


def _said_as(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_timestamp(kind) else kind


def _write_csv(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(
            {name: ";".join(value) if isinstance(value, list) else value for name, value in row.items()} for row in rows
        )


_READERS: dict[str, Callable[[Path], Iterator[str]]] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
