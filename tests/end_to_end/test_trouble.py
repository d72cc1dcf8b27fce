"""What an operator sees when something is wrong: one clear line that names the mend, and never a traceback."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.conftest import gatehouse, start_server, stop_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def complaint(*arguments: str, home: Path, code: int) -> str:
    done = gatehouse(*arguments, home=home, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_in_use_is_named(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = complaint("serve", "--listen", address, "--metrics-listen", "127.0.0.1:0", home=home, code=2)
    assert address in said
    assert "--listen" in said


def test_a_bad_address_is_named(home: Path) -> None:
    assert "HOST:PORT" in complaint("serve", "--listen", "nonsense", home=home, code=2)


def test_a_database_of_a_newer_schema_is_left_alone(home: Path) -> None:
    gatehouse("db", "upgrade", home=home)
    with closing(sqlite3.connect(home / "gatehouse.db", isolation_level=None)) as database:
        database.execute("update alembic_version set version_num = '9999_from_the_future'")
    said = complaint("serve", "--listen", "127.0.0.1:0", home=home, code=1)
    assert "newer" in said
    check = gatehouse("db", "check", "--json", home=home, check=False)
    assert check.returncode == 1
    assert json.loads(check.stdout.splitlines()[-1])["ok"] is False


def test_a_file_that_is_no_database_is_said_so(home: Path) -> None:
    (home / "gatehouse.db").write_bytes(b"this is not a database" * 100)
    assert "is not a SQLite database" in complaint("rescore", home=home, code=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write read-only files")
def test_a_read_only_database_is_said_so(home: Path) -> None:
    gatehouse("db", "upgrade", home=home)
    (home / "gatehouse.db").chmod(0o444)
    home.chmod(0o555)
    try:
        assert "read-only" in complaint("rescore", home=home, code=1)
    finally:
        home.chmod(0o755)


def test_a_tampered_model_is_refused_and_the_doctor_says_so(home: Path) -> None:
    server = start_server(home)
    assert stop_server(server) == 0
    booster = home / "models" / "starter" / "booster.txt"
    booster.write_text(booster.read_text().replace("leaf_value=", "leaf_value=9", 1))
    said = complaint("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", home=home, code=1)
    assert "booster.txt" in said
    assert "SHA-256" in said
    doctor = gatehouse("doctor", "--json", home=home, check=False)
    assert doctor.returncode == 1
    findings = json.loads(doctor.stdout.splitlines()[-1])["findings"]
    assert any(finding["check"] == "model" and "booster.txt" in finding["problem"] for finding in findings)


def test_no_model_and_no_trainer_is_said_so_and_not_pretended(tmp_path: Path) -> None:
    missing = tmp_path / "no-such-model"
    with pytest.raises(AssertionError, match="did not become ready"):
        start_server(tmp_path, extra={"GATEHOUSE_STARTER_MODEL": str(missing)})
    assert "GATEHOUSE_STARTER_MODEL" in (tmp_path / "server.log").read_text()


def test_training_without_labels_says_what_is_missing(home: Path) -> None:
    said = complaint("train", home=home, code=2)
    assert "label" in said


def test_the_doctor_finds_nothing_wrong_with_a_new_installation_that_serves(home: Path) -> None:
    server = start_server(home)
    try:
        doctor = json.loads(gatehouse("doctor", "--json", home=home).stdout.splitlines()[-1])
    finally:
        stop_server(server)
    assert doctor["ok"] is True
    assert doctor["model"]["origin"] == "starter"
    assert {finding["severity"] for finding in doctor["findings"]} <= {"warning"}
    assert doctor["tables"]


def test_the_catalogue_prints_itself(home: Path) -> None:
    listed = json.loads(gatehouse("features", "list", "--json", home=home).stdout.splitlines()[-1])
    assert listed["count"] == len(listed["features"])
    assert {"name", "family", "meaning", "unit", "source", "gain"} <= set(listed["features"][0])
