"""What an account-level model finds of campaigns whose tactics it has not seen, for comparison.

Two models a world: LightGBM on identity, payment and usage alone, and the same with counts of how many others share
each kind of key. Both get every advantage: they learn from a world of which every account's truth is known, and their
threshold is set on the very honest accounts that it is measured on. Features are the product's own, as of each age.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.outcomes import Truth
from service.app import App
from service.domain.codes import hash64_many
from service.domain.time import DAY
from service.engine.embedded import columns
from service.features import identity, linkage, payment, usage
from service.features.catalogue import matrix
from service.features.linkage import KINDS
from service.settings import Settings
from training.fit import FitRows, fit_booster, parameters_of

AGES = {"signup": 0, "1 day": DAY, "7 days": 7 * DAY}
ACCOUNT = (*identity.FEATURES, *payment.FEATURES, *usage.FEATURES)
WITH_COUNTS = (*ACCOUNT, *linkage.FEATURES)
LEAVES, TREES = 15, 150
FRICTION = 0.001

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """A world's accounts as of each age, in the order of ``truth``; rows of accounts too young then are NaN."""

    truth: Truth
    created: NDArray[np.int64]
    rows: dict[str, Floats]
    old_enough: dict[str, NDArray[np.bool_]]


def see(world: Path) -> Seen:
    """Imports a world and folds its accounts as of each age."""
    truth = Truth.read(world)
    with tempfile.TemporaryDirectory(prefix="gatehouse-baseline-") as folder:
        url = f"sqlite:///{folder}/world.db"
        command = [sys.executable, "-m", "service.cli", "import", str(world), "--database", url]
        subprocess.run(command, check=True, capture_output=True)
        number = hash64_many(truth.account.tolist())
        place = dict(zip(number.tolist(), range(len(number)), strict=True))
        rows = {age: np.full((len(number), len(WITH_COUNTS)), np.nan, np.float32) for age in AGES}
        created = np.zeros(len(number), np.int64)
        with App.open(Settings(database_url=url), upgrade=True) as app:
            end = app.store.newest_fact() or 0
            for history in app.store.histories():
                at = np.array([place[one] for one in history.account.tolist()], np.int64)
                created[at] = history.created_at
                for age, after in AGES.items():
                    known = columns(history, history.account, history.created_at + after, kinds=tuple(KINDS))
                    rows[age][at] = matrix(known, WITH_COUNTS)
        return Seen(truth, created, rows, {age: created + after <= end for age, after in AGES.items()})


def compare(learned: Seen, asked: Seen, world: Path, seed: int) -> dict[str, dict[str, Any]]:
    """By model and age: recall at 0.1 % friction, the share of exchanges let through, and honest accounts by kind."""
    use = _exchanges(world, asked)
    out: dict[str, dict[str, Any]] = {}
    for name, features in (("account-level LightGBM", ACCOUNT), ("the same with key counts", WITH_COUNTS)):
        for age, after in AGES.items():
            some = learned.old_enough[age]
            width = len(features)
            fraud = learned.truth.campaign >= 0
            weight = np.ones(int(some.sum()))
            rows = FitRows(learned.rows[age][some][:, :width], fraud[some], weight, np.arange(int(some.sum())))
            booster = fit_booster(rows, features, parameters_of(features, LEAVES, seed), TREES)
            out[f"{name}, {age}"] = _figures(booster, asked, age, after, width, use)
    return out


def _figures(
    booster: lightgbm.Booster, asked: Seen, age: str, after: int, width: int, use: tuple[Any, Any]
) -> dict[str, Any]:
    some, fraud = asked.old_enough[age], asked.truth.campaign >= 0
    score = np.zeros(len(fraud))
    score[some] = booster.predict(asked.rows[age][some][:, :width], num_threads=1)
    honest = np.sort(score[some & ~fraud])[::-1]
    threshold = honest[int(FRICTION * len(honest))]
    flagged = some & (score > threshold)
    who, happened = use
    through = ~flagged[who] | (happened < asked.created[who] + after)
    kinds = asked.truth.kind[flagged & ~fraud]
    return {
        "recall": float(flagged[fraud].mean()),
        "let_through": float(through.mean()) if len(who) else None,
        "honest_touched": float(flagged[~fraud].mean()),
        "by_kind": {kind: int((kinds == kind).sum()) for kind in np.unique(kinds).tolist()},
    }


def _exchanges(world: Path, asked: Seen) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(place of account, moment) of every exchange of a campaign's account."""
    who, at = [], []
    for path in sorted((world / "usage").glob("*.parquet")):
        table = pq.read_table(path, columns=["account_id", "happened_at"])
        place = asked.truth.places(np.array(table["account_id"].to_pylist(), dtype=asked.truth.account.dtype))
        mine = asked.truth.campaign[place] >= 0
        who.append(place[mine])
        at.append(table["happened_at"].to_numpy().astype("datetime64[us]").astype(np.int64)[mine])
    return np.concatenate(who), np.concatenate(at)


def of_decisions(first: NDArray[np.int64], asked: Seen, world: Path) -> dict[str, dict[str, Any]]:
    """The same figures of a replay: by the decision at signup, and by all decisions up to each age after it."""
    who, happened = _exchanges(world, asked)
    fraud = asked.truth.campaign >= 0
    out = {}
    for age, after in (*AGES.items(), ("45 days", 2**60)):
        by = first <= asked.created + after
        kinds = asked.truth.kind[by & ~fraud]
        out[f"Gatehouse, {age}"] = {
            "recall": float(by[fraud].mean()),
            "let_through": float((~by[who] | (happened < first[who])).mean()) if len(who) else None,
            "honest_touched": float(by[~fraud].mean()),
            "by_kind": {kind: int((kinds == kind).sum()) for kind in np.unique(kinds).tolist()},
        }
    return out
