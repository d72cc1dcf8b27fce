# ruff: noqa: INP001 - a command, not a package
"""Generates service/pb from proto/, or with ``--check`` compares and says what differs (exit code 1).

Run from anywhere as ``python proto/generate.py``. The same inputs and pinned packages give the same bytes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
GENERATED = ROOT / "service" / "pb"
SUFFIXES = (".py", ".pyi")
HAND_WRITTEN = {Path("__init__.py")}

# googleapis-common-protos carries both the .proto and the Python of these: ours are copies that let buf work offline.
# Python of our own beside theirs would register the same file twice.
COPIES_OF_GOOGLEAPIS = ("google/rpc/code.proto", "google/rpc/error_details.proto", "google/rpc/status.proto")


def generate(target: Path) -> None:
    """Writes messages, gRPC stubs and their types for every .proto that no installed package generates already."""
    sources = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    ours = [source for source in sources if source not in COPIES_OF_GOOGLEAPIS]
    with_services = [source for source in ours if "\nservice " in (PROTO / source).read_text()]
    run_protoc(["--python_out", "--mypy_out=quiet"], ours, target)
    run_protoc(["--grpc_python_out", "--mypy_grpc_out=only_sync,quiet"], with_services, target)
    for path in target.rglob("*.py*"):  # plugins differ in their trailing blank lines
        path.write_text(path.read_text().rstrip() + "\n")


def run_protoc(outputs: list[str], sources: list[str], target: Path) -> None:
    """One run of protoc with the plugins that live beside this interpreter."""
    plugins = Path(sys.executable).parent
    well_known = files("grpc_tools") / "_proto"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{well_known}"]
    command += [f"--plugin={name}={plugins / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    for output in outputs:
        flag, _, options = output.partition("=")
        command.append(f"{flag}={options}:{target}" if options else f"{flag}={target}")
    subprocess.run([*command, *sources], check=True, cwd=ROOT)  # noqa: S603 - our own arguments


def tree(root: Path) -> dict[Path, str]:
    """Generated files under ``root`` by relative path, with their text."""
    paths = (path for path in root.rglob("*") if path.suffix in SUFFIXES)
    found = {path.relative_to(root): path.read_text() for path in paths}
    return {path: text for path, text in found.items() if path not in HAND_WRITTEN}


def differences(fresh: dict[Path, str], committed: dict[Path, str]) -> list[str]:
    """What a reader must know to mend it, one line for each file that differs."""
    lines = [f"missing: service/pb/{path}" for path in sorted(fresh.keys() - committed.keys())]
    lines += [f"left over: service/pb/{path}" for path in sorted(committed.keys() - fresh.keys())]
    lines += [
        f"out of date: service/pb/{p}" for p in sorted(fresh.keys() & committed.keys()) if fresh[p] != committed[p]
    ]
    return lines


def stale_copies() -> list[str]:
    """Copies of googleapis' files that are not those of the installed package."""
    installed = distribution("googleapis-common-protos")
    stale = [
        name
        for name in COPIES_OF_GOOGLEAPIS
        if (PROTO / name).read_text() != Path(str(installed.locate_file(name))).read_text()
    ]
    return [f"not as installed: proto/{name}" for name in stale]


def say(text: str) -> None:
    """One line for whoever runs this."""
    sys.stdout.write(text + "\n")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if service/pb is out of date")
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = tree(Path(scratch))
    wrong = stale_copies() + differences(fresh, tree(GENERATED))
    if check:
        say("\n".join([*wrong, "run: python proto/generate.py"]) if wrong else "service/pb is up to date")
        return 1 if wrong else 0
    for path in tree(GENERATED).keys() - fresh.keys():
        (GENERATED / path).unlink()
    for path, text in fresh.items():
        (GENERATED / path).parent.mkdir(parents=True, exist_ok=True)
        (GENERATED / path).write_text(text)
    say(f"wrote {len(fresh)} files to service/pb")
    return 0


if __name__ == "__main__":
    sys.exit(main())
