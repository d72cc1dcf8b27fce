"""Hourly tiles of usage: a batch in any order is the merge of its rows, and a row says what the columns mean."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.facts import LinkFacts, UsageFacts
from service.domain.time import HOUR, MINUTE
from service.tiles.history import union_usage
from service.tiles.rows import Tiles
from service.tiles.usage import NEAR_BITS, USAGE_COLUMNS, usage_tiles

Row = tuple[int, int, int, tuple[int, ...], tuple[int, ...]]
HASHES = st.sampled_from([0, 1, -1, 77, 2**63 - 1, -(2**63), 0xFFF, 0x1000])
TOKENS = st.sampled_from([-1, 0, 1, 300, 2**31 - 1])
ROWS = st.lists(
    st.tuples(
        st.sampled_from([-5, 0, 9, 2**62]),  # account
        st.integers(0, 5).map(lambda half: 500_000 * HOUR + half * HOUR // 2),  # happened
        st.sampled_from([0, HOUR, 9_000 * HOUR]),  # how much later it was learned
        st.tuples(HASHES, HASHES, HASHES, HASHES, HASHES, HASHES),
        st.tuples(TOKENS, TOKENS, st.integers(-1, 2), st.integers(0, 1)),
    ),
    max_size=40,
)


def facts_of(rows: list[Row]) -> tuple[UsageFacts, np.ndarray]:
    account, happened, later = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    hashes = np.array([row[3] for row in rows], np.int64).reshape(-1, 6).T
    numbers = np.array([row[4] for row in rows], np.int64).reshape(-1, 4).T
    names = ("ip", "ip_net", "client", "model", "template", "simhash")
    facts = UsageFacts(
        event=np.arange(len(rows)),
        account_id=["a"] * len(rows),
        account=account,
        happened=happened,
        content=np.ones(len(rows), np.int64),
        links=LinkFacts.empty(),
        **dict(zip(names, hashes, strict=True)),
        **dict(zip(("input_tokens", "output_tokens", "status", "hosted"), numbers, strict=True)),
    )
    return facts, happened + later


def said(tiles: Tiles) -> list[list[int]]:
    return np.column_stack([tiles.account, tiles.time, tiles.values]).tolist()


@given(ROWS, st.randoms())
@settings(max_examples=150, deadline=None)
def test_a_batch_in_any_order_is_the_merge_of_its_rows(rows: list[Row], random: Random) -> None:
    together = usage_tiles(*facts_of(rows))
    assert said(together) == said(union_usage([usage_tiles(*facts_of([row])) for row in rows]))
    assert said(together) == sorted(said(together), key=lambda row: row[:2])
    random.shuffle(rows)
    assert said(usage_tiles(*facts_of(rows))) == said(together)


@given(ROWS.filter(bool))
@settings(max_examples=50, deadline=None)
def test_one_exchange_says_what_the_columns_mean(rows: list[Row]) -> None:
    facts, learned = facts_of(rows[:1])
    tiles = usage_tiles(facts, learned)
    column = dict(zip([column.name for column in USAGE_COLUMNS], tiles.values[0].tolist(), strict=True))
    _, happened, _, (*hashes, simhash), (input_tokens, output_tokens, status, hosted) = rows[0]
    sized = input_tokens >= 0 and output_tokens >= 0
    log = round(math.log2(1 + input_tokens) * 1024) if sized else 0
    assert tiles.time[0] == learned[0] - learned[0] % HOUR
    assert (column["requests"], column["sized"], column["hosted"]) == (1, sized, hosted)
    assert (column["errors"], column["rate_limited"]) == (status == 1, status == 2)
    assert (column["input_tokens"], column["input_max"]) == (max(input_tokens, 0),) * 2
    assert (column["input_log"], column["input_log_sq"]) == (log, log * log)
    assert column["minutes_0"] == 1 << (happened % HOUR // MINUTE)
    assert (column["first_at"], column["last_at"]) == (happened, happened)
    near = (simhash & int(NEAR_BITS)) + 1 if simhash else 0
    families = ("addresses", "networks", "clients", "models", "templates", "prompts", "near")
    for name, value in zip(families, (*hashes, simhash, near), strict=True):
        bits = [value.bit_count() for key, value in ((k, v % 2**64) for k, v in column.items()) if key.startswith(name)]
        assert sum(bits) == (value != 0)
