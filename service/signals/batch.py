"""Rows laid out as columns, whether they came as records of a call or as an Arrow table of an import.

Text columns keep each distinct value once, since parsing and hashing are what costs. An empty text is the same as
none: files cannot tell them apart. Columns that a table lacks are columns of nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from service.domain.facts import Float64s, Int64s

Mask = NDArray[np.bool_]
ArrowTable: TypeAlias = Any  # pyarrow.Table or pyarrow.RecordBatch; pyarrow ships no types


@dataclass(frozen=True, slots=True, repr=False)
class Texts:
    """A text column of n rows."""

    values: list[str]  # distinct, and each of some row
    codes: Int64s  # (n,) index into ``values``; -1: not said

    @property
    def said(self) -> Mask:
        """Which rows have a value; shape (n,)."""
        return self.codes >= 0

    def keep(self, rows: Int64s) -> Texts:
        """The column of these rows alone, with the values alone that they use."""
        codes = self.codes[rows]
        used = np.zeros(len(self.values) + 1, bool)
        used[codes] = True  # code -1 marks the spare last element
        used[-1] = False
        if used[:-1].all():
            return Texts(self.values, codes)
        places = np.append(np.cumsum(used[:-1]) - 1, -1)
        return Texts([self.values[i] for i in np.flatnonzero(used[:-1])], places[codes])

    def spread(self, per_value: NDArray[Any], missing: float) -> NDArray[Any]:
        """``per_value[code]`` for each row and ``missing`` where nothing was said; shape (n,)."""
        if not len(per_value):
            return np.full(len(self.codes), missing, per_value.dtype)
        spread: NDArray[Any] = per_value[self.codes]
        spread[self.codes < 0] = missing
        return spread

    def said_at(self, row: int) -> bool:
        """Whether the row has a value."""
        return bool(self.codes[row] >= 0)

    def row(self, row: int) -> str | None:
        """The value of one row."""
        code = self.codes[row]
        return self.values[code] if code >= 0 else None

    def rows(self) -> list[str]:
        """The value of each row; every row must have one."""
        if len(self.values) == len(self.codes) and (np.diff(self.codes) == 1).all():
            return self.values
        return [self.values[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True, repr=False)
class Ids:
    """A column of identifiers of n rows, of which hardly any two are the same."""

    values: list[bytes]  # UTF-8; of a row without one: empty
    plain: bool  # surely each is of visible ASCII characters, at least one and no more than was asked for

    def keep(self, rows: Int64s) -> Ids:
        """The column of these rows alone."""
        return Ids([self.values[row] for row in rows.tolist()], self.plain)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A numeric column of n rows; ``values`` is meaningless where not ``said``. Shapes (n,)."""

    values: Int64s
    said: Mask

    def said_at(self, row: int) -> bool:
        """Whether the row has a value."""
        return bool(self.said[row])

    def keep(self, rows: Int64s) -> Numbers:
        """The column of these rows alone."""
        return Numbers(self.values[rows], self.said[rows])


@dataclass(frozen=True, slots=True)
class Reals:
    """A column of floats; NaN is a value that somebody said, not an absence. Shapes (n,)."""

    values: Float64s
    said: Mask

    def said_at(self, row: int) -> bool:
        """Whether the row has a value."""
        return bool(self.said[row])

    def keep(self, rows: Int64s) -> Reals:
        """The column of these rows alone."""
        return Reals(self.values[rows], self.said[rows])


class Batch(Protocol):
    """n rows by column name."""

    def __len__(self) -> int: ...

    def texts(self, name: str) -> Texts:
        """A column of text; enumerations by their lower-case word."""

    def ids(self, name: str) -> Texts:
        """The same for texts that hardly ever repeat: its ``values`` may hold one twice."""

    def encoded_ids(self, name: str, longest: int) -> Ids:
        """A column of identifiers of at most ``longest`` characters each, if they are ``plain``."""

    def integers(self, name: str) -> Numbers:
        """A column of integers, moments (microseconds), flags (0 and 1) or unsigned hashes (two's complement)."""

    def reals(self, name: str) -> Reals:
        """A column of floats."""


