"""``gatehouse simulate`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from training.simulate.command import simulate_command

SMALL = ("--accounts", "300", "--days", "3", "--campaigns", "1", "--seed", "2")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(simulate_command, arguments)


def test_the_last_line_of_output_is_one_json_object(tmp_path: Path) -> None:
    result = run(str(tmp_path / "world"), *SMALL, "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (summary["accounts"], summary["campaigns"]) == (300, 1)
    assert summary["exchanges"] == pq.read_table(tmp_path / "world" / "usage").num_rows
    assert "simulating usage" in result.stderr
    assert "simulating" not in result.stdout


def test_a_simulated_world_may_be_written_over(tmp_path: Path) -> None:
    assert run(str(tmp_path / "world"), *SMALL).exit_code == 0
    assert run(str(tmp_path / "world"), *SMALL, "--start", "2026-01-01").exit_code == 0
    moments = pq.read_table(tmp_path / "world" / "accounts.parquet")["created_at"].to_pylist()
    assert {moment.month for moment in moments} == {1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["world"]


def test_a_folder_that_holds_anything_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    result = run(str(tmp_path), *SMALL)
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_world_with_a_file_of_somebody_else_in_it_is_left_alone(tmp_path: Path) -> None:
    assert run(str(tmp_path / "world"), *SMALL).exit_code == 0
    (tmp_path / "world" / "notes.txt").write_text("mine", encoding="utf-8")
    assert run(str(tmp_path / "world"), *SMALL).exit_code == 2
    assert (tmp_path / "world" / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--accounts", "-5"), "accounts"),
        (("--accounts", "0"), "accounts"),
        (("--days", "0"), "days"),
        (("--seed", "-1"), "seed"),
        (("--campaigns", "-1"), "campaigns"),
        (("--accounts", "100", "--campaigns", "30"), "30 campaigns do not fit among 100 accounts"),
        (("--exchanges-per-day", "0"), "exchanges-per-day"),
        (("--exchanges-per-day", "nan"), "exchanges_per_day"),
        (("--start", "yesterday"), "'yesterday' is not a date"),
        (("--start", "0001-01-01"), "start"),
        (("--start", "9999-12-25"), "start"),
    ],
)
def test_a_wrong_option_is_named_and_writes_nothing(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    result = run(str(tmp_path / "world"), *arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "world").exists()


def test_more_exchanges_a_day_give_more_exchanges(tmp_path: Path) -> None:
    counts = []
    for rate in ("5", "50"):
        result = run(str(tmp_path / rate), *SMALL, "--exchanges-per-day", rate, "--json")
        counts.append(json.loads(result.stdout.splitlines()[-1])["exchanges"])
    assert 5 < counts[1] / counts[0] < 15
