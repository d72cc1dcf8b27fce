"""Pictures of a cell's size: a bar, and an interval around zero."""

from __future__ import annotations

from markupsafe import Markup

from service.report.parts import NONE

_WIDE, _HIGH = 120, 12


def bar(share: float, *, mark: float | None = None, look: str = "") -> Markup:
    """A bar as long as ``share`` (0 to 1) of its track, with a line at ``mark``."""
    line = Markup('<path d="M{:.1f} 0V{}"/>').format(_WIDE * mark, _HIGH) if mark is not None else NONE
    return Markup(
        '<svg class="inline" viewBox="0 0 {w} {h}" aria-hidden="true">'
        '<rect class="track" y="2" width="{w}" height="8"/>'
        '<rect class="fill {look}" y="2" width="{x:.1f}" height="8"/>{line}</svg>'
    ).format(w=_WIDE, h=_HIGH, x=_WIDE * min(1.0, max(0.0, share)), look=look, line=line)


def difference(low: float | None, high: float | None, look: str = "") -> Markup:
    """An interval around zero on a scale of its own: left of the middle is less, right of it more."""
    if low is None or high is None:
        return NONE
    most = max(abs(low), abs(high)) * 1.1 or 1.0
    ends = [_WIDE * (0.5 + end / most / 2) for end in (low, high)]
    return Markup(
        '<svg class="inline" viewBox="0 0 {w} {h}" aria-hidden="true"><path class="zero" d="M{m} 0V{h}"/>'
        '<path class="whisker {look}" d="M{:.1f} 6H{:.1f}"/>'
        '<path class="whisker {look}" d="M{:.1f} 3V9M{:.1f} 3V9"/></svg>'
    ).format(*ends, *ends, w=_WIDE, h=_HIGH, m=_WIDE // 2, look=look)