class Records:
    """Records of ``service.domain.raw`` as a batch."""

    def __init__(self, records: Sequence[Any]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def texts(self, name: str) -> Texts:
        """See ``Batch``."""
        places: dict[str, int] = {}
        codes = [
            places.setdefault(value if type(value) is str else _word(value), len(places)) if value else -1
            for value in map(attrgetter(name), self._records)
        ]
        return Texts(list(places), np.array(codes, np.int64))

    def ids(self, name: str) -> Texts:
        """See ``Batch``."""
        return self.texts(name)

    def encoded_ids(self, name: str, longest: int) -> Ids:
        """See ``Batch``."""
        values = [getattr(record, name) or "" for record in self._records]
        together, lengths = "".join(values), list(map(len, values))
        plain = together.isascii() and together.isprintable() and " " not in together
        plain = plain and min(lengths, default=1) > 0 and max(lengths, default=1) <= longest
        return Ids([value.encode("utf-8", "replace") for value in values], plain)

    def integers(self, name: str) -> Numbers:
        """See ``Batch``."""
        values = list(map(attrgetter(name), self._records))
        if None not in values:
            with suppress(OverflowError):  # unsigned hashes may be beyond
                return Numbers(np.array(values, np.int64), np.ones(len(values), bool))
        wrapped = [0 if value is None else _signed(int(value)) for value in values]
        return Numbers(np.array(wrapped, np.int64), np.array([value is not None for value in values], bool))

    def reals(self, name: str) -> Reals:
        """See ``Batch``."""
        values = list(map(attrgetter(name), self._records))
        filled = np.array([0.0 if value is None else value for value in values], np.float64)
        return Reals(filled, np.array([value is not None for value in values], bool))


class Columns:
    """An Arrow table or record batch, whose columns already have the contract's types, as a batch."""

    def __init__(self, table: ArrowTable) -> None:
        self._table = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def _column(self, name: str) -> Any:
        if name not in self._table.column_names:
            return None
        column = self._table.column(name)
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)

    def ids(self, name: str) -> Texts:
        """See ``Batch``."""
        column = self._column(name)
        if column is None or column.null_count or not pa.types.is_string(column.type):
            return self.texts(name)
        values = _decoded(column)
        return self.texts(name) if "" in values else Texts(values, np.arange(len(values)))

    def encoded_ids(self, name: str, longest: int) -> Ids:
        """See ``Batch``."""
        column = self._column(name)
        if column is None or pa.types.is_null(column.type):
            return Ids([b""] * len(self), plain=not len(self))
        if not pa.types.is_string(column.type):
            column = column.cast(pa.string())
        data, lengths, texts = _laid_out(column)
        plain = not len(texts) or bool(
            len(data) and data.min() > 0x20 and data.max() < 0x7F and lengths.min() > 0 and lengths.max() <= longest
        )
        return Ids(texts, plain)

    def texts(self, name: str) -> Texts:
        """See ``Batch``. Bytes that are not UTF-8 come through as lone surrogates, for the door to refuse."""
        column = self._column(name)
        if column is None or pa.types.is_null(column.type):
            return Texts([], np.full(len(self), -1, np.int64))
        if pa.types.is_dictionary(column.type) and column.dictionary.null_count:
            column = column.cast(column.type.value_type)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        values = _decoded(encoded.dictionary)
        if len(set(values)) < len(values):  # a dictionary may hold a value twice
            places: dict[str, int] = {}
            codes = np.array([*(places.setdefault(value, len(places)) for value in values), -1], np.int64)[codes]
            values = list(places)
        if "" in values:
            codes[codes == values.index("")] = -1
        return Texts(values, codes).keep(np.arange(len(codes)))  # or more than was said: a file's whole dictionary

    def integers(self, name: str) -> Numbers:
        """See ``Batch``."""
        column = self._column(name)
        if column is None or pa.types.is_null(column.type):
            return Numbers(np.zeros(len(self), np.int64), np.zeros(len(self), bool))
        said = pc.is_valid(column).to_numpy(zero_copy_only=False)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
        elif pa.types.is_boolean(column.type):
            column = column.cast(pa.int64())
        dense = pc.fill_null(column, pa.scalar(0, column.type)).to_numpy(zero_copy_only=False)
        values = dense.view(np.int64) if dense.dtype == np.uint64 else dense.astype(np.int64)
        return Numbers(values, said)

    def reals(self, name: str) -> Reals:
        """See ``Batch``."""
        column = self._column(name)
        if column is None or pa.types.is_null(column.type):
            return Reals(np.zeros(len(self)), np.zeros(len(self), bool))
        said = pc.is_valid(column).to_numpy(zero_copy_only=False)
        dense = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        return Reals(dense.astype(np.float64), said)


def _laid_out(texts: Any) -> tuple[NDArray[np.uint8], Int64s, list[bytes]]:
    """All bytes of an Arrow array of strings, the length of each of its n texts, and these; a null has none."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets).astype(np.int64)
    if texts.null_count:
        return _laid_out(pc.fill_null(texts, ""))
    held = texts.buffers()[2]
    data = np.frombuffer(held if held is not None else b"", np.uint8)[offsets[0] : offsets[-1]]
    whole = data.tobytes()
    if len(lengths) and lengths[0] and (lengths == lengths[0]).all() and data.min() > 0:
        return data, lengths, np.frombuffer(whole, f"S{lengths[0]}").tolist()
    ends = np.cumsum(lengths)
    bounds = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
    return data, lengths, [whole[start:end] for start, end in bounds]


def _decoded(texts: Any) -> list[str]:
    """The values of an Arrow array of strings without nulls."""
    try:
        values: list[str] = texts.to_pylist()
    except UnicodeDecodeError:
        raw = texts.view(pa.binary() if pa.types.is_string(texts.type) else pa.large_binary())
        values = [value.decode("utf-8", "surrogateescape") for value in raw.to_pylist()]
    return values


def _word(value: str | Enum) -> str:
    """The word of an enumeration's member."""
    return str(value.value) if isinstance(value, Enum) else value


def _signed(value: int) -> int:
    """An unsigned 64-bit integer as two's complement; a signed one as it is."""
    return value - 2**64 if value >= 2**63 else value
