"""The table of speed: what runs for it, what is kept of it, and its picture."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.measured import Bound, Check, Measured, Row
from benchmarks.picture import of_goal, picture
from benchmarks.results import FILE, FOLDER, PICTURE, Meanwhile, Results, commit, load, machine, markdown, part_of, save
from benchmarks.run import HERE, SPEED, first_line, main, names, shown

RATE = Row("10", "two processes & one", "calls/s", (160.0, 150.0), 1.6, Bound.AT_LEAST, "one", (90.0, 100.0))
START = Row("8", "start to ready", "s", (2.0, 1.0, 9.0), 3.0, Bound.AT_MOST)
LOST = Row("3", "beside another", "calls/s", (), 2.0, Bound.AT_LEAST, "another", (), "it could not be installed")
FOUND = Measured((RATE, START, LOST), (Check("c", "64 clients", 640, 0),))


def test_every_benchmark_of_the_table_is_there_and_takes_its_options() -> None:
    assert {one.name for one in SPEED} <= set(names())
    for one in SPEED:
        text = (HERE / f"{one.name}.py").read_text(encoding="utf-8")
        assert '"--out"' in text, f"{one.name} has no --out"
        assert '"--full"' in text, f"{one.name} has no --full"


def test_every_benchmark_says_in_a_line_what_it_measures() -> None:
    assert [name for name in names() if not first_line(name).endswith(".")] == []


def test_a_benchmark_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing_of_that_name"]) == 2
    assert main(["--again", "training"]) == 2  # a benchmark, but none of the table's
    assert "nothing_of_that_name" in capsys.readouterr().err


def test_figures_are_saved_with_their_moment_and_read_again(tmp_path: Path) -> None:
    results = Results({"one": part_of(FOUND, others=1.251, seconds=61.7, full=False)})
    save(results, tmp_path / "folder" / FILE)
    again = load(tmp_path / "folder" / FILE)
    assert again.parts["one"] == replace(results.parts["one"], others=1.25, seconds=62)
    assert load(tmp_path / "none.json") == Results()
    assert [row.number for row in again.all().rows] == ["3", "8", "10"]


def test_the_table_tells_every_verdict() -> None:
    results = Results({"one": part_of(FOUND, others=1.0, seconds=60.0, full=False)})
    for text in (shown(results), markdown(results)):
        assert "not measured" in text
        assert "it could not be installed" in text
        assert "2.00 s" in text
        assert "640 compared" in text
    assert "while other work took 1.0 cores" in markdown(results)
    assert "**not met**" not in markdown(Results({"one": part_of(Measured((START,)), others=1, seconds=1, full=True)}))


def test_the_picture_has_each_goal_on_its_side_of_the_line() -> None:
    assert of_goal(2.0, START) == 1.5
    assert of_goal(0.8, RATE) == 0.5
    drawn = ET.fromstring(str(picture(FOUND, "2 cores & more")))
    words = " ".join(drawn.itertext())
    for part in ("two processes & one", "1.64 (≥ 1.6)", "2.00 s (≤ 3)", "not measured", "2 cores & more"):
        assert part in words
    dots = [one for one in drawn.iter() if one.tag.endswith("circle")]
    line = next(one for one in drawn.iter() if one.get("class") == "goal")
    assert [one.get("class") for one in dots] == ["dot met", "dot met"]
    assert all(float(one.get("cx", 0)) > float(line.get("x1", 0)) for one in dots)


def test_what_others_took_of_the_machine_is_told_without_our_own_children() -> None:
    meanwhile = Meanwhile()
    subprocess.run([sys.executable, "-c", "while __import__('time').process_time() < 0.5: pass"], check=True)
    assert meanwhile.seconds() >= 0.5
    assert 0 <= meanwhile.others() <= (os.cpu_count() or 1) + 0.1


def test_what_it_was_measured_on_says_a_kind_and_nobody() -> None:
    assert "cores" in machine()
    assert commit() == "unknown" or len(commit()) >= 7


@pytest.mark.skipif(not (FOLDER / FILE).exists(), reason="nothing was measured yet")
def test_the_committed_picture_is_of_the_committed_figures() -> None:
    results = load(FOLDER / FILE)
    said = (FOLDER / PICTURE).read_text(encoding="utf-8")
    assert all(str(row.number) in said for row in results.all().rows)
    assert f"of {len(results.all().rows)} goals met" in said
