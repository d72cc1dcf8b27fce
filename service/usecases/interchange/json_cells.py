"""Columns from JSON values, where a number is a number and a text is a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from service.usecases.interchange.chunks import Cells
from service.usecases.interchange.schemas import Kind
from service.usecases.interchange.text_cells import BadCell, cells_of_texts


def _whole(value: object) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)  # 12.0 is JSON's way to say 12
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadCell("is not a whole number")
    if not -(2**63) <= value < 2**63:
        raise BadCell("does not fit into 64 bits")
    return value


def _hash(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise BadCell("is not a whole number from 0 to 18446744073709551615")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadCell("is not a number")
    if isinstance(value, int) and abs(value) > 2**53:
        raise BadCell("is too large to be kept exactly as a double")
    return float(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadCell("is neither true nor false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadCell("is not a text in quotes")
    return value


_READ: dict[Kind, Callable[[object], Any]] = {
    Kind.TEXT: _text,
    Kind.MOMENT: _text,
    Kind.WHOLE: _whole,
    Kind.HASH: _hash,
    Kind.NUMBER: _number,
    Kind.TRUTH: _truth,
}


def cells(kind: Kind, values: Sequence[object]) -> Cells:
    """Typed cells of one column's JSON values; ``None``: null, or not there."""
    bad: dict[int, str] = {}
    read: list[Any] = []
    convert = _READ[kind]
    for place, value in enumerate(values):
        try:
            read.append(None if value is None else convert(value))
        except BadCell as why:
            read.append(None)
            bad[place] = str(why)
    if kind in (Kind.TEXT, Kind.MOMENT):
        typed = cells_of_texts(kind, read)
        return Cells(typed.values, bad | typed.bad)
    return Cells(pa.array(read, kind.arrow, from_pandas=False), bad)
