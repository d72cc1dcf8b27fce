"""Searching in ranges, and counts of keys that very many share, against plain counting."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.codes import code32
from service.domain.time import DAY, HOUR
from service.tiles.fold import FEW, WINDOWS, Folded, FoldedWhenAsked, fold_payments, fold_usage, search
from service.tiles.history import NO_CAMPAIGNS, SHARING_CAP, History, KeyRows, OwnLinks, VerdictSpans, no_signals
from service.tiles.payments import PAYMENT_COLUMNS
from service.tiles.rows import Merge, TileColumn, Tiles, merge
from service.tiles.sharing import fold_sharing
from service.tiles.usage import USAGE_COLUMNS

CARD = code32("card")
NONE = np.empty(0, np.int64)
START = 1_776_816_000_000_000

ranges = st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=40), st.integers(-1, 31)), min_size=1, max_size=12)


@settings(deadline=None)
@given(ranges)
def test_each_range_is_searched_for_its_own_target_whatever_the_others_lengths_are(
    asked: list[tuple[list[int], int]],
) -> None:
    parts = [np.sort(np.array(values, np.int64)) for values, _ in asked]
    target = np.array([at for _, at in asked], np.int64)
    ends = np.cumsum([len(part) for part in parts])
    starts = ends - [len(part) for part in parts]
    found = search(np.concatenate(parts), starts, ends, target)
    assert found.tolist() == [
        start + int((part <= at).sum()) for start, part, at in zip(starts, parts, target, strict=True)
    ]


def hub(moments: np.ndarray, rng: np.random.Generator, *, in_order: bool) -> History:
    """Two accounts, 0 and 1, and one card that account 0, of ``moments[0]``, shares with all later ones."""
    account = np.arange(len(moments), dtype=np.int64)
    account[1:] += 1
    by = np.lexsort((moments,)) if in_order else rng.permutation(len(moments))
    two = np.array([0, 1])
    return History(
        account=two,
        known=np.ones(2, bool),
        created_at=np.full(2, START),
        learned_at=np.full(2, START),
        profile=np.zeros((2, 0), np.float32),
        usage=Tiles.empty(USAGE_COLUMNS),
        payments=Tiles.empty(PAYMENT_COLUMNS),
        signals=no_signals(),
        own=OwnLinks(np.array([0]), np.array([CARD], np.int32), np.array([7]), moments[:1]),
        sharing=KeyRows(np.full(len(moments), 7), account[by], moments[by]),
        marked=KeyRows(NONE, NONE, NONE),
        spans=VerdictSpans(NONE, NONE, NONE, NONE),
        campaigns=NO_CAMPAIGNS,
    )


def test_a_hub_is_counted_up_to_the_cap_in_every_window_at_every_moment() -> None:
    rng = np.random.default_rng(5)
    moments = START + rng.integers(0, 40 * DAY, 6 * SHARING_CAP)
    moments[-2 * SHARING_CAP :] = START + 20 * DAY + rng.integers(0, HOUR // 2, 2 * SHARING_CAP)  # a rush
    as_of = START + np.array([0, DAY, 19 * DAY, 20 * DAY + HOUR // 4, 20 * DAY + HOUR, 21 * DAY, 25 * DAY, 60 * DAY])
    for in_order in (True, False):
        history = hub(moments, rng, in_order=in_order)
        shared = fold_sharing(history, np.zeros(len(as_of), np.int64), as_of, [CARD])
        for window, width in WINDOWS.items():
            counted = [int(((moments[1:] > at - width) & (moments[1:] <= at)).sum()) for at in as_of.tolist()]
            there = (moments[0] <= as_of).tolist()
            expected = [min(n, SHARING_CAP) if known else 0 for n, known in zip(counted, there, strict=True)]
            assert shared.column(CARD, f"others_{window}").tolist() == expected


def test_tiles_in_order_are_taken_as_they_are_and_others_as_if_they_had_been() -> None:
    columns = (TileColumn("n", Merge.SUM, "<i8", "", ""), TileColumn("most", Merge.MAX, "<i8", "", ""))
    account, time = np.array([1, 1, 2, 2]), np.array([5, 6, 1, 9])
    values = np.array([[1, 4], [2, 3], [3, 2], [4, 1]])
    ordered = merge(columns, account, time, values)
    mixed = np.array([3, 0, 2, 1])
    for made in (ordered, merge(columns, account[mixed], time[mixed], values[mixed])):
        assert (made.account.tolist(), made.time.tolist()) == (account.tolist(), time.tolist())
        assert made.values.tolist() == values.tolist()
    twice = merge(columns, np.tile(account, 2), np.tile(time, 2), np.tile(values, (2, 1)))
    assert twice.values.tolist() == [[2, 4], [4, 3], [6, 2], [8, 1]]


def test_many_probes_are_folded_to_the_same_numbers_as_a_few_at_a_time() -> None:
    rng = np.random.default_rng(8)
    many = 3 * FEW
    probes = np.sort(rng.integers(0, many, many))  # some accounts twice, and some that have no tile
    moments = START + rng.integers(0, 40 * DAY, many)
    for columns, fold in ((USAGE_COLUMNS, fold_usage), (PAYMENT_COLUMNS, fold_payments)):
        account = rng.integers(0, many // 2, 6_000)
        time = START + rng.integers(0, 40 * 24, 6_000) * HOUR
        tiles = merge(columns, account, time, rng.integers(0, 2**31, (6_000, len(columns))))
        whole = fold(tiles, probes, moments)
        parts = [fold(tiles, probes[i : i + FEW], moments[i : i + FEW]) for i in range(0, many, FEW)]
        assert isinstance(whole, FoldedWhenAsked)
        assert all(isinstance(part, Folded) for part in parts)
        for name in whole.plan.index:
            for window in WINDOWS:
                expected = np.concatenate([part.column(name, window) for part in parts])
                assert whole.column(name, window).tolist() == expected.tolist(), (name, window)
