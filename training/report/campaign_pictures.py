"""Small pictures of campaigns over time, each on axes of its own: who was there, who was caught, what was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE, joined, paragraph, said
from service.report.words import count_of, visible
from training.report.axes import Panel, Time, count_scale, label, legend_of
from training.report.phrases import at, days, fraction, percent, short_when, whole

WIDTH, HEIGHT = 300, 196
MOST = 24  # pictures of a page
POINTS = 60  # of a picture
_LEFT, _RIGHT, _HEIGHT = 40, 10, 62


def caught_pictures(campaigns: Sequence[Mapping[str, Any]], *, since: str) -> Markup:
    """Campaigns that analysts labelled: members and those of them caught, exchanges and those of them let through.

    The largest ones, MOST at the most; empty without campaigns. ``since`` is what the time to catch counts from.
    """
    legend = [
        ("area pale", "labelled members that had signed up; their exchanges"),
        ("area good", "members caught"),
        ("area harm", "exchanges let through until then"),
    ]
    shown = sorted(campaigns, key=lambda one: (-whole(one, "members"), str(one.get("campaign_id"))))[:MOST]
    return _all(legend, [_caught(i, one, since) for i, one in enumerate(shown)], len(campaigns))


def found_pictures(campaigns: Sequence[Mapping[str, Any]]) -> Markup:
    """Campaigns that detection found: members and exchanges, with the moment of detection marked."""
    legend = [
        ("area pale", "members; their exchanges"),
        ("mark promoted", "detected: the evidence passed the threshold"),
    ]
    shown = sorted(campaigns, key=lambda one: (-whole(one, "members"), str(one.get("campaign_id"))))[:MOST]
    return _all(legend, [_found(i, one) for i, one in enumerate(shown)], len(campaigns))


def _all(legend: Sequence[tuple[str, str]], pictures: Sequence[Markup], campaigns: int) -> Markup:
    if not pictures:
        return NONE
    more = campaigns - len(pictures)
    rest = paragraph(f"The {len(pictures)} largest ones; {more:,} more are in report.json.", "none") if more else NONE
    keys = Markup('<figure class="chart">{}</figure>').format(legend_of(legend))
    return keys + Markup('<div class="many">{}</div>').format(joined(pictures, "\n")) + rest


def _caught(place: int, one: Mapping[str, Any], since: str) -> Markup:
    members, caught = whole(one, "members"), whole(one, "caught")
    exchanges, before = whole(one, "exchanges"), whole(one, "exchanges_before")
    pace = one.get("median_days_to_catch")
    words = f"{caught:,} of {count_of(members, 'member')} caught ({percent(fraction(caught, members))})"
    if pace is not None:
        words += f", half of them within {days(pace)} of {since}" if pace > 0 else f", half of them by {since}"
    words += f"; {before:,} of {count_of(exchanges, 'exchange')} let through ({percent(fraction(before, exchanges))})."
    layers = (("members", "pale"), ("caught", "good")), (("exchanges", "pale"), ("exchanges_let_through", "harm"))
    return _small(f"c{place}", one, words, ("Labelled members", "Exchanges"), layers)


def _found(place: int, one: Mapping[str, Any]) -> Markup:
    exchanges, before = whole(one, "exchanges"), whole(one, "exchanges_before")
    words = f"{visible(str(one.get('state')))}, {count_of(whole(one, 'members'), 'member')}; detected "
    words += f"{short_when(one.get('detected_at'))} UTC; {before:,} of {count_of(exchanges, 'exchange')} before "
    words += f"({percent(fraction(before, exchanges))})."
    layers = (("members", "pale"),), (("exchanges", "pale"),)
    return _small(f"f{place}", one, words, ("Members", "Exchanges"), layers, one.get("detected_at"))


def _small(
    name: str,
    one: Mapping[str, Any],
    words: str,
    titles: tuple[str, str],
    layers: Sequence[Sequence[tuple[str, str]]],
    detected: object = None,
) -> Markup:
    line = thinned(one.get("timeline") or [])
    heading = said(str(one.get("campaign_id")))
    drawn: list[Markup] = []
    if line:
        moments = [at(point["at"]) for point in line]
        time = Time(moments[0], moments[-1], most=4)
        for place, (title, over) in enumerate(zip(titles, layers, strict=True)):
            top = 20 + place * (_HEIGHT + 28)
            most = max(whole(point, column) for point in line for column, _ in over)
            panel = Panel(_LEFT, top, WIDTH - _LEFT - _RIGHT, _HEIGHT, time, count_scale(most))
            drawn += panel.frame(dates=place == 1)
            drawn += [label(_LEFT, top - 8, title)]
            for column, look in over:
                points = list(zip(moments, [float(whole(point, column)) for point in line], strict=True))
                drawn.append(panel.under(points, look))
            if detected is not None and moments[0] <= at(str(detected)) <= moments[-1]:
                x = panel.x(at(str(detected)))
                drawn.append(Markup('<path class="promoted" d="M{:.1f} {}V{}"/>').format(x, top, panel.floor))
    chart = Markup(
        '<div class="wide"><svg viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d">'
        '<title id="{n}-t">Campaign {id} over time</title><desc id="{n}-d">{words}</desc>{parts}</svg></div>'
    ).format(w=WIDTH, h=HEIGHT, n=name, id=visible(str(one.get("campaign_id"))), words=words, parts=joined(drawn))
    return Markup('<figure class="chart"><h4><code>{}</code></h4>{}<figcaption>{}</figcaption></figure>').format(
        heading, chart if line else paragraph("No timeline.", "none"), words
    )


def thinned(line: Sequence[Mapping[str, Any]], most: int = POINTS) -> list[Mapping[str, Any]]:
    """At most ``most`` points of a line, the first and the last among them."""
    if len(line) <= most:
        return list(line)
    step = (len(line) - 1) / (most - 1)
    return [line[round(i * step)] for i in range(most)]
