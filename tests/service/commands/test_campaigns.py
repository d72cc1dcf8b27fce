"""``gatehouse campaigns`` as an analyst types it."""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import structlog

from service.cli import main
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import open_store
from tests.factories import NOON
from tests.service.usecases.test_campaigns import detect, found, signed_up

SAYS = ("--analyst", "ann", "--reason", "one device for all")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def gatehouse(home: Path, *words: str) -> Done:
    """Runs the command in this process, in ``home``: a process of its own takes a second or two to start."""
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.chdir(home)
        patch.setattr(sys, "argv", ["gatehouse", *words, "--database", f"sqlite:///{home / 'gatehouse.db'}"])
        patch.setattr(sys, "excepthook", sys.excepthook)  # main replaces it, and the log's handlers
        patch.setattr(logging.getLogger(), "handlers", [])
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            structlog.reset_defaults()
    return Done(int(ended.value.code or 0), said.getvalue(), complained.getvalue())


def answer(home: Path, *words: str) -> Any:
    done = gatehouse(home, "campaigns", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def complaint(home: Path, *words: str, code: int = 2) -> str:
    done = gatehouse(home, "campaigns", *words)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def first_home(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """A database with a detected campaign of three and one of 101."""
    home = tmp_path_factory.mktemp("analyst")
    shutil.copy(sqlite_template, home / "gatehouse.db")
    store = open_store(f"sqlite:///{home / 'gatehouse.db'}")
    door = Door(Keyring.generated(NOON, lambda n: bytes(range(n))), AddressTables())
    small, large = [f"a{i}" for i in range(3)], [f"m{i:03}" for i in range(101)]
    signed_up(store, door, [*small, *large])
    detect(store, [found("c-small", small), found("c-large", large, score=0.8)])
    store.close()
    return home


@pytest.fixture
def home(first_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(first_home, tmp_path / "home")
    return tmp_path / "home"


def test_campaigns_are_listed_with_their_state_and_members_as_a_count(home: Path) -> None:
    listed = answer(home, "list")
    assert listed["count"] == 2
    assert {each["campaign_id"]: (each["state"], each["members"], each["score"]) for each in listed["campaigns"]} == {
        "c-small": ("detected", 3, 0.99),
        "c-large": ("detected", 101, 0.8),
    }
    assert answer(home, "list", "--limit", "1")["count"] == 1
    assert answer(home, "list", "--state", "confirmed", "--state", "merged")["campaigns"] == []
    only = answer(home, "list", "--min-members", "4")["campaigns"]
    assert [each["id"] for each in only] == ["c-large"]
    text = gatehouse(home, "campaigns", "list").stdout
    assert "c-small" in text
    assert "detected" in text


def test_one_campaign_is_shown_as_text_as_json_and_as_a_page(home: Path) -> None:
    text = gatehouse(home, "campaigns", "show", "c-small")
    assert text.returncode == 0, text.stderr
    assert "all use one mail domain" in text.stdout
    assert "most typical members: a0, a1" in text.stdout
    shown = answer(home, "show", "c-small")
    assert shown["members"] == 3
    assert shown["evidence"]["keys"][0]["chance"] == 1e-30
    assert shown["evidence"]["edges"] == [{"account_ids": ["a0", "a2"], "nats": 12.5, "key_type": "device"}]
    assert json.loads(gatehouse(home, "campaigns", "show", "c-small", "--format", "json").stdout) == shown
    page = gatehouse(home, "campaigns", "show", "c-small", "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    assert "c-small" in page
    written = answer(home, "show", "c-small", "--format", "html", "--out", "page.html")
    assert written["out"] == "page.html"
    assert "<svg" in (home / "page.html").read_text()


def test_members_are_written_to_a_file_that_a_verdict_takes(home: Path) -> None:
    listed = answer(home, "members", "c-small")
    assert listed["members"] == 3
    assert {each["account_id"] for each in listed["accounts"]} == {"a0", "a1", "a2"}
    assert listed["accounts"][0]["key_types"] == ["device", "card"]
    assert answer(home, "members", "c-small", "--out", "m.parquet")["members"] == 3
    table = pq.read_table(home / "m.parquet")
    pq.write_table(table.slice(0, 2), home / "two.parquet")

    refuted = answer(home, "refute", "c-small", *SAYS, "--members", "two.parquet")

    assert (refuted["state"], refuted["members"], refuted["labels_recorded"]) == ("applied", 2, 2)
    assert (refuted["campaign"]["state"], refuted["campaign"]["members"]) == ("detected", 1)


def test_a_small_campaign_is_confirmed_and_reopened_by_one_analyst(home: Path) -> None:
    etag = answer(home, "show", "c-small")["etag"]
    confirmed = answer(home, "confirm", "c-small", *SAYS, "--etag", etag)
    assert (confirmed["campaign_id"], confirmed["state"], confirmed["labels_recorded"]) == ("c-small", "applied", 3)
    assert confirmed["campaign"]["state"] == "confirmed"
    assert confirmed["campaign"]["confirmed_members"] == 3

    changed = complaint(home, "refute", "c-small", "--analyst", "bob", "--reason", "no", "--etag", etag, code=1)
    assert "has changed since you looked at it" in changed

    reopened = answer(home, "reopen", "c-small", *SAYS)
    assert (reopened["state"], reopened["labels_recorded"]) == ("applied", 3)
    assert (reopened["campaign"]["state"], reopened["campaign"]["confirmed_members"]) == ("detected", 0)
    history = answer(home, "show", "c-small")["reviews"]
    assert [review["action"] for review in history] == ["reopen", "confirm"]


def test_a_large_campaign_waits_for_a_second_analyst(home: Path) -> None:
    first = answer(home, "confirm", "c-large", *SAYS)
    assert (first["state"], first["labels_recorded"]) == ("pending_second_analyst", 0)
    said = gatehouse(home, "campaigns", "confirm", "c-large", *SAYS).stdout
    assert "another analyst must ask for the same" in said
    second = answer(home, "confirm", "c-large", "--analyst", "bob", "--reason", "the same device")
    assert (second["state"], second["labels_recorded"], second["members"]) == ("applied", 101, 101)


def test_campaigns_are_split_and_merged(home: Path) -> None:
    (home / "one.txt").write_text("a2\n")
    split = answer(home, "split", "c-small", *SAYS, "--members", "one.txt")
    made = split["campaign_id"]
    assert (split["campaign"]["members"], split["campaign"]["split_from"]) == (1, "c-small")

    merged = answer(home, "merge", made, "--into", "c-small", *SAYS)
    assert (merged["campaign_id"], merged["campaign"]["members"]) == ("c-small", 3)

    assert "'c-small'" in complaint(home, "confirm", made, *SAYS)


def test_indicators_are_exported_as_one_document(home: Path) -> None:
    made = answer(home, "export", "c-small", "--out", "c.stix.json")
    assert (made["campaign_id"], made["indicators"], made["out"]) == ("c-small", 1, "c.stix.json")
    bundle = json.loads((home / "c.stix.json").read_text())
    assert bundle["type"] == "bundle"
    assert (home / "c.stix.json").stat().st_size == made["bytes"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "c-none"], "campaign 'c-none' is not known"),
        (["confirm", "c-none", *SAYS], "campaign 'c-none' is not known"),
        (["merge", "c-small", "--into", "c-none", *SAYS], "c-none"),
        (["merge", "c-small", "--into", "c-small", *SAYS], "is the campaign itself"),
        (["confirm", "c-small", "--reason", "r"], "--analyst"),
        (["confirm", "c-small", "--analyst", " ", "--reason", "r"], "analyst: is required"),
        (["confirm", "c-small", *SAYS, "--members", "absent.csv"], "absent.csv"),
        (["confirm", "c-small", *SAYS, "--members", "nobody.txt"], "names no account"),
        (["confirm", "c-small", *SAYS, "--members", "stranger.txt"], "account_ids[0]"),
        (["confirm", "c-small", *SAYS, "--etag", "new"], "--etag"),
        (["split", "c-small", *SAYS], "--members"),
        (["list", "--state", "open"], "--state"),
        (["show", "c-small", "--format", "html", "--json"], "--out"),
        (["show", "c-small", "--out", "x.txt"], "--format"),
        (["members", "c-small", "--out", "m.xlsx"], "must end in"),
        (["export", "c-small", "--out", "absent/c.json"], "there is no folder absent"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2(first_home: Path, words: list[str], said: str) -> None:
    (first_home / "nobody.txt").write_text("\n")
    (first_home / "stranger.txt").write_text("stranger\n")

    assert said in complaint(first_home, *words)
