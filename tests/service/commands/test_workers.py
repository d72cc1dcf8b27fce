"""Watching over workers, with small programs in the place of servers."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from service.commands.workers import FIRST_PAUSE_S, Crew, WorkersFailed, sockets_for
from service.domain.errors import UsageError

READY = "print('ready grpc=x:1 metrics=x:2 console=none', flush=True); "
STAY = "import time; time.sleep(60)"


@contextmanager
def crew(program: str, count: int = 2, seconds: float = 10) -> Iterator[Crew]:
    """Workers that run ``program``, whose ``sys.argv[1]`` is the worker's number."""
    made = Crew([[sys.executable, "-c", program, str(number)] for number in range(count)], dict(os.environ))
    try:
        yield made
    finally:
        made.stop(seconds)


def test_all_are_ready_before_anything_is_said(tmp_path: Path) -> None:
    late = tmp_path / "late"
    program = f"import sys, pathlib, time\nwhile sys.argv[1] == '1' and not pathlib.Path({str(late)!r}).exists():\n    "
    with crew(f"{program}time.sleep(0.01)\n{READY}{STAY}") as workers:
        started: list[bool] = []
        thread = threading.Thread(target=lambda: started.append(workers.start(threading.Event())))
        thread.start()
        while workers.ready() < 1:
            time.sleep(0.01)
        thread.join(0.3)
        assert started == []
        late.touch()
        thread.join(30)
        assert started == [True]
        assert workers.ready() == 2


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (1, WorkersFailed), (0, WorkersFailed)])
def test_one_that_ends_instead_of_getting_ready_is_the_end_of_all(code: int, kind: type[Exception]) -> None:
    program = f"import sys\nif sys.argv[1] == '1': sys.exit({code})\n{READY}{STAY}"
    with crew(program) as workers, pytest.raises(kind, match=rf"worker 1 could not start \(exit code {code}\)"):
        workers.start(threading.Event())


def test_it_stops_waiting_for_them_when_told_to() -> None:
    stopping = threading.Event()
    stopping.set()
    with crew(STAY) as workers:
        assert not workers.start(stopping)
        assert workers.stop(10)


def test_one_that_keeps_dying_is_started_again_after_longer_and_longer_pauses(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    program = f"import time\nwith open({str(starts)!r}, 'a') as file: print(time.time(), file=file)\n{READY}"
    stopping = threading.Event()
    with crew(f"{program}time.sleep(0.2)", count=1) as workers:
        assert workers.start(stopping)
        watching = threading.Thread(target=workers.watch, args=(stopping,))
        watching.start()
        while workers.restarts() < 3:
            time.sleep(0.05)
        stopping.set()
        watching.join()
    began = [float(line) for line in starts.read_text().split()]
    pauses = [later - earlier - 0.2 for earlier, later in pairwise(began[:3])]
    assert pauses[0] >= FIRST_PAUSE_S
    assert pauses[1] >= 2 * FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("ends", "clean"),
    [
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", True),
        ("signal.signal(signal.SIGTERM, signal.SIG_DFL)", True),  # at its last steps it heeds signals no more
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))", False),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", False),  # has to be killed
    ],
)
def test_an_end_is_clean_if_nobody_failed_or_had_to_be_killed(ends: str, *, clean: bool) -> None:
    with crew(f"import signal, sys\n{ends}\n{READY}{STAY}") as workers:
        assert workers.start(threading.Event())
        assert workers.stop(2 if "IGN" in ends else 20) is clean
        assert workers.ready() == 0


def test_workers_hear_of_their_parents_end_by_the_end_of_their_input() -> None:
    with crew(f"{READY}import os; os.read(0, 1)") as workers:
        assert workers.start(threading.Event())
        processes = [worker.process for worker in workers._workers]
        for process in processes:
            assert process is not None
            assert process.stdin is not None
            process.stdin.close()  # as the system does for a parent that was killed
        assert [process.wait(20) for process in processes if process is not None] == [0, 0]


def test_sockets_are_in_a_folder_that_nobody_else_may_enter_and_that_goes_at_the_end() -> None:
    with sockets_for(2) as sockets:
        [folder] = {path.parent for path in sockets}
        assert len(set(sockets)) == 2
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IRWXU
    assert not folder.exists()


def test_only_scorers_need_a_place_to_write_and_where_there_is_none_the_mend_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with sockets_for(0) as sockets:
        assert sockets == []
    with pytest.raises(UsageError, match="set TMPDIR"), sockets_for(1):
        pass
