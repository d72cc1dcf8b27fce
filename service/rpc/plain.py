"""Messages that keep every rule of their .proto at a glance, so that the validator need not be asked.

It takes ten times as long as all else that is done to read an event, and a stream has a hundred thousand of them. A
message passes here only where it surely keeps every rule; any other goes to the validator, which alone says what is
wrong. ``tests/service/rpc/test_plain.py`` holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gatehouse.risk.v1 import facts_pb2, scoring_pb2, signals_pb2
from google.protobuf.message import Message

from service.domain.raw import Usage
from service.rpc.convert.words import USAGE_STATUS_OF

_NAME = 200  # characters of an id or a name
_TOKENS = 1_000_000_000
_LAST_SECOND = 253_402_300_799  # of the year 9999
_STATUSES = 3
_EMAIL, _FULL_NAME, _PHONE, _COUNTRY, _USER_AGENT, _ACCEPT_LANGUAGE = 320, 400, 40, 2, 2_000, 400  # characters
_INFINITE = float("inf")
_PURPOSES = frozenset(scoring_pb2.Purpose.values()) - {scoring_pb2.PURPOSE_UNSPECIFIED}
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?[1-9]\d|1\d\d|\d)"
_PLAIN_ADDRESS = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}", re.ASCII)


@lru_cache(maxsize=65_536)
def _plain_address(text: str) -> bool:
    return not text or _PLAIN_ADDRESS.fullmatch(text) is not None


def exchange(event: signals_pb2.RecordSignalsRequest) -> Usage | None:
    """The exchange, where the message surely keeps every rule: each of its fields is read once. None: it may, too."""
    if event.WhichOneof("fact") != "usage" or not event.HasField("happened_at"):
        return None
    event_id, account_id, at, usage = event.event_id, event.account_id, event.happened_at, event.usage
    seconds, nanos, ip, client, model = at.seconds, at.nanos, usage.ip, usage.client, usage.model
    input_tokens, output_tokens, status = usage.input_tokens, usage.output_tokens, usage.status
    if not (
        0 < len(event_id) <= _NAME
        and 0 < len(account_id) <= _NAME
        and 0 <= seconds < _LAST_SECOND
        and 0 <= nanos < 1_000_000_000
        and _plain_address(ip)
        and len(client) <= _NAME
        and len(model) <= _NAME
        and 0 <= input_tokens <= _TOKENS
        and 0 <= output_tokens <= _TOKENS
        and 0 <= status <= _STATUSES
    ):
        return None
    prefix_hash, simhash = usage.prompt_prefix_hash, usage.prompt_simhash
    return Usage(
        event_id,
        account_id,
        seconds * 1_000_000 + nanos // 1_000,
        ip or None,
        client or None,
        model or None,
        input_tokens if input_tokens or usage.HasField("input_tokens") else None,  # what is not 0 was said
        output_tokens if output_tokens or usage.HasField("output_tokens") else None,
        USAGE_STATUS_OF.get(status),
        prefix_hash if prefix_hash or usage.HasField("prompt_prefix_hash") else None,
        simhash if simhash or usage.HasField("prompt_simhash") else None,
    )


def _exchange(event: signals_pb2.RecordSignalsRequest) -> bool:
    return exchange(event) is not None


def _signup(signup: facts_pb2.Signup) -> bool:
    if not signup.HasField("created_at"):
        return False
    at, country = signup.created_at, signup.country
    return (
        0 <= at.seconds < _LAST_SECOND
        and 0 <= at.nanos < 1_000_000_000
        and len(signup.email) <= _EMAIL
        and len(signup.full_name) <= _FULL_NAME
        and len(signup.phone) <= _PHONE
        and (not country or (len(country) == _COUNTRY and country.isascii() and country.isalpha()))
        and _plain_address(signup.ip)
        and len(signup.user_agent) <= _USER_AGENT
        and len(signup.device_id) <= _NAME
        and len(signup.accept_language) <= _ACCEPT_LANGUAGE
        and len(signup.plan) <= _NAME
        and len(signup.signup_source) <= _NAME
        and 0.0 <= signup.form_seconds < _INFINITE
    )


def _asked(request: scoring_pb2.ScoreAccountRequest | scoring_pb2.ScoreAccountsRequest) -> bool:
    return (
        0 < len(request.request_id) <= _NAME
        and 0 < len(request.account_id) <= _NAME
        and request.purpose in _PURPOSES
        and not (request.payments or request.links or request.signals)
        and (not request.HasField("signup") or _signup(request.signup))
    )


_SURE: dict[type[Message], Callable[[Any], bool]] = {
    signals_pb2.RecordSignalsRequest: _exchange,
    scoring_pb2.ScoreAccountRequest: _asked,
    scoring_pb2.ScoreAccountsRequest: _asked,
}


def surely_valid(message: Message) -> bool:
    """Whether the message keeps every rule of its .proto; False: it may, too."""
    sure = _SURE.get(type(message))
    return sure is not None and sure(message)
