"""The probe that the image's health check runs, against real servers on real sockets."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from service.client.health import ask

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def server() -> Iterator[tuple[str, health.HealthServicer]]:
    """Address and health service of a server that knows its own state and that of `example.v1.Known`."""
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", servicer
    server.stop(None).wait()


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.client.health", *arguments], capture_output=True, text=True, check=False
    )


def test_a_serving_server_passes_the_probe(server: tuple[str, health.HealthServicer]) -> None:
    address, servicer = server
    servicer.set("", SERVING)
    answer = probe(address)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_server_without_a_model_fails_the_probe_and_the_probe_says_so(
    server: tuple[str, health.HealthServicer],
) -> None:
    address, servicer = server
    servicer.set("", NOT_SERVING)
    answer = probe(address)
    assert answer.returncode == 1
    assert answer.stderr == f"{address}: NOT_SERVING\n"


def test_one_service_is_asked_by_its_name(server: tuple[str, health.HealthServicer]) -> None:
    address, servicer = server
    servicer.set("", NOT_SERVING)
    servicer.set("example.v1.Known", SERVING)
    assert ask(address, "example.v1.Known") == "SERVING"
    assert ask(address, "example.v1.Unknown") == "NOT_FOUND"


def test_nobody_listening_is_unavailable_and_not_a_traceback() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        answer = probe(address)
    assert answer.returncode == 1
    assert answer.stderr == f"{address}: UNAVAILABLE\n"
