"""Runs benchmarks one after the other, each in a process of its own, and says how each ended.

``make bench`` runs all of them, ``make bench ARGS="scoring import"`` those named. A benchmark is a module
``benchmarks/NAME.py`` with a function ``main`` and defaults for all its options; it starts its peers itself and prints
what it measured, and ``python -m benchmarks.NAME`` runs it alone. Modules without a ``main`` are what benchmarks share.
Processes are separate: one's threads, caches and memory peaks are not another's figures.
"""

import argparse
import ast
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """Every benchmark there is, in order of name."""
    return tuple(sorted(path.stem for path in HERE.glob("*.py") if path.name != "run.py" and _has_main(path)))


def _has_main(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body)


def run(name: str) -> int:
    """Runs one benchmark to its end and returns its exit code; its output goes straight through."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=False).returncode


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
