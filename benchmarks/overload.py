"""What is answered, and what is refused, when more is asked than a server can do (issue 5: overload).

    python -m benchmarks.overload [--accounts 20000] [--rounds 3] [--seconds 4] [--full] [--out FILE]

Capacity is what callers who ask again as soon as they are answered get. Then requests come by chance, at half of that
to three times it, and do not wait for one another: the curve is answers a second over what was offered, how long the
answered took, and how soon the rest was told RESOURCE_EXHAUSTED. The client shares the cores with the server, so above
capacity it takes some of what it asks for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.asking import Asked, at_rate, closed_loop
from benchmarks.databases import own_postgres
from benchmarks.measured import Bound, Measured, Row, Table, hand_over, percentile, progress
from benchmarks.processes import SERVE, server
from benchmarks.scoring import APART, KNOWN, METHOD, NUMBERS, mixed, prepared

CALLERS = 128
STEPS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # of capacity
PEAK_KEPT = 0.8
REFUSED_MS = 50.0


def curve(
    name: str, letters: str, arguments: tuple[str, ...], environment: dict[str, str], options: argparse.Namespace
) -> Measured:
    """Answers over offers of one way to serve; ``letters`` of its rows: what is kept, refusals."""

    def bodies(count: float) -> list[bytes]:
        return [mixed(next(NUMBERS)) for _ in range(int(count) + 300)]

    with server(*SERVE, *arguments, environment=environment) as served:

        def closed(expected: float) -> float:
            asked = bodies(expected * options.seconds * 2)
            return closed_loop(served.grpc, METHOD, asked, callers=CALLERS, seconds=options.seconds).rate

        closed(2_500.0)  # connections, caches
        capacity = statistics.median(closed(2_500.0) for _ in range(options.rounds))
        progress(f"{name}: capacity {capacity:.0f} answers/s")
        steps: dict[float, list[Asked]] = {step: [] for step in STEPS}
        for turn in range(options.rounds):
            for step in STEPS if turn % 2 == 0 else STEPS[::-1]:
                rate = step * capacity
                asked = bodies(rate * options.seconds * 1.5)
                found = at_rate(served.grpc, METHOD, asked, rate=rate, seconds=options.seconds, seed=next(NUMBERS))
                steps[step].append(found)
                refused, others = len(found.refused), dict(found.failed)
                progress(f"{name}: {step:g} x: {found.rate:.0f} answers/s, {refused} refused, failed {others}")

    def median(step: float, of: Callable[[Asked], float]) -> float:
        return statistics.median(of(found) for found in steps[step])

    peaks = tuple(max(steps[step][turn].rate for step in STEPS) for turn in range(options.rounds))
    most = steps[STEPS[-1]]
    failed = sum(sum(found.failed.values()) for found in most)
    refusals = [_refusal_ms(found) for found in most if found.refused]
    return Measured(
        rows=(
            Row(
                f"1{letters[0]}",
                f"answers at 3 x capacity ({3 * capacity:,.0f}/s asked), {name}",
                "answers/s",
                tuple(found.rate for found in most),
                PEAK_KEPT,
                Bound.AT_LEAST,
                "the curve's peak",
                peaks,
                note=f"{sum(len(found.refused) for found in most):,} calls were refused, {failed:,} failed otherwise",
            ),
            Row(
                f"1{letters[1]}",
                f"refused there with RESOURCE_EXHAUSTED within, {name}",
                "ms p99",
                tuple(refusals),
                REFUSED_MS,
                Bound.AT_MOST,
                note="" if refusals else "nothing was refused",
            ),
        ),
        tables=(
            Table(
                f"Overload, {name}, {options.accounts:,} accounts (medians of {options.rounds})",
                ("of capacity", "offered/s", "answers/s", "p50 ms", "p99 ms", "refused/s", "refused p99 ms", "failed"),
                tuple(
                    (
                        step,
                        step * capacity,
                        median(step, lambda found: found.rate),
                        median(step, lambda found: found.ms(0.5)),
                        median(step, lambda found: found.ms(0.99)),
                        median(step, lambda found: len(found.refused) / found.seconds),
                        median(step, _refusal_ms) if all(found.refused for found in steps[step]) else "-",
                        sum(sum(found.failed.values()) for found in steps[step]),
                    )
                    for step in STEPS
                ),
            ),
        ),
    )


def _refusal_ms(found: Asked) -> float:
    return percentile(found.refused, 0.99) * 1e3


def main() -> int:
    """Prints the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=20_000, help="accounts known beforehand")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each step")
    parser.add_argument("--full", action="store_true", help="1,000,000 accounts")
    parser.add_argument("--postgresql", action="store_true", help="on a PostgreSQL of its own, too")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    if options.full:
        options.accounts = 1_000_000
    if options.accounts < KNOWN:
        parser.error(f"--accounts must be at least {KNOWN}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = prepared(home, f"sqlite:///{home / 'g.db'}", options.accounts)
        found = curve("SQLite", "su", (), environment, options)
        said, arguments = APART
        found += curve(f"SQLite{said}", "wx", arguments, environment, options)
    if options.postgresql or options.full:
        with own_postgres() as (home, url):
            found += curve("PostgreSQL", "tv", (), prepared(home, url, options.accounts), options)
    hand_over(found, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
