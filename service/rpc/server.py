"""The gRPC server: binds, says whether it is ready, sheds what it cannot carry, and drains.

It is the server of threads, not grpc.aio, but calls that wait for a batch hold none of them (see ``later``). Measured
around a batch that takes 200 us of Python a call, with 64 callers, on cores that other work shared: with a thread for
each that waits 1,440 to 1,530 calls a second, without 1,840 to 2,700, aio 1,980 to 2,290. With no work at all threads
gave 5,300 to 6,300 and aio 2,740.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import grpc
import structlog
from gatehouse.risk.v1 import (
    campaigns_pb2,
    campaigns_pb2_grpc,
    labels_pb2,
    labels_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    signals_pb2,
    signals_pb2_grpc,
)
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.domain.errors import UsageError
from service.rpc.calls import Caller
from service.rpc.campaigns import CampaignServicer
from service.rpc.interceptors import Answering, Elsewhere, Telemetry
from service.rpc.labels import LabelServicer
from service.rpc.later import Deadlines
from service.rpc.models import ModelServicer
from service.rpc.pace import Asking
from service.rpc.pools import Pools
from service.rpc.ports import UseCases
from service.rpc.scorers import Scorers
from service.rpc.scoring import METHOD as SCORE_ACCOUNT
from service.rpc.scoring import ScoringServicer
from service.rpc.signals import SignalServicer

log = structlog.get_logger(__name__)

LATER = frozenset({SCORE_ACCOUNT})  # its callers wait for their batch

MODULES: tuple[ModuleType, ...] = (scoring_pb2, signals_pb2, campaigns_pb2, labels_pb2, models_pb2)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the server takes on."""

    threads: int = 64  # for unary calls, except those that wait for a batch, which hold none meanwhile
    # Unary calls that are under way; more are RESOURCE_EXHAUSTED. About two batches' worth: with 512 a call that is
    # taken in waits longer and no more are answered. At three times the capacity 99 % of the refusals were told within
    # 35 and 57 ms in two runs with 192 of them and scorers, 50 with 256; in one process, which kept 0.83 and 0.76 of
    # the most it answers, within 204 and 126, with 256 0.68 and 263.
    max_concurrent: int = 192
    max_aside: int = 64  # health checks and the like beside those and streams; with more grpc refuses whatever comes
    # Calls that grpc keeps until they are looked at; it cancels some from its own 1,000 on and all from 3,000 on, and
    # their callers learn CANCELLED: 140 to 3,500 of 10,000 at three times the capacity, none with these.
    max_unseen: int = 4_096
    max_streams: int = 32  # streams at a time, each with up to four threads of its own
    max_message_bytes: int = 4 * 1024 * 1024
    default_timeout_s: float = 10.0  # for calls without a deadline
    share_port: bool = False  # with other workers of ours, who listen on the same one


class GatehouseServer:
    """Made on its address but not yet answering; not ready until ``set_ready``.

    Raises UsageError if the address cannot be had.
    """

    def __init__(
        self,
        address: str,
        use_cases: UseCases,
        telemetry: Telemetry,
        now: Callable[[], int],
        limits: Limits,
        scorers: Scorers | None = None,
    ) -> None:
        """``scorers``: processes that answer ScoreAccount in the place of ``use_cases``."""
        caller = Caller(now, limits.default_timeout_s)
        asking = Asking()
        elsewhere = {} if scorers is None else {SCORE_ACCOUNT: Elsewhere(asking.counted(scorers.ask), caller)}
        self._pools = Pools.make(limits.threads, limits.max_concurrent, limits.max_streams)
        self._deadlines = Deadlines()
        self._server = grpc.server(
            self._pools.calls,
            interceptors=[Answering(dict(_requests()), self._pools, telemetry, self._deadlines, LATER, elsewhere)],
            options=_options(limits),
            maximum_concurrent_rpcs=limits.max_concurrent + limits.max_streams + limits.max_aside,
        )
        scoring = ScoringServicer(use_cases, caller, self._pools.readers, asking)
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(scoring, self._server)
        signals = SignalServicer(use_cases, caller, self._pools.readers)
        signals_pb2_grpc.add_SignalServiceServicer_to_server(signals, self._server)
        campaigns_pb2_grpc.add_CampaignServiceServicer_to_server(CampaignServicer(use_cases, caller), self._server)
        labels_pb2_grpc.add_LabelServiceServicer_to_server(LabelServicer(use_cases, caller), self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(use_cases, caller), self._server)
        self._health = health.HealthServicer(experimental_thread_pool=self._pools.aside)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*service_names(), health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        self.set_ready(ready=False)
        self.address = self._bind(address)

    def _bind(self, address: str) -> str:
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if port == 0:
            self._close()
            raise UsageError(
                f"cannot listen on {address}: it is no address of this machine, or another process has that port; "
                "choose another with --listen (port 0 takes a free one)"
            )
        return f"{address.rpartition(':')[0]}:{port}"

    def start(self) -> None:
        """Begins to answer; health says NOT_SERVING until ``set_ready``."""
        self._server.start()

    def set_ready(self, *, ready: bool) -> None:
        """What health says, of every service and of the server as a whole."""
        serving = health_pb2.HealthCheckResponse.SERVING
        status = serving if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *service_names()):
            self._health.set(name, status)

    def drain(self, grace_s: float, notice_s: float = 0.0) -> None:
        """Health says NOT_SERVING; after ``notice_s`` new calls are refused; those under way get ``grace_s`` to end."""
        self._health.enter_graceful_shutdown()
        log.info("server_draining", grace_s=grace_s, calls=self._pools.calls.outstanding)
        time.sleep(notice_s)
        self._server.stop(grace_s).wait()
        self._close()
        log.info("server_stopped")

    def _close(self) -> None:
        self._deadlines.close()
        self._pools.close()


def service_names() -> tuple[str, ...]:
    """Full names of our services."""
    return tuple(service.full_name for module in MODULES for service in module.DESCRIPTOR.services_by_name.values())


def _requests() -> Iterator[tuple[str, type[Message]]]:
    """The request message of each of our methods."""
    for name in service_names():
        for method in descriptor_pool.Default().FindServiceByName(name).methods:
            yield f"/{name}/{method.name}", message_factory.GetMessageClass(method.input_type)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        # Unless they are one server's workers, a second one on the same port must fail, not share its calls.
        ("grpc.so_reuseport", int(limits.share_port)),
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.server.max_pending_requests", limits.max_unseen),
        ("grpc.server.max_pending_requests_hard_limit", 2 * limits.max_unseen),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
