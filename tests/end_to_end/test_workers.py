"""Several server processes behind one port, on either database: they share the calls, the loss of one, and the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, scoring_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.conftest import RunningServer, environment, start_server, stop_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TIMEOUT = 20.0
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


def on(home: Path, database_url: str, *options: str, **extra: str) -> RunningServer:
    settings = {"GATEHOUSE_DATABASE_URL": database_url, "GATEHOUSE_DATA_DIR": str(home), **extra}
    return start_server(home, "--workers", "2", *options, extra=settings)


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


def workers(server: RunningServer) -> dict[int, psutil.Process]:
    """The processes of the workers by number."""
    children = psutil.Process(server.process.pid).children()
    return {int(child.cmdline()[-1]): child for child in children if "--worker" in child.cmdline()}


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.05)


def test_connections_are_shared_out_and_one_scrape_shows_every_worker(home: Path, database_url: str) -> None:
    server = on(home, database_url)
    try:
        with ExitStack() as stack:
            stubs = [stack.enter_context(own_connection(server)) for _ in range(24)]
            for i, stub in enumerate(stubs):
                answer = stub.ScoreAccount(asked(f"shared-{i}", i), timeout=TIMEOUT).assessment
                other = stubs[i - 1].GetAssessment(
                    scoring_pb2.GetAssessmentRequest(assessment_id=answer.assessment_id), timeout=TIMEOUT
                )
                assert other.assessment == answer
        ended = samples(server, "gatehouse_rpc_ended_total")
        method = "/gatehouse.risk.v1.ScoringService/ScoreAccount"
        counts = {dict(labels)["worker"]: n for labels, n in ended.items() if dict(labels)["method"] == method}
        assert sum(counts.values()) == 24
        assert set(counts) == {"0", "1"}  # one in 8 million that chance leaves one of them out
        assert samples(server, "gatehouse_workers_ready") == {(): 2.0}
        drift = samples(server, "gatehouse_drift_measured_at_seconds")
        assert [dict(labels)["worker"] for labels in drift] == ["0"]  # chores are one worker's
        with server.channel() as channel:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
    finally:
        assert stop_server(server) == 0


class Callers:
    """Callers that each score one new account after another; a call that found nobody is asked again as it was."""

    def __init__(self, server: RunningServer) -> None:
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


def test_one_worker_killed_under_load_is_replaced_and_no_answer_is_lost(home: Path, database_url: str) -> None:
    server = on(home, database_url)
    try:
        callers = Callers(server)
        wait_for(lambda: len(callers.answers) > 40)
        killed = workers(server)[1]
        killed.kill()
        gone = time.monotonic()
        wait_for(lambda: samples(server, "gatehouse_workers_ready") == {(): 1.0})
        wait_for(lambda: samples(server, "gatehouse_workers_ready") == {(): 2.0})
        back = time.monotonic()
        before = len(callers.answers)
        wait_for(lambda: len(callers.answers) > before + 40)
        callers.stop()
        assert callers.failures == []
        assert len([at for at, _ in callers.answers if gone + 0.5 < at < back]) > 10  # the other one went on
        assert samples(server, "gatehouse_worker_restarts_total") == {(): 1.0}
        assert workers(server)[1].pid != killed.pid
        with server.channel() as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            for _, answer in callers.answers:
                request = scoring_pb2.GetAssessmentRequest(assessment_id=answer.assessment_id)
                assert stub.GetAssessment(request, timeout=TIMEOUT).assessment == answer
    finally:
        assert stop_server(server) == 0


def test_sigterm_ends_all_workers_once_their_calls_are_answered(home: Path, sqlite_url: str) -> None:
    server = on(home, sqlite_url)
    crew = list(workers(server).values())
    callers = Callers(server)
    wait_for(lambda: len(callers.answers) > 20)
    assert stop_server(server) == 0
    callers.stop()
    assert callers.failures == []  # calls under way were answered, later ones found nobody
    assert not any(worker.is_running() for worker in crew)
    again = on(home, sqlite_url)
    try:
        with again.channel() as channel:
            kept = scoring_pb2_grpc.ScoringServiceStub(channel)
            for _, answer in callers.answers:
                request = scoring_pb2.GetAssessmentRequest(assessment_id=answer.assessment_id)
                assert kept.GetAssessment(request, timeout=TIMEOUT).assessment == answer
    finally:
        assert stop_server(again) == 0


def test_ctrl_c_at_a_terminal_reaches_all_at_once_and_is_a_clean_end(home: Path, sqlite_url: str) -> None:
    server = on(home, sqlite_url)
    processes = [psutil.Process(server.process.pid), *workers(server).values()]
    for process in processes:
        process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert not any(process.is_running() for process in processes[1:])
    assert stop_server(server) == 0


def test_workers_end_when_the_process_that_watches_over_them_is_killed(home: Path, sqlite_url: str) -> None:
    server = on(home, sqlite_url)
    crew = list(workers(server).values())
    server.process.kill()
    server.process.wait()
    wait_for(lambda: not any(worker.is_running() for worker in crew), 30)
    stop_server(server)


def test_a_port_that_others_listen_on_is_refused_even_where_those_are_workers(home: Path, sqlite_url: str) -> None:
    server = on(home, sqlite_url)
    try:
        for more in ((), ("--workers", "2")):
            command = [sys.executable, "-m", "service.cli", "serve", "--listen", server.grpc]
            other = subprocess.run(
                [*command, "--metrics-listen", "127.0.0.1:0", *more],
                env=environment(home),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert other.returncode == 2
            assert "another process has that port" in " ".join(other.stderr.split())
            assert "ready" not in other.stdout
    finally:
        assert stop_server(server) == 0


def test_workers_that_cannot_start_end_the_server_with_what_they_said(home: Path, sqlite_url: str) -> None:
    table = home / "no.mmdb"
    table.write_text("not a table")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "service.cli", "serve", "--workers", "2"),
            *("--listen", f"127.0.0.1:{port}", "--metrics-listen", "127.0.0.1:0"),
        ],
        env={
            **environment(home),
            "GATEHOUSE_DATABASE_URL": sqlite_url,
            "GATEHOUSE_IP_COUNTRY_MMDB": str(table),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot be read as an .mmdb file" in done.stderr
    assert "could not start (exit code 2)" in done.stderr
    assert done.stdout == ""
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"127.0.0.1:{port}" in (process.info["cmdline"] or []) and process.pid != os.getpid()
    ]
