"""What a feature says about itself, and how a plain function becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from service.features.columns import Column, Columns

Compute = Callable[[Columns], Column]

WINDOW_TEXT = {
    "1h": "in the last closed hour",
    "24h": "over the last 24 closed hours",
    "7d": "over the last 7 days of closed hours",
    "30d": "over the last 30 days of closed hours",
    "life": "over the account's life",
}

# Reason codes; policy/reasons.py has the texts for each.
CONFIRMED_LINK = "confirmed_link"  # shares a key with accounts confirmed as fraud
CAMPAIGN_MEMBER = "campaign_member"  # belongs to a campaign
CAMPAIGN_TIE = "campaign_tie"  # its keys tie it to a campaign that it is not known to belong to
SHARED_KEY = "shared_key"  # shares keys with many or sudden other accounts
MAIL = "mail"
NAME = "name"
PHONE = "phone"
NETWORK = "network"
DEVICE = "device"
SIGNUP_FORM = "signup_form"
PAYMENT_TROUBLE = "payment_trouble"  # declines, refunds, chargebacks
PAYMENT_INSTRUMENT = "payment_instrument"  # what it pays with
USAGE_VOLUME = "usage_volume"
USAGE_RHYTHM = "usage_rhythm"
USAGE_VARIETY = "usage_variety"
PROMPT_REPETITION = "prompt_repetition"
ACCOUNT_AGE = "account_age"
CUSTOMER_SIGNAL = "customer_signal"
CUSTOMER_LINK = "customer_link"

REASON_CODES = (
    CONFIRMED_LINK,
    CAMPAIGN_MEMBER,
    CAMPAIGN_TIE,
    SHARED_KEY,
    MAIL,
    NAME,
    PHONE,
    NETWORK,
    DEVICE,
    SIGNUP_FORM,
    PAYMENT_TROUBLE,
    PAYMENT_INSTRUMENT,
    USAGE_VOLUME,
    USAGE_RHYTHM,
    USAGE_VARIETY,
    PROMPT_REPETITION,
    ACCOUNT_AGE,
    CUSTOMER_SIGNAL,
    CUSTOMER_LINK,
)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Features of one formula, each with an argument of its own, which a small batch computes in one go.

    One call of numpy costs about as much for a column as for thirty.
    """

    compute: Callable[[Columns, Sequence[Any]], Column]  # shape (n, arguments)

    def of(self, argument: Any) -> Compute:
        """The formula of one feature."""
        return lambda columns: self.compute(columns, (argument,))[:, 0]


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One column of the model's matrix."""

    name: str
    family: str
    meaning: str  # one sentence
    unit: str
    source: str  # the tables it comes from
    reason: str  # code under which its contribution is told
    monotone: int  # +1: risk can only rise with it, beyond doubt; -1: only fall; 0: the data decide
    categorical: bool
    compute: Compute
    block: Block | None = None  # where given, ``compute`` is the block's of ``argument``
    argument: Any = None

    def __call__(self, columns: Columns) -> Column:
        """Shape (n,), float32; NaN: unknown."""
        return np.ascontiguousarray(self.compute(columns), np.float32)


def feature(
    *, unit: str, source: str, reason: str, monotone: int = 0, categorical: bool = False
) -> Callable[[Compute], Feature]:
    """Makes a plain function a feature: its name, its file's family, and its docstring's first line as the meaning."""

    def make(function: Compute) -> Feature:
        family = function.__module__.rpartition(".")[2]
        return Feature(
            function.__name__, family, _meaning(function), unit, source, reason, monotone, categorical, function
        )

    return make


def windowed(
    *windows: str, unit: str, source: str, reason: str, monotone: int = 0
) -> Callable[[Callable[[Columns, str], Column]], tuple[Feature, ...]]:
    """The same for a function of (columns, window): one feature a window, named ``<function>_<window>``."""

    def make(function: Callable[[Columns, str], Column]) -> tuple[Feature, ...]:
        base = Feature(
            function.__name__,
            function.__module__.rpartition(".")[2],
            _meaning(function),
            unit,
            source,
            reason,
            monotone,
            False,
            lambda columns: function(columns, windows[0]),
        )
        return tuple(
            replace(
                base,
                name=f"{base.name}_{window}",
                meaning=f"{base.meaning.rstrip('.')}, {_window_text(base.source, window)}.",
                compute=_bind(function, window),
            )
            for window in windows
        )

    return make


def _window_text(source: str, window: str) -> str:
    text = WINDOW_TEXT[window]
    return text if source == "usage" else text.replace(" closed", "").replace(" of hours", "")


def _bind(function: Callable[[Columns, str], Column], window: str) -> Compute:
    return lambda columns: function(columns, window)


def _meaning(function: Callable[..., Column]) -> str:
    text = inspect.getdoc(function)
    if not text:
        raise TypeError(f"feature {function.__name__} has no docstring: its first line is its meaning")
    return text.splitlines()[0]
