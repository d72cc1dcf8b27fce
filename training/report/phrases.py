"""Numbers and moments of a report in the words of its readers. Moments come as RFC 3339 strings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.domain.time import micros, moment
from service.report.words import minute

NARROW = "\N{NO-BREAK SPACE}"  # between a number and its sign


def at(said: str) -> int:
    """Microseconds of an RFC 3339 moment; ValueError for anything else."""
    return micros(datetime.fromisoformat(said))


def when(said: object) -> str:
    """``22 April 2026, 10:05 UTC``; what is no moment stays as it is, and None is a dash."""
    try:
        return minute(at(str(said)))
    except ValueError:
        return "-" if said is None else str(said)


def short_when(said: object) -> str:
    """``22 Apr 2026, 10:05``, for tables that say once that moments are in UTC."""
    try:
        known = moment(at(str(said)))
    except ValueError:
        return "-" if said is None else str(said)
    return f"{known.day}{NARROW}{known:%b}{NARROW}{known:%Y, %H:%M}"


def percent(share: object) -> str:
    """A share in per cent with two or three digits that mean something: ``0.052 %``, ``4.1 %``, ``97.3 %``."""
    if not isinstance(share, int | float) or not math.isfinite(share):
        return "-"
    value = 100.0 * share
    if value == 0 or abs(value) >= 10:
        return f"{value:.1f}{NARROW}%" if value not in (0, 100) else f"{value:.0f}{NARROW}%"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{digits}f}{NARROW}%"


def round_percent(share: object) -> str:
    """A share that somebody set: ``0.1 %``."""
    return f"{100 * share:.6g}{NARROW}%" if isinstance(share, int | float) and math.isfinite(share) else "-"


def amount(value: object) -> str:
    """A count or a figure: ``12,345``, ``0.734``; truth as yes or no, and None as a dash."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _figure(float(value))
    return "-" if value is None else str(value)


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1000 or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:.2e}" if abs(value) < 1e-4 else f"{value:.3g}"


def duration(seconds: object) -> str:
    """``40 s``, ``12 min``, ``1 h 5 min``."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return "-"
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def days(value: object) -> str:
    """``5 hours``, ``3.2 days``."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "-"
    if value < 2:
        hours = 24 * value
        return f"{hours:.0f} h" if hours >= 1 or hours == 0 else f"{60 * hours:.0f} min"
    return f"{value:.1f} days"


def whole(of: Mapping[str, Any], name: str) -> int:
    """A count that may be missing, which counts as none."""
    value = of.get(name)
    return round(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def fraction(part: float, total: float) -> float | None:
    """``part`` of ``total``; None of nothing."""
    return part / total if total else None
