"""Measures the goals of speed beside their peers and prints one table; or runs any one benchmark.

    python -m benchmarks.run [--full] [--again NAME ...]   the table
    python -m benchmarks.run NAME ...                      any benchmarks, with their defaults
    python -m benchmarks.run --list                        what there is

``make bench`` prints the table; with the sizes that it takes by default that is about half an hour on two idle cores,
and ``--full`` measures at the goals' own sizes, in hours. ``--again`` measures some of its benchmarks and keeps the
last figures of the others. Figures and their picture go to ``benchmarks/results``.

A benchmark is a module ``benchmarks/NAME.py`` with a function ``main`` and defaults for all its options; it starts its
peers itself. Modules without a ``main`` are what benchmarks share. Each runs in a process of its own: one's threads,
caches and memory peaks are not another's figures.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import measured, picture
from benchmarks.results import FILE, FOLDER, PICTURE, Meanwhile, Part, Results, load, machine, markdown, part_of, save

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Speed:
    """A benchmark of the table."""

    name: str
    goals: str
    minutes: float  # about, on two idle cores, at the sizes of the quick run


SPEED = (
    Speed("scoring", "1 and 2", 5),
    Speed("at_once", "c", 0.5),
    Speed("overload", "overload", 2),
    Speed("peers", "3", 4),
    Speed("stream", "4", 2),
    Speed("rescoring", "5", 4),
    Speed("importing", "6", 2),
    Speed("recording", "6", 1),
    Speed("training_rows", "7", 2),
    Speed("start", "8", 1.5),
    Speed("headline", "9", 4),
    Speed("workers", "10", 3),
    Speed("request", "1 by room", 1),
)


def names() -> tuple[str, ...]:
    """Every benchmark there is, in order of name."""
    return tuple(sorted(path.stem for path in HERE.glob("*.py") if path.name != "run.py" and _has_main(path)))


def _has_main(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body)


def first_line(name: str) -> str:
    """What a benchmark says of itself in a line."""
    text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return text.split("\n", 1)[0]


def run(name: str, *options: str) -> int:
    """Runs one benchmark to its end and returns its exit code; its output goes straight through."""
    sys.stdout.flush()
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options], cwd=HERE.parent, check=False
    ).returncode


def table(chosen: Sequence[Speed], before: Results, *, full: bool) -> tuple[Results, list[str]]:
    """Measures ``chosen`` and keeps the rest as it was; and the names of those that failed."""
    parts, failed = dict(before.parts), []
    with TemporaryDirectory() as folder:
        for place, one in enumerate(chosen):
            about = "" if full else f", about {one.minutes:g} min"
            print(f"\n== {place + 1} of {len(chosen)}: {one.name} (goals {one.goals}{about})", flush=True)
            meanwhile = Meanwhile()
            out = Path(folder) / f"{one.name}.json"
            code = run(one.name, "--out", str(out), *(["--full"] if full else []))
            seconds = meanwhile.seconds()
            if code != 0 or not out.exists():
                failed.append(one.name)
                parts.pop(one.name, None)
                print(f"-- {one.name}: failed after {seconds:.0f} s", flush=True)
                continue
            parts[one.name] = part_of(measured.read(out), others=meanwhile.others(), seconds=seconds, full=full)
            print(f"-- {one.name}: {seconds:.0f} s", flush=True)
    return Results({one.name: parts[one.name] for one in SPEED if one.name in parts}), failed


def shown(results: Results) -> str:
    """The table, and on what it was measured."""
    said = [f"{name}: {_said(part)}" for name, part in results.parts.items()]
    return "\n".join((measured.printed(results.all()), "", *said))


def _said(part: Part) -> str:
    size = "the goals' own sizes" if part.full else "quick sizes"
    return (
        f"{part.measured_at}, commit {part.commit}, {size}, {part.seconds:.0f} s, others took {part.others:.1f} cores"
    )


def main(arguments: Sequence[str]) -> int:
    """The command: exit code 0 when all ran, 1 when one failed, 2 for a name that is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run instead of the table")
    parser.add_argument("--list", action="store_true", help="print what there is and stop")
    parser.add_argument("--full", action="store_true", help="the goals' own sizes instead of those that end soon")
    parser.add_argument("--again", nargs="+", default=[], metavar="NAME", help="only these of the table's benchmarks")
    parser.add_argument("--markdown", action="store_true", help="print the last table as Markdown, draw it, and stop")
    parser.add_argument("--results", type=Path, default=FOLDER, help="where the table's figures and its picture go")
    options = parser.parse_args(arguments)
    known, speed = names(), {one.name: one for one in SPEED}
    if options.list:
        for name in known:
            print(f"{name:18} {f'[goal {speed[name].goals}] ' if name in speed else ''}{first_line(name)}")
        return 0
    if options.markdown:
        print(markdown(load(options.results / FILE)))
        picture.write(load(options.results / FILE), options.results / PICTURE)
        return 0
    unknown = [name for name in options.names if name not in known] + [n for n in options.again if n not in speed]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"{machine()}, Python {sys.version.split()[0]}")
    if options.names:
        failed = [name for name in options.names if not _ran(name, full=options.full)]
    else:
        chosen = [one for one in SPEED if not options.again or one.name in options.again]
        before = load(options.results / FILE) if options.again else Results()
        results, failed = table(chosen, before, full=options.full)
        print(f"\n{shown(results)}")
        save(results, options.results / FILE)
        picture.write(results, options.results / PICTURE)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _ran(name: str, *, full: bool) -> bool:
    print(f"\n== {name}")
    started = time.monotonic()
    code = run(name, *(["--full"] if full else []))
    print(f"-- {name}: {'failed' if code else 'done'} in {time.monotonic() - started:.0f} s")
    return code == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
