"""Tables of a report from rows as they stand in report.json; a row or a figure that is missing is a dash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE, cell, head, number, paragraph, said, table
from training.report.phrases import amount, days, duration, percent, round_percent, short_when

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, where its value stands in a row, and how it is said."""

    title: str
    value: str | Callable[[Row], Any]  # a key, or a function of the row
    kind: str = "number"  # name, text, number, share, set share, moment, days, seconds, markup

    def of(self, row: Row) -> Any:
        """The value of one row; None: missing."""
        return self.value(row) if callable(self.value) else row.get(self.value)


def _text(value: Any) -> Markup:
    return cell(
        "-" if value in (None, []) else said(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    )


_CELLS: dict[str, Callable[[Any], Markup]] = {
    "name": lambda value: head(said(str(value))),
    "text": _text,
    "number": lambda value: number(amount(value)),
    "share": lambda value: number(percent(value)),
    "moment": lambda value: cell(short_when(value)),
    "set share": lambda value: number(round_percent(value)),
    "days": lambda value: number(days(value)),
    "seconds": lambda value: number(duration(value)),
    "markup": lambda value: cell(NONE if value is None else value),
}
_RIGHT = ("number", "share", "set share", "days", "seconds")


def rows_table(
    caption: str, columns: Sequence[Column], rows: Sequence[Row], *, most: int = 0, name: str = ""
) -> Markup:
    """The table with at most ``most`` rows (0: all), and how many more there are; a sentence where there are none."""
    if not rows:
        return paragraph(f"{caption}: none.", "none")
    shown = rows[:most] if most else rows
    made = table(
        caption,
        [(column.title, "number" if column.kind in _RIGHT else "") for column in columns],
        [[_CELLS[column.kind](column.of(row)) for column in columns] for row in shown],
        name or "plain",
    )
    more = len(rows) - len(shown)
    return made + (paragraph(f"{more:,} more in report.json.", "none") if more else NONE)
