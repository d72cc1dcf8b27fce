"""The client is tried on the same real server as the servicers."""

from tests.service.rpc.conftest import limits, memory, server, telemetry

__all__ = ["limits", "memory", "server", "telemetry"]
