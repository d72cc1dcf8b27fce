"""The goals of speed as a picture: how far each median is from its goal, on a logarithmic axis, with least and most.

Right of the line a goal is met, whichever way round its ratio is. Colours come with a shape of their own (a full dot is
met, a ring is not), and both grounds, light and dark, have theirs.
"""

from __future__ import annotations

import math
from pathlib import Path

from markupsafe import Markup, escape

from benchmarks.measured import Bound, Measured, Row, figure
from benchmarks.results import Results, measured_on

WIDTH = 1000
_LEFT, _RIGHT, _TOP, _LINE, _BOTTOM = 490, 170, 64, 25, 34  # room for words, for figures, for the head, of a row, below
_FURTHEST = 20.0  # times the goal, both ways; what lies beyond is drawn at the edge, as an arrow
_TICKS = (
    (0.05, "1/20"),
    (0.1, "1/10"),
    (0.25, "1/4"),
    (0.5, "1/2"),
    (1, "goal"),
    (2, "2"),
    (4, "4"),
    (10, "10"),
    (20, "20"),
)
_WORDS = 62  # letters of a row's name that fit
_HEAD = "times better than the goal (● met, ○ not): median of the rounds, least to most"
_LOOK = Markup("""
svg{--ground:#fff;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--met:#0a6ebd;--missed:#b35900}
@media(prefers-color-scheme:dark){svg{--ground:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--met:#58a6ff;--missed:#e8933a}}
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink)}
.soft{fill:var(--soft);font-size:12px}.head{font-size:16px;font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}
.ground{fill:var(--ground)}.grid{stroke:var(--line)}.goal{stroke:var(--ink);stroke-width:1.5}
.met{stroke:var(--met);fill:var(--met)}.missed{stroke:var(--missed);fill:var(--ground)}
.whisker{stroke-width:2.5;stroke-linecap:round}.dot{stroke-width:2.5}
""")


def of_goal(value: float, row: Row) -> float:
    """How many times better than its goal a ratio is: above 1 is met."""
    if row.bound is Bound.AT_LEAST:
        return value / row.goal
    return row.goal / value if value > 0 else math.inf


def picture(found: Measured, words: str) -> Markup:
    """The SVG; ``words`` say below what it was measured on."""
    rows = found.rows
    height = _TOP + len(rows) * _LINE + _BOTTOM
    met = sum(row.met for row in rows)
    says = f"{met} of {len(rows)} goals of speed are met. " + " ".join(
        f"{row.number} {row.what}: {_said(row)}." for row in rows
    )
    parts = [*_axis(height), *(part for place, row in enumerate(rows) for part in _row(row, _TOP + place * _LINE))]
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="title says"><title id="title">Goals of speed</title><desc id="says">{says}</desc>'
        '<style>{look}</style><rect class="ground" width="{width}" height="{height}" rx="6"/>'
        '<text class="head" x="16" y="26">Speed: {met} of {count} goals met</text>'
        '<text class="soft" x="{left}" y="26">{axis}</text>'
        '{parts}<text class="soft" x="16" y="{foot}">{words}</text></svg>\n'
    ).format(
        width=WIDTH, height=height, says=says, look=_LOOK, axis=_HEAD, met=met, count=len(rows), left=_LEFT,
        parts=Markup("").join(parts), foot=height - 12, words=words,
    )  # fmt: skip


def _across(times: float) -> float:
    within = min(max(times, 1 / _FURTHEST), _FURTHEST)
    half = (WIDTH - _LEFT - _RIGHT) / 2
    return _LEFT + half + half * math.log(within) / math.log(_FURTHEST)


def _axis(height: int) -> list[Markup]:
    foot = height - _BOTTOM
    return [
        Markup(
            '<line class="{look}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{foot}"/>'
            '<text class="soft mid" x="{x:.1f}" y="{above}">{word}</text>'
        ).format(
            look="goal" if times == 1 else "grid", x=_across(times), top=_TOP - 8, foot=foot, above=_TOP - 14, word=word
        )
        for times, word in _TICKS
    ]


def _said(row: Row) -> str:
    if not row.ours:
        return "not measured"
    unit = "" if row.peer_name else f" {row.unit}"
    return f"{figure(row.ratio)}{unit} ({'≥' if row.bound is Bound.AT_LEAST else '≤'} {row.goal:g})"


def _row(row: Row, top: int) -> list[Markup]:
    middle = top + _LINE / 2
    what = row.what if len(row.what) <= _WORDS else row.what[: _WORDS - 1].rstrip() + "…"
    named = Markup(
        '<text class="soft end" x="40" y="{y:.1f}">{number}</text><text x="48" y="{y:.1f}">{what}</text>'
        '<text class="end" x="{right}" y="{y:.1f}">{said}</text>'
    ).format(y=middle + 4.5, number=row.number, what=what, right=WIDTH - 14, said=_said(row))
    if not row.ours:
        return [named]
    look = "met" if row.met else "missed"
    times = of_goal(row.ratio, row)
    ends = sorted(_across(of_goal(value, row)) for value in row.ratios)
    whisker = Markup(
        '<line class="whisker {look}" x1="{least:.1f}" x2="{most:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    ).format(look=look, least=ends[0], most=ends[-1], y=middle)
    x, way = _across(times), 1 if times > 1 else -1
    if 1 / _FURTHEST <= times <= _FURTHEST:
        mark = Markup('<circle class="dot {look}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>').format(look=look, x=x, y=middle)
    else:
        points = f"{x + 6 * way:.1f},{middle:.1f} {x - 4 * way:.1f},{middle - 6:.1f} {x - 4 * way:.1f},{middle + 6:.1f}"
        mark = Markup('<polygon class="dot {look}" points="{points}"/>').format(look=look, points=escape(points))
    return [named, whisker, mark]


def write(results: Results, path: Path) -> None:
    """Writes the picture of ``results``."""
    path.write_text(picture(results.all(), measured_on(results)), encoding="utf-8")
