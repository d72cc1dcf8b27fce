"""The hourly usage tile: what is kept of each account's exchanges.

A tile's hour is the hour in which its exchanges were *learned*, so a late fact never rewrites the past.

Distinct counts are bitmaps merged by bit-or and read by linear counting (Whang, Vander-Zanden, Taylor, ACM TODS 1990)
rather than HyperLogLog sketches: a bitmap is one to four integers, so it merges inside the same integer group-by, is
exact in every engine, and costs no object per row. At the sizes that matter here (an account's addresses, clients,
templates) the error is small: see ``benchmarks/distinct_counts.py`` for the comparison with Apache DataSketches.
"""

from __future__ import annotations

import numpy as np

from service.domain.codes import mix64
from service.domain.facts import Int64s, UsageFacts
from service.domain.time import HOUR, MINUTE
from service.tiles.rows import Merge, TileColumn, Tiles, merge

FIXED_POINT = 1024  # logarithms are kept as integers in units of 1/1024, so that sums cannot depend on order


def _counter(name: str, meaning: str, unit: str = "exchanges") -> TileColumn:
    return TileColumn(name, Merge.SUM, "<i4", unit, meaning)


def _total(name: str, meaning: str, unit: str) -> TileColumn:
    return TileColumn(name, Merge.SUM, "<i8", unit, meaning)


def _bitmap(name: str, words: int, meaning: str) -> tuple[TileColumn, ...]:
    return tuple(
        TileColumn(f"{name}_{word}", Merge.OR, "<i8", "bits", f"{meaning}, word {word} of the bitmap")
        for word in range(words)
    )


ADDRESS_WORDS = 2
NETWORK_WORDS = 2
CLIENT_WORDS = 1
MODEL_WORDS = 1
TEMPLATE_WORDS = 2
PROMPT_WORDS = 4
NEAR_WORDS = 4
NEAR_BITS = np.int64(0xFFF)  # 12 of a SimHash's 64 bits: equal for 66 % of pairs 2 bits apart, 43 % of pairs 4 apart

USAGE_COLUMNS: tuple[TileColumn, ...] = (
    _counter("requests", "Exchanges learned in the hour"),
    _counter("errors", "Exchanges that ended in an error"),
    _counter("rate_limited", "Exchanges refused by a rate limit"),
    _counter("hosted", "Exchanges from a data centre, VPN or Tor address"),
    _counter("sized", "Exchanges whose input and output lengths are both known"),
    _counter("prompted", "Exchanges with a prompt hash"),
    _total("input_tokens", "Input tokens", "tokens"),
    _total("output_tokens", "Output tokens", "tokens"),
    _total("input_log", "Sum of log2(1 + input tokens)", "1/1024"),
    _total("output_log", "Sum of log2(1 + output tokens)", "1/1024"),
    _total("input_log_sq", "Sum of squares of log2(1 + input tokens)", "1/1024 squared"),
    _total("output_log_sq", "Sum of squares of log2(1 + output tokens)", "1/1024 squared"),
    TileColumn("input_max", Merge.MAX, "<i4", "tokens", "Longest input"),
    TileColumn("output_max", Merge.MAX, "<i4", "tokens", "Longest output"),
    TileColumn("minutes_0", Merge.OR, "<i8", "bits", "Minutes of the hour in which something happened"),
    TileColumn("first_at", Merge.MIN, "<i8", "microseconds", "Earliest moment an exchange happened"),
    TileColumn("last_at", Merge.MAX, "<i8", "microseconds", "Latest moment an exchange happened"),
    *_bitmap("addresses", ADDRESS_WORDS, "Distinct addresses"),
    *_bitmap("networks", NETWORK_WORDS, "Distinct networks (/24 or /48)"),
    *_bitmap("clients", CLIENT_WORDS, "Distinct client libraries"),
    *_bitmap("models", MODEL_WORDS, "Distinct models"),
    *_bitmap("templates", TEMPLATE_WORDS, "Distinct prompt templates"),
    *_bitmap("prompts", PROMPT_WORDS, "Distinct prompts"),
    *_bitmap("near", NEAR_WORDS, "Distinct groups of near-duplicate prompts"),
)


def _bits(hashes: Int64s, words: int) -> list[Int64s]:
    """One bit per row among ``words`` 64-bit words; a hash of 0 (not said) sets none."""
    scattered = mix64(hashes)
    word = (scattered >> np.uint64(6)) % np.uint64(words)
    bit = np.left_shift(np.uint64(1), scattered & np.uint64(63)).view(np.int64)
    said = hashes != 0
    return [np.where(said & (word == np.uint64(w)), bit, np.int64(0)) for w in range(words)]


def _log_fixed(tokens: Int64s, known: np.ndarray) -> Int64s:
    return np.where(known, np.rint(np.log2(1.0 + np.where(known, tokens, 0)) * FIXED_POINT), 0).astype(np.int64)


def usage_tiles(facts: UsageFacts, learned: Int64s) -> Tiles:
    """Partials of ``facts`` by (account, hour of ``learned``); ``learned`` has shape (n,)."""
    n = len(facts)
    input_known, output_known = facts.input_tokens >= 0, facts.output_tokens >= 0
    both = input_known & output_known
    input_log, output_log = _log_fixed(facts.input_tokens, both), _log_fixed(facts.output_tokens, both)
    near = np.where(facts.simhash == 0, 0, (facts.simhash & NEAR_BITS) + 1)
    source: dict[str, Int64s] = {
        "requests": np.ones(n, np.int64),
        "errors": (facts.status == 1).astype(np.int64),
        "rate_limited": (facts.status == 2).astype(np.int64),
        "hosted": facts.hosted,
        "sized": both.astype(np.int64),
        "prompted": (facts.simhash != 0).astype(np.int64),
        "input_tokens": np.where(input_known, facts.input_tokens, 0),
        "output_tokens": np.where(output_known, facts.output_tokens, 0),
        "input_log": input_log,
        "output_log": output_log,
        "input_log_sq": input_log * input_log,
        "output_log_sq": output_log * output_log,
        "input_max": np.where(input_known, facts.input_tokens, 0),
        "output_max": np.where(output_known, facts.output_tokens, 0),
        "minutes_0": np.left_shift(np.int64(1), (facts.happened % HOUR) // MINUTE),
        "first_at": facts.happened,
        "last_at": facts.happened,
    }
    for name, hashes, words in (
        ("addresses", facts.ip, ADDRESS_WORDS),
        ("networks", facts.ip_net, NETWORK_WORDS),
        ("clients", facts.client, CLIENT_WORDS),
        ("models", facts.model, MODEL_WORDS),
        ("templates", facts.template, TEMPLATE_WORDS),
        ("prompts", facts.simhash, PROMPT_WORDS),
        ("near", near, NEAR_WORDS),
    ):
        for word, bits in enumerate(_bits(hashes, words)):
            source[f"{name}_{word}"] = bits
    values = np.empty((n, len(USAGE_COLUMNS)), np.int64)
    for i, column in enumerate(USAGE_COLUMNS):
        values[:, i] = source[column.name]
    return merge(USAGE_COLUMNS, facts.account, learned - learned % HOUR, values)
