"""Drift as an operator meets it: a model is trained, accounts sign up and are scored, and the doctor is asked."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from click.testing import CliRunner

from service.app import App
from service.cli import cli
from service.domain.enums import Purpose
from service.domain.time import DAY, HOUR, micros
from service.model.stability import LATER, SCORE, SIGNUP
from service.settings import Settings
from service.usecases.assess import Asked, assess
from service.usecases.watch_drift import LOOKED_BACK
from training.drift import CALENDAR
from training.simulate import identity, simulate

NOW = datetime.now(UTC).replace(microsecond=0)
LIVE = 400  # signups that are scored at their second
PAID = np.array([1, 1, 60, 30, 5, 3])  # plans as nobody had them while the model learned


def settings(home: Path) -> Settings:
    keys = f"content:{'a5' * 32},test:{'5a' * 32}"
    return Settings(database_url=f"sqlite:///{home / 'gatehouse.db'}", data_dir=home, hmac_keys=keys)


def gatehouse(home: Path, *words: str) -> Any:
    keys = {"GATEHOUSE_HMAC_KEYS": f"content:{'a5' * 32},test:{'5a' * 32}", "GATEHOUSE_DATA_DIR": str(home)}
    command = [*words, "--database", f"sqlite:///{home / 'gatehouse.db'}", "--json"]
    done = CliRunner(env=keys).invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def world(out: Path, *, accounts: int, days: int, seed: int, start: datetime) -> Path:
    simulate(out, accounts=accounts, days=days, campaigns=accounts // 150, seed=seed, start=start, exchanges_per_day=2)
    return out


def live(home: Path) -> Path:
    """Scores signups of the last week, one at its second, and everybody again every other day."""
    now = micros(NOW)
    with App.open(settings(home), upgrade=False) as app:
        app.load_model()
        serving = app.models.current()
        account, created = app.store.signups_between(now - LOOKED_BACK, now)
        account, created = account[: 2 * LIVE : 2], created[: 2 * LIVE : 2]
        for number, at, name in zip(account, created.tolist(), app.store.account_ids(account), strict=True):
            history = app.store.history(np.array([number]), at)
            made = assess(serving, history, [Asked(name, Purpose.SIGNUP, f"r-{name}")], at)
            app.store.append_assessments([one for one in made if one is not None])
        for day in range(0, 7, 2):
            app.rescore(as_of=now - day * DAY - HOUR)
    return home


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of 31 days, and a model of the first 24."""
    home = tmp_path_factory.mktemp("trained")
    start = NOW - timedelta(days=31)
    gatehouse(home, "import", str(world(home / "world", accounts=2_480, days=31, seed=5, start=start)))
    as_of = (NOW - timedelta(days=7)).isoformat()
    assert gatehouse(home, "train", "--as-of", as_of, "--promote", "always")["promoted"]
    return home


@pytest.fixture(scope="module")
def a_week_later(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live(shutil.copytree(trained, tmp_path_factory.mktemp("later") / "home"))


def drifted(told: Any) -> list[str]:
    return [one["problem"] for one in told["findings"] if one["check"] == "drift"]


def test_a_week_like_those_before_is_no_finding(a_week_later: Path) -> None:
    told = gatehouse(a_week_later, "doctor")
    assert told["drift"]["rows"] > 1_000
    assert {"score_signup", "score_later"} <= set(told["drift"])
    assert drifted(told) == []


def test_a_week_of_other_plans_is_named_with_its_numbers_and_the_mend(trained: Path, tmp_path: Path) -> None:
    home = shutil.copytree(trained, tmp_path / "home")
    with patch.object(identity, "PLAN_WEIGHTS", PAID):
        many = world(home / "others", accounts=1_800, days=7, seed=72, start=NOW - timedelta(days=7))
    gatehouse(home, "import", str(many))
    live(home)
    with App.open(settings(home), upgrade=False) as app:
        champion = app.store.champion()
        assert champion is not None
        watched = app.watch_drift(champion, now=micros(NOW))
    found = {(one.feature, one.of): one for one in watched.drift}
    assert found["plan", SIGNUP].alarm
    assert found["plan", LATER].alarm
    told = gatehouse(home, "doctor")
    assert told["drift"]["alarms"] == len(watched.alarms)
    named = [text.split(" of ")[0] for text in drifted(told)]
    assert ("plan" in named) == watched.matters("plan")
    assert all(watched.matters(name) for name in named if name in watched.gain)


@pytest.fixture(scope="module")
def trained_again(a_week_later: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = shutil.copytree(a_week_later, tmp_path_factory.mktemp("again") / "home")
    again = ("train", "--seed", "2", "--promote", "always", "--report", str(home / "report"))
    assert gatehouse(home, *again)["promoted"]
    return home


def test_a_model_that_was_just_promoted_is_not_judged_by_another_ones_rows(trained_again: Path) -> None:
    assert gatehouse(trained_again, "doctor")["drift"] == {"rows": 0, "alarms": 0}


def test_the_report_tells_how_far_those_since_the_champion_are_from_what_it_learned(
    a_week_later: Path, trained_again: Path
) -> None:
    drift = json.loads((trained_again / "report" / "report.json").read_text())["drift"]
    by_name = {row["feature"]: row for row in drift}
    with App.open(settings(a_week_later), upgrade=False) as app:
        before = app.store.champion()
    assert before is not None
    features = set(json.loads(before.manifest)["features"])
    assert len(by_name) == len(drift)
    assert set(by_name) == (features - set(CALENDAR)) | {SCORE}
    assert by_name[SCORE]["gain"] is None
    assert all(row["psi"] >= 0 and row["bound"] > 0.1 for row in drift)
    assert not any(row["alarm"] for row in drift if row["gain"] is None or row["gain"] >= 0.01)
    assert "Population stability index of" in (trained_again / "report" / "report.html").read_text()


def test_without_anything_scored_the_doctor_is_quiet(trained: Path) -> None:
    assert gatehouse(trained, "doctor")["drift"] == {"rows": 0, "alarms": 0}
