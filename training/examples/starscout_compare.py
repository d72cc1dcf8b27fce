"""The whole product on real records, beside a plain LightGBM on the same counts and the same split.

Import of the first snapshot, ``gatehouse train`` as of the moment before the second, import of the second without its
labels, ``gatehouse rescore`` as of its date; only then are the held-out labels opened. Every step is the command that a
user would type. The peer is ``lightgbm.train`` on the table of counts, with nothing around it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service.domain.facts import Float64s
from service.domain.time import SECOND, rfc3339
from training.evaluate import Figures, figures
from training.examples.starscout import HELD_OUT, convert

TOLERANCE = 0.005  # of ROC AUC: how much worse than the plain model the product may be
PLAIN = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "num_threads": 2,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 1,
    "verbosity": -1,
}
PLAIN_TREES = 200


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of both on the accounts of the second snapshot."""

    accounts: int
    gatehouse: Figures
    plain: Figures
    model_version: str

    @property
    def behind(self) -> float:
        """By how much the product's ROC AUC lies below the plain model's; negative where it lies above."""
        return float(self.plain["roc_auc"] or 0.0) - float(self.gatehouse["roc_auc"] or 0.0)


def compare(source: Path, work: Path) -> Comparison:
    """Runs everything in the folder ``work``. Raises CalledProcessError where a command fails."""
    first, second = convert(source, work)
    gatehouse = _Gatehouse(f"sqlite:///{work / 'gatehouse.db'}")
    gatehouse("import", str(work / "first"))
    trained = gatehouse("train", "--as-of", rfc3339(second.at - SECOND), "--promote", "always")
    gatehouse("import", str(work / "second"))
    gatehouse("rescore", "--as-of", rfc3339(second.at), "--all", "--out", str(work / "scores.parquet"))

    fraud = _fraud(work / HELD_OUT)
    scores = pq.read_table(work / "scores.parquet", columns=["account_id", "score"])
    scored = dict(zip(scores["account_id"].to_pylist(), scores["score"].to_pylist(), strict=True))
    ids = sorted(fraud)
    truth = np.array([fraud[one] for one in ids], np.float64)
    weight = np.ones(len(ids))
    ours = figures(np.array([scored[one] for one in ids]), truth, weight)

    learnt = _fraud(work / "first" / "labels.parquet")
    train_ids = sorted(learnt)
    data = lightgbm.Dataset(
        _counts(work / "first", train_ids, first.counts), np.array([learnt[one] for one in train_ids], np.float64)
    )
    booster = lightgbm.train(PLAIN, data, PLAIN_TREES)
    plain = np.asarray(booster.predict(_counts(work / "second", ids, first.counts)), np.float64)
    return Comparison(len(ids), ours, figures(plain, truth, weight), str(trained["model_version"]))


class _Gatehouse:
    """The ``gatehouse`` command on one database."""

    def __init__(self, database: str) -> None:
        self._database = database

    def __call__(self, *words: str) -> dict[str, object]:
        """Runs one command and returns what its ``--json`` says; its progress goes to standard error."""
        command = [sys.executable, "-m", "service.cli", *words, "--database", self._database, "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  our own command
        answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return answer


def _fraud(path: Path) -> dict[str, bool]:
    rows = pq.read_table(path, columns=["account_id", "verdict"])
    verdicts = rows["verdict"].to_pylist()
    return {one: verdict == "fraud" for one, verdict in zip(rows["account_id"].to_pylist(), verdicts, strict=True)}


def _counts(directory: Path, ids: list[str], names: tuple[str, ...]) -> Float64s:
    """The counts of ``ids`` as shape (accounts, names)."""
    place = {one: row for row, one in enumerate(ids)}
    out = np.full((len(ids), len(names)), np.nan)
    signals = pq.read_table(directory / "signals.parquet")
    rows = np.array([place[one] for one in signals["account_id"].to_pylist()])
    columns = pa.compute.index_in(signals["name"], pa.array(names)).to_numpy()
    out[rows, columns] = signals["value"].to_numpy()
    return out


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this new folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
def main(source: Path, work: Path | None, *, as_json: bool) -> None:
    """Train on the first snapshot in SOURCE, score the second, and print both models' figures."""
    if work is None:
        with TemporaryDirectory() as folder:
            result = compare(source, Path(folder))
    else:
        work.mkdir(parents=True)
        result = compare(source, work)
    click.echo(f"{result.accounts:,} accounts of the second snapshot; model {result.model_version}")
    click.echo(f"{'':24}{'gatehouse':>12}{'plain':>12}")
    for name in result.gatehouse:
        ours, plain = result.gatehouse[name], result.plain[name]
        click.echo(f"{name:24}{_figure(ours):>12}{_figure(plain):>12}")
    verdict = "within" if result.behind <= TOLERANCE else "NOT within"
    click.echo(f"gatehouse is {result.behind:+.4f} behind in ROC AUC: {verdict} {TOLERANCE}")
    if as_json:
        click.echo(json.dumps({"gatehouse": result.gatehouse, "plain": result.plain, "behind": result.behind}))
    if result.behind > TOLERANCE:
        sys.exit(1)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) <= 1 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
