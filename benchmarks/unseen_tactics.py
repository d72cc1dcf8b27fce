"""The README's table: campaigns with tactics unseen in training, found by account-level models and by Gatehouse.

Each world of the ``reported`` tactics is replayed by ``gatehouse backtest`` without a single label; the account-level
models learn from a world of the ``tuning`` tactics of which everything is known, and are measured on the reported one
(``benchmarks.baselines`` says what advantages they have). Intervals are the smallest and the largest of the worlds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.baselines import compare, of_decisions, see
from benchmarks.loop import replay
from benchmarks.outcomes import first_touched
from benchmarks.worlds.world import make_world

Figures = dict[str, dict[str, Any]]


def measure(seed: int, options: argparse.Namespace) -> Figures:
    """All rows of the table for one seed."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-tactics-") as folder:
        worlds = {}
        for tactics, number in (("tuning", 1_000 + seed), ("reported", seed)):
            worlds[tactics] = Path(folder) / tactics
            make_world(
                worlds[tactics],
                seed=number,
                tactics=tactics,
                accounts=options.accounts,
                days=options.days,
                exchanges=options.exchanges,
                campaigns=options.campaigns,
                named_groups=False,
            )
        out = Path(folder) / "out"
        kept = None if options.replays is None else options.replays / f"{seed}-silent"
        if kept is None or not (kept / "decisions.parquet").exists():
            replay(worlds["reported"], out, days=options.days, step_hours=6.0, retrain_days=7.0)
            kept = out
        learned, asked = see(worlds["tuning"]), see(worlds["reported"])
        first, _ = first_touched(kept, asked.truth)
        return compare(learned, asked, worlds["reported"], seed) | of_decisions(first, asked, worlds["reported"])


def table(found: list[Figures]) -> str:
    """The table as Markdown: medians, with the least and the most in brackets."""
    lines = [
        "| found by | recall | exchanges let through | honest accounts touched | of which (all worlds) |",
        "|---|---|---|---|---|",
    ]
    for name in found[0]:
        rows = [each[name] for each in found]
        kinds: dict[str, int] = {}
        for row in rows:
            for kind, count in row["by_kind"].items():
                kinds[kind] = kinds.get(kind, 0) + count
        said = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1])[:6])
        cells = [_cell([row[what] for row in rows], of) for what, of in _COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} | {said or 'none'} |")
    return "\n".join(lines)


_COLUMNS = (("recall", ".1%"), ("let_through", ".1%"), ("honest_touched", ".3%"))


def _cell(values: list[float], of: str) -> str:
    middle, low, high = (format(value, of) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[31, 32, 33, 34, 35])
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--exchanges", type=int, default=1_700_000)
    parser.add_argument("--campaigns", type=int, default=5)
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--replays", type=Path, help="replays that `benchmarks.loop --keep` left for the same worlds")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here, too")
    options = parser.parse_args()
    found = [measure(seed, options) for seed in options.seeds]
    print(table(found))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
