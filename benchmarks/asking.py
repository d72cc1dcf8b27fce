"""Asks a server for one method at a pace: as fast as so many callers are answered, or at a rate of its own.

One thread and one channel, messages made beforehand, answers left as bytes: 70 to 120 us of a core a call, for us and
for whatever we are compared with. Callers that come at a rate of their own do not wait for one another, as people who
sign up do not: what a server cannot answer in time queues up, is refused, or runs into its deadline.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from benchmarks.measured import percentile

TIMEOUT_S = 10.0
WARM = 50  # calls before any is counted


@dataclass(slots=True)
class Asked:
    """What a round of asking brought."""

    seconds: float = 0.0  # from the first call to the last answer that counts
    taken: list[float] = field(default_factory=list)  # seconds of each call that was answered
    refused: list[float] = field(default_factory=list)  # seconds until each was told RESOURCE_EXHAUSTED
    failed: Counter[str] = field(default_factory=Counter)  # other status codes
    offered: int = 0  # calls

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.taken) / self.seconds

    def ms(self, share: float) -> float:
        """Milliseconds that this share of the answered calls did not take longer than."""
        return percentile(self.taken, share) * 1e3


def closed_loop(
    address: str, method: str, bodies: Sequence[bytes], *, callers: int, seconds: float, again: bool = False
) -> Asked:
    """So many callers, each asking again as soon as it is answered, in turn over ``bodies``, with ``again`` for ever.

    Raises RuntimeError where a call fails, or where bodies that must not repeat do not last.
    """

    async def run() -> Asked:
        async with _channel(address) as channel:
            call: Any = channel.unary_unary(method)
            left = itertools.cycle(bodies) if again else iter(bodies)
            found = Asked()
            await asyncio.gather(*(_one(call, body, Asked()) for body in _some(left, WARM)))
            started = time.perf_counter()
            end = started + seconds

            async def caller() -> None:
                while time.perf_counter() < end:
                    body = next(left, None)
                    if body is None:
                        raise RuntimeError(f"{len(bodies)} messages did not last for {seconds:g} s")
                    await _one(call, body, found)

            await asyncio.gather(*(caller() for _ in range(callers)))
            found.seconds = time.perf_counter() - started
            if found.refused or found.failed:
                raise RuntimeError(f"{len(found.refused)} calls were refused and {dict(found.failed)} failed")
            return found

    return asyncio.run(run())


def at_rate(address: str, method: str, bodies: Sequence[bytes], *, rate: float, seconds: float, seed: int) -> Asked:
    """Calls that come by chance (a Poisson process) at ``rate`` a second, whether earlier ones were answered or not.

    Answers count if they come within those seconds or, at low rates, soon after: the rate is that of the whole time.
    """

    async def run() -> Asked:
        async with _channel(address) as channel:
            call: Any = channel.unary_unary(method)
            left = iter(bodies)
            found, chance = Asked(), random.Random(seed)
            await asyncio.gather(*(_one(call, body, Asked()) for body in _some(left, WARM)))
            under_way: set[asyncio.Task[None]] = set()
            started = time.perf_counter()
            due = started
            while (due := due + chance.expovariate(rate)) < started + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))  # 0 lets answers be taken in
                found.offered += 1
                task = asyncio.create_task(_one(call, next(left), found, since=due))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if under_way:
                await asyncio.wait(under_way)
            found.seconds = time.perf_counter() - started
            return found

    return asyncio.run(run())


async def _one(call: Any, body: bytes, found: Asked, since: float | None = None) -> None:
    """``since``: when it should have been sent; a sender that is late does not shorten what a caller waits."""
    sent = time.perf_counter()
    try:
        await call(body, timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            found.refused.append(time.perf_counter() - sent)
        else:
            found.failed[error.code().name] += 1
    else:
        found.taken.append(time.perf_counter() - (since or sent))


def _channel(address: str) -> grpc.aio.Channel:
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(address, options=options)


def _some(of: Iterator[bytes], count: int) -> Iterable[bytes]:
    return [body for _, body in zip(range(count), of, strict=False)]
