"""Early usage: volume, rhythm, variety and repetition, over windows that end at the last closed hour."""

from __future__ import annotations

import numpy as np

from service.domain.time import HOUR, MINUTE
from service.features.arithmetic import FIXED_POINT, Floats, distinct, entropy, known_where, ratio, share, spread
from service.features.columns import Column, Columns, Int64s
from service.features.feature import (
    NETWORK,
    PROMPT_REPETITION,
    USAGE_RHYTHM,
    USAGE_VARIETY,
    USAGE_VOLUME,
    Feature,
    feature,
    windowed,
)

NIGHT_HOURS = range(6)  # 0:00 to 5:59 where the account says it lives


def _count(c: Columns, name: str, window: str) -> Int64s:
    return c.usage.column(name, window)


def _bitmap(c: Columns, name: str, words: int, window: str) -> Column:
    estimate = distinct([_count(c, f"{name}_{word}", window) for word in range(words)])
    return known_where(_count(c, "requests", window) > 0, estimate)


def _hours(c: Columns, window: str) -> list[Int64s]:
    return [_count(c, f"hour_{hour:02d}", window) for hour in range(24)]


@windowed("1h", "24h", "7d", unit="exchanges", source="usage", reason=USAGE_VOLUME)
def requests(c: Columns, window: str) -> Column:
    """Exchanges made"""
    return _count(c, "requests", window).astype(np.float32)


@windowed("24h", "7d", unit="tokens", source="usage", reason=USAGE_VOLUME)
def input_tokens(c: Columns, window: str) -> Column:
    """Input tokens sent"""
    return _count(c, "input_tokens", window).astype(np.float32)


@windowed("24h", "7d", unit="tokens", source="usage", reason=USAGE_VOLUME)
def output_tokens(c: Columns, window: str) -> Column:
    """Output tokens received"""
    return _count(c, "output_tokens", window).astype(np.float32)


@windowed("24h", "7d", unit="log2 tokens", source="usage", reason=USAGE_VARIETY)
def input_length(c: Columns, window: str) -> Column:
    """Mean of log2(1 + input tokens) per exchange"""
    return ratio(_count(c, "input_log", window) / FIXED_POINT, _count(c, "sized", window).astype(np.float64))


@windowed("24h", "7d", unit="log2 tokens", source="usage", reason=USAGE_VARIETY)
def output_length(c: Columns, window: str) -> Column:
    """Mean of log2(1 + output tokens) per exchange"""
    return ratio(_count(c, "output_log", window) / FIXED_POINT, _count(c, "sized", window).astype(np.float64))


@windowed("24h", "7d", unit="log2 tokens", source="usage", reason=USAGE_VARIETY)
def output_to_input(c: Columns, window: str) -> Column:
    """Mean of log2(output) minus log2(input) tokens per exchange"""
    difference = (_count(c, "output_log", window) - _count(c, "input_log", window)) / FIXED_POINT
    return ratio(difference, _count(c, "sized", window).astype(np.float64))


@windowed("24h", "7d", unit="log2 tokens", source="usage", reason=USAGE_VARIETY)
def input_length_spread(c: Columns, window: str) -> Column:
    """Standard deviation of log2(1 + input tokens)"""
    return spread(_count(c, "input_log", window), _count(c, "input_log_sq", window), _count(c, "sized", window))


@windowed("24h", "7d", unit="log2 tokens", source="usage", reason=USAGE_VARIETY)
def output_length_spread(c: Columns, window: str) -> Column:
    """Standard deviation of log2(1 + output tokens)"""
    return spread(_count(c, "output_log", window), _count(c, "output_log_sq", window), _count(c, "sized", window))


@windowed("7d", unit="tokens", source="usage", reason=USAGE_VOLUME)
def longest_input(c: Columns, window: str) -> Column:
    """Longest input"""
    return known_where(_count(c, "requests", window) > 0, _count(c, "input_max", window))


@windowed("7d", unit="hours", source="usage", reason=USAGE_RHYTHM)
def active_hours(c: Columns, window: str) -> Column:
    """Hours with at least one exchange"""
    return _count(c, "active_hours", window).astype(np.float32)


