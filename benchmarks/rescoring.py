"""`gatehouse rescore --all` beside the raw booster on the matrix that it prepared, at several sizes.

    python -m benchmarks.rescoring [--accounts 100000 300000] [--model reference] [--folder DIR] [--out FILE] [--full]

A world is simulated and imported once and grown to each size (``benchmarks/grown.py``). In a process of its own each
size is rescored as of a moment: read, columns, features, score, decide, durable assessments. The peer is
``Booster.predict`` on the very matrix that the job has just stored, with as many threads as the job works with, in the
same process, in turns with it. ``reference`` is the model of ``benchmarks/reference_model.py``, drawn apart from any
world: real accounts fall into few of its leaves. ``fitted`` has its size and is grown on accounts of the world itself,
so that its trees tell them apart as a trained model's do. ``starter`` is the shipped one.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import lightgbm
import numpy as np

from benchmarks.grown import grow
from benchmarks.measured import Bound, Check, Measured, Row, Table, hand_over, progress
from benchmarks.processes import GATEHOUSE, ran
from benchmarks.reference_model import LEAVES, TREES, starter_model, write_reference
from service.app import App
from service.domain.enums import ModelState
from service.domain.facts import Float32s
from service.domain.records import ModelRecord
from service.domain.time import HOUR
from service.linking.workers import AT_A_TIME
from service.model.artefact import make_artefact, read_artefact, write_artefact
from service.model.calibration import Calibration
from service.model.scorer import Scorer
from service.settings import Settings
from service.storage import blockanswers, blockfeatures, histories
from service.storage.store import Store
from service.usecases import rescore
from service.usecases.champion import Serving

BASE = 20_000  # accounts of the world that is simulated
QUICK, FULL = (100_000,), (100_000, 300_000, 1_000_000)
ROUNDS = 5
GOAL, MOST_MIB = 0.5, 2_048.0
SEED = 3


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="+", help=f"sizes [default: {QUICK}; with --full: {FULL}]")
    parser.add_argument("--model", choices=("reference", "fitted", "starter"), default="reference")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--full", action="store_true", help="the goal's own sizes")
    parser.add_argument("--folder", type=Path, help="where databases go, and are left for the next run")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # the child's part: a database's folder
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.rounds)))
        return 0
    with TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        sizes = tuple(options.accounts or (FULL if options.full else QUICK))
        found = measured(folder, sizes, options.model, options.rounds)
    hand_over(found, options.out)
    return 0


def measured(folder: Path, sizes: tuple[int, ...], model: str, rounds: int) -> Measured:
    """Each size in turn."""
    world = base(folder)
    made = a_model(folder, model)
    of = {size: at_size(world, folder, size, made, rounds) for size in sizes}
    rows = tuple(_row(size, model, one) for size, one in of.items())
    memory = tuple(
        Row("5c", f"peak memory of a job over {size:,} accounts", "MiB", (one["peak_mib"],), MOST_MIB, Bound.AT_MOST)
        for size, one in of.items()
    )
    checks = tuple(
        Check("5", f"scores of {size:,} accounts beside the booster's own", one["accounts"], one["differences"])
        for size, one in of.items()
    )
    parts = list(next(iter(of.values()))["parts"])
    shares = [
        (name, *(one["parts"][name] for one in of.values()))
        for name in parts
    ]  # fmt: skip
    shares.append(("the whole job", *(one["cpu_us"] for one in of.values())))
    shares.append(("raw booster", *(one["raw_cpu_us"] for one in of.values())))
    shares.append(("the job's wall", *(one["wall_us"] for one in of.values())))
    title = f"microseconds of a processor an account, {model} model, by part (medians)"
    return Measured(rows + memory, checks, (Table(title, ("part", *(f"{size:,}" for size in of)), tuple(shares)),))


def _row(size: int, model: str, one: dict[str, Any]) -> Row:
    cpu = one["raw_cpu_us"] / one["cpu_us"]
    return Row(
        "5",
        f"rescore --all of {size:,} accounts, {model} model",
        "accounts/s",
        tuple(one["rates"]),
        GOAL,
        Bound.AT_LEAST,
        f"raw booster, {AT_A_TIME} threads",
        tuple(one["raw_rates"]),
        f"{size:,} accounts: {cpu:.2f} by processor time, which other work on the machine sways less",
    )


# --- what is measured ------------------------------------------------------------------------------------------------


def base(folder: Path) -> Path:
    """The folder of the small world's database; made once."""
    home = folder / "base"
    if not (home / "gatehouse.db").exists():
        world = folder / "world"
        progress(f"a world of {BASE:,} accounts is simulated and imported")
        said = ("--accounts", str(BASE), "--days", "30", "--campaigns", "5", "--seed", str(SEED))
        ran(*GATEHOUSE, "simulate", str(world), *said, "--exchanges-per-day", "2")
        home.mkdir(parents=True, exist_ok=True)
        ran(*GATEHOUSE, "import", str(world), environment=_at(home))
    return home


