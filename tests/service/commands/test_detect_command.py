"""``gatehouse detect`` as an operator types it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from service.commands.context import now
from service.domain.time import rfc3339
from service.storage.store import Store, open_store
from tests.service.commands.test_campaigns import Done, gatehouse
from tests.service.usecases.test_detect import RINGS, STRANGERS, T, crowd

ROOT = Path(__file__).resolve().parents[3]
AT = ("--as-of", rfc3339(T))


@pytest.fixture(scope="module")
def first_home(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """A database with four campaigns in a crowd, in which nobody has looked yet."""
    home = tmp_path_factory.mktemp("operator")
    shutil.copy(sqlite_template, home / "gatehouse.db")
    store = open_store(f"sqlite:///{home / 'gatehouse.db'}")
    known, used = crowd()
    with store.bulk() as file:
        file.signups(known)
        file.usage(used)
    store.close()
    return home


@pytest.fixture
def home(first_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(first_home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def empty(tmp_path: Path, sqlite_template: Path) -> Path:
    """A database with nothing in it."""
    shutil.copy(sqlite_template, tmp_path / "gatehouse.db")
    return tmp_path


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{home / 'gatehouse.db'}")
    yield opened
    opened.close()


def detect(home: Path, *words: str) -> Any:
    done = gatehouse(home, "detect", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def but_seconds(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "seconds"}


def refused(done: Done, code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_it_says_what_it_looked_at_and_what_it_found(home: Path) -> None:
    told = detect(home, *AT)
    assert (told["accounts"], told["exchanges"], told["as_of"]) == (len(STRANGERS) + 120, len(crowd()[1]), rfc3339(T))
    assert sorted(told["created"]) == sorted(each["id"] for each in told["campaigns"])
    assert len(told["created"]) >= len(RINGS)
    listed = json.loads(gatehouse(home, "campaigns", "list", "--json").stdout.splitlines()[-1])["campaigns"]
    assert {each["campaign_id"] for each in listed} == set(told["created"])


def test_the_same_moment_again_gives_the_same_answer_but_its_seconds(home: Path) -> None:
    first, second, third = (detect(home, *AT) for _ in range(3))
    assert but_seconds(second) == but_seconds(third)
    assert second["campaigns"] == first["campaigns"]
    assert second["created"] == second["changed"] == second["merged"] == second["closed"] == []


def test_people_read_a_sentence_and_a_table(home: Path) -> None:
    said = gatehouse(home, "detect", *AT).stdout
    assert "looked at 1,620 accounts" in said
    assert "linked by" in said
    again = gatehouse(home, "detect", *AT).stdout
    assert "0 new, 0 changed" in again


def test_a_database_without_accounts_is_no_error(empty: Path) -> None:
    told = detect(empty)
    assert (told["accounts"], told["exchanges"], told["groups"], told["campaigns"]) == (0, 0, 0, [])
    assert "looked at 0 accounts" in gatehouse(empty, "detect").stdout


def test_steps_are_shown_to_whoever_watches(home: Path) -> None:
    shown = gatehouse(home, "detect", *AT).stderr
    for step in ("reading", "linking", "gathering evidence", "recording"):
        assert f"detect: {step}" in shown


def test_facts_that_are_old_are_warned_about(home: Path) -> None:
    assert f"the newest fact is of {rfc3339(T)[:4]}" in gatehouse(home, "detect").stderr


@pytest.mark.parametrize("words", [(), ("--wait", "0")])
def test_while_another_one_works_it_says_who_and_stops(home: Path, store: Store, words: tuple[str, ...]) -> None:
    store.begin_detection(T, "gatehouse detect on host-7", now())
    complaint = refused(gatehouse(home, "detect", *AT, *words), 1)
    assert "gatehouse detect on host-7" in complaint
    assert "internal error" not in complaint
    assert store.standing(T).campaign_id == ()


def test_told_to_wait_it_begins_when_the_other_one_has_ended(home: Path, store: Store) -> None:
    run = store.begin_detection(T, "gatehouse detect on host-7", now())
    ends = Timer(1.0, lambda: store.finish_detection(run, now(), "{}"))
    ends.start()
    began = time.monotonic()
    told = detect(home, *AT, "--wait", "30")
    ends.join()
    assert 1.0 <= time.monotonic() - began < 20
    assert len(told["created"]) >= len(RINGS)


def test_it_waits_no_longer_than_it_is_told(home: Path, store: Store) -> None:
    store.begin_detection(T, "gatehouse detect on host-7", now())
    began = time.monotonic()
    assert "host-7" in refused(gatehouse(home, "detect", *AT, "--wait", "0.5"), 1)
    assert 0.5 <= time.monotonic() - began < 5


def test_a_run_that_was_silent_for_a_minute_is_not_waited_for(home: Path, store: Store) -> None:
    store.begin_detection(T, "a machine that lost its power", now() - 61_000_000)
    assert len(detect(home, *AT)["created"]) >= len(RINGS)


@pytest.mark.parametrize("words", [("--wait", "-1"), ("--as-of", "yesterday"), ("--wait", "soon"), ("everything",)])
def test_what_cannot_be_meant_is_refused(empty: Path, words: tuple[str, ...]) -> None:
    assert gatehouse(empty, "detect", *words).returncode == 2


def test_ctrl_c_says_so_and_leaves_the_place_to_the_next_one(home: Path, store: Store) -> None:
    database = f"sqlite:///{home / 'gatehouse.db'}"
    command = [sys.executable, "-m", "service.cli", "detect", *AT, "--database", database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stderr is not None
        while "detect: reading" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == ""
    assert "Traceback" not in complained
    assert store.standing(T).campaign_id == ()
    assert len(detect(home, *AT)["created"]) >= len(RINGS)
