from __future__ import annotations

import threading
from types import SimpleNamespace

import grpc
import pytest
from gatehouse.risk.v1 import scoring_pb2_grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.domain.errors import UsageError
from service.rpc.server import GatehouseServer, Limits, service_names
from service.telemetry import Telemetry
from tests.factories import NOON
from tests.service.rpc.conftest import DIRECT, Memory, make_score_request

SERVICES = [
    "gatehouse.risk.v1.CampaignService",
    "gatehouse.risk.v1.LabelService",
    "gatehouse.risk.v1.ModelService",
    "gatehouse.risk.v1.ScoringService",
    "gatehouse.risk.v1.SignalService",
]


def health_of(channel: grpc.Channel, service: str = "") -> str:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def reflect(channel: grpc.Channel, **asked: str) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    [answer] = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**asked)]), timeout=10)
    return answer


def test_reflection_lists_every_service_of_the_contract(channel: grpc.Channel) -> None:
    listed = [service.name for service in reflect(channel, list_services="").list_services_response.service]

    assert set(SERVICES) <= set(listed)
    assert "grpc.health.v1.Health" in listed


def test_reflection_hands_out_the_contract_with_its_rules(channel: grpc.Channel) -> None:
    answer = reflect(channel, file_containing_symbol="gatehouse.risk.v1.ScoringService")
    files = [FileDescriptorProto.FromString(data) for data in answer.file_descriptor_response.file_descriptor_proto]

    assert {"gatehouse/risk/v1/scoring.proto", "buf/validate/validate.proto", "google/rpc/status.proto"} <= {
        file.name for file in files
    }


@pytest.mark.parametrize("name", ["google.rpc.BadRequest", "google.rpc.ErrorInfo", "google.rpc.ResourceInfo"])
def test_reflection_knows_the_messages_that_errors_carry(channel: grpc.Channel, name: str) -> None:
    answer = reflect(channel, file_containing_symbol=name)

    assert answer.WhichOneof("message_response") == "file_descriptor_response"


def test_health_is_not_serving_until_the_server_is_ready_and_can_go_back(
    memory: Memory, telemetry: Telemetry, limits: Limits
) -> None:
    server = GatehouseServer("127.0.0.1:0", memory.use_cases(), telemetry, lambda: NOON, limits)
    server.start()
    try:
        with grpc.insecure_channel(server.address, options=DIRECT) as channel:
            names = ["", *service_names()]
            assert {health_of(channel, name) for name in names} == {"NOT_SERVING"}
            server.set_ready(ready=True)
            assert {health_of(channel, name) for name in names} == {"SERVING"}
            server.set_ready(ready=False)
            assert {health_of(channel, name) for name in names} == {"NOT_SERVING"}
    finally:
        server.drain(0)


def test_health_answers_while_every_thread_for_calls_is_busy(
    channel: grpc.Channel, stubs: SimpleNamespace, memory: Memory, limits: Limits
) -> None:
    memory.hold = threading.Event()
    held = [
        stubs.scoring.ScoreAccount.future(make_score_request(f"a{i}", f"r{i}")) for i in range(limits.max_concurrent)
    ]
    for _ in held:
        assert memory.waits.acquire(timeout=30)

    assert health_of(channel) == "SERVING"

    memory.hold.set()
    assert all(call.result(30) for call in held)


def test_draining_tells_health_first_and_lets_calls_under_way_end(
    memory: Memory, telemetry: Telemetry, limits: Limits
) -> None:
    memory.hold = threading.Event()
    server = GatehouseServer("127.0.0.1:0", memory.use_cases(), telemetry, lambda: NOON, limits)
    server.start()
    server.set_ready(ready=True)
    with grpc.insecure_channel(server.address, options=DIRECT) as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        held = scoring_pb2_grpc.ScoringServiceStub(channel).ScoreAccount.future(make_score_request())
        assert memory.waits.acquire(timeout=30)

        draining = threading.Thread(target=server.drain, args=(30,))
        draining.start()
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watched.cancel()
        memory.hold.set()
        assert held.result(30).assessment.account_id == "ada"
        draining.join(60)
        assert not draining.is_alive()


def test_a_port_in_use_is_said_with_the_mend(server: GatehouseServer, memory: Memory, telemetry: Telemetry) -> None:
    with pytest.raises(UsageError, match=r"another process has that port.*--listen"):
        GatehouseServer(server.address, memory.use_cases(), telemetry, lambda: NOON, Limits())


def test_an_address_of_another_machine_is_said_too(memory: Memory, telemetry: Telemetry) -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1:5000"):
        GatehouseServer("192.0.2.1:5000", memory.use_cases(), telemetry, lambda: NOON, Limits())


def test_a_method_that_is_not_in_the_contract_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/gatehouse.risk.v1.ScoringService/Guess")(b"", timeout=10)

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
