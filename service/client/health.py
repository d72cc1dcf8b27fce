"""A health probe for containers and scripts: asks a server's standard health service once.

``python -m service.client.health [HOST:PORT] [--service NAME]`` exits 0 when the answer is SERVING, and 1 with one line
on standard error when it is anything else, or when nobody answers.
"""

import argparse
import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2

DEFAULT_TARGET = "127.0.0.1:50051"

PURPOSE = "Asks a server whether it serves."

# A probe asks this machine; a proxy that the environment names for the outside would answer in its place.
DIRECT = (("grpc.enable_http_proxy", 0),)


def ask(target: str, service: str = "", timeout_seconds: float = 3.0) -> str:
    """What ``target`` says of ``service`` (empty: of the server as a whole), in one word.

    Returns:
        ``SERVING``, ``NOT_SERVING`` or ``UNKNOWN`` as the server says, or else the status code with which the call
        failed, such as ``UNAVAILABLE`` or ``NOT_FOUND`` (a service the server has never heard of).
    """
    with grpc.insecure_channel(target, options=DIRECT) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_seconds)
        except grpc.RpcError as error:
            return error.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def main(arguments: Sequence[str]) -> int:
    """The probe as a command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m service.client.health", description=PURPOSE)
    parser.add_argument("target", nargs="?", default=DEFAULT_TARGET, metavar="HOST:PORT", help="default: %(default)s")
    parser.add_argument("--service", default="", help="one service by its full name; default: the server as a whole")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS", help="default: %(default)s")
    options = parser.parse_args(arguments)
    answer = ask(options.target, options.service, options.timeout)
    if answer != "SERVING":
        sys.stderr.write(f"{options.target}: {answer}\n")
    return 0 if answer == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