@windowed("24h", "7d", unit="exchanges", source="usage", reason=USAGE_RHYTHM)
def requests_per_active_hour(c: Columns, window: str) -> Column:
    """Exchanges per hour with any"""
    return share(_count(c, "requests", window), _count(c, "active_hours", window))


@windowed("24h", "7d", unit="ratio", source="usage", reason=USAGE_RHYTHM)
def burstiness(c: Columns, window: str) -> Column:
    """Variance to mean of exchanges per active hour, 0 when every hour is alike"""
    hours = _count(c, "active_hours", window)
    n = np.maximum(hours, 1).astype(np.float64)
    mean = _count(c, "requests", window) / n
    variance = np.maximum(_count(c, "requests_sq", window) / n - mean * mean, 0.0)
    return known_where(hours >= 2, ratio(variance, mean))


@windowed("24h", "7d", unit="minutes", source="usage", reason=USAGE_RHYTHM)
def gap(c: Columns, window: str) -> Column:
    """Mean time between exchanges, first to last"""
    count = _count(c, "requests", window)
    some = count >= 2
    span = np.where(some, _count(c, "last_at", window), 0) - np.where(some, _count(c, "first_at", window), 0)
    return known_where(some, ratio(span / MINUTE, (count - 1).astype(np.float64)))


@windowed("7d", unit="minutes of the hour", source="usage", reason=USAGE_RHYTHM)
def minutes_used(c: Columns, window: str) -> Column:
    """How many of the 60 minutes of an hour ever saw an exchange: few means clockwork"""
    ones = np.bitwise_count(_count(c, "minutes_0", window).view(np.uint64))
    return known_where(_count(c, "requests", window) > 0, ones)


@windowed("24h", "7d", unit="bits", source="usage", reason=USAGE_RHYTHM)
def hour_entropy(c: Columns, window: str) -> Column:
    """Entropy of exchanges over the 24 hours of the day"""
    return entropy(_hours(c, window))


@windowed("7d", unit="share", source="usage, accounts", reason=USAGE_RHYTHM)
def night_share(c: Columns, window: str) -> Column:
    """Share of exchanges between 0:00 and 6:00 where the account says it lives"""
    offset = c.profile("utc_offset_hours").astype(np.float64)
    known = np.isfinite(offset)
    shift = np.rint(np.where(known, offset, 0.0)).astype(np.int64)
    night = np.zeros(len(c), np.int64)
    for hour, count in enumerate(_hours(c, window)):
        night += np.where((hour + shift) % 24 < NIGHT_HOURS.stop, count, 0)
    return known_where(known, share(night, _count(c, "requests", window)))


@windowed("24h", "7d", unit="addresses", source="usage", reason=NETWORK)
def addresses(c: Columns, window: str) -> Column:
    """Distinct addresses used (estimate)"""
    return _bitmap(c, "addresses", 2, window)


@windowed("7d", unit="networks", source="usage", reason=NETWORK)
def networks(c: Columns, window: str) -> Column:
    """Distinct /24 or /48 networks used (estimate)"""
    return _bitmap(c, "networks", 2, window)


@windowed("24h", "7d", unit="share", source="usage", reason=NETWORK)
def hosted_share(c: Columns, window: str) -> Column:
    """Share of exchanges from data centre, VPN or Tor addresses"""
    return share(_count(c, "hosted", window), _count(c, "requests", window))


@windowed("7d", unit="clients", source="usage", reason=USAGE_VARIETY)
def clients(c: Columns, window: str) -> Column:
    """Distinct client libraries (estimate)"""
    return _bitmap(c, "clients", 1, window)


@windowed("7d", unit="models", source="usage", reason=USAGE_VARIETY)
def models(c: Columns, window: str) -> Column:
    """Distinct models called (estimate)"""
    return _bitmap(c, "models", 1, window)


@windowed("24h", "7d", unit="templates", source="usage", reason=PROMPT_REPETITION)
def templates(c: Columns, window: str) -> Column:
    """Distinct prompt templates (estimate)"""
    return _bitmap(c, "templates", 2, window)


