"""Figures for Prometheus. Labels have few values, and none of them is about a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Telemetry:
    """Every figure of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._under_way = Gauge(
            "gatehouse_rpc_under_way", "Calls that have begun and not ended", ["method"], registry=self.registry
        )
        self._ended = Counter(
            "gatehouse_rpc_ended", "Calls that ended, by status code", ["method", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "gatehouse_rpc_seconds",
            "Seconds from a call's beginning to its end; a stream's is as long as the stream",
            ["method"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def rpc_started(self, method: str) -> None:
        """A call of ``method`` (``/package.Service/Method``) began."""
        self._under_way.labels(method).inc()

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """It ended with a status code such as ``OK`` or ``NOT_FOUND``, so long after it began."""
        self._under_way.labels(method).dec()
        self._ended.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def watch_shadow(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Shows how many accounts a shadow model scored, dropped for lack of time, and failed on."""
        self.registry.register(_ShadowCounts(counts))

    def serve(self, host: str, port: int) -> int:
        """Shows the figures over HTTP from a thread of its own; the port, where 0 was asked for."""
        server, _ = start_http_server(port, host, self.registry)
        return int(server.server_port)


class _ShadowCounts(Collector):
    """Read when somebody asks, from where they are counted."""

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One figure by outcome."""
        family = CounterMetricFamily(
            "gatehouse_shadow_accounts", "Accounts that came to the model that shadows the champion", labels=["outcome"]
        )
        for outcome, count in self._counts().items():
            family.add_metric([outcome], count)
        yield family
