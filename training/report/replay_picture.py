"""A replay over time: accounts touched, campaigns live, exchanges of a step, and each retraining as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE
from service.report.words import count_of, day
from training.report.axes import Panel, Time, count_scale, label, picture
from training.report.phrases import at, whole

WIDTH = 760
_LEFT, _RIGHT, _TOP, _HEIGHT, _GAP = 62, 24, 46, 84, 34
_PANELS = (
    ("touched", "Accounts touched so far", "mine"),
    ("members", "Members of live campaigns", "good"),
    ("campaigns", "Live campaigns", "good"),
    ("exchanges", "Exchanges in the step", "mine"),
)
_MARKS = (("promoted", "retrained and promoted"), ("refused", "retrained, the former model stayed"))


def replay_picture(
    steps: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]], *, start: int | None
) -> Markup:
    """The picture; empty without steps. ``start`` is when the first step began (microseconds; None: not said).

    ``models`` are retrainings with their ``number`` in the table of models.
    """
    if not steps:
        return NONE
    moments = [at(step["at"]) for step in steps]
    first = min(moments[0], start if start is not None else moments[0])
    time = Time(first, moments[-1])
    parts: list[Markup] = []
    marks: list[Markup] = []
    titles: list[Markup] = []
    for place, (column, title, look) in enumerate(_PANELS):
        top = _TOP + place * (_HEIGHT + _GAP)
        values = [float(whole(step, column)) for step in steps]
        panel = Panel(_LEFT, top, WIDTH - _LEFT - _RIGHT, _HEIGHT, time, count_scale(max(values)))
        parts += panel.frame(dates=place == len(_PANELS) - 1, upright=True)
        titles.append(label(_LEFT, top - 8, title, "strong"))
        if column == "exchanges":  # of the time before the moment; the others hold from it on
            steps_of = list(zip([first, *moments[:-1]], moments, values, strict=True))
            points = [(start, value) for start, end, value in steps_of if start < end] + [(moments[-1], values[-1])]
        else:
            points = [(first, 0.0 if first < moments[0] else values[0]), *zip(moments, values, strict=True)]
        parts += [panel.under(points, f"light {look}"), panel.steps(points, look)]
    ends = -20.0
    for model in models:
        when = at(model["at"])
        if not first <= when <= moments[-1]:
            continue
        look = "promoted" if model.get("promoted") else "refused"
        x = _LEFT + (WIDTH - _LEFT - _RIGHT) * time.place(when)
        marks.append(
            Markup('<path class="{}" d="M{:.1f} 20V{}"/>').format(
                look, x, _TOP + len(_PANELS) * (_HEIGHT + _GAP) - _GAP
            )
        )
        if x - ends >= 14:
            marks.append(label(x, 14, str(model.get("number", "")), f"mark {look}"))
            ends = x
    last = steps[-1]
    words = (
        f"From {day(first)} to {day(moments[-1])} in {count_of(len(steps), 'step')}: at the end "
        f"{count_of(whole(last, 'touched'), 'account')} touched, "
        f"{count_of(whole(last, 'campaigns'), 'live campaign')} with {count_of(whole(last, 'members'), 'member')}. "
        "Numbered lines are retrainings, as in the table of models."
    )
    legend = [
        (look, words)
        for look, words in _MARKS
        if any(bool(one.get("promoted")) == (look == "promoted") for one in models)
    ]
    height = _TOP + len(_PANELS) * (_HEIGHT + _GAP)
    return picture("The replay over time", words, (WIDTH, height), [*parts, *marks, *titles], legend=legend)