@windowed("24h", "7d", unit="exchanges", source="usage", reason=PROMPT_REPETITION)
def requests_per_template(c: Columns, window: str) -> Column:
    """Exchanges per distinct prompt template"""
    return ratio(
        _count(c, "prompted", window).astype(np.float64), _bitmap(c, "templates", 2, window).astype(np.float64)
    )


@windowed("24h", "7d", unit="share", source="usage", reason=PROMPT_REPETITION)
def fresh_prompt_share(c: Columns, window: str) -> Column:
    """Distinct prompts over exchanges with a prompt hash, at most 1"""
    estimate = _bitmap(c, "prompts", 4, window).astype(np.float64)
    fresh = ratio(estimate, _count(c, "prompted", window).astype(np.float64))
    at_most_one: Column = np.minimum(fresh, np.float32(1.0))
    return at_most_one


@windowed("24h", "7d", unit="share", source="usage", reason=PROMPT_REPETITION)
def near_duplicate_share(c: Columns, window: str) -> Column:
    """Share of exchanges whose prompt falls into a group of near-duplicates already seen"""
    groups = _bitmap(c, "near", 4, window).astype(np.float64)
    fresh = ratio(groups, _count(c, "prompted", window).astype(np.float64))
    repeated: Column = np.maximum(np.float32(1.0) - fresh, np.float32(0.0))
    return repeated


@windowed("7d", unit="share", source="usage", reason=USAGE_RHYTHM)
def error_share(c: Columns, window: str) -> Column:
    """Share of exchanges that ended in an error"""
    return share(_count(c, "errors", window), _count(c, "requests", window))


@windowed("7d", unit="share", source="usage", reason=USAGE_VOLUME)
def rate_limited_share(c: Columns, window: str) -> Column:
    """Share of exchanges refused by a rate limit"""
    return share(_count(c, "rate_limited", window), _count(c, "requests", window))


@feature(unit="ratio", source="usage", reason=USAGE_RHYTHM)
def ramp_up(c: Columns) -> Column:
    """Exchanges of the last 24 hours over the daily mean of the last 7 days."""
    return ratio((_count(c, "requests", "24h") * 7).astype(np.float64), _count(c, "requests", "7d").astype(np.float64))


@feature(unit="hours", source="usage, accounts", reason=USAGE_RHYTHM)
def dormancy(c: Columns) -> Column:
    """Time from signup to the hour of first use; NaN: not used yet."""
    used = (_count(c, "requests", "life") > 0) & c.known
    return known_where(used, (np.where(used, _count(c, "first_hour", "life"), 0) - c.created_at) / HOUR)


@feature(unit="hours", source="usage", reason=USAGE_RHYTHM)
def idle(c: Columns) -> Column:
    """Time since the hour of last use; NaN: not used yet."""
    used = _count(c, "requests", "life") > 0
    return known_where(used, (c.as_of - np.where(used, _count(c, "last_hour", "life"), 0)) / HOUR)


@feature(unit="share", source="usage, accounts", reason=USAGE_RHYTHM)
def active_hour_share(c: Columns) -> Column:
    """Share of the account's hours since signup that saw an exchange."""
    age: Floats = np.maximum((c.as_of - c.created_at) // HOUR, 1).astype(np.float64)
    return known_where(c.known, ratio(_count(c, "active_hours", "life").astype(np.float64), age))


FEATURES: tuple[Feature, ...] = (
    *requests,
    *input_tokens,
    *output_tokens,
    *input_length,
    *output_length,
    *output_to_input,
    *input_length_spread,
    *output_length_spread,
    *longest_input,
    *active_hours,
    *requests_per_active_hour,
    *burstiness,
    *gap,
    *minutes_used,
    *hour_entropy,
    *night_share,
    *addresses,
    *networks,
    *hosted_share,
    *clients,
    *models,
    *templates,
    *requests_per_template,
    *fresh_prompt_share,
    *near_duplicate_share,
    *error_share,
    *rate_limited_share,
    ramp_up,
    dormancy,
    idle,
    active_hour_share,
)
