"""Bytes to checked messages. Parsing happens here and not in grpc, whose answer to bad bytes is an INTERNAL error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import protovalidate
from google.protobuf import descriptor_pool, empty_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from service.domain.errors import FieldViolation, InvalidInput
from service.rpc.plain import surely_valid

Request = TypeVar("Request", bound=Message)

_LENGTH_DELIMITED = 2
_DEPTH = 32  # deeper nesting than this is nobody's request

_validator = protovalidate.Validator()


class RefusedMessage(InvalidInput):
    """One message that cannot be used; a stream may go on with the next."""

    def __init__(self, identifier: str, *violations: FieldViolation) -> None:
        self.identifier = identifier  # its first field, which names it in every stream of ours; empty if unreadable
        super().__init__(*violations)


def decode(data: bytes, message_type: type[Request]) -> Request:
    """The message, which keeps every rule of its .proto; raises RefusedMessage that names each field that does not."""
    request = message_type()
    try:
        request.ParseFromString(data)
    except DecodeError:
        raise RefusedMessage(_identifier(data), *_undecodable(data, message_type)) from None
    if surely_valid(request):
        return request
    violations = _validator.collect_violations(request)
    if violations:
        name = request.DESCRIPTOR.fields_by_number[1].name if request.DESCRIPTOR.fields else ""
        identifier = getattr(request, name, "")
        raise RefusedMessage(identifier if isinstance(identifier, str) else "", *map(_field_violation, violations))
    return request


class MessageStream(Generic[Request]):
    """The messages of a stream. Unlike a generator it goes on after ``next`` raised RefusedMessage for a bad one."""

    def __init__(self, raw: Iterator[bytes], message_type: type[Request]) -> None:
        self._raw = raw
        self._type = message_type

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        return decode(next(self._raw), self._type)

    def undecoded(self) -> Iterator[bytes]:
        """The rest of them as bytes, for whoever decodes many at a time."""
        return self._raw


def _field_violation(violation: protovalidate.Violation) -> FieldViolation:
    """A path such as ``payments[2].event_id``.

    Our CEL rules are named ``<field below>.<rule>``, since a rule over a whole message has no path to its fields.
    """
    found = violation.proto
    parts: list[str] = []
    for element in found.field.elements if found.field is not None else ():
        at = element.subscript
        parts.append(f"{element.field_name}[{at.value}]" if at is not None else element.field_name)
    is_cel = found.rule is None or any(element.field_name == "cel" for element in found.rule.elements)
    if is_cel and "." in found.rule_id:
        parts.append(found.rule_id.rpartition(".")[0])
    return FieldViolation(".".join(parts), found.message)


def _undecodable(data: bytes, message_type: type[Message]) -> tuple[FieldViolation, ...]:
    """Which field is to blame: a text that is not UTF-8, or else the message as a whole."""
    path = _bad_text(data, message_type.DESCRIPTOR.full_name, _DEPTH)
    if path is not None:
        return (FieldViolation(path, "is not valid UTF-8 text"),)
    return (FieldViolation("", f"the message is not a readable {message_type.DESCRIPTOR.full_name}"),)


def _bad_text(data: bytes, message_name: str, depth: int) -> str | None:
    """Path of the first string field that is not UTF-8."""
    fields = descriptor_pool.Default().FindMessageTypeByName(message_name).fields_by_number
    counts: dict[int, int] = {}
    for number, content in _lengths_and_content(data):
        field = fields.get(number)
        if field is None:
            continue
        index = counts[number] = counts.get(number, -1) + 1
        name = f"{field.name}[{index}]" if field.is_repeated else field.name
        if field.type == FieldDescriptor.TYPE_STRING and not _is_text(content):
            return name
        if field.message_type is not None and depth > 0:
            below = _bad_text(content, field.message_type.full_name, depth - 1)
            if below is not None:
                return f"{name}.{below}"
    return None


def _identifier(data: bytes) -> str:
    """The text in field 1, if there is one."""
    texts = [content for number, content in _lengths_and_content(data) if number == 1]
    return texts[-1].decode() if texts and _is_text(texts[-1]) else ""


def _lengths_and_content(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields (texts, bytes, messages) of a message, read without knowing its type."""
    unknown = empty_pb2.Empty()
    try:
        unknown.ParseFromString(data)
    except DecodeError:
        return
    fields = UnknownFieldSet(unknown)
    for position in range(len(fields)):
        field = fields[position]
        if field.wire_type == _LENGTH_DELIMITED:
            yield field.field_number, field.data


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