def a_model(folder: Path, name: str) -> Path:
    """The artefact of a model by its name."""
    home = base(folder)
    starter = starter_model(folder)
    out = folder / name
    if name == "starter":
        return starter
    if not out.exists():
        progress(f"the {name} model is made")
        if name == "reference":
            write_reference(starter, out)
        else:
            write_fitted(home, starter, out)
    return out


def write_fitted(home: Path, starter: Path, out: Path) -> None:
    """A model of the reference's size grown on the world's accounts, labelled by chance and the starter's log-odds."""
    artefact = read_artefact(starter)
    with _app(home) as app:
        serving = Serving.load(starter)
        moment = _moment(app.store)
        parts = [
            serving.matrix(columns)[columns.known]
            for history in app.store.histories(as_of=moment)
            for columns in (serving.columns(history, history.account, np.full(len(history.account), moment)),)
        ]
    matrix = np.concatenate(parts)
    raw = Scorer(artefact).raw(matrix)
    label = raw - np.median(raw) + np.random.default_rng(6).logistic(0.0, 2.0, len(raw)) > 0
    parameters = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "min_data_in_leaf": 10,
        "learning_rate": 0.05,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        "seed": 7,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, label), TREES)
    manifest = replace(artefact.manifest, version=f"fitted-{TREES}x{LEAVES}", metrics={}, training={}, reference={})
    write_artefact(make_artefact(manifest, booster.model_to_string()), out)


def at_size(world: Path, folder: Path, size: int, model: Path, rounds: int) -> dict[str, Any]:
    """Figures of one size, from a process of its own."""
    home = folder / f"{size}"
    if not (home / "gatehouse.db").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "keyring.json").write_bytes((world / "keyring.json").read_bytes())
        progress(f"the world is grown to {size:,} accounts")
        grow(world / "gatehouse.db", home / "growing.db", max(1, round(size / BASE)))
        (home / "growing.db").rename(home / "gatehouse.db")
    with _app(home) as app:
        made = read_artefact(model)
        version = made.manifest.version
        record = ModelRecord(
            version, ModelState.CHALLENGER, "trained", 1, str(model.resolve()), made.manifest_sha256, made.manifest_text
        )
        app.store.add_model(record)
        app.store.promote(version, 2, "to be measured")
    progress(f"{size:,} accounts are rescored")
    done = ran("-m", "benchmarks.rescoring", "--measure", str(home), "--rounds", str(rounds), environment=_at(home))
    found: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return found


def measure(home: Path, rounds: int) -> dict[str, Any]:
    """The child's part: the job and the raw booster in turns."""
    with _app(home) as app:
        app.load_model()
        serving = app.models.current()
        calibration = Calibration.from_json(serving.scorer.manifest.calibration)
        moment, after = _moment(app.store), _latest(app.store)
        watch = Watch()
        rates, raw_rates, cpu, raw_cpu, wall = [], [], [], [], []
        peak = 0.0
        for turn in range(rounds):
            at = max(moment, after + 1) + turn  # a job at the same moment would find everything recorded
            started, used = time.perf_counter(), time.process_time()
            with watch:
                report = app.rescore(as_of=at)
            seconds, busy = time.perf_counter() - started, time.process_time() - used
            n = report.scored
            if not turn:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            matrix, score = _stored(app.store, at)
            booster = lightgbm.Booster(model_str=serving.scorer.booster_text)
            booster.predict(matrix[:1_000], raw_score=True, num_threads=AT_A_TIME)
            started, used = time.perf_counter(), time.process_time()
            raw = booster.predict(matrix, raw_score=True, num_threads=AT_A_TIME)
            raw_seconds, raw_busy = time.perf_counter() - started, time.process_time() - used
            rates.append(n / seconds)
            raw_rates.append(n / raw_seconds)
            cpu.append(busy * 1e6 / n)
            raw_cpu.append(raw_busy * 1e6 / n)
            wall.append(seconds * 1e6 / n)
            differences = int((calibration.probability(np.asarray(raw, np.float64)) != score).sum())
            progress(f"round {turn + 1} of {rounds}: {rates[-1]:,.0f} accounts/s, raw {raw_rates[-1]:,.0f}")
        return {
            "accounts": n,
            "rates": rates,
            "raw_rates": raw_rates,
            "cpu_us": statistics.median(cpu),
            "raw_cpu_us": statistics.median(raw_cpu),
            "wall_us": statistics.median(wall),
            "peak_mib": peak,
            "differences": differences,
            "parts": watch.parts(n * rounds),
        }


