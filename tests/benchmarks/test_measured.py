"""What benchmarks hand over is what is printed, written and read again."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from benchmarks.measured import Bound, Check, Measured, Row, Table, figure, percentile, printed, read, rounds, write
from benchmarks.processes import ran, server

RATE = Row("3", "scoring", "answers/s", (200.0, 300.0, 100.0), 2.0, Bound.AT_LEAST, "a peer", (100.0, 100.0, 100.0))
TIME = Row("3b", "scoring, slowest", "ms p99", (20.0, 10.0, 40.0), 0.5, Bound.AT_MOST, "a peer", (40.0, 40.0, 40.0))
LIMIT = Row("8", "memory", "MiB", (390.0,), 400.0, Bound.AT_MOST)
MISSING = Row("3c", "against another", "answers/s", (), 1.0, Bound.AT_LEAST, "another", (), "could not be installed")


def test_a_ratio_is_the_median_of_its_rounds_and_stands_on_one_side_of_its_goal() -> None:
    assert (RATE.ratio, RATE.ratios, RATE.met) == (2.0, (2.0, 3.0, 1.0), True)
    assert (TIME.ratio, TIME.met) == (0.5, True)
    assert (LIMIT.ratio, LIMIT.met) == (390.0, True)
    assert not Row("8", "memory", "MiB", (410.0,), 400.0, Bound.AT_MOST).met


def test_what_was_not_measured_says_why_and_is_not_met() -> None:
    assert math.isnan(MISSING.ratio)
    assert not MISSING.met
    with pytest.raises(ValueError, match="no note says why"):
        Row("3c", "against another", "answers/s", (), 1.0, Bound.AT_LEAST)
    with pytest.raises(ValueError, match="2 rounds of ours, 1 of the peer"):
        Row("3", "scoring", "answers/s", (1.0, 2.0), 1.0, Bound.AT_LEAST, "a peer", (1.0,))


def test_a_check_without_comparisons_is_not_met() -> None:
    assert Check("c", "answers", 10, 0).met
    assert not Check("c", "answers", 10, 1).met
    assert not Check("c", "answers", 0, 0).met


def test_what_is_written_is_read_again_and_printed_with_every_verdict(tmp_path: Path) -> None:
    found = Measured(
        (RATE, TIME, LIMIT, MISSING),
        (Check("c", "64 clients", 6400, 0),),
        (Table("a curve", ("load", "rate"), ((1.0, 120.0), ("3", 0.0))),),
    )
    write(tmp_path / "figures.json", found)
    assert read(tmp_path / "figures.json") == found
    text = printed(found)
    assert text.count(" met ") == 3
    assert "not measured" in text
    assert "6,400 compared, 0 differ (met)" in text
    assert "a curve" in text


def test_rounds_are_taken_in_turns_every_second_one_backwards() -> None:
    order: list[str] = []

    def run(name: str) -> float:
        order.append(name)
        return float(len(order))

    assert rounds(2, a=lambda: run("a"), b=lambda: run("b")) == {"a": (1.0, 4.0), "b": (2.0, 3.0)}
    assert order == ["a", "b", "b", "a"]


def test_figures_keep_three_digits_that_count() -> None:
    shown = [figure(value) for value in (0.01234, 0.5, 4.561, 12.34, 12_345.6, 0, "x")]
    assert shown == ["0.0123", "0.500", "4.56", "12.3", "12,350", "0", "x"]
    assert percentile(range(1, 101), 0.99) == 99
    assert math.isnan(percentile([], 0.5))


def test_a_command_that_ran_says_its_output_its_time_and_its_memory() -> None:
    found = ran("-c", "import time; hold = bytearray(200 << 20); print('done'); time.sleep(0.3)")
    assert found.output == "done\n"
    assert found.seconds > 0.3
    assert 0 < found.cpu_seconds < 5
    assert 200 < found.peak_mib < 400
    with pytest.raises(RuntimeError, match=r"exit code 1: .*SystemExit|exit code 1: stop"):
        ran("-c", "raise SystemExit('stop')")


def test_a_server_is_asked_once_it_is_ready_and_is_gone_afterwards() -> None:
    with server("-c", "import time; print('ready grpc=127.0.0.1:1', flush=True); time.sleep(60)") as one:
        assert one.grpc == "127.0.0.1:1"
        assert one.memory_mib() > 1
    with (
        pytest.raises(RuntimeError, match=r"did not become ready[\s\S]*no port"),
        server("-c", "raise SystemExit('no port')"),
    ):
        pass
    assert sys.executable
