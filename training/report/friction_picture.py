"""Recall against friction, as ``friction.friction_curve`` measures it, with the budget where it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE
from service.report.words import count_of, visible
from training.report.axes import Linear, Log, Panel, label, picture
from training.report.phrases import percent, round_percent, whole

WIDTH, HEIGHT = 760, 330
_LEFT, _RIGHT, _TOP, _FLOOR = 62, 24, 26, 52
_LOOKS = {"challenger": "mine", "champion": "other"}

Curve = Mapping[str, Any]


def friction_picture(curves: Sequence[Curve], budget: float | None, *, threshold: float | None = None) -> Markup:
    """The picture; empty where no curve has points. Curves are told apart by ``of``: challenger or champion.

    ``threshold`` is the one that the challenger's mildest decision has (None: none), marked on its curve.
    """
    curves = [curve for curve in curves if curve.get("points")]
    if not curves:
        return NONE
    least = min(1.0 / max(float(curve["legitimate"]), 2.0) for curve in curves)
    low = 10.0 ** math.floor(math.log10(min([least, *([budget] if budget else [])])) + 1e-9)
    panel = Panel(
        _LEFT, _TOP, WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _FLOOR, Log(low, 1.0), Linear(0, 1, per_cent=True)
    )
    blind = Markup('<rect class="blind" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        panel.left, panel.top, max(0.0, panel.x(least) - panel.left), panel.height
    )
    parts = [blind, *panel.frame(upright=True)]
    if panel.x(least) - panel.left > 100:
        parts.append(label((panel.left + panel.x(least)) / 2, panel.top + 14, "less than one account", "note mid"))
    if budget:
        x = panel.x(budget)
        parts.append(Markup('<path class="budget" d="M{:.1f} {:.1f}V{:.1f}"/>').format(x, _TOP - 6, panel.floor))
        parts.append(label(x, _TOP - 11, f"budget {round_percent(budget)}", "note mid"))
    drawn = [_drawn(panel, curve, budget) for curve in sorted(curves, key=_rank, reverse=True)]
    parts += [part for some, _ in drawn for part in some]
    ring, chosen = _chosen(panel, curves, threshold)
    axis = "friction: share of legitimate accounts ever touched"
    parts += [ring, label(panel.left + panel.width / 2, HEIGHT - 14, axis, "note mid")]
    parts.append(label(panel.left, _TOP - 11, "frauds found", "panel"))
    frauds, legitimate = whole(curves[0], "frauds"), whole(curves[0], "legitimate")
    told = ", ".join(text for _, text in reversed(drawn) if text)
    within = f"Within the budget of {round_percent(budget)} {told}. " if told else ""
    words = (
        f"By score alone. {within}{chosen}Held out: {count_of(frauds, 'labelled fraud')} and "
        f"{count_of(legitimate, 'legitimate account')} (silent ones by their chance of being so), each by its highest "
        f"score over all probes. Friction below {percent(least)} would be less than one account: it cannot be measured."
    )
    legend = [
        (_LOOKS.get(str(curve.get("of")), "mine"), visible(f"{curve.get('of')}: {curve.get('name')}"))
        for curve in sorted(curves, key=_rank)
    ]
    if budget:
        legend.append(("budget", "friction budget"))
    return picture("Recall against friction", words, (WIDTH, HEIGHT), parts, legend=legend)


def _rank(curve: Curve) -> bool:
    """The challenger comes first in words, and is drawn last, above the others."""
    return str(curve.get("of")) != "challenger"


def _drawn(panel: Panel, curve: Curve, budget: float | None) -> tuple[list[Markup], str]:
    """One curve with its dot at the budget, and what it finds there in words."""
    look = _LOOKS.get(str(curve.get("of")), "mine")
    points = [(float(touched), float(found)) for touched, found, *_ in curve["points"]]
    low = panel.across.ticks()[0][0]
    line = panel.steps([(low, _recall(points, low)), *(point for point in points if point[0] > low)], look)
    if not budget:
        return [line], ""
    found = _recall(points, budget)
    dot = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4.5"/>')
    return [line, dot.format(look, panel.x(budget), panel.y(found))], visible(
        f"the {curve.get('of')} finds {percent(found)}"
    )


def _chosen(panel: Panel, curves: Sequence[Curve], threshold: float | None) -> tuple[Markup, str]:
    """A ring where the challenger's curve has ``threshold``, and what lies there; nothing where no score is above."""
    points = [point for curve in curves if not _rank(curve) for point in curve["points"]]
    above = [] if threshold is None else [point for point in points if point[2] > threshold]
    if not above:
        return NONE, ""
    touched, found, _ = above[-1]
    ring = Markup('<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="7"/>').format(panel.x(touched), panel.y(found))
    return ring, (
        f"The ring is the threshold that was set, on more accounts than these: {percent(found)} found, "
        f"{percent(touched)} touched. "
    )


def recall_within(curve: Curve, budget: float) -> float | None:
    """The largest recall of a curve at a friction within ``budget``; None: it has no points."""
    points = [(float(touched), float(found)) for touched, found, *_ in curve.get("points") or []]
    return _recall(points, budget) if points else None


def _recall(points: Sequence[tuple[float, float]], friction: float) -> float:
    return max((found for touched, found in points if touched <= friction + 1e-12), default=0.0)
