"""A real server in a process of its own, on a database of its own, with a model trained for these tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

START_S = 120
STOP_S = 30


@dataclass
class RunningServer:
    """A server started through the command line."""

    grpc: str  # HOST:PORT
    metrics: str
    home: Path
    database: str
    process: subprocess.Popen[str]
    log: Path

    def channel(self) -> grpc.Channel:
        """A new channel to it."""
        return grpc.insecure_channel(self.grpc, options=[("grpc.enable_http_proxy", 0)])

    def gatehouse(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command on the server's database."""
        return gatehouse(*arguments, home=self.home, check=check)


def gatehouse(*arguments: str, home: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs ``gatehouse`` with its database in ``home``."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"gatehouse {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done


def environment(home: Path) -> dict[str, str]:
    """The environment of a command whose database is in ``home``; no setting of the machine's own leaks in."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    # Else one decision in two hundred is another than the test is about, by the key that each home generates.
    clean["GATEHOUSE_EXPLORE"] = "0"
    return {**clean, "GATEHOUSE_DATABASE_URL": f"sqlite:///{home / 'gatehouse.db'}"}


def start_server(home: Path, *options: str, extra: dict[str, str] | None = None) -> RunningServer:
    """Starts ``gatehouse serve`` on free ports and waits until it says that it is ready."""
    log = home / "server.log"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "service.cli", "serve", "--listen", "127.0.0.1:0"),
                *("--metrics-listen", "127.0.0.1:0", *options),
            ],
            env={**environment(home), **(extra or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    line: list[str] = []
    reader = threading.Thread(target=lambda: line.append(process.stdout.readline() if process.stdout else ""))
    reader.start()
    reader.join(START_S)
    words = dict(word.split("=", 1) for word in (line[0] if line else "").split()[1:])
    if not words:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
        raise AssertionError(f"the server did not become ready:\n{log.read_text()[-4000:]}")
    return RunningServer(
        words["grpc"], words["metrics"], home, environment(home)["GATEHOUSE_DATABASE_URL"], process, log
    )


def stop_server(server: RunningServer) -> int:
    """SIGTERM, and the exit code."""
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    try:
        return server.process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise AssertionError(f"the server did not stop:\n{server.log.read_text()[-4000:]}") from None
    finally:
        if server.process.stdout:
            server.process.stdout.close()


@pytest.fixture(scope="session")
def starter_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small starter model, trained once for all tests of this session."""
    directory = tmp_path_factory.mktemp("starter") / "model"
    subprocess.run(
        [sys.executable, "-m", "training.starter", "--out", str(directory), "--accounts", "2500", "--campaigns", "12"],
        check=True,
        timeout=240,
    )
    return directory


@pytest.fixture
def home(tmp_path: Path, starter_model: Path) -> Path:
    """A folder for one database, with the starter model in it."""
    (tmp_path / "models").mkdir()
    shutil.copytree(starter_model, tmp_path / "models" / "starter")
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Iterator[RunningServer]:
    """A server for the tests of one file."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "models").mkdir()
    shutil.copytree(starter_model, folder / "models" / "starter")
    running = start_server(folder)
    yield running
    assert stop_server(running) == 0
