"""The hourly usage tile: what is kept of each account's exchanges.

A tile's hour is the hour in which its exchanges were *learned*, so a late fact never rewrites the past.

Distinct counts are bitmaps merged by bit-or and read by linear counting (Whang, Vander-Zanden, Taylor, ACM TODS 1990)
rather than HyperLogLog sketches: a bitmap is one to four integers, so it merges inside the same integer group-by, is
exact in every engine, and costs no object per row. At the sizes that matter here (an account's addresses, clients,
templates) the error is small: see ``benchmarks/distinct_counts.py`` for the comparison with Apache DataSketches.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import mix64
from service.domain.facts import Int64s, UsageFacts
from service.domain.time import HOUR, MINUTE
from service.tiles.rows import Merge, TileColumn, Tiles

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
    """One bit per row among ``words`` 64-bit words, a power of two; a hash of 0 (not said) sets none."""
    scattered = mix64(hashes)
    bit = np.left_shift(np.uint64(1), scattered & np.uint64(63)).view(np.int64)
    bit *= hashes != 0
    if words == 1:
        return [bit]
    word = ((scattered >> np.uint64(6)) & np.uint64(words - 1)).astype(np.int8)
    return [bit * (word == w) for w in range(words)]


def _log_fixed(tokens: Int64s, known: np.ndarray) -> Int64s:
    return np.where(known, np.rint(np.log2(1.0 + np.where(known, tokens, 0)) * FIXED_POINT), 0).astype(np.int64)


def usage_tiles(facts: UsageFacts, learned: Int64s) -> Tiles:
    """Partials of ``facts`` by (account, hour of ``learned``); ``learned`` has shape (n,).

    Rows are ordered once, by the few columns that facts have; each column of the tile is then made and merged by
    itself, since 33 numbers a row side by side (an import has millions of rows) are more than a cache holds.
    """
    if not len(facts):
        return Tiles.empty(USAGE_COLUMNS)
    hour = learned // HOUR
    order, starts = _ordered(facts.account, hour)
    values = np.empty((len(starts), len(USAGE_COLUMNS)), np.int64)
    for i, (column, rows) in enumerate(zip(USAGE_COLUMNS, _per_row(facts, order), strict=True)):
        values[:, i] = column.merge.ufunc.reduceat(rows, starts)
    first = order[starts]
    return Tiles(facts.account[first], hour[first] * HOUR, values)


def _ordered(account: Int64s, hour: Int64s) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows ordered by (account, hour), those of one pair in any order, and where each pair begins."""
    order = np.argsort(account)
    ordered = account[order]
    low = hour.min()
    pair = np.empty(len(order), np.int64)
    pair[0] = 0
    np.cumsum(ordered[1:] != ordered[:-1], out=pair[1:])
    pair *= hour.max() - low + 1
    pair += (hour - low)[order]
    by = np.argsort(pair)
    pair = pair[by]
    return order[by], np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))


def _per_row(facts: UsageFacts, order: NDArray[np.intp]) -> Iterator[Int64s]:
    """Each of ``USAGE_COLUMNS`` for each row on its own, rows in ``order``."""
    input_tokens, output_tokens, status = facts.input_tokens[order], facts.output_tokens[order], facts.status[order]
    input_known, output_known = input_tokens >= 0, output_tokens >= 0
    both = input_known & output_known
    input_log, output_log = _log_fixed(input_tokens, both), _log_fixed(output_tokens, both)
    simhash, happened = facts.simhash[order], facts.happened[order]
    input_said, output_said = np.maximum(input_tokens, 0), np.maximum(output_tokens, 0)
    yield np.ones(len(order), np.int64)
    yield (status == 1).astype(np.int64)
    yield (status == 2).astype(np.int64)
    yield facts.hosted[order]
    yield both.astype(np.int64)
    yield (simhash != 0).astype(np.int64)
    yield from (input_said, output_said)
    yield from (input_log, output_log)
    yield from (input_log * input_log, output_log * output_log)
    yield from (input_said, output_said)
    yield np.left_shift(np.int64(1), (happened % HOUR) // MINUTE)
    yield from (happened, happened)
    for hashes, words in (
        (facts.ip[order], ADDRESS_WORDS),
        (facts.ip_net[order], NETWORK_WORDS),
        (facts.client[order], CLIENT_WORDS),
        (facts.model[order], MODEL_WORDS),
        (facts.template[order], TEMPLATE_WORDS),
        (simhash, PROMPT_WORDS),
        (np.where(simhash == 0, 0, (simhash & NEAR_BITS) + 1), NEAR_WORDS),
    ):
        yield from _bits(hashes, words)
