"""Columns from text, as CSV has them.

Each kind has a pattern that whole columns are checked and cast by, and a slower reading of one value that gives the
reason. The second decides: the first only ever takes values of which both say the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from service.domain.time import MINUTE, micros
from service.usecases.interchange.chunks import Cells
from service.usecases.interchange.schemas import Kind

_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_WHOLE = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}

_DATE = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?"


class BadCell(ValueError):
    """One value cannot be read; the text is the reason."""


def moment_of(text: str) -> int:
    """UTC microseconds of an RFC 3339 time; without a zone it means UTC. Raises BadCell."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise BadCell("is not a time such as 2026-04-22T10:00:00.123456Z (RFC 3339)")
    year, month, day, hour, minute, second, fraction, _, sign, zone_hour, zone_minute = match.groups()
    fraction = (fraction or "").ljust(6, "0")
    if fraction[6:].strip("0"):
        raise BadCell("is finer than microseconds; round it to six digits")
    try:
        at = micros(datetime(int(year), int(month), int(day), int(hour), int(minute), int(second)))  # noqa: DTZ001
    except ValueError:
        raise BadCell("is not a time that exists") from None
    if sign is not None:
        if int(zone_hour) > 23 or int(zone_minute) > 59:
            raise BadCell("has a zone that does not exist")
        at -= (int(zone_hour) * 60 + int(zone_minute)) * MINUTE * (1 if sign == "+" else -1)
    return at + int(fraction[:6])


def whole_of(text: str) -> int:
    """A signed 64-bit number in decimal digits. Raises BadCell."""
    if _WHOLE.fullmatch(text) is None:
        raise BadCell("is not a whole number")
    if not -(2**63) <= int(text) < 2**63:
        raise BadCell("does not fit into 64 bits")
    return int(text)


def hash_of(text: str) -> int:
    """An unsigned 64-bit number in decimal digits. Raises BadCell."""
    if _WHOLE.fullmatch(text) is None or not 0 <= int(text) < 2**64:
        raise BadCell("is not a whole number from 0 to 18446744073709551615")
    return int(text)


def number_of(text: str) -> float:
    """A float64; too large for one: infinite, which is refused later, by name. Raises BadCell."""
    if _NUMBER.fullmatch(text) is None and _NOT_FINITE.fullmatch(text) is None:
        raise BadCell("is not a number")
    return float(text)


def truth_of(text: str) -> bool:
    """``true``, ``false``, ``1`` or ``0`` in any case. Raises BadCell."""
    try:
        return _TRUTHS[text.lower()]
    except KeyError:
        raise BadCell("is neither true nor false") from None


_SLOW: dict[Kind, Callable[[str], Any]] = {
    Kind.MOMENT: moment_of,
    Kind.WHOLE: whole_of,
    Kind.HASH: hash_of,
    Kind.NUMBER: number_of,
    Kind.TRUTH: truth_of,
}
_FAST: dict[Kind, tuple[tuple[str, pa.DataType], ...]] = {
    Kind.MOMENT: (
        (_DATE + r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$", pa.timestamp("us", "UTC")),
        (_DATE + "$", pa.timestamp("us")),
    ),
    Kind.WHOLE: ((r"^-?\d{1,18}$", pa.int64()),),
    Kind.HASH: ((r"^\d{1,19}$", pa.uint64()),),
    Kind.NUMBER: ((r"^-?\d+(\.\d+)?$", pa.float64()),),
    Kind.TRUTH: (("^(true|false)$", pa.bool_()),),
}


def cells_of_texts(kind: Kind, texts: Sequence[str | None]) -> Cells:
    """Typed cells; an empty text is nothing. Bytes that were not UTF-8 are there as lone surrogates."""
    bad: dict[int, str] = {}
    try:
        array = pa.array(texts, pa.string())
    except UnicodeEncodeError:
        array = pa.array([_encodable(place, text, bad) for place, text in enumerate(texts)], pa.string())
    if kind is Kind.TEXT:
        return Cells(array, bad)
    cells = cells_of_array(kind, pc.if_else(pc.equal(array, ""), None, array))
    cells.bad.update(bad)
    return cells


def cells_of_array(kind: Kind, array: pa.Array) -> Cells:
    """Typed cells of an Arrow string array; a null stays one. For every kind but TEXT."""
    for pattern, arrow in _FAST[kind]:
        if pc.all(pc.match_substring_regex(array, pattern), min_count=0).as_py():
            try:
                return Cells(array.cast(arrow).cast(kind.arrow))
            except pa.ArrowInvalid:
                break  # the 30th of February: the slow reading says which row
    bad: dict[int, str] = {}
    values: list[Any] = []
    for place, text in enumerate(array.to_pylist()):
        value = None
        if text is not None:
            try:
                value = _SLOW[kind](text)
            except BadCell as why:
                bad[place] = str(why)
        values.append(value)
    return Cells(pa.array(values, kind.arrow, from_pandas=False), bad)


def _encodable(place: int, text: str | None, bad: dict[int, str]) -> str | None:
    try:
        return text if text is None or text.encode() is not None else None
    except UnicodeEncodeError:
        bad[place] = "is not valid UTF-8"
        return None


def shown(text: str) -> str:
    """Text that a UTF-8 file can hold: bytes that were not UTF-8 become backslash escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
