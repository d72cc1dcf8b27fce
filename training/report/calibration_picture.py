"""The calibration curve: what the scores claim across, what was seen upwards, with what chance allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE
from training.report.axes import Linear, Log, Panel, Scale, label, picture
from training.report.phrases import percent

WIDTH, HEIGHT = 560, 430
_LEFT, _RIGHT, _TOP, _FLOOR = 66, 24, 26, 54
_Z = NormalDist().inv_cdf(0.975)
CROWDED = 15.0  # ratio of the largest to the median score beyond which an even axis would show one dot and a heap


def calibration_picture(table: Sequence[Mapping[str, Any]], error: float | None) -> Markup:
    """The picture; empty without rows. Rows are {weight, mean_score, fraud_share}, ``error`` the mean distance."""
    rows = [row for row in table if row.get("weight")]
    if not rows:
        return NONE
    ends = [interval(float(row["fraud_share"]), float(row["weight"])) for row in rows]
    scores = sorted(float(row["mean_score"]) for row in rows)
    most = max([0.01, scores[-1], *(high for _, high in ends)])
    axis: Scale
    if scores[-1] > CROWDED * max(scores[len(scores) // 2], 1e-9):
        seen = [float(row["fraud_share"]) for row in rows if row["fraud_share"] > 0]
        least = max(1e-6, min([*scores, *seen]))
        axis = Log(10.0 ** math.floor(math.log10(least)), 10.0 ** math.ceil(math.log10(most) - 1e-9), zero=True)
    else:
        axis = Linear(0.0, min(1.0, most * 1.04), per_cent=True)
    panel = Panel(_LEFT, _TOP, WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _FLOOR, axis, axis)
    parts = [*panel.frame(upright=True)]
    parts.append(
        Markup('<path class="diagonal" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(
            panel.left, panel.floor, panel.right, panel.top
        )
    )
    for row, (low, high) in zip(rows, ends, strict=True):
        x = panel.x(float(row["mean_score"]))
        parts.append(
            Markup('<path class="whisker" d="M{x:.1f} {:.1f}V{:.1f}"/>').format(panel.y(low), panel.y(high), x=x)
        )
        parts.append(
            Markup('<circle class="mine" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>').format(
                x,
                panel.y(float(row["fraud_share"])),
                f"score {percent(row['mean_score'])}, observed {percent(row['fraud_share'])}, "
                f"{row['weight']:,.0f} accounts",
            )
        )
    parts.append(label(panel.left + panel.width / 2, HEIGHT - 14, "mean score of the group", "note mid"))
    parts.append(label(panel.left, _TOP - 11, "share of fraud in the group", "panel"))
    mean = f" On average they are {100 * error:.2g} percentage points apart." if error is not None else ""
    words = (
        f"Held-out rows in {len(rows)} groups of equal size by score: what the score claims, and the share of fraud "
        f"that was there. On the dotted line both are equal.{mean} Bars are 95 % intervals as if accounts were "
        "independent; silent accounts count by their chance of being fraud."
    )
    return picture("Calibration", words, (WIDTH, HEIGHT), parts, look="square")


def interval(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval (JASA 1927) of a share of ``n``."""
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(max(0.0, share * (1 - share)) / n + _Z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)
