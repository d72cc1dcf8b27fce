"""What a challenger beside the champion costs whoever waits for an answer: the same server with one and without.

Two servers on databases of their own (SQLite), the same starter model, and in one of them a copy of it that shadows;
asked by the same client process, closed loop, in interleaved rounds. Figures are medians of rounds, and quantiles over
all calls. ``CPU ms`` is what the server's process used for each call, the shadow's work included: it says most on a
machine that others use meanwhile. ``scored`` is the share of answers that the challenger had time for.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.scoring import ROUND_S, load, prepared
from service.app import App
from service.domain.enums import ModelState
from service.domain.records import ModelRecord
from service.model.artefact import Artefact, make_artefact, write_artefact
from service.settings import Settings
from training.starter import make_starter

ACCOUNTS = 20_000
CALLERS = 32
ROUNDS = 5
CHALLENGER = "m-challenger"


def shadowed(environment: dict[str, str], starter: Artefact) -> None:
    """Registers a copy of the starter model and lets it shadow."""
    settings = Settings(
        database_url=environment["GATEHOUSE_DATABASE_URL"], data_dir=Path(environment["GATEHOUSE_DATA_DIR"])
    )
    copy = make_artefact(replace(starter.manifest, version=CHALLENGER, origin="trained"), starter.booster)
    with App.open(settings, upgrade=True) as app:
        write_artefact(copy, settings.models_dir() / CHALLENGER)
        app.store.add_model(
            ModelRecord(
                version=CHALLENGER,
                state=ModelState.CHALLENGER,
                origin="trained",
                created_at=0,
                location=str(settings.models_dir() / CHALLENGER),
                manifest_sha256=copy.manifest_sha256,
                manifest=copy.manifest_text,
            )
        )
        app.shadow_model(CHALLENGER, why="benchmark", now=1)


@contextmanager
def served(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """A server; its addresses by name once it is ready."""
    command = ("-m", "service.cli", "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield {**dict(word.split("=", 1) for word in line.split()[1:]), "pid": str(process.pid)}
    finally:
        process.terminate()
        process.wait(30)


def cpu_seconds(pid: str) -> float:
    """What the process has used so far, in user and system mode."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def counts(metrics: str) -> dict[str, float]:
    """Accounts that came to the shadow, by outcome."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    name = "gatehouse_shadow_accounts_total"
    found = (line.removeprefix(name).rsplit(" ", 1) for line in lines if line.startswith(name))
    return {label.split('"')[1]: float(value) for label, value in found}


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--starter-accounts", type=int, default=2_500, help="size of the starter model's world")
    options = parser.parse_args()
    starter = make_starter(accounts=options.starter_accounts, campaigns=12).artefact
    with tempfile.TemporaryDirectory() as folder:
        write_artefact(starter, Path(folder) / "starter")
        environments = {}
        for name in ("without", "with"):
            home = Path(folder) / name
            home.mkdir()
            found = prepared(home, f"sqlite:///{home / 'g.db'}", options.accounts)
            environments[name] = {**os.environ, **found, "GATEHOUSE_STARTER_MODEL": str(Path(folder) / "starter")}
        shadowed(environments["with"], starter)
        kinds = {"signup": options.callers, "known": options.callers, "signup, 1": 1}
        rates: dict[tuple[str, str], list[float]] = {(kind, name): [] for kind in kinds for name in environments}
        calls: dict[tuple[str, str], list[float]] = {key: [] for key in rates}
        used: dict[tuple[str, str], float] = dict.fromkeys(rates, 0.0)
        outcomes: dict[str, dict[str, float]] = {kind: {} for kind in kinds}
        first = 0
        with served(environments["without"]) as without, served(environments["with"]) as beside:
            for _ in range(options.rounds):
                for kind, callers in kinds.items():
                    for name, addresses in (("without", without), ("with", beside)):
                        before, began = counts(beside["metrics"]), cpu_seconds(addresses["pid"])
                        rate, seconds, made = load(addresses["grpc"], kind.split(",")[0], first, callers)
                        first += made
                        rates[kind, name].append(rate)
                        calls[kind, name].extend(seconds)
                        time.sleep(2.0)  # what waits is scored, and is not taken for the next round's
                        used[kind, name] += cpu_seconds(addresses["pid"]) - began
                        if name == "with":
                            for outcome, count in counts(beside["metrics"]).items():
                                total = outcomes[kind].get(outcome, 0.0) + count - before.get(outcome, 0.0)
                                outcomes[kind][outcome] = total
    print(f"{options.accounts:,} accounts, {options.callers} callers or 1, {options.rounds} rounds of {ROUND_S:.0f} s")
    print(f"{'':12}{'shadow':>10}{'calls/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'CPU ms':>10}{'scored':>10}")
    for (kind, name), values in rates.items():
        took = sorted(calls[kind, name])
        p50, p99 = took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3
        came = sum(outcomes[kind].values())
        scored = f"{outcomes[kind].get('scored', 0.0) / came:.0%}" if name == "with" and came else ""
        each = used[kind, name] / len(took) * 1e3
        rate = statistics.median(values)
        print(f"{kind:12}{name:>10}{rate:>10.0f}{p50:>10.2f}{p99:>10.2f}{each:>10.2f}{scored:>10}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
