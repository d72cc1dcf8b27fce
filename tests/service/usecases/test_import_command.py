from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEADER = "account_id,happened_at,name,value\n"


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "service.cli", *words, "--database", f"sqlite:///{folder / 'gatehouse.db'}"]


def gatehouse(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, *words), capture_output=True, text=True, check=False)


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    made = tmp_path / "facts"
    made.mkdir()
    return made


def test_an_import_says_in_json_what_became_of_every_table(tmp_path: Path, facts: Path) -> None:
    (facts / "accounts.csv").write_text("account_id,created_at\nann,2026-04-22T12:00:00Z\n")
    (facts / "labels.csv").write_text(
        "account_id,verdict,decided_at,analyst,campaign_id\nann,fraud,2026-04-23T12:00:00Z,eve,c-1\n"
    )
    first = gatehouse(tmp_path, "import", str(facts), "--json")
    assert first.returncode == 0, first.stderr
    one = {"rows": 1, "imported": 1, "duplicates": 0, "bad": 0}
    assert answer(first) == {"files": {"accounts": one, "labels": one}, "campaign_ids": ["c-1"]}
    again = gatehouse(tmp_path, "labels", "import", str(facts / "labels.csv"), "--json")
    assert again.returncode == 0, again.stderr
    assert answer(again)["files"] == {"labels": {"rows": 1, "imported": 0, "duplicates": 1, "bad": 0}}


def test_bad_rows_end_with_exit_code_2_and_twenty_of_them_are_shown(tmp_path: Path, facts: Path) -> None:
    (facts / "signals.csv").write_text(HEADER + "ann,2026-04-22T12:00:00Z,n,NaN\n" * 25)
    refused = gatehouse(tmp_path, "import", str(facts), "--json")
    assert refused.returncode == 2
    assert answer(refused)["files"]["signals"] == {"rows": 25, "imported": 0, "duplicates": 0, "bad": 25}
    assert "signals.csv row 20, value: is NaN" in refused.stderr
    assert "signals.csv row 21, value" not in refused.stderr
    assert "and 5 more bad rows" in refused.stderr
    assert "--skip-bad-rows FILE" in refused.stderr
    assert "Traceback" not in refused.stderr
    aside = tmp_path / "bad.jsonl"
    skipped = gatehouse(tmp_path, "import", str(facts), "--skip-bad-rows", str(aside))
    assert skipped.returncode == 0, skipped.stderr
    assert len(aside.read_text().splitlines()) == 25


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "absent"], "'absent' does not exist"),
        (["import", "."], "holds none of the tables accounts"),
        (["labels", "import", "absent.csv"], "'absent.csv' does not exist"),
        (["labels", "import", "gatehouse.db"], "must end in one of"),
    ],
)
def test_a_wrong_path_is_one_line_with_the_mend(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "gatehouse.db").touch()
    done = subprocess.run(command(tmp_path, *words), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_of_the_file_and_the_same_command_goes_on(tmp_path: Path, facts: Path) -> None:
    (facts / "accounts.csv").write_text("account_id,created_at\nann,2026-04-22T12:00:00Z\n")
    rows = "".join(f"ann,2026-04-22T12:00:00.{i:06}Z,n,{i}\n" for i in range(400_000))
    (facts / "signals.csv").write_text(HEADER + rows)
    process = subprocess.Popen(
        command(tmp_path, "import", str(facts)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("signals.csv: "):  # a tenth of the file is read
            process.send_signal(signal.SIGINT)
            break
    _, said = process.communicate()
    assert process.returncode == 1
    assert "interrupted: nothing of the file being read was imported" in said
    again = gatehouse(tmp_path, "import", str(facts), "--json")
    assert again.returncode == 0, again.stderr
    assert answer(again)["files"] == {
        "accounts": {"rows": 1, "imported": 0, "duplicates": 1, "bad": 0},
        "signals": {"rows": 400_000, "imported": 400_000, "duplicates": 0, "bad": 0},
    }
