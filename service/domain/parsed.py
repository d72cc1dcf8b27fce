"""Identifiers as libraries understood them, on their way from the door to link keys.

They hold personal data: they live for one call, are never stored, and their ``repr`` says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class ParsedMail:
    """A valid e-mail address, in lower case."""

    local: str  # before the @, with its tag
    domain: str  # after it, as ASCII (``xn--`` where it is international)


@dataclass(frozen=True, slots=True, repr=False)
class ParsedPhone:
    """A phone number that its country's numbering plan allows."""

    e164: str  # ``+`` and digits


@dataclass(frozen=True, slots=True, repr=False)
class ParsedAddress:
    """An Internet address. An IPv4 address wrapped in IPv6 is the IPv4 address."""

    version: int  # 4 or 6
    packed: bytes  # 4 or 16 bytes, network order


@dataclass(frozen=True, slots=True, repr=False)
class ParsedName:
    """A full name."""

    folded: tuple[str, ...]  # its words in lower case, without accents, lookalike letters replaced by Latin ones
