"""Figures for Prometheus. Labels have few values, and none of them is about a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

MOST_FEATURES = 10  # with a figure of their own
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Stability:
    """How far one feature, or the score, is from what the model learned from."""

    feature: str | None  # None: the score
    of: str  # ``signup`` or ``later``: of accounts as they sign up, or as they are known
    index: float
    accounts: float  # that it was measured on


@dataclass(frozen=True, slots=True)
class DriftFigures:
    """What was measured last."""

    at: int  # microseconds
    seconds: float  # that measuring took
    rows: int
    alarms: int  # features that the score rests on, and the score, that are beyond their bound
    measured: Sequence[Stability]  # the farthest beyond its bound first


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

        self._drift = _Drift()
        self.registry.register(self._drift)

        # Finding a figure by its labels takes longer than counting; methods and codes are few.
        self._under_way_of = cache(self._under_way.labels)
        self._ended_of = cache(self._ended.labels)
        self._seconds_of = cache(self._seconds.labels)

    def rpc_started(self, method: str) -> None:
        """A call of ``method`` (``/package.Service/Method``) began."""
        self._under_way_of(method).inc()

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """It ended with a status code such as ``OK`` or ``NOT_FOUND``, so long after it began."""
        self._under_way_of(method).dec()
        self._ended_of(method, code).inc()
        self._seconds_of(method).observe(seconds)

    def rpc_refused(self, method: str, code: str) -> None:
        """A call of ``method`` was refused before it began: it has no duration."""
        self._ended_of(method, code).inc()

    def watch_shadow(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Shows how many accounts a shadow model scored, dropped for lack of time, and failed on."""
        self.registry.register(_ShadowCounts(counts))

    def show_drift(self, figures: DriftFigures) -> None:
        """Shows the score's stability and the worst features', in place of what was shown before."""
        self._drift.figures = figures

    def serve(self, host: str, port: int) -> int:
        """Shows the figures over HTTP from a thread of its own; the port, where 0 was asked for."""
        server, _ = start_http_server(port, host, self.registry)
        return int(server.server_port)


class WorkersTelemetry:
    """The figures of several workers on one address, each with the label ``worker``.

    They are not added up: a worker that begins again begins at zero, which a rate understands of one and not of a sum.
    """

    def __init__(
        self, ready: Callable[[], int], restarts: Callable[[], int], shown: Callable[[], Mapping[int, str]]
    ) -> None:
        """How many workers can answer, how often one was started again, and what each of them shows, by number."""
        self.registry = CollectorRegistry()
        self.registry.register(_Workers(ready, restarts, shown))

    def serve(self, host: str, port: int) -> int:
        """As ``Telemetry.serve``."""
        server, _ = start_http_server(port, host, self.registry)
        return int(server.server_port)


class _Workers(Collector):
    """Asks every worker when somebody asks."""

    def __init__(
        self, ready: Callable[[], int], restarts: Callable[[], int], shown: Callable[[], Mapping[int, str]]
    ) -> None:
        self._ready, self._restarts, self._shown = ready, restarts, shown

    def describe(self) -> list[Metric]:
        """Nothing beforehand: no worker is there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family once, with the samples of all workers."""
        yield GaugeMetricFamily("gatehouse_workers_ready", "Processes that can answer", self._ready())
        yield CounterMetricFamily("gatehouse_worker_restarts", "Processes started again", self._restarts())
        families: dict[str, Metric] = {}
        for number, text in self._shown().items():
            for family in text_string_to_metric_families(text):
                whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                whole.samples += [
                    sample._replace(labels={**sample.labels, "worker": str(number)}) for sample in family.samples
                ]
        yield from families.values()


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


class _Drift(Collector):
    """The figures of the last measurement; none before the first. A feature that is no longer among the worst goes."""

    def __init__(self) -> None:
        self.figures: DriftFigures | None = None

    def collect(self) -> Iterator[Metric]:
        """At most ``MOST_FEATURES`` series twice, and few others."""
        now = self.figures
        if now is None:
            return
        score = GaugeMetricFamily(
            "gatehouse_score_stability", "Population stability index of the score against training", labels=["of"]
        )
        features = GaugeMetricFamily(
            "gatehouse_feature_stability",
            "Population stability index of the features farthest from training",
            labels=["feature", "of"],
        )
        accounts = GaugeMetricFamily("gatehouse_drift_accounts", "Accounts that it is measured on", labels=["of"])
        worst = list(dict.fromkeys(one.feature for one in now.measured if one.feature is not None))[:MOST_FEATURES]
        for one in now.measured:
            if one.feature is None:
                score.add_metric([one.of], one.index)
                accounts.add_metric([one.of], one.accounts)
            elif one.feature in worst:
                features.add_metric([one.feature, one.of], one.index)
        yield from (score, features, accounts)
        for name, text, value in (
            ("alarms", "The score and features that it rests on that are beyond their bounds", now.alarms),
            ("rows", "Rows that stability is measured on", now.rows),
            ("seconds", "Seconds that the last measurement took", now.seconds),
            ("measured_at_seconds", "When stability was measured last, since 1970", now.at / 1e6),
        ):
            yield GaugeMetricFamily(f"gatehouse_drift_{name}", text, value)
