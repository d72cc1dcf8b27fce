"""What the store does in a second: imports, group-committed writes, small reads and bulk reads.

    python -m benchmarks.storage [--database URL] [--accounts 50000] [--exchanges 3000000] [--folder DIR]

Facts are made before the clock starts, so the door is not in these figures (``benchmarks/door.py``,
``benchmarks/importing.py``). The peer of the group commit is the same write committed alone, by as many threads. Peak
memory is the process's, facts of one batch of 100,000 rows included.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from service.domain.codes import code32, hash64_many
from service.domain.enums import Decision, Purpose
from service.domain.facts import LinkFacts, SignupFacts, UsageFacts
from service.domain.profile import PROFILE
from service.domain.records import Assessment
from service.domain.time import DAY, HOUR
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from service.storage.writer import Writer

START = 20_566 * DAY
DAYS = 30
BATCH = 100_000
KINDS = ("mailbox", "mail_shape", "mail_domain", "phone", "device", "ip", "ip_net", "full_name", "card", "card_bin")
HUBS = {"mail_domain": 40, "mail_shape": 2_000, "card_bin": 500}


def signups(first: int, count: int, rng: np.random.Generator) -> SignupFacts:
    """Accounts number ``first`` and on, each with a key of every kind; some kinds have few keys for all."""
    names = [f"account-{i:09d}" for i in range(first, first + count)]
    account = hash64_many(names)
    created = START + rng.integers(0, DAYS * DAY, count)
    keys = []
    for number, kind in enumerate(KINDS):
        some = rng.integers(0, HUBS.get(kind, max(1, first + count) * 9 // 10 + 1), count)
        keys.append(hash64_many([f"{number}|{value}" for value in some.tolist()]))
    links = LinkFacts(
        np.tile(account, len(KINDS)),
        np.repeat(np.array([code32(kind) for kind in KINDS], np.int32), count),
        np.concatenate(keys),
        np.tile(created, len(KINDS)),
    )
    profile = rng.random((count, len(PROFILE)), np.float32)
    return SignupFacts(names, account, created, profile, account ^ 1, links)


def exchanges(accounts: int, total: int, rng: np.random.Generator) -> Iterator[UsageFacts]:
    """Batches in order of time, as a log has them: a few accounts make most of them, in sessions of some hours."""
    weight = rng.pareto(1.2, accounts) + 0.1
    weight /= weight.sum()
    names = np.array([f"account-{i:09d}" for i in range(accounts)])
    account = hash64_many(names.tolist())
    homes = rng.integers(1, 2**62, accounts)
    hour = rng.integers(0, 24, accounts)
    for at in range(0, total, BATCH):
        n = min(BATCH, total - at)
        who = rng.choice(accounts, n, p=weight)
        day = np.sort((at + rng.integers(0, BATCH, n)) * DAYS // max(total, BATCH)).clip(0, DAYS - 1)
        happened = START + day * DAY + ((hour[who] + rng.integers(0, 3, n)) % 24) * HOUR + rng.integers(0, HOUR, n)
        ip = homes[who] + rng.integers(0, 3, n)
        template = homes[who] % 5_000 + 1
        seen = np.unique(np.stack([account[who], ip], axis=1), axis=0, return_index=True)[1]
        kinds = ("ip", "ip_net", "template")
        links = LinkFacts(
            np.tile(account[who][seen], 3),
            np.repeat(np.array([code32(kind) for kind in kinds], np.int32), len(seen)),
            np.concatenate([ip[seen], ip[seen] // 8, template[seen]]),
            np.tile(happened[seen], 3),
        )
        events = rng.integers(-(2**62), 2**62, n)
        yield UsageFacts(
            events,
            names[who].tolist(),
            account[who],
            happened,
            ip,
            ip // 8,
            np.zeros(n, np.int64),
            np.full(n, 7),
            rng.integers(1, 5, n),
            rng.integers(1, 4_000, n),
            rng.integers(1, 4_000, n),
            np.zeros(n, np.int64),
            template,
            rng.integers(1, 2**62, n),
            events ^ 1,
            links,
        )


def scored(facts: SignupFacts, row: int, tag: str) -> Arrival:
    """One ScoreAccount: a signup with its keys, and its assessment."""
    rows = np.array([row])
    one = facts.take(rows)
    made = Assessment(
        assessment_id=f"{tag}-{row}",
        account_id=one.account_id[0],
        account=int(one.account[0]),
        assessed_at=START + DAYS * DAY,
        purpose=Purpose.SIGNUP,
        score=0.01,
        decision=Decision.ALLOW,
        recommended_limit=None,
        model_version="m",
        policy_version="p",
        feature_fingerprint="f" * 64,
        features=bytes(480),
        request_id=f"{tag}-{row}",
        request_content=row,
    )
    return Arrival(START + DAYS * DAY, signups=one, assessments=(made,), atomic=True)


def single_writes(store: Store, accounts: int, threads: int, count: int, *, grouped: bool) -> float:
    """Arrivals a second, each durable before its thread goes on."""
    rng = np.random.default_rng(3)
    facts = signups(accounts, count, rng)
    arrivals = [scored(facts, row, "grouped" if grouped else "alone") for row in range(count)]
    writer = Writer(store)

    def work(mine: int) -> None:
        for arrival in arrivals[mine::threads]:
            if grouped:
                writer.submit([arrival], 60.0)
            else:
                store.write([arrival])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    writer.close()
    return count / seconds


def peak() -> str:
    """Peak memory of this process."""
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="", help="URL; default: a new SQLite file")
    parser.add_argument("--accounts", type=int, default=50_000)
    parser.add_argument("--exchanges", type=int, default=3_000_000)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the new file goes; default: a temporary folder"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        url = options.database or f"sqlite:///{folder}/gatehouse.db"
        store = open_store(url, segments=f"{folder}/segments", upgrading=True)
        measure(store, options.accounts, options.exchanges)
        store.close()
    return 0


def measure(store: Store, accounts: int, total: int) -> None:
    """All figures of one store."""
    rng = np.random.default_rng(1)
    spent, used = 0.0, 0.0
    start, cpu = time.perf_counter(), time.process_time()
    with store.bulk() as file:
        for first in range(0, accounts, BATCH):
            made, used_before = time.perf_counter(), time.process_time()
            facts = signups(first, min(BATCH, accounts - first), rng)
            spent, used = spent + time.perf_counter() - made, used + time.process_time() - used_before
            file.signups(facts)
    seconds = time.perf_counter() - start - spent
    busy = time.process_time() - cpu - used
    print(f"import: {accounts:,} signups with {len(KINDS)} keys each in {seconds:.1f} s ({busy:.1f} s of them busy)")

    batches = exchanges(accounts, total, rng)
    start, cpu, spent, used = time.perf_counter(), time.process_time(), 0.0, 0.0
    with store.bulk() as file:
        while True:
            made, used_before = time.perf_counter(), time.process_time()
            batch = next(batches, None)
            spent, used = spent + time.perf_counter() - made, used + time.process_time() - used_before
            if batch is None:
                break
            file.usage(batch)
    seconds = time.perf_counter() - start - spent
    busy = time.process_time() - cpu - used
    print(f"import: {total:,} exchanges in {seconds:.1f} s ({busy:.1f} s busy), {total / seconds:,.0f}/s, {peak()}")

    ids = store.accounts(limit=100_000)
    as_of = START + DAYS * DAY
    for size in (1, 100, 1_000):
        took = []
        for _ in range(max(20, 500 // size)):
            some = rng.choice(ids, size)
            start = time.perf_counter()
            store.history(some, as_of)
            took.append(time.perf_counter() - start)
        took.sort()
        middle, late = took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3
        print(f"history of {size:>5,} accounts: median {middle:.2f} ms, p99 {late:.2f} ms")

    for threads in (1, 16, 64):
        rate = single_writes(store, accounts + threads * 100_000, threads, 4_000, grouped=True)
        print(f"scored signups by {threads:>2} threads, committed together: {rate:,.0f}/s")
    rate = single_writes(store, accounts, 16, 1_000, grouped=False)
    print(f"scored signups by 16 threads, each committed alone: {rate:,.0f}/s")

    start, cpu = time.perf_counter(), time.process_time()
    tiles, known = 0, 0
    for history in store.histories():
        tiles, known = tiles + len(history.usage), known + len(history.account)
    seconds = time.perf_counter() - start
    busy = time.process_time() - cpu
    print(f"histories: {known:,} accounts, {tiles:,} tiles in {seconds:.1f} s ({busy:.1f} s busy), {peak()}")


if __name__ == "__main__":
    raise SystemExit(main())
