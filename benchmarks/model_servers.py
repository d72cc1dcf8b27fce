"""Model servers that answer for a row of features: FastAPI with LightGBM, and MLServer's LightGBM runtime.

They are installed, pinned, into an environment of their own below ``var/bench``, never into the project's. All have one
OpenMP thread: with LightGBM's default a single row waits 8 ms for a busy core.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.clients import Connect, Load, closed_loop, over_grpc, over_http
from benchmarks.measured import progress
from benchmarks.processes import ROOT
from service.domain.facts import Float32s

PINS = (
    *("mlserver==1.7.1", "mlserver-lightgbm==1.7.1", "fastapi==0.115.14", "uvicorn==0.54.0", "httptools==0.9.0"),
    "uvloop==0.21.0",  # MLServer's pool does not start with later ones, which make no event loop by themselves
)
HOME = ROOT / "var" / "bench"
PROGRAMS = ROOT / "benchmarks" / "peer_servers"
INFER = "/inference.GRPCInferenceService/ModelInfer"
MODEL = "risk"
POOLED, UNPOOLED, FASTAPI = "MLServer", "MLServer, no pool", "FastAPI"

Run = Callable[[float], Load]


def python_of_peers() -> str:
    """The peers' Python; installs it the first time, which takes a minute or two.

    Raises:
        RuntimeError: they could not be installed, with what pip said last.
    """
    pins = (*PINS, f"lightgbm=={version('lightgbm')}", f"numpy=={version('numpy')}")
    name = hashlib.sha256(" ".join((*pins, sys.version)).encode()).hexdigest()[:12]
    home = HOME / f"peers-{name}"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        progress(f"installing the peers into {home.relative_to(ROOT)}: {', '.join(pins)}")
        for command in ((sys.executable, "-m", "venv", "--clear", str(home)), (str(python), *_PIP, *pins)):
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"peers could not be installed: {(done.stderr or done.stdout).strip()[-300:]}")
        (home / "complete").touch()
    return str(python)


_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--only-binary", ":all:")


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that runs, and how to ask it for so many seconds."""

    name: str
    way: str  # how it is asked
    ask: Run
    pid: int
    says: Callable[[bytes, float], bool]  # whether an answer says this score


@contextmanager
def model_servers(python: str, booster: Path, rows: Float32s, callers: int) -> Iterator[list[Peer]]:
    """FastAPI and both MLServers, each quicker way of asking picked by a short trial."""
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        np.save(folder / "rows.npy", rows)
        writer = PROGRAMS / "v2_requests.py"
        subprocess.run([python, str(writer), MODEL, str(folder / "rows.npy"), str(folder / "v2.bin")], check=True)
        v2, values = _messages(folder / "v2.bin"), [row.tolist() for row in rows]
        tensor = {"name": "rows", "datatype": "FP32", "shape": [1, rows.shape[1]]}
        rest = [json.dumps({"inputs": [{**tensor, "data": row}]}).encode() for row in values]
        plain = [json.dumps({"features": row}).encode() for row in values]
        found = []
        for title, workers in ((POOLED, 1), (UNPOOLED, 0)):
            http, grpc_address, pid = stack.enter_context(
                mlserver(python, booster, folder / f"pool-{workers}", workers)
            )
            connect, channel = over_grpc(grpc_address, INFER)
            stack.enter_context(channel)
            ways = [
                Peer(title, "gRPC", _run(connect, v2, callers), pid, _in_protobuf),
                Peer(
                    title, "REST", _run(over_http(http, f"/v2/models/{MODEL}/infer"), rest, callers), pid, _in_v2_json
                ),
            ]
            rates = [max(way.ask(1.0).rate for _ in range(2)) for way in ways]
            progress(f"{title}: " + ", ".join(f"{w.way} {rate:.0f}/s" for w, rate in zip(ways, rates, strict=True)))
            found.append(ways[int(np.argmax(rates))])
        program = PROGRAMS / "fastapi_lightgbm.py"
        port = _free_port()
        command = (python, str(program), str(booster), str(port))
        pid = stack.enter_context(_listening(command, f"http://127.0.0.1:{port}/openapi.json", folder))
        found.append(
            Peer(FASTAPI, "REST", _run(over_http(f"127.0.0.1:{port}", "/score"), plain, callers), pid, _in_json)
        )
        yield found


def _run(connect: Connect, bodies: Sequence[bytes], callers: int) -> Run:
    def run(seconds: float) -> Load:
        return closed_loop(connect, bodies, callers=callers, seconds=seconds, again=True)

    return run


def _messages(path: Path) -> list[bytes]:
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _in_protobuf(answer: bytes, score: float) -> bool:
    return struct.pack("<d", score) in answer


def _in_v2_json(answer: bytes, score: float) -> bool:
    return bool(json.loads(answer)["outputs"][0]["data"] == [score])


def _in_json(answer: bytes, score: float) -> bool:
    return bool(json.loads(answer)["score"] == score)


@contextmanager
def mlserver(python: str, booster: Path, folder: Path, workers: int) -> Iterator[tuple[str, str, int]]:
    """An MLServer of one booster; its addresses for HTTP and for gRPC, and its process."""
    folder.mkdir()
    http, grpc_port, metrics = _free_port(), _free_port(), _free_port()
    ports = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc_port, "metrics_port": metrics}
    (folder / "settings.json").write_text(json.dumps({**ports, "debug": False, "parallel_workers": workers}))
    model = {"implementation": "mlserver_lightgbm.LightGBMModel", "parameters": {"uri": str(booster)}}
    (folder / "model-settings.json").write_text(json.dumps({"name": MODEL, **model}))
    command = (python, str(Path(python).with_name("mlserver")), "start", str(folder))
    with _listening(command, f"http://127.0.0.1:{http}/v2/models/{MODEL}/ready", folder) as pid:
        yield f"127.0.0.1:{http}", f"127.0.0.1:{grpc_port}", pid


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _listening(command: Sequence[str], url: str, folder: Path) -> Iterator[int]:
    """A server that is ready once ``url`` answers; its process.

    Raises:
        RuntimeError: it ended before, or was not ready within two minutes.
    """
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": path}
    environment.pop("PYTHONPATH", None)  # it names our own tree
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=file, stderr=file)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        until = time.monotonic() + 120
        while True:
            try:
                opener.open(url, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() > until:
                    said = log.read_text(encoding="utf-8", errors="replace")[-1500:]
                    raise RuntimeError(f"{' '.join(command[1:3])} did not become ready: {said}") from None
                time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
