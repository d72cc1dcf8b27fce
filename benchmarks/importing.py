"""How fast `gatehouse import` takes facts in, and how much memory it needs.

    python -m benchmarks.importing [--accounts 100000] [--exchanges 5000000] [--database URL]

One simulated world is written, and each table is imported by the real command, alone, in a process of its own, into a
new database: accounts first, then usage. The peak is that process's resident memory. Beside it stand two floors that
no import can beat: reading the same rows and checking their types, and that with the door behind it. A second import
of the same directory shows what it costs to find that nothing is new.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from service.domain.time import micros, moment
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.usecases.interchange.sources import sources

DAYS = 14
NOW = micros(moment(0).replace(year=2026, month=6))  # after the simulated world's end


@dataclass(frozen=True, slots=True)
class Figure:
    """One run."""

    rows: int
    seconds: float
    peak_mib: float

    def __str__(self) -> str:
        """As a line of the table shows it."""
        return f"{self.rows:>12,} {self.seconds:>9.1f} {self.rows / self.seconds:>12,.0f} {self.peak_mib:>10,.0f}"


def imported(directory: Path, database: str) -> Figure:
    """One run of the command."""
    command = [sys.executable, "-m", "service.cli", "import", str(directory), "--database", database, "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    peak = _peak(process)
    out = process.stdout.read()
    seconds = time.perf_counter() - started
    if process.wait() != 0:
        raise SystemExit(f"the import ended with exit code {process.returncode}")
    files = json.loads(out.splitlines()[-1])["files"]
    return Figure(sum(counts["rows"] for counts in files.values()), seconds, peak)


def _peak(process: subprocess.Popen[bytes]) -> float:
    """The highest resident memory of a process until it ends, in MiB; NaN where the kernel keeps no such mark.

    Not ``getrusage``: a child's figure there begins with its parent's size.
    """
    status = Path(f"/proc/{process.pid}/status")
    highest = float("nan")
    while process.poll() is None and status.exists():
        marks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        highest = float(marks[0]) / 1024 if marks else highest
        time.sleep(0.02)
    return highest


def floor(directory: Path, door: Door | None) -> Figure:
    """Reading every row, with or without the door behind it, in this process."""
    rows = 0
    started = time.perf_counter()
    for source in sources(directory):
        for chunk in source.chunks():
            rows += len(chunk)
            if door is not None:
                read = door.usage_table if source.table.name == "usage" else door.signups_table
                read(chunk.batch, NOW)
    seconds = time.perf_counter() - started
    return Figure(rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def world(folder: Path, accounts: int, exchanges: int) -> tuple[Path, Path]:
    """Directories with only the accounts, and only the usage, of one simulated world."""
    command = ["simulate", str(folder / "all"), "--accounts", str(accounts), "--days", str(DAYS), "--campaigns", "10"]
    rate = ["--exchanges-per-day", f"{max(1.0, exchanges / accounts / 1.9):.2f}", "--seed", "1"]
    subprocess.run([sys.executable, "-m", "service.cli", *command, *rate], check=True, stderr=subprocess.DEVNULL)
    for name in ("accounts", "usage"):
        (folder / name).mkdir()
        for path in (folder / "all").glob(f"{name}*"):
            path.rename(folder / name / path.name)
    return folder / "accounts", folder / "usage"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--exchanges", type=int, default=5_000_000, help="about so many")
    parser.add_argument("--database", help="an empty database's URL [default: a new SQLite file]")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        accounts, usage = world(folder, options.accounts, options.exchanges)
        database = options.database or f"sqlite:///{folder / 'gatehouse.db'}"
        door = Door(Keyring.generated(0), AddressTables())
        print(f"{'':34}{'rows':>12} {'seconds':>9} {'rows/s':>12} {'peak MiB':>10}")
        for label, directory in (("accounts", accounts), ("usage", usage)):
            print(f"{'read ' + label:34}{floor(directory, None)}", flush=True)
            print(f"{'read ' + label + ' through the door':34}{floor(directory, door)}", flush=True)
            print(f"{'import ' + label:34}{imported(directory, database)}", flush=True)
            print(f"{'import ' + label + ' again':34}{imported(directory, database)}", flush=True)


if __name__ == "__main__":
    main()
