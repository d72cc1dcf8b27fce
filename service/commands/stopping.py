"""Signals that ask a process to end."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue


def stopped_by_signals() -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets. To be called in the main thread.

    The handler itself must not set it: it runs in the main thread, between two steps of whatever that is doing, and
    where that is waiting for the event, or setting it for another signal, it would wait for a lock that its own thread
    holds. A Ctrl-C at a terminal reaches a worker twice, once from its parent. ``put`` of a SimpleQueue may interrupt
    itself. Whoever waits for the event in the main thread wakes now and then: a handler runs only while that does.
    """
    stopping = threading.Event()
    said: SimpleQueue[None] = SimpleQueue()

    def wait() -> None:
        said.get()
        stopping.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: said.put(None))
    return stopping
