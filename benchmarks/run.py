"""Runs benchmarks one after the other, each in a process of its own, and says how each ended.

``make bench`` runs all of them, ``make bench ARGS="scoring import"`` those named. A benchmark is a module
``benchmarks/NAME.py`` with a docstring and a ``main(arguments: Sequence[str]) -> int``; it starts its peers itself and
prints what it measured. Processes are separate: one's threads, caches and memory peaks are not another's figures.
"""

import argparse
import os
import pkgutil
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import benchmarks

NOT_BENCHMARKS = frozenset({"run"})


def names() -> tuple[str, ...]:
    """Every benchmark there is, in order of name; modules that begin with ``_`` are their shared parts."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return tuple(sorted(name for name in found if name not in NOT_BENCHMARKS and not name.startswith("_")))


def run(name: str) -> int:
    """Runs one benchmark to its end and returns its exit code; its output goes straight through."""
    sys.stdout.flush()
    call = f"import sys; from benchmarks import {name}; sys.exit({name}.main(()))"
    return subprocess.run([sys.executable, "-c", call], cwd=Path(__file__).parent.parent, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """The command: exit code 0 when all ran, 1 when one failed, 2 for a name that is not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names()) or 'none yet'}")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(names()))
        return 0
    unknown = [name for name in options.names if name not in names()]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    failed = []
    for name in options.names or names():
        print(f"\n== {name}")
        started = time.monotonic()
        if run(name) != 0:
            failed.append(name)
        print(f"-- {name}: {'failed' if name in failed else 'done'} in {time.monotonic() - started:.0f} s")
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
