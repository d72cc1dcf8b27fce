"""Our whole request beside model servers that are handed the features: MLServer with LightGBM, and FastAPI with it.

    python -m benchmarks.peers [--accounts 20000] [--callers 32] [--rounds 5] [--seconds 2.5] [--full] [--out FILE]

All serve the same booster on this machine and are asked in turns by as many callers, closed loop. A peer gets a
prepared row of features and answers a score. We get a signup (70 %), a known account (29 %), or one with reasons (1 %),
check and parse it, read its history, compute the features, score, decide and answer once the assessment is durable
(SQLite, synchronous FULL). We serve with ``--scorers 1``: one process talks gRPC and one scores. Two boosters: one of
500 trees x 63 leaves, and the starter model's.

MLServer is asked over gRPC (V2 inference protocol) and over REST, and its quicker one counts. It stands here twice: as
it comes, with its pool of one inference process, and without the pool, which is quicker for a model this small. Both
have one OpenMP thread, and every answer of a peer is compared with the booster's own.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import lightgbm
import numpy as np

from benchmarks.clients import Load, closed_loop, over_grpc
from benchmarks.measured import ROUNDS, Bound, Check, Measured, Row, Table, hand_over, progress, rounds
from benchmarks.model_servers import FASTAPI, POOLED, UNPOOLED, Run, model_servers, python_of_peers
from benchmarks.processes import SERVE, server, spent
from benchmarks.reference_model import LEAVES, TREES, drawn, starter_model, write_reference
from benchmarks.scoring import APART, METHOD, prepared, request
from service.model.artefact import BOOSTER_FILE
from service.model.scorer import Scorer

ACCOUNTS, CALLERS, SECONDS = 20_000, 32, 2.5
DIFFERENT = 512  # rows that peers are asked about
GOALS: tuple[tuple[str, float, float | None], ...] = (  # peer, rate at least, p99 at most
    (POOLED, 2.0, 0.5),
    (UNPOOLED, 2.0, 0.5),
    (FASTAPI, 1.0, None),
)


@contextmanager
def gatehouse(environment: dict[str, str], model: Path, callers: int) -> Iterator[tuple[Run, int]]:
    """Our server of one model, asked for the mix of requests, every one new to it; and its process."""
    fresh = {"GATEHOUSE_STARTER_MODEL": str(model)}
    with server(*SERVE, *APART[1], environment={**environment, **fresh}) as ours:
        connect, channel = over_grpc(ours.grpc, METHOD)
        asked, expected = 0, 2_000.0

        def run(seconds: float) -> Load:
            nonlocal asked, expected
            bodies = [mixed(asked + i) for i in range(int(expected * seconds * 2) + callers)]
            asked += len(bodies)
            load = closed_loop(connect, bodies, callers=callers, seconds=seconds, again=False)
            expected = max(500.0, load.rate)
            return load

        with channel:
            yield run, ours.pid


def mixed(i: int) -> bytes:
    """The i-th request: of a hundred 70 signups, 29 known accounts and one with reasons, spread evenly."""
    place = i * 37 % 100
    return request(i, "signup" if place < 70 else "known" if place < 99 else "explained").SerializeToString()


@dataclass(frozen=True, slots=True)
class Beside:
    """Us and the peers with one model, by name."""

    loads: dict[str, list[Load]]  # by round
    costs: dict[str, list[float]]  # microseconds of processors an answer took the server, by round
    check: Check  # whether the peers' answers were the booster's own


def beside(model: Path, home: Path, python: str, options: argparse.Namespace) -> Beside:
    """All of them asked in turns."""
    environment = prepared(home, f"sqlite:///{home / 'g.db'}", options.accounts)
    booster = model / BOOSTER_FILE
    scorer = Scorer.load(model)
    rows = drawn(scorer, DIFFERENT, seed=11, unknown=0.0)  # JSON has no word for an unknown value
    expected = np.asarray(lightgbm.Booster(model_file=str(booster)).predict(rows, num_threads=1), np.float64)
    compared = differ = 0
    with (
        gatehouse(environment, model, options.callers) as (ours, our_pid),
        model_servers(python, booster, rows, options.callers) as peers,
    ):
        runs: dict[str, Run] = {"Gatehouse": ours, **{peer.name: peer.ask for peer in peers}}
        pids = {"Gatehouse": our_pid, **{peer.name: peer.pid for peer in peers}}
        loads: dict[str, list[Load]] = {name: [] for name in runs}
        costs: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            run(1.0)  # warm

        def measured(name: str) -> float:
            before = spent(pids[name])
            load = runs[name](options.seconds)
            costs[name].append((spent(pids[name]) - before) / len(load.taken) * 1e6)
            loads[name].append(load)
            return load.rate

        rounds(options.rounds, **{name: lambda name=name: measured(name) for name in runs})
        for peer in peers:
            for load in loads[peer.name]:
                compared += len(load.answers)
                differ += sum(not peer.says(answer, expected[place]) for place, answer in load.answers)
    ways = ", ".join(f"{peer.name} over {peer.way}" for peer in peers)
    check = Check("3", f"peers' answers beside Booster.predict, {scorer.version} ({ways})", compared, differ)
    return Beside(loads, costs, check)


def rows_of(loads: Mapping[str, list[Load]], title: str, letters: Iterator[str]) -> list[Row]:
    """The goals' rows for one model."""
    ours, found = loads["Gatehouse"], []
    for name, rate, p99 in GOALS:
        peer = loads[name]
        found.append(
            Row(
                f"3{next(letters)}",
                f"{title}: whole requests beside {name}",
                "answers/s",
                tuple(load.rate for load in ours),
                rate,
                Bound.AT_LEAST,
                name,
                tuple(load.rate for load in peer),
            )
        )
        if p99 is not None:
            found.append(
                Row(
                    f"3{next(letters)}",
                    f"{title}: p99 beside {name}",
                    "ms p99",
                    tuple(load.p99_ms for load in ours),
                    p99,
                    Bound.AT_MOST,
                    name,
                    tuple(load.p99_ms for load in peer),
                )
            )
    return found


