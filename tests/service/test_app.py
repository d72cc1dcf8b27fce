"""What wiring the product promises: little is loaded, and a starter model is trained once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from service import app as wiring
from service.app import App
from service.settings import Settings
from tests.small_models import a_model

SERVING = """
import sys
from service.app import App
from service.settings import Settings
with App.open(Settings(), upgrade=False, serving=True) as app:
    import service.commands.serving
    app.use_cases()
    print(*sorted({name for name in sys.modules if name in sys.argv[1:]}))
"""


def test_what_serves_loads_nothing_that_only_jobs_and_exports_need(
    monkeypatch: pytest.MonkeyPatch, sqlite_template: Path, tmp_path: Path
) -> None:
    database = shutil.copy(sqlite_template, tmp_path / "gatehouse.db")
    monkeypatch.setenv("GATEHOUSE_DATABASE_URL", f"sqlite:///{database}")
    heavy = [
        "training",
        "pandas",
        "duckdb",
        "matplotlib",
        "alembic",
        "stix2",
        "requests",
        "scipy.special",
        "scipy.stats",
    ]
    needed = ["grpc", "lightgbm", "sqlalchemy"]  # else the question was put wrongly
    done = subprocess.run(
        [sys.executable, "-c", SERVING, *heavy, *needed], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1].split() == needed


def test_a_starter_model_is_trained_once_however_many_workers_start_together(
    monkeypatch: pytest.MonkeyPatch, sqlite_template: Path, tmp_path: Path
) -> None:
    database = shutil.copy(sqlite_template, tmp_path / "gatehouse.db")
    settings = Settings(database_url=f"sqlite:///{database}", data_dir=tmp_path)
    trained: list[Path] = []

    def train(directory: Path) -> None:
        trained.append(directory)
        time.sleep(0.3)  # long enough for the others to come and find it missing
        a_model("starter-1", ("plan", "mail_digits"), 0.5, tmp_path / "made")
        shutil.move(tmp_path / "made" / "starter-1", directory)

    monkeypatch.setattr(wiring, "_starter_trainer", lambda: train)
    versions: list[str] = []

    def start() -> None:
        with App.open(settings, upgrade=False) as app:
            app.load_model()
            versions.append(app.models.current().version)

    workers = [threading.Thread(target=start) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert versions == ["starter-1"] * 4
    assert trained == [tmp_path / "models" / "starter"]
