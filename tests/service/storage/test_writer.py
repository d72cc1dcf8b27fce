"""Group commit: durable when answered, bounded, and one bad write fails alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread

import pytest

from service.domain.codes import hash64
from service.domain.errors import DeadlineExceeded, Overloaded
from service.domain.time import DAY
from service.storage.arrivals import NEW, Arrivals, Outcome, Outcomes
from service.storage.store import Store, open_store
from service.storage.writer import Writer
from tests.service.storage.factories import START, arrival, assessment, ints, signup

LATER = START + DAY


class Held:
    """The store, behind a gate that a test opens; counts its transactions."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.entered, self.gate = Event(), Event()
        self.sizes: list[int] = []

    def write_together(self, groups: Sequence[Arrivals]) -> Outcomes:
        self.entered.set()
        self.gate.wait()
        self.sizes.append(sum(map(len, groups)))
        return self.store.write_together(groups)


def test_many_threads_each_get_their_own_outcome_and_every_row_is_there(store: Store) -> None:
    writer = Writer(store)
    answers: dict[str, Outcome] = {}

    def work(thread: int) -> None:
        for i in range(10):
            name = f"{thread}-{i}"
            made = assessment(name, f"request-{name}")
            answers[name] = writer.submit([arrival(START, signups=signup(name), assessments=(made,))], 60)[0]

    threads = [Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert len(answers) == 160
    assert all(outcome.signups.tolist() == outcome.assessments.tolist() == [NEW] for outcome in answers.values())
    assert store.history(ints(*map(hash64, answers)), LATER).known.all()
    assert all(store.assessments_of(name, 10).items[0].account_id == name for name in answers)


def test_those_that_wait_are_written_in_one_transaction(store: Store) -> None:
    held = Held(store)
    writer = Writer(held)
    threads = [Thread(target=writer.submit, args=([arrival(START, signups=signup("first"))], 60))]
    threads[0].start()
    held.entered.wait()
    for i in range(5):
        threads.append(Thread(target=writer.submit, args=([arrival(START, signups=signup(f"later-{i}"))], 60)))
        threads[-1].start()
    while len(writer._queue) < 5:
        pass
    held.gate.set()
    for thread in threads:
        thread.join()
    writer.close()
    assert held.sizes == [1, 5]


def test_too_many_waiting_writes_are_refused_and_a_late_one_says_so(store: Store) -> None:
    held = Held(store)
    writer = Writer(held, waiting=1)
    first = Thread(target=writer.submit, args=([arrival(START, signups=signup("first"))], 60))
    first.start()
    held.entered.wait()
    with pytest.raises(DeadlineExceeded, match=r"not written within 0\.01 s"):
        writer.submit([arrival(START, signups=signup("gives up"))], 0.01)
    with pytest.raises(Overloaded, match="writes are waiting"):
        writer.submit([arrival(START, signups=signup("refused"))], 60)
    held.gate.set()
    first.join()
    writer.close()
    known = store.history(ints(hash64("first"), hash64("gives up"), hash64("refused")), LATER)
    assert known.account[known.known].tolist() == [hash64("first")]


def test_closing_writes_what_waits_and_refuses_what_comes_after(store: Store) -> None:
    held = Held(store)
    writer = Writer(held)
    waiting = Thread(target=writer.submit, args=([arrival(START, signups=signup("waiting"))], 60))
    waiting.start()
    held.entered.wait()
    closing = Thread(target=writer.close)
    closing.start()
    held.gate.set()
    closing.join()
    waiting.join()
    assert store.history(ints(hash64("waiting")), LATER).known[0]
    with pytest.raises(Overloaded, match="shutting down"):
        writer.submit([arrival(START, signups=signup("late"))], 60)


def test_a_write_that_the_database_refuses_fails_alone(store: Store) -> None:
    held = Held(store)
    writer = Writer(held)
    failed: list[BaseException] = []
    clash = assessment("a", None)
    store.write([arrival(START, assessments=(clash,))])

    def bad() -> None:
        other = assessment("a", "another request with a known id")
        object.__setattr__(other, "assessment_id", clash.assessment_id)
        try:
            writer.submit([arrival(START, assessments=(other,))], 60)
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread must tell it
            failed.append(error)

    def good() -> None:
        writer.submit([arrival(START, signups=signup("good"))], 60)

    first = Thread(target=writer.submit, args=([arrival(START, signups=signup("first"))], 60))
    first.start()
    held.entered.wait()
    threads = [Thread(target=bad), Thread(target=good)]
    for thread in threads:
        thread.start()
    while len(writer._queue) < 2:
        pass
    held.gate.set()
    for thread in [first, *threads]:
        thread.join()
    writer.close()
    assert len(failed) == 1
    assert store.history(ints(hash64("good")), LATER).known[0]


_CHILD = """
import sys
from service.storage.store import open_store
from service.storage.writer import Writer
from tests.service.storage.factories import START, arrival, assessment, signup
writer = Writer(open_store(sys.argv[1], segments=sys.argv[2]))
for i in range(1_000_000):
    writer.submit([arrival(START, signups=signup(f"c{i}"), assessments=(assessment(f"c{i}", f"r{i}"),))], 60)
    print(i, flush=True)
"""


def test_what_was_answered_survives_the_kill_of_the_process(ready_database_url: str, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, ready_database_url, str(tmp_path / "segments")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout is not None
    answered = 0
    for line in child.stdout:
        answered = int(line)
        if answered == 20:
            os.kill(child.pid, signal.SIGKILL)
            answered = max([answered, *map(int, child.stdout.read().split())])
            break
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    store = open_store(ready_database_url, segments=str(tmp_path / "segments"))
    assert store.history(ints(*(hash64(f"c{i}") for i in range(answered + 1))), LATER).known.all()
    assert all(store.assessments_of(f"c{i}", 1).items for i in range(answered + 1))
    store.close()
