"""``python -m benchmarks.worlds OUT --seed S --tactics tuning|harder|reported``: writes one world."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.worlds.tactics import FAMILIES
from benchmarks.worlds.world import ACCOUNTS, make_world


def main() -> int:
    """Write a world and print what is in it; 2 for numbers that do not fit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worlds", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--tactics", choices=sorted(FAMILIES), required=True)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="in all [default: %(default)s]")
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--exchanges", type=int, help="expected in all [default: 170 for each account]")
    parser.add_argument("--campaigns", type=int, default=5)
    parser.add_argument("--groups", action="store_true", help="the named honest groups in place of the usual ones")
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        made = make_world(
            options.out,
            seed=options.seed,
            tactics=options.tactics,
            accounts=options.accounts,
            days=options.days,
            exchanges=options.exchanges,
            campaigns=options.campaigns,
            named_groups=options.groups,
        )
    except (ValueError, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{made.accounts} accounts and {made.exchanges} exchanges in {time.perf_counter() - started:.0f} s")
    for kind, count in made.kinds.items():
        print(f"  {kind:<16}{count:>7}")
    for name, tactic in made.campaigns.items():
        print(f"  {name}: {', '.join(tactic.does.values())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
