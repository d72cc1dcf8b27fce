"""What every reader hands on: rows as typed columns, and what was wrong with those that are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from service.domain.facts import Int64s
from service.usecases.interchange.problems import UnreadableRow
from service.usecases.interchange.schemas import Column, Kind, Table

MAX_TEXT_BYTES = 65_536  # no column of the contract is anywhere near; a longer text is a mistake of the writer
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999, as datetime has them


@dataclass(slots=True)
class Cells:
    """One column of one chunk: typed values, shape (n,), null where nothing was said or ``bad`` says why.

    Texts may come as a dictionary, of which each distinct value is checked and hashed once.
    """

    values: pa.Array
    bad: dict[int, str] = field(default_factory=dict)  # place in ``values`` -> reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the row at ``place`` of a chunk."""

    place: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows of one file."""

    rows: Int64s  # (n,) row numbers, counted from 1
    batch: pa.RecordBatch  # (n, all columns of the table); texts as text or as a dictionary of it
    problems: Sequence[Problem]
    unreadable: Sequence[UnreadableRow]  # rows beside those n
    original: Callable[[int], Mapping[str, Any]]  # the row at a place as the file says it
    read: int  # bytes, or rows of a Parquet file, read so far: for progress

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)


def chunk(
    table: Table,
    rows: Int64s,
    cells: Mapping[str, Cells],
    *,
    original: Callable[[int], Mapping[str, Any]],
    unreadable: Sequence[UnreadableRow],
    read: int,
) -> Chunk:
    """Checks ``cells`` (by column name; absent: not said) against the table's columns and puts them together."""
    arrays: list[pa.Array] = []
    problems: list[Problem] = []
    for column in table.columns:
        given = cells.get(column.name) or Cells(pa.nulls(len(rows), column.kind.arrow))
        checked = _checked(column, given)
        arrays.append(checked.values)
        problems.extend(Problem(place, column.name, reason) for place, reason in checked.bad.items())
    batch = pa.RecordBatch.from_arrays(arrays, names=table.schema.names)
    return Chunk(rows, batch, problems, unreadable, original, read)


def _checked(column: Column, cells: Cells) -> Cells:
    """Rules that hold whatever the file's format."""
    values, bad = cells.values, cells.bad
    if pa.types.is_dictionary(values.type):
        values = _words(column, values, bad)
    elif column.kind is Kind.TEXT:
        values = _texts(column, values, bad)
    elif column.kind is Kind.MOMENT:
        outside = pc.or_(pc.less(values, _EARLIEST), pc.greater(values, _LATEST))
        refuse(bad, outside, "is outside the years 1 to 9999")
    elif column.kind is Kind.NUMBER:
        refuse(bad, pc.is_nan(values), "is NaN; leave it empty (null) where it is not known")
        refuse(bad, pc.is_inf(values), "is infinite; must be a finite number")
    if column.required and values.null_count:
        refuse(bad, values.is_null(), "is missing")
    if bad:
        values = pc.if_else(_mask(len(values), bad), None, values)
    return Cells(values, bad)


def _words(column: Column, values: pa.DictionaryArray, bad: dict[int, str]) -> pa.DictionaryArray:
    """``_texts`` of a dictionary's words; what is wrong with one is wrong with every row that has it."""
    wrong: dict[int, str] = {}
    words = _texts(column, values.dictionary, wrong)
    if wrong:
        indices = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for word, reason in wrong.items():
            for place in np.flatnonzero(indices == word).tolist():
                bad.setdefault(place, reason)
    if words.null_count:  # what is no word is no value
        indices = pc.if_else(words.is_valid().take(values.indices), values.indices, None)
        return pa.DictionaryArray.from_arrays(indices, pc.fill_null(words, ""))
    return pa.DictionaryArray.from_arrays(values.indices, words)


def _texts(column: Column, values: pa.StringArray, bad: dict[int, str]) -> pa.StringArray:
    if _surely_sound(values) and not column.choices:
        return values
    refuse(bad, pc.greater(pc.binary_length(values), MAX_TEXT_BYTES), f"is longer than {MAX_TEXT_BYTES} bytes")
    refuse(bad, pc.match_substring(values, "\0"), "holds a NUL character")
    # CSV cannot tell "" from nothing, and the same directory as CSV must not conflict with itself as Parquet.
    values = pc.if_else(pc.equal(values, ""), None, values)
    if column.choices:
        known = pc.is_in(values, pa.array(column.choices))
        refuse(bad, pc.and_(pc.invert(known), values.is_valid()), f"must be one of {', '.join(column.choices)}")
    return values


def _surely_sound(values: pa.StringArray) -> bool:
    """Whether no text is empty, too long or holds a NUL, told from the bytes of all; a null may do for an empty one."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    lengths = np.diff(offsets)
    if not len(lengths) or not lengths.min() or lengths.max() > MAX_TEXT_BYTES:
        return False
    return bool(np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].min())


def refuse(bad: dict[int, str], wrong: pa.BooleanArray, reason: str) -> None:
    """Notes ``reason`` where ``wrong`` is true, unless something else is wrong there already."""
    if pc.any(wrong).as_py():
        for place in np.flatnonzero(pc.fill_null(wrong, pa.scalar(value=False)).to_numpy(zero_copy_only=False)):
            bad.setdefault(int(place), reason)


def _mask(n: int, places: Mapping[int, str]) -> pa.BooleanArray:
    mask = np.zeros(n, bool)
    mask[list(places)] = True
    return pa.array(mask)
