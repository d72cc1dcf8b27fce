"""Columns from typed Arrow arrays, as Parquet has them.

Writers differ in width and unit (pandas writes nanoseconds and whole numbers as doubles, Spark has no unsigned
numbers, DuckDB writes dictionaries); whatever means the same is taken, and what would change a value is refused: a
type that cannot hold the column, by file and column; a value that does not fit, by row.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from service.usecases.interchange.chunks import MAX_TEXT_BYTES, Cells, refuse
from service.usecases.interchange.problems import FileProblem
from service.usecases.interchange.schemas import Column, Kind
from service.usecases.interchange.text_cells import cells_of_array

_EXACT = 2**53  # beyond it a double skips whole numbers
_MICROS_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}
_FAR = 2**62  # microseconds; far outside the years that are accepted
_MEND = {
    Kind.TEXT: "write it as string",
    Kind.MOMENT: "write it as timestamp[us, UTC]",
    Kind.WHOLE: "write it as int64",
    Kind.HASH: "write it as uint64",
    Kind.NUMBER: "write it as float64",
    Kind.TRUTH: "write it as bool",
}


def check_type(column: Column, arrow: pa.DataType, file: str) -> None:
    """Raises FileProblem where a Parquet column of type ``arrow`` cannot hold ``column``."""
    if pt.is_dictionary(arrow):
        arrow = arrow.value_type
    fits = {
        Kind.TEXT: is_textual(arrow),
        Kind.MOMENT: pt.is_timestamp(arrow) or is_textual(arrow),
        Kind.WHOLE: pt.is_integer(arrow) or pt.is_floating(arrow) or pt.is_decimal(arrow),
        Kind.HASH: pt.is_integer(arrow) or pt.is_decimal(arrow),
        Kind.NUMBER: pt.is_floating(arrow) or pt.is_integer(arrow) or pt.is_decimal(arrow),
        Kind.TRUTH: pt.is_boolean(arrow),
    }
    if not (pt.is_null(arrow) or fits[column.kind]):
        raise FileProblem(file, f"column {column.name!r} is {str(arrow)[:80]}, not {column.kind}", _MEND[column.kind])


def cells(kind: Kind, array: pa.Array) -> Cells:
    """Typed cells of an array that ``check_type`` has let pass."""
    if pt.is_dictionary(array.type):
        return _dictionary(kind, array)
    if pt.is_null(array.type):
        return Cells(pa.nulls(len(array), kind.arrow))
    if is_textual(array.type):
        return _text(kind, array)
    return _READ[kind](array)


def is_textual(arrow: pa.DataType) -> bool:
    """Whether a column of this type holds texts, or bytes that may be some."""
    return bool(
        pt.is_string(arrow) or pt.is_large_string(arrow) or pt.is_binary(arrow) or pt.is_large_binary(arrow)
        or pt.is_string_view(arrow) or pt.is_binary_view(arrow)
    )  # fmt: skip


def _dictionary(kind: Kind, array: pa.DictionaryArray) -> Cells:
    """Each distinct value is read once: a 10 MB text that a million rows share stays one text. Texts stay apart."""
    words = cells(kind, array.dictionary)
    if kind is Kind.TEXT:
        out = Cells(pa.DictionaryArray.from_arrays(array.indices, words.values))
    else:
        out = Cells(words.values.take(array.indices))
    if words.bad:
        indices = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for word, reason in words.bad.items():
            out.bad.update(dict.fromkeys(np.flatnonzero(indices == word).tolist(), reason))
    return out


def _text(kind: Kind, array: pa.Array) -> Cells:
    bad: dict[int, str] = {}
    if pt.is_string_view(array.type) or pt.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    long = pc.greater(pc.binary_length(array), MAX_TEXT_BYTES)
    refuse(bad, long, f"is longer than {MAX_TEXT_BYTES} bytes")
    if bad:  # before the offsets shrink to 32 bits
        array = pc.if_else(long, None, array)
    text = array.cast(pa.binary()).view(pa.string())
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        for place, value in enumerate(text.cast(pa.binary()).to_pylist()):
            if value is not None and not _is_utf8(value):
                bad[place] = "is not valid UTF-8"
        broken = np.zeros(len(text), bool)
        broken[list(bad)] = True
        text = pc.if_else(pa.array(broken), None, text)
    if kind is Kind.TEXT:
        return Cells(text, bad)
    read = cells_of_array(kind, pc.if_else(pc.equal(text, ""), None, text))
    return Cells(read.values, bad | read.bad)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _moments(array: pa.TimestampArray) -> Cells:
    """A timestamp with a zone is UTC inside; one without means UTC."""
    bad: dict[int, str] = {}
    unit = array.type.unit
    values = array.cast(pa.int64())
    if unit == "ns":
        micros = pc.divide(values, 1000)
        finer = pc.not_equal(pc.multiply(micros, 1000), values)
        refuse(bad, finer, "is finer than microseconds; round it")
        return Cells(pc.if_else(finer, None, micros), bad)
    factor = _MICROS_PER[unit]
    return Cells(pc.multiply(_clip(values, _FAR // factor), factor), bad)


def _clip(values: pa.Int64Array, limit: int) -> pa.Int64Array:
    return pc.max_element_wise(
        pc.min_element_wise(values, pa.scalar(limit), skip_nulls=False), pa.scalar(-limit), skip_nulls=False
    )


def _whole(array: pa.Array) -> Cells:
    if pt.is_decimal(array.type):
        return _decimals(Kind.WHOLE, array, -(2**63), 2**63)
    bad: dict[int, str] = {}
    if pt.is_floating(array.type):
        array = array.cast(pa.float64())
        refuse(bad, pc.is_nan(array), "is NaN; leave it empty (null) where it is not known")
        wrong = pc.or_(pc.not_equal(pc.trunc(array), array), pc.greater(pc.abs(array), _EXACT))
        refuse(bad, wrong, "is not a whole number that a double holds exactly")
        wrong = pc.or_(wrong, pc.is_nan(array))
    elif pt.is_uint64(array.type):
        wrong = pc.greater(array, pa.scalar(2**63 - 1, pa.uint64()))
        refuse(bad, wrong, "does not fit into 64 bits")
    else:
        return Cells(array.cast(pa.int64()))
    return Cells(pc.if_else(wrong, None, array).cast(pa.int64()), bad)


def _hashes(array: pa.Array) -> Cells:
    """A negative int64 is the same 64 bits: writers without unsigned numbers have no other way to say them."""
    if pt.is_decimal(array.type):
        return _decimals(Kind.HASH, array, 0, 2**64)
    bad: dict[int, str] = {}
    if pt.is_int64(array.type):
        return Cells(array.view(pa.uint64()))
    if pt.is_signed_integer(array.type):
        negative = pc.less(array, 0)
        refuse(bad, negative, "is negative")
        array = pc.if_else(negative, None, array)
    return Cells(array.cast(pa.uint64()), bad)


def _numbers(array: pa.Array) -> Cells:
    bad: dict[int, str] = {}
    if pt.is_int64(array.type) or pt.is_uint64(array.type):
        large = pc.greater(array, pa.scalar(_EXACT, array.type))
        if pt.is_int64(array.type):
            large = pc.or_(large, pc.less(array, -_EXACT))
        refuse(bad, large, "is too large to be kept exactly as a double")
        array = pc.if_else(large, None, array)
    return Cells(array.cast(pa.float64()), bad)


def _decimals(kind: Kind, array: pa.Array, low: int, high: int) -> Cells:
    bad: dict[int, str] = {}
    values: list[Any] = []
    for place, value in enumerate(array.to_pylist()):
        fits = isinstance(value, Decimal) and value == value.to_integral_value() and low <= value < high
        if value is not None and not fits:
            bad[place] = "is not a whole number of 64 bits"
        values.append(int(value) if fits else None)
    return Cells(pa.array(values, kind.arrow), bad)


_READ: dict[Kind, Callable[[pa.Array], Cells]] = {
    Kind.MOMENT: _moments,
    Kind.WHOLE: _whole,
    Kind.HASH: _hashes,
    Kind.NUMBER: _numbers,
    Kind.TRUTH: Cells,
}
