"""The picture of what members did when: signups above, exchanges below, on one axis of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from service.domain.campaigns import TimelineSpan
from service.domain.time import DAY, HOUR, moment
from service.report.parts import joined
from service.report.words import count_of, day, minute, short_count

WIDTH, HEIGHT = 760, 326
_LEFT, _RIGHT = 58, 10
_MARKS = 50  # room on top for the marks' words and the title of the upper panel
_PANEL = 108  # height of one panel
_GAP = 34  # between the panels, with the lower one's title in it
_STEPS = (HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 364 * DAY)
_MOST_DATES = 8

Mark = tuple[int, str]


def timeline_picture(spans: Sequence[TimelineSpan], marks: Sequence[Mark] = ()) -> Markup:
    """The picture; empty without spans. ``marks`` are moments with their words; those outside are left out."""
    spans = sorted((span for span in spans if span.end > span.start), key=lambda span: span.start)
    if not spans:
        return Markup("")
    first, last = spans[0].start, max(span.end for span in spans)

    def across(at: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (at - first) / (last - first)

    upper, lower = _MARKS + _PANEL, _MARKS + 2 * _PANEL + _GAP
    signups, exchanges = sum(span.signups for span in spans), sum(span.exchanges for span in spans)
    words = (
        f"From {day(first)} to {day(last - 1)}: {count_of(signups, 'signup')}, {count_of(exchanges, 'exchange')}. "
        f"{_most(spans, 'signup', lambda span: span.signups)}"
        f"{_most(spans, 'exchange', lambda span: span.exchanges)}"
    )
    parts = [
        *_dates(first, last, across, upper, lower),
        *_panel("Signups", spans, lambda span: span.signups, across, upper, "signups"),
        *_panel("Exchanges with the model", spans, lambda span: span.exchanges, across, lower, "exchanges"),
        *_marks([mark for mark in sorted(marks) if first <= mark[0] <= last], across, lower),
    ]
    return Markup(
        '<figure class="timeline"><div class="wide" role="region" aria-label="Timeline" tabindex="0">'
        '<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="time-title time-words">'
        '<title id="time-title">Signups and exchanges over time</title><desc id="time-words">{words}</desc>{parts}'
        "</svg></div><figcaption><b>Picture 2.</b> {words} The figures are in table 7.</figcaption></figure>"
    ).format(width=WIDTH, height=HEIGHT, words=words, parts=joined(parts))


def _most(spans: Sequence[TimelineSpan], what: str, value: Callable[[TimelineSpan], int]) -> str:
    top = max(spans, key=value)
    if not value(top):
        return ""
    return f"Most {what}s: {value(top):,} from {minute(top.start)}. "


def nice_top(most: int) -> int:
    """The axis' end: the next of 1, 2, 4, 5, 8 times a power of ten, so that its half is a round number, too."""
    if most <= 2:
        return 2
    power = 10 ** math.floor(math.log10(most))
    return next(int(step * power) for step in (1, 2, 4, 5, 8, 10) if step * power >= most)


def _panel(
    title: str,
    spans: Sequence[TimelineSpan],
    value: Callable[[TimelineSpan], int],
    across: Callable[[int], float],
    floor: int,
    look: str,
) -> list[Markup]:
    top = nice_top(max(value(span) for span in spans))
    line = Markup('<path class="axis" d="M{} {:.1f}H{}"/><text class="scale" x="{}" y="{:.1f}">{}</text>')
    parts = [Markup('<text class="panel" x="{}" y="{}">{}</text>').format(_LEFT, floor - _PANEL - 7, title)]
    for share in (0, 0.5, 1) if top % 2 == 0 else (0, 1):
        y = floor - _PANEL * share
        parts.append(line.format(_LEFT, y, WIDTH - _RIGHT, _LEFT - 7, y + 3.5, short_count(int(top * share))))
    for span in spans:
        if not value(span):
            continue
        left, right = across(span.start), across(span.end)
        gap = 1.0 if right - left > 4 else 0.0
        height = max(_PANEL * value(span) / top, 1.0)
        parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
            ).format(
                look,
                left + gap / 2,
                floor - height,
                max(right - left - gap, 0.8),
                height,
                f"{minute(span.start)}: {value(span):,}",
            )
        )
    return parts


def _dates(first: int, last: int, across: Callable[[int], float], upper: int, lower: int) -> list[Markup]:
    step = next((step for step in _STEPS if (last - first) / step <= _MOST_DATES), last - first)
    parts = []
    at = -(-first // step) * step
    while at <= last:
        said = moment(at)
        text = f"{said.day} {said:%b}" if step >= DAY else f"{said.day} {said:%b %H:%M}"
        x = across(at)
        if x <= WIDTH - 24:
            parts.append(
                Markup(
                    '<path class="grid" d="M{x:.1f} {top}V{upper}M{x:.1f} {under}V{lower}"/>'
                    '<text class="date" x="{x:.1f}" y="{y}">{text}</text>'
                ).format(
                    x=x, top=upper - _PANEL, upper=upper, under=lower - _PANEL, lower=lower, y=lower + 17, text=text
                )
            )
        at += step
    return parts


def _marks(marks: Sequence[Mark], across: Callable[[int], float], lower: int) -> list[Markup]:
    """Moments as lines with their words on top, on two rows so that neighbours do not cover each other."""
    lines, texts = [], []
    ends = [-math.inf, -math.inf]  # where each row's last words end
    for at, words in marks:
        x = across(at)
        wide = 6.0 * len(words)
        left = x + 4 + wide < WIDTH
        begin = x + 4 if left else x - 4 - wide
        row = 0 if ends[0] <= begin else 1
        ends[row] = begin + wide
        lines.append(Markup('<path class="mark" d="M{:.1f} {}V{}"/>').format(x, 4 + 13 * row, lower))
        texts.append(
            Markup('<text class="mark" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
                x + 4 if left else x - 4, 12 + 13 * row, "start" if left else "end", words
            )
        )
    return [*lines, *texts]
