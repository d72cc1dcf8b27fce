"""Axes of pictures: where a value lies, where the ticks are, and the frame around a panel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup

from service.domain.time import DAY, HOUR, moment
from service.report.parts import joined

Tick = tuple[float, str]

_STEPS = (HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 364 * DAY)


class Scale(Protocol):
    """One axis."""

    def place(self, value: float) -> float:
        """Where ``value`` lies between the ends, 0 to 1; what lies beyond an end is put on it."""
        ...

    def ticks(self) -> Sequence[Tick]:
        """Values with their words."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """From ``low`` to ``high``, evenly."""

    low: float
    high: float
    per_cent: bool = False
    most: int = 5  # ticks
    finest: float = 0.0  # step between ticks; 1 for counts

    def place(self, value: float) -> float:
        """As of every scale."""
        wide = self.high - self.low
        return min(1.0, max(0.0, (value - self.low) / wide)) if wide else 0.0

    def ticks(self) -> Sequence[Tick]:
        """At round values."""
        step = round_step(max(self.finest, (self.high - self.low) / self.most))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(i * step, self._said(i * step, step)) for i in range(first, last + 1)]

    def _said(self, value: float, step: float) -> str:
        if self.high >= 10_000 and not self.per_cent:
            size, letter = (1e6, "M") if self.high >= 1_000_000 else (1e3, "k")
            return f"{value / size:.6g}{letter}" if value else "0"
        if self.per_cent:
            value, step = 100 * value, 100 * step
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        text = f"{value + 0.0:,.{digits}f}"
        return (text.replace("-", "−") if value else "0") + (" %" if self.per_cent else "")


@dataclass(frozen=True, slots=True)
class Log:
    """From ``low`` to ``high`` by ratios, both above 0; with ``zero``, the left end stands for nothing at all."""

    low: float
    high: float
    zero: bool = False

    _ZERO = 0.08  # of the axis, between nothing and ``low``

    def place(self, value: float) -> float:
        """As of every scale."""
        start = self._ZERO if self.zero else 0.0
        if value <= 0:
            return 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return min(1.0, max(start, start + (1 - start) * share))

    def ticks(self) -> Sequence[Tick]:
        """At powers of ten, and at twice and five times those where there are few."""
        first, last = math.floor(math.log10(self.low) + 1e-9), math.ceil(math.log10(self.high) - 1e-9)
        factors = (1, 2, 5) if last - first <= 2 else (1,)
        values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        within = [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]
        return [*([(0.0, "0")] if self.zero else []), *((value, f"{100 * value:.6g} %") for value in within)]


@dataclass(frozen=True, slots=True)
class Time:
    """From one moment to another, in microseconds."""

    start: int
    end: int
    most: int = 8  # ticks

    def place(self, value: float) -> float:
        """As of every scale."""
        wide = self.end - self.start
        return min(1.0, max(0.0, (value - self.start) / wide)) if wide > 0 else 0.0

    def ticks(self) -> Sequence[Tick]:
        """At round hours or days; at the first moment alone where there is no time between the ends."""
        step = next((step for step in _STEPS if (self.end - self.start) / step <= self.most), _STEPS[-1])
        first = -(-self.start // step)
        moments = [i * step for i in range(first, self.end // step + 1)][: self.most + 1] or [self.start]
        return [(one, _date(one, step)) for one in moments]


def _date(value: int, step: int) -> str:
    said = moment(value)
    return f"{said.day} {said:%b}" if step >= DAY else f"{said.day} {said:%b %H:%M}"


def round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten from ``least`` on."""
    if least <= 0 or not math.isfinite(least):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def count_scale(most: float, ticks: int = 2) -> Linear:
    """From 0 to a round number from ``most`` on, for counts."""
    step = max(1.0, round_step(max(most, 1) / ticks))
    return Linear(0.0, step * math.ceil(max(most, 1) / step - 1e-9), most=ticks, finest=1.0)


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of a picture with two axes; lengths are those of the picture."""

    left: float
    top: float
    width: float
    height: float
    across: Scale
    up: Scale

    def x(self, value: float) -> float:
        """Where ``value`` lies across."""
        return self.left + self.width * self.across.place(value)

    def y(self, value: float) -> float:
        """Where ``value`` lies upwards."""
        return self.top + self.height * (1 - self.up.place(value))

    @property
    def floor(self) -> float:
        """The lower edge."""
        return self.top + self.height

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    def frame(self, *, dates: bool = True, upright: bool = False) -> list[Markup]:
        """Lines and words of the axes. ``dates``: with the words of the lower axis; ``upright``: with its lines."""
        parts = []
        for value, text in self.up.ticks():
            y = self.y(value)
            parts.append(
                Markup(
                    '<path class="axis" d="M{:.1f} {:.1f}H{:.1f}"/><text class="scale" x="{:.1f}" y="{:.1f}">{}</text>'
                ).format(self.left, y, self.right, self.left - 6, y + 3.5, text)
            )
        for value, text in self.across.ticks():
            x = self.x(value)
            if upright:
                parts.append(Markup('<path class="grid" d="M{:.1f} {:.1f}V{:.1f}"/>').format(x, self.top, self.floor))
            if dates:
                last = "middle" if upright or x <= self.right - 14 else "end"
                anchor = "start" if x < self.left + 4 and not upright else last
                parts.append(
                    Markup('<text class="date" text-anchor="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
                        anchor, x, self.floor + 15, text
                    )
                )
        return parts

    def steps(self, points: Sequence[tuple[float, float]], look: str) -> Markup:
        """A line that holds each value until the next one."""
        if not points:
            return Markup("")
        said = [f"M{self.x(points[0][0]):.1f} {self.y(points[0][1]):.1f}"]
        said += [f"H{self.x(across):.1f}V{self.y(up):.1f}" for across, up in points[1:]]
        return Markup('<path class="line {}" d="{}"/>').format(look, "".join(said))

    def under(self, points: Sequence[tuple[float, float]], look: str) -> Markup:
        """The area under ``steps``."""
        if not points:
            return Markup("")
        said = [f"M{self.x(points[0][0]):.1f} {self.floor:.1f}V{self.y(points[0][1]):.1f}"]
        said += [f"H{self.x(across):.1f}V{self.y(up):.1f}" for across, up in points[1:]]
        return Markup('<path class="area {}" d="{}V{:.1f}Z"/>').format(look, "".join(said), self.floor)


def picture(
    title: str,
    words: str,
    size: tuple[float, float],
    parts: Sequence[Markup],
    *,
    look: str = "",
    legend: Sequence[tuple[str, str]] = (),
) -> Markup:
    """A figure: ``words`` say what it shows to those who do not see it, and stand below it for everybody.

    ``legend`` are (look of the sample, words).
    """
    name = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    keys = legend_of(legend) if legend else Markup("")
    return Markup(
        '<figure class="chart {look}">{keys}<div class="wide" role="region" aria-label="{title}" tabindex="0">'
        '<svg viewBox="0 0 {w:g} {h:g}" role="img" aria-labelledby="{name}-t {name}-d">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{words}</desc>{parts}</svg></div>'
        "<figcaption>{words}</figcaption></figure>"
    ).format(
        look=look,
        keys=keys,
        title=title,
        w=size[0],
        h=size[1],
        name=name,
        words=words,
        parts=joined(parts),
    )


def legend_of(entries: Sequence[tuple[str, str]]) -> Markup:
    """The list of what lines and areas mean: (look of the sample, words)."""
    sample = Markup(
        '<li><svg class="swatch" viewBox="0 0 22 8" aria-hidden="true"><path class="{}" d="M1 4H21"/></svg>{}</li>'
    )
    return Markup('<ul class="legend">{}</ul>').format(joined([sample.format(look, text) for look, text in entries]))


def label(x: float, y: float, text: str, look: str = "panel") -> Markup:
    """Words in a picture."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(look, x, y, text)
