"""What passes at a glance passes the validator, whatever is in it; and ordinary messages do pass at a glance."""

from __future__ import annotations

import protovalidate
import pytest
from gatehouse.risk.v1 import facts_pb2, scoring_pb2, signals_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rpc.convert.facts import event_from_wire
from service.rpc.plain import exchange, surely_valid

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


COUNTRIES = st.sampled_from(["", "D", "DE", "de", "DEU", "D1", "Ж\N{LATIN SMALL LETTER A}", "ªª", "D\n", "  "])
FORM_SECONDS = st.sampled_from([-1.0, -0.0, 0.0, 40.5, 1e300, float("inf"), float("-inf"), float("nan")])


@st.composite
def signups(draw: st.DrawFn) -> facts_pb2.Signup:
    signup = facts_pb2.Signup()
    if draw(st.integers(0, 7)):
        nanos = draw(st.sampled_from([-1, 0, 0, 0, 999_999_999, 1_000_000_000]))
        signup.created_at.CopyFrom(Timestamp(seconds=draw(SECONDS), nanos=nanos))
    limits = {"email": 320, "full_name": 400, "phone": 40, "user_agent": 2_000, "device_id": 200}
    limits |= {"accept_language": 400, "plan": 200, "signup_source": 200}
    texts = {name: st.sampled_from(["", "x", "ü" * limit, "ü" * (limit + 1), "\0"]) for name, limit in limits.items()}
    others = {"country": COUNTRIES, "ip": ADDRESSES, "form_seconds": FORM_SECONDS, "email_verified": st.booleans()}
    for name, values in (texts | others).items():
        value = draw(st.none() | st.none() | values)
        if value is not None:
            setattr(signup, name, value)
    return signup


@st.composite
def asked(draw: st.DrawFn) -> scoring_pb2.ScoreAccountRequest | scoring_pb2.ScoreAccountsRequest:
    kind = draw(st.sampled_from([scoring_pb2.ScoreAccountRequest, scoring_pb2.ScoreAccountsRequest]))
    ids = st.sampled_from(["", "a", "a", "a", "ü" * 200, "x" * 201])
    request = kind(request_id=draw(ids), account_id=draw(ids), purpose=draw(st.integers(-1, 5)), explain=True)
    if draw(st.booleans()):
        request.signup.CopyFrom(draw(signups()))
    for name in ("payments", "links", "signals"):
        if not draw(st.integers(0, 9)):
            getattr(request, name).add()
    return request


def found(event: Message) -> list[str]:
    return [violation.proto.message for violation in VALIDATOR.collect_violations(event)]


@given(asked())
@settings(max_examples=1_500, deadline=None)
def test_a_request_for_a_score_that_passes_at_a_glance_passes_the_validator(
    request: scoring_pb2.ScoreAccountRequest | scoring_pb2.ScoreAccountsRequest,
) -> None:
    if surely_valid(request):
        assert found(request) == []


@given(signups())
@settings(max_examples=600, deadline=None)
def test_one_field_of_a_signup_at_a_time(signup: facts_pb2.Signup) -> None:
    at = Timestamp(seconds=1_776_859_200, nanos=5)
    for descriptor, value in signup.ListFields():
        alone = facts_pb2.Signup(**{"created_at": at, descriptor.name: value})
        request = scoring_pb2.ScoreAccountRequest(
            request_id="r", account_id="a", purpose=scoring_pb2.PURPOSE_SIGNUP, signup=alone
        )
        if surely_valid(request):
            assert found(request) == [], (descriptor.name, value)


@pytest.mark.parametrize("kind", [scoring_pb2.ScoreAccountRequest, scoring_pb2.ScoreAccountsRequest])
def test_an_ordinary_request_for_a_score_passes_at_a_glance(kind: type[Message]) -> None:
    signup = facts_pb2.Signup(
        created_at=Timestamp(seconds=1_776_859_200, nanos=123_456_000),
        email="x" * 320,
        full_name="ü" * 400,
        phone="+4915112345678",
        country="dE",
        ip="84.56.0.255",
        user_agent="u" * 2_000,
        device_id="d" * 200,
        accept_language="l" * 400,
        plan="pro",
        signup_source="web",
        form_seconds=0.0,
        email_verified=True,
    )
    for more in ({}, {"signup": signup}):
        request = kind(request_id="r" * 200, account_id="ä" * 200, purpose=scoring_pb2.PURPOSE_PERIODIC, **more)
        assert surely_valid(request)
        assert found(request) == []


@given(events())
@settings(max_examples=600, deadline=None)
def test_what_passes_at_a_glance_passes_the_validator(event: signals_pb2.RecordSignalsRequest) -> None:
    if surely_valid(event):
        assert found(event) == []
        assert exchange(event) == event_from_wire(event)


@given(exchanges())
@settings(max_examples=600, deadline=None)
def test_one_field_at_a_time(usage: facts_pb2.Usage) -> None:
    at = Timestamp(seconds=1_776_859_200, nanos=5)
    for descriptor, value in usage.ListFields():
        alone = facts_pb2.Usage(**{descriptor.name: value})
        event = signals_pb2.RecordSignalsRequest(event_id="e", account_id="a", happened_at=at, usage=alone)
        if surely_valid(event):
            assert found(event) == [], (descriptor.name, value)
            assert exchange(event) == event_from_wire(event)


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
