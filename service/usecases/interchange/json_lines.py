"""JSON Lines: one object per line, UTF-8."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import orjson

from service.usecases.interchange import json_cells
from service.usecases.interchange.chunks import Chunk, chunk
from service.usecases.interchange.problems import FileProblem, UnreadableRow
from service.usecases.interchange.schemas import Table

BATCH_ROWS = 16_384
BATCH_BYTES = 1 << 25
MAX_LINE = 1 << 26
_BOM = b"\xef\xbb\xbf"


def chunks(path: Path, table: Table, file: str) -> Generator[Chunk, None, None]:
    """The rows of ``path`` as chunks of ``table``; ``file`` is its name in messages. Raises FileProblem."""
    try:
        raw = path.open("rb")
    except OSError as why:
        raise FileProblem(file, f"cannot be read ({why.strerror})", "check the file and its rights") from None
    with raw:
        number = 0
        done = False
        while not done:
            lines: list[bytes] = []
            held = 0
            while len(lines) < BATCH_ROWS and held < BATCH_BYTES:
                line = raw.readline(MAX_LINE)
                if len(line) == MAX_LINE:
                    raise FileProblem(
                        file, f"has a line of more than {MAX_LINE} bytes", "it does not look like JSON Lines"
                    )
                if done := not line:
                    break
                line = line.removeprefix(_BOM).strip() if number + len(lines) == 0 else line.strip()
                if line:
                    lines.append(line)
                    held += len(line)
            if lines:
                yield _chunk(lines, table, file, number, raw.tell())
                number += len(lines)


def _chunk(lines: list[bytes], table: Table, file: str, before: int, read: int) -> Chunk:
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    unreadable: list[UnreadableRow] = []
    for number, line in enumerate(lines, before + 1):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as why:
            unreadable.append(UnreadableRow(number, _why(line, why), line.decode(errors="backslashreplace")))
            continue
        if isinstance(value, dict):
            rows.append(value)
            numbers.append(number)
        else:
            unreadable.append(UnreadableRow(number, "is not a JSON object", line.decode()))
    _refuse_unknown(rows, numbers, table, file)
    cells = {c.name: json_cells.cells(c.kind, [row.get(c.name) for row in rows]) for c in table.columns}
    return chunk(
        table,
        np.array(numbers, np.int64),
        cells,
        original=rows.__getitem__,
        unreadable=unreadable,
        read=read,
    )


def _why(line: bytes, why: orjson.JSONDecodeError) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "is not valid UTF-8"
    return f"is not JSON: {why.msg}, at character {why.pos + 1}"


def _refuse_unknown(rows: list[dict[str, object]], numbers: list[int], table: Table, file: str) -> None:
    known = {column.name for column in table.columns}
    if all(row.keys() <= known for row in rows):
        return
    for number, row in zip(numbers, rows, strict=True):
        table.refuse_unknown(row, file, number)
