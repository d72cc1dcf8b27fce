from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from buf.validate import validate_pb2
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, signals_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from service.domain.enums import CardFunding, PaymentKind, PaymentMethod, UsageStatus
from service.domain.raw import Link, Payment, Signal, Signup, Usage
from service.rpc.convert.facts import event_from_wire
from service.rpc.convert.scoring import score_request_from_wire
from service.rpc.server import service_names
from tests.factories import NOON
from tests.service.rpc.conftest import at, make_score_request

ROOT = Path(__file__).parents[3]


def test_generated_code_is_what_the_contract_generates() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is a development dependency")
    done = subprocess.run(
        [sys.executable, ROOT / "proto" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_file_is_the_one_that_the_installed_validator_enforces() -> None:
    from protovalidate._gen.buf.validate import validate_pb

    ours = descriptor_pb2.FileDescriptorProto()
    validate_pb2.DESCRIPTOR.CopyToProto(ours)
    theirs = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())

    assert fields_of(ours) == fields_of(theirs)


def fields_of(file: descriptor_pb2.FileDescriptorProto) -> dict[str, tuple[int, int, str]]:
    """Every field of every rule: number, type and the options, which hold the rules' own CEL."""
    found = {}
    for message in file.message_type:
        for field in message.field:
            found[f"{message.name}.{field.name}"] = (field.number, field.type, field.options.SerializeToString())
    for extension in file.extension:
        found[extension.name] = (extension.number, extension.type, extension.extendee)
    return found


def test_an_item_of_a_stream_is_a_request_under_the_same_numbers() -> None:
    def fields(message: type[Message]) -> dict[str, tuple[object, ...]]:
        options = {f.name: f.GetOptions().SerializeToString() for f in message.DESCRIPTOR.fields}
        return {f.name: (f.number, f.type, options[f.name]) for f in message.DESCRIPTOR.fields}

    assert fields(scoring_pb2.ScoreAccountRequest) == fields(scoring_pb2.ScoreAccountsRequest)


def test_the_unary_call_and_the_stream_take_the_same_request_for_the_same() -> None:
    one = score_request_from_wire(make_score_request(request="r1"))
    other = score_request_from_wire(make_score_request(request="r2", kind=scoring_pb2.ScoreAccountsRequest))

    assert one.content == other.content


def test_all_services_of_the_contract_are_served() -> None:
    assert {name.rpartition(".")[2] for name in service_names()} == {
        "ScoringService",
        "SignalService",
        "CampaignService",
        "LabelService",
        "ModelService",
    }


@pytest.mark.parametrize(
    ("wire", "raw", "given_elsewhere"),
    [
        (facts_pb2.Signup, Signup, {"account_id"}),
        (facts_pb2.Payment, Payment, {"account_id"}),
        (facts_pb2.Usage, Usage, {"event_id", "account_id", "happened_at"}),
        (facts_pb2.Link, Link, {"event_id", "account_id"}),
        (facts_pb2.Signal, Signal, {"event_id", "account_id"}),
    ],
)
def test_facts_on_the_wire_have_the_columns_of_the_interchange_files(
    wire: type[Message], raw: Any, given_elsewhere: set[str]
) -> None:
    assert {f.name for f in wire.DESCRIPTOR.fields} == set(raw.__dataclass_fields__) - given_elsewhere


TEXT = st.text(min_size=1, max_size=20)
HASH = st.integers(0, 2**64 - 1)


@given(
    ip=st.ip_addresses().map(str) | st.none(),
    client=TEXT | st.none(),
    model=TEXT | st.none(),
    input_tokens=st.integers(0, 10**9) | st.none(),
    output_tokens=st.integers(0, 10**9) | st.none(),
    status=st.sampled_from(UsageStatus) | st.none(),
    prompt_prefix_hash=HASH | st.none(),
    prompt_simhash=HASH | st.none(),
)
def test_an_exchange_says_on_the_wire_what_it_says_in_the_domain(**said: Any) -> None:
    usage = Usage("e", "ada", NOON, **said)
    number = {"status": facts_pb2.UsageStatus.Value(f"USAGE_STATUS_{said['status'].name}")} if said["status"] else {}
    wire = facts_pb2.Usage(**{**said, **number})
    request = signals_pb2.RecordSignalsRequest(event_id="e", account_id="ada", happened_at=at(NOON), usage=wire)

    received = signals_pb2.RecordSignalsRequest.FromString(request.SerializeToString())

    assert event_from_wire(received) == usage


@given(
    kind=st.sampled_from(PaymentKind),
    method=st.sampled_from(PaymentMethod),
    funding=st.sampled_from(CardFunding) | st.none(),
    amount=st.integers(-(2**63), 2**63 - 1) | st.none(),
)
def test_a_payment_says_on_the_wire_what_it_says_in_the_domain(
    kind: PaymentKind, method: PaymentMethod, funding: CardFunding | None, amount: int | None
) -> None:
    wire = facts_pb2.Payment(
        event_id="e",
        happened_at=at(NOON),
        kind=facts_pb2.PaymentKind.Value(f"PAYMENT_KIND_{kind.name}"),
        method=facts_pb2.PaymentMethod.Value(f"PAYMENT_METHOD_{method.name}"),
        amount_minor=amount,
    )
    if funding is not None:
        wire.card_funding = facts_pb2.CardFunding.Value(f"CARD_FUNDING_{funding.name}")

    [payment] = score_request_from_wire(make_score_request(payments=[wire])).payments

    expected = Payment("e", "ada", NOON, kind, method, card_funding=funding, amount_minor=amount)
    assert payment == expected


def test_zero_false_and_absent_are_told_apart_but_empty_text_is_absent() -> None:
    said = facts_pb2.Signup(created_at=at(NOON), form_seconds=0, email_verified=False, email="")

    signup = score_request_from_wire(make_score_request(signup=said)).signup

    assert signup == Signup("ada", NOON, form_seconds=0.0, email_verified=False)


def test_no_field_of_the_contract_is_a_float_that_would_round_what_callers_send() -> None:
    kinds = {
        field.full_name: field.type
        for module in (facts_pb2, scoring_pb2, signals_pb2)
        for message in module.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
    }
    assert FieldDescriptor.TYPE_FLOAT not in kinds.values()
