"""What servicers know of a call besides its request: when it is, how long its caller waits, how much a page holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc

DEFAULT_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """The clock, which nothing below reads, and the deadline."""

    now: Callable[[], int]  # UTC microseconds
    default_timeout_s: float  # for calls without a deadline, and the longest that one step of any call may take

    def timeout_s(self, context: grpc.ServicerContext) -> float:
        """Seconds that the next step of the call may take."""
        return min(context.time_remaining(), self.default_timeout_s)


def page_size(asked: int) -> int:
    """How many items a page gets, from 1; 0 leaves it to us."""
    return asked or DEFAULT_PAGE_SIZE
