"""How fast facts pass the door, in one thread: rows a second for signups and exchanges, and one signup alone.

    python benchmarks/door.py [--signups 20000] [--exchanges 300000]

The claim is 300,000 exchanges and 5,000 signups a second. The exchanges come as an import brings them: an Arrow table
with a tenth as many distinct addresses as rows and five exchanges an account. All e-mail addresses, names, phone
numbers and device ids of the signups differ; user agents come from a few hundred, as they do in life.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from service.domain.raw import Signup
from service.domain.time import DAY, SECOND
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables

NOW = 1_780_000_000_000_000
_WORDS = (
    "anna bela carl dora emil fine gert hana ivan jana kurt lena marc nora otto paul rosa sven tina udo vera"
).split()


def timed(call: Callable[[], Any], repeats: int = 3) -> float:
    """The best of some runs, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def address(draw: random.Random) -> str:
    """An IPv4 address, or in one of five an IPv6 one."""
    if draw.random() < 0.2:
        return (
            f"2a0{draw.randrange(1, 9)}:{draw.randrange(65536):x}:{draw.randrange(65536):x}::{draw.randrange(65536):x}"
        )
    return ".".join(str(draw.randrange(1, 224)) for _ in range(4))


def signup(number: int, draw: random.Random) -> Signup:
    """A complete signup."""
    first, last = draw.choice(_WORDS), draw.choice(_WORDS) + draw.choice(_WORDS)
    version = draw.randrange(90, 150)
    return Signup(
        f"account-{number}",
        NOW - draw.randrange(30) * DAY - draw.randrange(86_400) * SECOND,
        email=f"{first}.{last}{number}@{draw.choice(('gmail.com', 'example.org', 'web.de', 'uni-mainz.de'))}",
        full_name=f"{first.title()} {last.title()} {chr(65 + number % 26)}",
        phone=f"+49151{draw.randrange(10_000_000, 99_999_999)}",
        country=draw.choice(("DE", "FR", "US", "IN")),
        ip=address(draw),
        user_agent=f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{draw.randrange(6)}.0 Safari/537.36",  # noqa: E501 - this is what they look like
        device_id=f"{draw.getrandbits(128):032x}",
        accept_language="de-DE,de;q=0.9,en;q=0.8",
        plan="free",
        signup_source="web",
        form_seconds=draw.lognormvariate(3, 1),
        email_verified=True,
    )


def exchanges(n: int, draw: random.Random) -> pa.Table:
    """``n`` exchanges as an import reads them."""
    addresses = [address(draw) for _ in range(n // 10)]
    templates = [draw.getrandbits(64) for _ in range(n // 20)]
    return pa.table(
        {
            "event_id": [f"exchange-{i:012d}" for i in range(n)],
            "account_id": [f"account-{draw.randrange(n // 5)}" for _ in range(n)],
            "happened_at": pa.array(
                [NOW - draw.randrange(30 * 86_400) * SECOND for _ in range(n)], pa.timestamp("us", "UTC")
            ),
            "ip": draw.choices(addresses, k=n),
            "client": draw.choices(["python/1.0", "node/2.1", "curl"], k=n),
            "model": draw.choices(["large", "small"], k=n),
            "input_tokens": [draw.randrange(4000) for _ in range(n)],
            "output_tokens": [draw.randrange(1000) for _ in range(n)],
            "status": draw.choices(["ok", "error"], k=n),
            "prompt_prefix_hash": pa.array(draw.choices(templates, k=n), pa.uint64()),
            "prompt_simhash": pa.array([draw.getrandbits(64) for _ in range(n)], pa.uint64()),
        }
    )


def main() -> None:
    """Prints one line per figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--signups", type=int, default=20_000)
    options.add_argument("--exchanges", type=int, default=300_000)
    chosen = options.parse_args()
    draw = random.Random(7)
    start = time.perf_counter()
    door = Door(Keyring.generated(0), AddressTables())
    print(f"opening the door: {time.perf_counter() - start:.3f} s")
    rows = [signup(i, draw) for i in range(chosen.signups)]
    start = time.perf_counter()
    door.signups(rows[:1], NOW)
    print(f"first signup: {time.perf_counter() - start:.3f} s")
    seconds = timed(lambda: door.signups(rows, NOW))
    print(f"signups: {len(rows) / seconds:,.0f} rows/s, {seconds / len(rows) * 1e6:.0f} us each")
    some = rows[:500]
    seconds = timed(lambda: [door.signups([row], NOW) for row in some])
    print(f"one signup at a time: {seconds / len(some) * 1e6:.0f} us each")
    table = exchanges(chosen.exchanges, draw)
    seconds = timed(lambda: door.usage_table(table, NOW))
    print(f"exchanges: {table.num_rows / seconds:,.0f} rows/s")


if __name__ == "__main__":
    main()
