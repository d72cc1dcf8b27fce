"""From start to ready, and what the serving process holds: at first, under load, and after a large stream (goal 8).

    python -m benchmarks.start [--accounts 100000] [--rounds 5] [--full] [--out FILE]

The database has a model and so many accounts (``--full``: a million). Memory is the resident set, pages of shared
libraries and of files among it: its highest mark from the start through 4,000 calls by 32 callers, accounts known from
all over the database among them, to the end of a stream of 20,000 (100,000) accounts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from itertools import count
from pathlib import Path

import psutil
from gatehouse.risk.v1 import scoring_pb2 as pb

from benchmarks.measured import Bound, Measured, Row, Table, hand_over, progress
from benchmarks.processes import SERVE, server
from benchmarks.scoring import KNOWN, prepared
from benchmarks.stream import UNARY_MOST, Messages, stream, unary

READY_S = 3.0
HELD_MIB = 400.0
CALLS = 4_000


def spread_out(accounts: int, many: int) -> list[bytes]:
    """Requests about accounts known from all over the database."""
    made = (
        pb.ScoreAccountsRequest(
            request_id=f"start-{i}", account_id=f"acc-{i * 7_919 % accounts}", purpose=pb.PURPOSE_PERIODIC
        )
        for i in range(many)
    )
    return [one.SerializeToString() for one in made]


def _resident(pid: int, line: str) -> float:
    """``VmRSS`` or ``VmHWM`` of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(float(one.split()[1]) for one in status.splitlines() if one.startswith(f"{line}:")) / 1024


def measured(environment: dict[str, str], accounts: int, rounds: int, streamed: int) -> Measured:
    """The figures."""
    ready, spent = [], []
    for turn in range(rounds):
        with server(*SERVE, environment=environment) as one:
            times = psutil.Process(one.pid).cpu_times()
            ready.append(one.ready_s)
            spent.append(times.user + times.system)
            progress(f"start {turn + 1} of {rounds}: {ready[-1]:.2f} s, {spent[-1]:.2f} s of a processor")
    messages = Messages(count(10**7))
    with server(*SERVE, environment=environment) as one:
        marks = [("when ready", _resident(one.pid, "VmRSS"))]
        stream(one.grpc, spread_out(accounts, CALLS // 2))
        calls = 0
        while calls < CALLS:
            calls += unary(one.grpc, messages.take(UNARY_MOST))[1]
        marks.append((f"after {calls + CALLS // 2:,} accounts", _resident(one.pid, "VmRSS")))
        stream(one.grpc, messages.take(streamed))
        marks.append((f"after a stream of {streamed:,} more", _resident(one.pid, "VmRSS")))
        peak = _resident(one.pid, "VmHWM")
        marks.append(("highest mark", peak))
    return Measured(
        rows=(
            Row(
                number="8",
                what=f"start to ready, {accounts:,} accounts",
                unit="s",
                ours=tuple(ready),
                goal=READY_S,
                bound=Bound.AT_MOST,
                note=f"of which {statistics.median(spent):.2f} s of a processor; the rest is waiting for one",
            ),
            Row(
                number="8b",
                what=f"highest mark of memory, {accounts:,} accounts",
                unit="MiB",
                ours=(peak,),
                goal=HELD_MIB,
                bound=Bound.AT_MOST,
            ),
        ),
        tables=(Table("Resident memory of the serving process, MiB", ("", "MiB"), tuple(marks)),),
    )


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts known beforehand")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="1,000,000 accounts and a stream of 100,000")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    accounts = 1_000_000 if options.full else options.accounts
    if accounts < KNOWN:
        parser.error(f"--accounts must be at least {KNOWN}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = prepared(home, f"sqlite:///{home / 'g.db'}", accounts)
        with server(*SERVE, environment=environment):
            progress("the model is there")  # a first start may have to train it
        found = measured(environment, accounts, options.rounds, 100_000 if options.full else 20_000)
    hand_over(found, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