class Watch:
    """Processor seconds by part, over all threads: wraps the functions that the parts begin with."""

    _PARTS = (
        (histories, "count_keys", "read: keys counted"),
        (histories, "_own", "read: an account's keys"),
        (rescore, "assess_many", "assess"),
        (Serving, "columns", "columns"),
        (Serving, "matrix", "features"),
        (Scorer, "score", "model"),
        (Store, "last_decisions", "read: decisions before"),
        (Store, "append_block", "write"),
    )

    def __init__(self) -> None:
        self._spent: dict[str, float] = defaultdict(float)
        self._lock = Lock()
        self._were: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> None:
        for owner, name, part in self._PARTS:
            self._were.append((owner, name, getattr(owner, name)))
            setattr(owner, name, self._timed(getattr(owner, name), part))
        self._were.append((Store, "histories", Store.histories))
        Store.histories = self._read(Store.histories)  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        while self._were:
            owner, name, was = self._were.pop()
            setattr(owner, name, was)

    def parts(self, accounts: int) -> dict[str, float]:
        """Microseconds an account."""
        spent = {name: seconds * 1e6 / accounts for name, seconds in self._spent.items()}
        read = spent["read"] - spent["read: keys counted"] - spent["read: an account's keys"]
        policy = spent["assess"] - spent["columns"] - spent["features"] - spent["model"]
        names = ("read: keys counted", "read: an account's keys", "read: decisions before")
        return {
            **{name: spent[name] for name in names},
            "read: all else": read,
            "columns": spent["columns"],
            "features": spent["features"],
            "model": spent["model"],
            "policy, links, names": policy,
            "write": spent["write"],
        }

    def _timed(self, work: Callable[..., Any], part: str) -> Callable[..., Any]:
        @wraps(work)
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                self._add(part, time.thread_time() - began)

        return timed

    def _read(self, work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        @wraps(work)
        def timed(*arguments: Any, **named: Any) -> Iterator[Any]:
            going = work(*arguments, **named)
            while True:
                began = time.thread_time()
                found = next(going, None)
                self._add("read", time.thread_time() - began)
                if found is None:
                    return
                yield found

        return timed

    def _add(self, part: str, seconds: float) -> None:
        with self._lock:
            self._spent[part] += seconds


def _stored(store: Store, at: int) -> tuple[Float32s, np.ndarray]:
    """The matrix that the job prepared, and what it said of each row, as they are kept."""
    sql = "SELECT answers, features, assessments FROM assessment_blocks WHERE assessed_at = ?"
    features, scores = [], []
    with store.engine.connect() as connection:
        for answers, packed, count in connection.exec_driver_sql(sql, (at,)):
            rows = blockfeatures.some(bytes(packed), list(range(count)))
            features.append(np.frombuffer(b"".join(rows), "<f4").reshape(count, -1))
            scores.append(blockanswers.answers(bytes(answers)).score)
    return np.concatenate(features).astype(np.float32, copy=False), np.concatenate(scores)


def _moment(store: Store) -> int:
    """An hour after the newest fact."""
    return (store.newest_fact() or 0) + HOUR


def _latest(store: Store) -> int:
    with store.engine.connect() as connection:
        return int(
            connection.exec_driver_sql("SELECT coalesce(max(assessed_at), 0) FROM assessment_blocks").scalar_one()
        )


def _app(home: Path) -> AbstractContextManager[App]:
    return App.open(Settings(database_url=_url(home), data_dir=home), upgrade=True)


def _at(home: Path) -> dict[str, str]:
    return {"GATEHOUSE_DATABASE_URL": _url(home), "GATEHOUSE_DATA_DIR": str(home), "GATEHOUSE_LOG_LEVEL": "error"}


def _url(home: Path) -> str:
    return f"sqlite:///{(home / 'gatehouse.db').resolve()}"


if __name__ == "__main__":
    sys.exit(main())
