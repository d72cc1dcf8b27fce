"""The beeswarm: for each feature one dot a row, where it moves the score across, coloured by the feature's value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE
from service.report.words import count_of, visible
from training.report.axes import Linear, Panel, label, picture
from training.report.phrases import percent, whole

WIDTH = 760
COLOURS = 5
_LEFT, _RIGHT, _TOP, _ROW, _FLOOR = 232, 96, 30, 25, 44
_WIDE = 2.6  # of a column in which dots are piled up
_TALLEST = _ROW / 2 - 2.5  # of a pile, upwards and downwards
_LONGEST = 34  # letters of a feature's name

Dots = Sequence[Sequence[float | None]]


def swarm_picture(swarm: Mapping[str, Any]) -> Markup:
    """The picture of what ``swarm.swarm`` measured; empty without features."""
    features = swarm.get("features") or []
    moved = [float(dot[0]) for feature in features for dot in feature["dots"]]
    if not moved:
        return NONE
    most = max(abs(min(moved)), abs(max(moved)), 1e-6) * 1.03
    low = min(min(moved) * 1.03, -0.1 * most)
    high = max(max(moved) * 1.03, 0.1 * most)
    height = _ROW * len(features)
    panel = Panel(_LEFT, _TOP, WIDTH - _LEFT - _RIGHT, height, Linear(low, high, most=9), Linear(0, 1, most=1))
    parts: list[Markup] = []
    for value, text in panel.across.ticks():
        x = panel.x(value)
        parts.append(
            Markup('<path class="{}" d="M{:.1f} {}V{:.1f}"/>').format("axis" if value else "zero", x, _TOP, panel.floor)
        )
        parts.append(label(x, panel.floor + 15, text, "note mid"))
    for place, feature in enumerate(features):
        y = _TOP + _ROW * (place + 0.5)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{:.1f}"/>').format(_LEFT, y, panel.right))
        name = visible(str(feature["feature"]))
        short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
        parts.append(
            Markup('<text class="feature" x="{}" y="{:.1f}">{}<title>{}</title></text>').format(
                _LEFT - 10, y + 3.5, short, visible(f"{name}: {feature.get('meaning', '')}")
            )
        )
        parts += _dots(panel, feature["dots"], y)
        parts.append(label(WIDTH - 4, y + 4, percent(feature.get("gain_share")), "note end"))
    parts.append(label(WIDTH - 4, _TOP - 12, "share of gain", "note end"))
    axis = "moves the score by (log-odds); right: towards fraud"
    parts.append(label(panel.left + panel.width / 2, panel.floor + 34, axis, "note mid"))
    words = (
        f"Exact Shapley contributions of {count_of(whole(swarm, 'rows'), 'held-out row')} "
        f"({whole(swarm, 'fraud'):,} of labelled fraud), the {count_of(len(features), 'feature')} that move scores "
        "most on average. Each dot is a row; its colour is the feature’s value, from low to high among these rows."
    )
    legend = [
        *((f"q{i} dots", text) for i, text in ((0, "low value"), (2, "middle"), (4, "high value"))),
        ("q dots", "not known, or a category"),
    ]
    return picture("What moves scores", words, (WIDTH, panel.floor + _FLOOR), parts, look="swarm", legend=legend)


def _dots(panel: Panel, dots: Dots, y: float) -> list[Markup]:
    """One path a colour; dots of one column lie above and below each other, and closer where they are many."""
    piles: dict[int, list[tuple[float, str]]] = {}
    for moved, rank in dots:
        x = panel.x(float(moved or 0.0))
        look = "q" if rank is None else f"q{min(COLOURS - 1, int(rank * COLOURS))}"
        piles.setdefault(int(x / _WIDE), []).append((x, look))
    drawn: dict[str, list[str]] = {}
    for pile in piles.values():
        step = min(3.0, _TALLEST / max(1, len(pile) // 2))
        for place, (x, look) in enumerate(sorted(pile, key=lambda one: one[1])):
            up = (place + 1) // 2 * step * (1 if place % 2 else -1)
            drawn.setdefault(look, []).append(f"M{x:.1f} {y + up:.1f}h0")
    return [
        Markup('<path class="dots {}" d="{}"/>').format(look, "".join(said)) for look, said in sorted(drawn.items())
    ]
