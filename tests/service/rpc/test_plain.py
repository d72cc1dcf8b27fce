"""What passes at a glance passes the validator, whatever is in it; and ordinary messages do pass at a glance."""

from __future__ import annotations

import protovalidate
import pytest
from gatehouse.risk.v1 import facts_pb2, signals_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rpc.plain import surely_valid

VALIDATOR = protovalidate.Validator()
NAMES = st.sampled_from(["", "a", "ü" * 200, "x" * 200, "x" * 201, "\0", "e" + "\N{GRINNING FACE}" * 199])
OCTETS = ["0", "00", "5", "05", "10", "99", "100", "109", "199", "200", "249", "255", "260"]
ADDRESSES = st.one_of(
    st.sampled_from(["", "81.2.69.160", "255.255.255.255", "256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4 ", "1.2.3.4\n"]),
    st.sampled_from(
        [
            "2a01:4f8::1",
            "::ffff:1.2.3.4",
            "fe80::1%eth0",
            "1.2.3.4/24",
            "\N{ARABIC-INDIC DIGIT ONE}.2.3.4",
            "x" * 61,
            "00.0.0.0",
        ]
    ),
    st.lists(st.sampled_from(OCTETS), min_size=4, max_size=4).map(".".join),
)
SECONDS = st.sampled_from([-1, 0, 1_776_859_200, 253_402_300_798, 253_402_300_799, 253_402_300_800])
TOKENS = st.sampled_from([-1, 0, 7, 10**9, 10**9 + 1, 2**62])


@st.composite
def exchanges(draw: st.DrawFn) -> facts_pb2.Usage:
    usage = facts_pb2.Usage()
    for name, values in (
        ("ip", ADDRESSES),
        ("client", NAMES),
        ("model", NAMES),
        ("input_tokens", TOKENS),
        ("output_tokens", TOKENS),
        ("status", st.integers(-1, 5)),
        ("prompt_prefix_hash", st.sampled_from([0, 2**64 - 1])),
    ):
        value = draw(st.none() | values)
        if value is not None:
            setattr(usage, name, value)
    return usage


@st.composite
def events(draw: st.DrawFn) -> signals_pb2.RecordSignalsRequest:
    event = signals_pb2.RecordSignalsRequest(event_id=draw(NAMES), account_id=draw(NAMES))
    if draw(st.booleans()):
        nanos = draw(st.sampled_from([-1, 0, 999_999_999, 1_000_000_000]))
        event.happened_at.CopyFrom(Timestamp(seconds=draw(SECONDS), nanos=nanos))
    fact = draw(st.sampled_from(["usage", "usage", "usage", "link", "signal", "payment", ""]))
    if fact == "usage":
        event.usage.CopyFrom(draw(exchanges()))
    elif fact:
        getattr(event, fact).SetInParent()
    return event


def found(event: signals_pb2.RecordSignalsRequest) -> list[str]:
    return [violation.proto.message for violation in VALIDATOR.collect_violations(event)]


@given(events())
@settings(max_examples=600, deadline=None)
def test_what_passes_at_a_glance_passes_the_validator(event: signals_pb2.RecordSignalsRequest) -> None:
    if surely_valid(event):
        assert found(event) == []


@given(exchanges())
@settings(max_examples=600, deadline=None)
def test_one_field_at_a_time(usage: facts_pb2.Usage) -> None:
    at = Timestamp(seconds=1_776_859_200, nanos=5)
    for descriptor, value in usage.ListFields():
        alone = facts_pb2.Usage(**{descriptor.name: value})
        event = signals_pb2.RecordSignalsRequest(event_id="e", account_id="a", happened_at=at, usage=alone)
        if surely_valid(event):
            assert found(event) == [], (descriptor.name, value)


@pytest.mark.parametrize("octet", range(256))
def test_an_ordinary_exchange_passes_at_a_glance(octet: int) -> None:
    event = signals_pb2.RecordSignalsRequest(
        event_id="e" * 200,
        account_id="ä" * 200,
        happened_at=Timestamp(seconds=1_776_859_200, nanos=123_456_000),
        usage=facts_pb2.Usage(
            ip=f"{octet}.{255 - octet}.{octet}.1",
            client="python/2",
            model="m" * 200,
            input_tokens=10**9,
            output_tokens=0,
            status=facts_pb2.USAGE_STATUS_RATE_LIMITED,
            prompt_simhash=2**64 - 1,
        ),
    )
    assert surely_valid(event)
    assert found(event) == []
