"""The customer's own numbers as features, by configuration and without code."""

from __future__ import annotations

from collections.abc import Callable

from service.features.columns import Column, Columns
from service.features.feature import CUSTOMER_SIGNAL, Feature

PREFIX = "signal."


def signal_feature(name: str) -> Feature:
    """The latest value learned of the customer's signal ``name``."""
    return Feature(
        PREFIX + name,
        "custom",
        f"Latest value of the customer's signal {name!r}; NaN: not told yet.",
        "customer's own",
        "signals",
        CUSTOMER_SIGNAL,
        0,
        False,
        _latest(name),
    )


def _latest(name: str) -> Callable[[Columns], Column]:
    return lambda c: c.signal(name)
