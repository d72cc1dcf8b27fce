from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.time import rfc3339
from service.usecases.interchange.schemas import TABLES, Column, Kind, Table

Reader = Callable[..., Any]

_EARLIEST, _LATEST = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 for y in (1, 9999))
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
    Kind.MOMENT: st.integers(_EARLIEST, _LATEST),
    Kind.WHOLE: st.integers(-(2**63), 2**63 - 1),
    Kind.HASH: st.integers(0, 2**64 - 1),
    Kind.NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    Kind.TRUTH: st.booleans(),
}


def _value(column: Column) -> st.SearchStrategy[Any]:
    values = st.sampled_from(column.choices) if column.choices else _VALUES[column.kind]
    return values if column.required else st.none() | values


def _rows(table: Table) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries({c.name: _value(c) for c in table.columns}), min_size=1, max_size=4)


def _said(column: Column, value: Any) -> Any:
    return rfc3339(value) if column.kind is Kind.MOMENT and value is not None else value


def _write(table: Table, rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    arrow = pa.Table.from_pylist(rows, schema=table.schema)
    for i, column in enumerate(table.columns):
        if column.kind is Kind.MOMENT:
            arrow = arrow.set_column(i, column.name, arrow[column.name].cast(pa.timestamp("us", "UTC")))
    paths = [folder / f"{table.name}.{ending}" for ending in ("parquet", "csv", "jsonl")]
    pq.write_table(arrow, paths[0])
    with paths[1].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([c.name for c in table.columns])
        writer.writerows(
            [["" if row[c.name] is None else _said(c, row[c.name]) for c in table.columns] for row in rows]
        )
    with paths[2].open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({c.name: _said(c, row[c.name]) for c in table.columns}) + "\n" for row in rows)
    return paths


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parquet_csv_and_json_lines_of_the_same_rows_read_the_same(
    table: Table, tmp_path: Path, read_file: Reader, data: st.DataObject
) -> None:
    rows = data.draw(_rows(table))
    for path in _write(table, rows, tmp_path):
        read = read_file(path, table)
        assert not read.problems
        assert not read.unreadable
        assert list(read.rows.values()) == rows
