"""The forest plot: of each honest segment, which share was ever touched, with its interval, beside the budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE, paragraph
from service.report.words import count_of, visible
from training.report.axes import Linear, Log, Panel, label, picture
from training.report.phrases import amount, percent, round_percent, whole

WIDTH = 760
MOST_VALUES = 12  # of a segment; those touched beyond the budget are always there
_LEFT, _RIGHT, _TOP, _ROW = 215, 150, 34, 19
_LONGEST = 33  # letters of a value

Row = Mapping[str, Any]


def segments_picture(segments: Sequence[Row], budget: float | None, *, basis: str = "") -> Markup:
    """The picture; empty without segments. Rows are {segment, value, accounts, touched, share, low, high}."""
    groups = _chosen(segments, budget)
    if not groups:
        return NONE
    shown = sum(len(rows) for _, rows in groups)
    axis = _axis([row for _, rows in groups for row in rows], budget)
    height = _ROW * (shown + 1.6 * len(groups))
    panel = Panel(_LEFT, _TOP, WIDTH - _LEFT - _RIGHT, height, axis, Linear(0, 1, most=1))
    parts = [*_grid(panel)]
    if budget:
        x = panel.x(budget)
        parts.append(Markup('<path class="budget" d="M{:.1f} {}V{:.1f}"/>').format(x, _TOP - 6, panel.floor))
        parts.append(label(x, _TOP - 10, f"budget {round_percent(budget)}", "note mid"))
    parts.append(label(WIDTH - _RIGHT + 12, _TOP - 10, "touched of accounts", "note"))
    y, beyond = float(_TOP), 0
    for name, rows in groups:
        y += 1.3 * _ROW
        parts.append(label(6, y - 4, visible(name).replace("_", " "), "panel"))
        for row in rows:
            look = _look(row, budget)
            beyond += look == "harm"
            parts += _row(panel, row, y + _ROW / 2 - 2, look)
            y += _ROW
        y += 0.3 * _ROW
    parts.append(label(panel.left + panel.width / 2, panel.floor + 32, "share of accounts ever touched", "note mid"))
    words = (
        f"Share of honest accounts ever touched, by segment, {count_of(shown, 'value')}; bars are what chance allows. "
        + (f"{count_of(beyond, 'value')} beyond the budget with the whole interval. " if beyond else "")
        + (f"Accounts: {visible(basis)}. " if basis else "")
        + (f"{len(segments) - shown:,} smaller ones are in report.json." if len(segments) > shown else "")
    )
    legend = [("mine", "share and its interval")]
    if budget:
        legend += [("other", "above the budget, within noise"), ("harm", "beyond the budget"), ("budget", "the budget")]
    return picture("Honest segments", words.strip(), (WIDTH, panel.floor + 40), parts, look="forest", legend=legend)


def _chosen(segments: Sequence[Row], budget: float | None) -> list[tuple[str, list[Row]]]:
    """Of each segment its largest values, and all that are beyond the budget."""
    groups: dict[str, list[Row]] = {}
    for row in segments:
        if whole(row, "accounts") > 0:
            groups.setdefault(str(row.get("segment")), []).append(row)
    out = []
    for name, rows in groups.items():
        rows.sort(key=lambda row: (-whole(row, "accounts"), str(row.get("value"))))
        out.append((name, [row for i, row in enumerate(rows) if i < MOST_VALUES or _look(row, budget) == "harm"]))
    return out


def _look(row: Row, budget: float | None) -> str:
    if budget is None or not isinstance(row.get("share"), int | float):
        return "mine"
    low = row.get("low")
    if isinstance(low, int | float) and low > budget:
        return "harm"
    return "other" if row["share"] > budget else "mine"


def _axis(rows: Sequence[Row], budget: float | None) -> Log:
    # not by lower ends: that of a share of a few thousandths of an account lies decades below all that matters
    ends = [float(row[end]) for row in rows for end in ("share", "high") if isinstance(row.get(end), int | float)]
    above = [end for end in ends if end > 0] + ([budget] if budget else [])
    least, most = min(above, default=0.001), max(above, default=1.0)
    least = max(least / 2, most / 1e5)
    high = min(1.0, 10 ** math.ceil(math.log10(most) + 1e-9)) if most > 0.2 else most * 1.3
    return Log(min(10 ** math.floor(math.log10(least) + 1e-9), high / 10), high, zero=True)


def _weighed(value: object) -> str:
    """A count, or a sum of weights with the digits that matter beside a count."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
    return amount(value)


def _grid(panel: Panel) -> list[Markup]:
    parts = []
    for value, text in panel.across.ticks():
        x = panel.x(value)
        parts.append(Markup('<path class="grid" d="M{:.1f} {:.1f}V{:.1f}"/>').format(x, panel.top, panel.floor))
        parts.append(label(x, panel.floor + 15, text, "note mid"))
    return parts


def _row(panel: Panel, row: Row, y: float, look: str) -> list[Markup]:
    value = visible(str(row.get("value")))
    short = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    told = f"{_weighed(row.get('touched'))} of {_weighed(row.get('accounts'))} · {percent(row.get('share'))}"
    parts = [label(_LEFT - 10, y + 4, short, "name"), label(WIDTH - _RIGHT + 12, y + 4, told, "note")]
    low, high = row.get("low"), row.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float):
        parts.append(
            Markup('<path class="whisker {}" d="M{:.1f} {:.1f}H{:.1f}"/>').format(look, panel.x(low), y, panel.x(high))
        )
    if isinstance(row.get("share"), int | float):
        parts.append(
            Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}: {}</title></circle>').format(
                look, panel.x(row["share"]), y, value, told
            )
        )
    return parts


def no_segments() -> Markup:
    """Where nothing was measured of segments."""
    return paragraph("Segments were not measured.", "none")
