"""Addresses that a server listens on, as the command line says them."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from service.domain.errors import UsageError

log = structlog.get_logger(__name__)

DEFAULT_METRICS = "127.0.0.1:9464"


def host_and_port(option: str, address: str) -> tuple[str, int]:
    """The parts of ``HOST:PORT``; raises UsageError, naming ``option``, where it is something else."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 65536):
        raise UsageError(f"{option} {address!r} is not HOST:PORT, such as 127.0.0.1:50051")
    return host, int(port)


def metrics_address(serve: Callable[[str, int], int], asked: str | None) -> str:
    """Serves metrics by ``serve(host, port)``, which returns the port it has, and returns their address.

    ``asked`` None: the default port, or a free one where that is taken. Raises UsageError where it was asked for.
    """
    host, port = host_and_port("--metrics-listen", asked or DEFAULT_METRICS)
    try:
        return f"{host}:{serve(host, port)}"
    except OSError as error:
        if asked is not None:
            raise UsageError(
                f"--metrics-listen {asked}: {error.strerror or error}; choose another port (0 takes a free one)"
            ) from None
    free = f"{host}:{serve(host, 0)}"
    log.warning("metrics_moved", wanted=DEFAULT_METRICS, address=free, why="the port is taken")
    return free
