"""Several server processes behind one port, on either database: they share the calls, the loss of one, and the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from gatehouse.risk.v1 import scoring_pb2, scoring_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.end_to_end.conftest import RunningServer, environment, stop_server
from tests.end_to_end.crews import TIMEOUT, Callers, asked, own_connection, processes, samples, serve, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def on(home: Path, database_url: str) -> RunningServer:
    return serve(home, database_url, "--workers", "2")


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
        wait_for(lambda: bool(samples(server, "gatehouse_drift_measured_at_seconds")))  # it rests for the calls
        drift = samples(server, "gatehouse_drift_measured_at_seconds")
        assert [dict(labels)["worker"] for labels in drift] == ["0"]  # chores are one worker's
        with server.channel() as channel:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
    finally:
        assert stop_server(server) == 0


def test_one_worker_killed_under_load_is_replaced_and_no_answer_is_lost(home: Path, database_url: str) -> None:
    server = on(home, database_url)
    try:
        callers = Callers(server)
        wait_for(lambda: len(callers.answers) > 40)
        killed = processes(server)[1]
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
        assert processes(server)[1].pid != killed.pid
        with server.channel() as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            for _, answer in callers.answers:
                request = scoring_pb2.GetAssessmentRequest(assessment_id=answer.assessment_id)
                assert stub.GetAssessment(request, timeout=TIMEOUT).assessment == answer
    finally:
        assert stop_server(server) == 0


def test_sigterm_ends_all_workers_once_their_calls_are_answered(home: Path, sqlite_url: str) -> None:
    server = on(home, sqlite_url)
    crew = list(processes(server).values())
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
    everyone = [psutil.Process(server.process.pid), *processes(server).values()]
    for process in everyone:
        process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert not any(process.is_running() for process in everyone[1:])
    assert stop_server(server) == 0


def test_workers_end_when_the_process_that_watches_over_them_is_killed(home: Path, sqlite_url: str) -> None:
    server = on(home, sqlite_url)
    crew = list(processes(server).values())
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
