"""A process that is asked to end does, however often it is asked."""

from __future__ import annotations

import signal
import subprocess
import sys

WAITS = """
from service.commands.stopping import stopped_by_signals
stopping = stopped_by_signals()
print("ready", flush=True)
while not stopping.wait(0.0001):  # takes and leaves the event's lock all the time
    pass
print("stopped", flush=True)
"""


def test_signals_that_come_on_top_of_one_another_end_it_all_the_same() -> None:
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                for number in (signal.SIGINT, signal.SIGTERM) * 20:
                    process.send_signal(number)
                assert process.wait(30) == 0
                assert process.stdout.read() == "stopped\n"
            finally:
                process.kill()
