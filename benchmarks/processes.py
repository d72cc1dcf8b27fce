"""Starts what is measured in processes of their own: servers until they are no longer needed, commands to their end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psutil

ROOT = Path(__file__).resolve().parent.parent
GATEHOUSE = ("-m", "service.cli")  # the command, from the tree that this file is of
SERVE = (*GATEHOUSE, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process."""

    grpc: str  # HOST:PORT
    metrics: str  # HOST:PORT; empty where it has none
    pid: int
    ready_s: float  # from the process's start to its line "ready"

    def memory_mib(self) -> float:
        """What it and its workers hold now, in MiB: pages they share are counted once (PSS), where the kernel tells."""
        process = psutil.Process(self.pid)
        return sum(_held(one) for one in (process, *process.children(recursive=True))) / 2**20


def spent(pid: int) -> float:
    """Seconds of processors that a process and those that it started and that still run have taken so far."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(float(one.user + one.system) for one in times)


def _held(process: psutil.Process) -> float:
    full = process.memory_full_info()
    return float(getattr(full, "pss", full.rss))


@contextmanager
def server(
    *arguments: str, environment: Mapping[str, str] | None = None, python: str = sys.executable
) -> Iterator[Server]:
    """``python ARGUMENTS`` as a server that prints ``ready grpc=HOST:PORT ...`` once it is; ended at the block's end.

    Raises:
        RuntimeError: it ended without becoming ready; the message has the end of what it wrote to standard error.
    """
    with TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [python, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(environment),
            cwd=ROOT,
        )
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            if not words or words[0] != "ready":
                process.wait(30)
                raise RuntimeError(f"{' '.join(arguments)} did not become ready: {_text(log)[-1500:]}")
            named = dict(word.split("=", 1) for word in words[1:] if "=" in word)
            yield Server(named["grpc"], named.get("metrics", ""), process.pid, time.perf_counter() - started)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that came to its end."""

    output: str
    seconds: float
    cpu_seconds: float  # user and system, with that of its children
    peak_mib: float  # highest mark of each of its processes, added, and of memory between them; NaN where none was seen


def ran(*arguments: str, environment: Mapping[str, str] | None = None, python: str = sys.executable) -> Ran:
    """Runs ``python ARGUMENTS`` to its end.

    Raises:
        RuntimeError: another exit code than 0; the message has the end of what it wrote to standard error.
    """
    with TemporaryFile() as output, TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [python, *arguments], stdout=output, stderr=log, env=_environment(environment), cwd=ROOT
        )
        code, cpu, peak = _watched(process.pid)
        process.returncode = code
        if code != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with exit code {code}: {_text(log)[-1500:]}")
        return Ran(_text(output), time.perf_counter() - started, cpu, peak)


def _watched(pid: int) -> tuple[int, float, float]:
    """Waits for a process; (exit code, seconds of processors, highest memory in MiB).

    The peak is not ``getrusage``'s: a child's figure there begins with its parent's size. What one process has handed
    to another that has not mapped it yet is in nobody's resident memory: it is what the machine's shared memory has
    grown by, beyond what they have mapped of it. Of other programs that make shared memory meanwhile it has that, too.
    """
    marks: dict[int, float] = {}
    between = 0.0
    before = _kib("/proc/meminfo", "Shmem:")
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            peak = sum(marks.values()) + between if marks else float("nan")
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, peak
        mapped = 0.0
        for one in _family(pid):
            with contextlib.suppress(OSError, StopIteration):  # it may end while we look
                marks[one] = _kib(f"/proc/{one}/status", "VmHWM:") / 1024
                mapped += _kib(f"/proc/{one}/status", "RssShmem:")
        between = max(between, (_kib("/proc/meminfo", "Shmem:") - before - mapped) / 1024)
        time.sleep(0.02)


def _kib(file: str, name: str) -> float:
    """A figure of one of the kernel's lists. Raises StopIteration where there is none of the name, and OSError."""
    lines = Path(file).read_text(encoding="ascii", errors="replace").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name)))


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from _family(int(child))


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """Ours, with one thread for each library that would take every core; ``more`` comes last."""
    paths = [str(ROOT), str(ROOT / "service" / "pb"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        **(more or {}),
    }


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