def table_of(found: Beside, title: str, callers: int) -> Table:
    """Medians by server. What an answer costs is of the whole server: more processes at work are all counted."""
    return Table(
        f"{title}: {callers} callers (medians)",
        ("server", "answers/s", "ms p99", "server's us of a processor an answer"),
        tuple(
            (
                name,
                statistics.median(load.rate for load in loads),
                statistics.median(load.p99_ms for load in loads),
                statistics.median(found.costs[name]),
            )
            for name, loads in found.loads.items()
        ),
    )


def not_measured(why: str) -> Measured:
    """The goals' rows where the peers could not be had."""
    return Measured(
        tuple(
            Row("3", f"whole requests beside {name}", "answers/s", (), rate, Bound.AT_LEAST, name, (), why)
            for name, rate, _ in GOALS
        )
    )


def main() -> int:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each server in each round")
    parser.add_argument("--full", action="store_true", help="longer rounds, and more of them")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    if options.full:
        options.rounds, options.seconds = max(options.rounds, 9), max(options.seconds, 8.0)
    found = measure(options)
    hand_over(found, options.out)
    return 0


def measure(options: argparse.Namespace) -> Measured:
    """Both models, one after the other."""
    try:
        python = python_of_peers()
    except RuntimeError as error:
        return not_measured(str(error))
    rows: list[Row] = []
    checks: list[Check] = []
    tables: list[Table] = []
    letters = iter("abcdefghijklmnopqrst")
    with TemporaryDirectory() as name:
        folder = Path(name)
        starter = starter_model(folder)
        progress(f"training the reference model, {TREES} trees of {LEAVES} leaves")
        write_reference(starter, folder / "reference")
        for title, model in ((f"{TREES} trees x {LEAVES} leaves", folder / "reference"), ("starter model", starter)):
            home = folder / title.replace(" ", "-")
            home.mkdir()
            found = beside(model, home, python, options)
            rows += rows_of(found.loads, title, letters)
            checks.append(found.check)
            tables.append(table_of(found, title, options.callers))
    return Measured(tuple(rows), tuple(checks), tuple(tables))


if __name__ == "__main__":
    raise SystemExit(main())
