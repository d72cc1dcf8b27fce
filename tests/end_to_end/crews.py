"""What tests of servers of several processes share: one started, its processes and figures, and callers that go on."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.conftest import RunningServer, start_server

TIMEOUT = 60.0  # on a machine that others keep busy a process was once not heard of for 10 s
CALLERS = 8


def signup(number: int) -> facts_pb2.Signup:
    at = Timestamp()
    at.GetCurrentTime()
    return facts_pb2.Signup(
        created_at=at, email=f"mill.road{number}@example.com", country="DE", ip="84.56.12.9", device_id=f"d-{number}"
    )


def asked(name: str, number: int) -> scoring_pb2.ScoreAccountRequest:
    return scoring_pb2.ScoreAccountRequest(
        request_id=name, account_id=name, purpose=scoring_pb2.PURPOSE_SIGNUP, signup=signup(number)
    )


@contextmanager
def own_connection(server: RunningServer) -> Iterator[scoring_pb2_grpc.ScoringServiceStub]:
    """A caller's stub on a connection that no other caller of this process shares."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.grpc, options=options) as channel:
        yield scoring_pb2_grpc.ScoringServiceStub(channel)


def serve(home: Path, database_url: str, *options: str, **extra: str) -> RunningServer:
    """Starts a server of several processes, whose files are in ``home``; ``extra``: of its environment."""
    settings = {
        "GATEHOUSE_DATABASE_URL": database_url,
        "GATEHOUSE_DATA_DIR": str(home),
        "GATEHOUSE_DEFAULT_DEADLINE_S": str(TIMEOUT),
        **extra,
    }
    return start_server(home, *options, extra=settings)


def samples(server: RunningServer, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Every sample of that name in one scrape, by its labels."""
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as page:
        families = text_string_to_metric_families(page.read().decode())
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name == name
        }


def processes(server: RunningServer, kind: str = "--worker") -> dict[int, psutil.Process]:
    """The processes of one kind, ``--worker`` or ``--scorer``, by number."""
    found = {}
    for child in psutil.Process(server.process.pid).children():
        words = child.cmdline()
        if kind in words:
            found[int(words[words.index(kind) + 1])] = child
    return found


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.05)


class Callers:
    """Callers that each score one new account after another; a call that found nobody is asked again as it was."""

    def __init__(self, server: RunningServer, pause_s: float = 0.0) -> None:
        """``pause_s``: between an answer and the caller's next question; what they ask costs those who wait, too."""
        self._pause_s = pause_s
        self.answers: list[tuple[float, scoring_pb2.Assessment]] = []  # with when they came
        self.failures: list[grpc.RpcError] = []
        self.repeated = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(server, i)) for i in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call(self, server: RunningServer, caller: int) -> None:
        number = 0
        with own_connection(server) as stub:
            while not self._stop.is_set():
                number += 1
                request = asked(f"caller-{caller}-{number}", 1000 * caller + number)
                while not self._once(stub, request) and not self._stop.is_set():
                    time.sleep(0.02)
                self._stop.wait(self._pause_s)

    def _once(self, stub: scoring_pb2_grpc.ScoringServiceStub, request: scoring_pb2.ScoreAccountRequest) -> bool:
        try:
            answer = stub.ScoreAccount(request, timeout=TIMEOUT).assessment
        except grpc.RpcError as error:
            # The one it was connected to is gone, or had begun to stop when the call came, and never began it.
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                self.repeated += 1
                return False
            self.failures.append(error)
        else:
            self.answers.append((time.monotonic(), answer))
        return True

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
