"""How many accounts of a stream go into one batch."""

from __future__ import annotations

from service.rpc.pace import CALM, FEW, GROWTH, MANY, QUICK, Asking, Pace

SWIFT = QUICK // MANY  # microseconds of an account, of which the largest batch is quick


def grown(asking: Asking) -> Pace:
    """A stream alone for so long that its batches are the largest."""
    pace = Pace(asking)
    while (items := pace.most()) < MANY:
        pace.begins()
        pace.took(items, items * SWIFT)
    return pace


def test_a_stream_that_is_alone_and_quickly_answered_has_large_batches_in_the_end() -> None:
    assert Pace(Asking()).most() == FEW
    assert grown(Asking()).most() == MANY


def test_batches_grow_by_steps_and_never_beyond_what_would_be_quick() -> None:
    pace = Pace(Asking())
    sizes = []
    for _ in range(5):
        pace.begins()
        pace.took(pace.most(), pace.most() * QUICK // 700)  # 700 accounts a second
        sizes.append(pace.most())
    assert sizes == [GROWTH * FEW, 700, 700, 700, 700]


def test_small_batches_say_nothing_of_larger_ones() -> None:
    pace = Pace(Asking())
    for _ in range(10):
        pace.begins()
        pace.took(FEW - 1, 1)
    assert pace.most() == FEW


def test_batches_that_take_long_become_smaller_again_and_never_larger_than_they_were() -> None:
    pace = grown(Asking())
    sizes = []
    for _ in range(6):
        pace.took(pace.most(), QUICK + 1)
        sizes.append(pace.most())
    assert sizes == [512, 256, 256, 256, 256, 256]


def test_whoever_asks_meanwhile_makes_batches_small_until_nobody_has_asked_for_some() -> None:
    asking = Asking()
    pace = grown(asking)
    asking.times += 1
    sizes = []
    for _ in range(8):
        sizes.append(pace.most())
        pace.begins()
        pace.took(sizes[-1], sizes[-1] * SWIFT)
    assert sizes == [FEW] * (CALM + 1) + [GROWTH * FEW, MANY, MANY]


def test_those_whom_another_process_answers_are_company_too() -> None:
    asking = Asking()
    pace = grown(asking)
    ask = asking.counted(lambda number, *, twice: number * (1 + twice))
    assert pace.most() == MANY
    assert ask(21, twice=True) == 42
    assert pace.most() == FEW


def test_two_streams_are_company_to_each_other() -> None:
    asking = Asking()
    first, second = grown(asking), grown(asking)
    first.most()
    for _ in range(3):
        first.begins()
        second.begins()
        assert first.most() == second.most() == FEW
