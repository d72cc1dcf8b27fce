from __future__ import annotations

import os
import subprocess
import sys

import pytest

from service.rpc import polling

_SERVES = """
import grpc
from concurrent.futures import ThreadPoolExecutor

server = grpc.server(ThreadPoolExecutor(1))
port = server.add_insecure_port("127.0.0.1:0")
handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
    print(channel.unary_unary("/s/m")(b"answered", timeout=30).decode())
server.stop(0).wait()
"""


@pytest.mark.parametrize(
    ("said", "then"),
    [
        ({}, "-event_engine_listener"),
        ({"GRPC_EXPERIMENTS": ""}, "-event_engine_listener"),
        ({"GRPC_EXPERIMENTS": "tcp_rcv_lowat"}, "tcp_rcv_lowat,-event_engine_listener"),
        ({"GRPC_EXPERIMENTS": "event_engine_listener"}, "event_engine_listener"),
        ({"GRPC_EXPERIMENTS": "-tcp_rcv_lowat, -event_engine_listener"}, "-tcp_rcv_lowat, -event_engine_listener"),
    ],
)
def test_what_was_said_of_it_is_heeded(said: dict[str, str], then: str) -> None:
    polling.read_on_the_servers_thread(said)
    assert said["GRPC_EXPERIMENTS"] == then


def test_this_grpc_knows_it_and_answers_so() -> None:
    environment = dict(os.environ)
    polling.read_on_the_servers_thread(environment)
    done = subprocess.run([sys.executable, "-c", _SERVES], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "answered\n"
    assert "xperiment" not in done.stderr, "this grpc knows it no more: see whether it still has another way to poll"


def test_serving_asks_for_it_before_grpc_is_loaded() -> None:
    script = (
        "import os, sys, service.cli, service.commands.serve\n"
        "assert 'grpc' not in sys.modules\n"
        "from service.rpc import polling\n"
        "assert 'grpc' not in sys.modules\n"
        "service.commands.serve.load()\n"
        "assert 'grpc' in sys.modules and polling.LISTENER in os.environ[polling.VARIABLE]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
