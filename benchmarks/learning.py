"""What learning owes to its weights, measured against truth, which training never reads.

Worlds of ``gatehouse simulate`` with labels of our own making: of every campaign's members 30 % are never labelled, the
others days late; some honest accounts are cleared. Compared on held-out accounts, one booster each:

- silence: unlabelled accounts weighed (as shipped), taken as legitimate, or left out;
- errors: a share of all verdicts turned round, with the weights that ship;
- campaigns: members weighed by 1 / sqrt(size of their campaign) (as shipped), or all alike, in worlds of few campaigns
  where analysts found one whole and hardly anybody of the others;
- sizes: the size of the model fixed, or chosen by cross-validation.

Figures are of accounts, by their highest score; the spread is over worlds, and differences are paired within a world.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.training import Quiet
from service.app import App
from service.domain.codes import hash64
from service.domain.facts import Float64s, Int64s
from service.domain.time import DAY, HOUR
from service.settings import Settings
from service.usecases.import_directory import import_directory
from training.dataset import FRAUD, UNLABELLED, Dataset, build
from training.evaluate import figures, highest_of
from training.fit import FitRows, fit, fit_booster, parameters_of
from training.silence import account_weight, campaign_share, learning_weight, per_probe, weigh_silence
from training.simulate import DEFAULT_START, simulate
from training.simulate.tables import table, write
from training.splits import TRAIN, Split, split

DAYS = 45
FOUND = 0.7  # of a campaign's members are ever labelled
CLEARED = 0.04  # of honest accounts are called legitimate
WRONG = 0.04  # of verdicts, where nothing else is said
LEAVES, TREES = 7, 50
FEW_CAMPAIGNS = 14  # in the worlds where one is found whole
HARDLY = 0.2  # of the others' members are ever labelled there

Bools = NDArray[np.bool_]
Measured = dict[str, float]


@dataclass(frozen=True)
class Truth:
    """What a world's accounts are, in the order of its ``accounts`` table."""

    account_id: list[str]
    created_at: Int64s
    campaign: Int64s  # number of the campaign; -1: none
    fraud: Bools  # stolen cards, too


@dataclass(frozen=True)
class Case:
    """A dataset with labels of our making, the truth of its accounts, and its sides."""

    dataset: Dataset
    campaign: Int64s
    fraud: Bools
    sides: Split
    share: Float64s
    seed: int

    @property
    def held(self) -> Bools:
        """Accounts that no booster has learned from."""
        return np.asarray(self.sides.side > TRAIN)

    def rows(self, weight: Float64s) -> FitRows:
        """All rows, weighed so."""
        of = self.dataset
        return FitRows(of.matrix, of.accounts.verdict[of.row] == FRAUD, weight, of.accounts.group[of.row])

    def learned(self, weight: Float64s) -> Bools:
        """Rows of the training side that weigh anything."""
        out: Bools = self.sides.on(TRAIN)[self.dataset.row] & (weight > 0)
        return out


def truth_of(world: Path) -> Truth:
    """Read here and nowhere else."""
    accounts = pq.read_table(world / "accounts.parquet", columns=["account_id", "created_at"])
    said = pq.read_table(world / "truth.parquet").to_pydict()
    number = {name: i for i, name in enumerate(sorted({name for name in said["campaign_id"] if name}))}
    campaign = {a: number.get(c, -1) for a, c in zip(said["account_id"], said["campaign_id"], strict=True)}
    stolen = {a for a, kind in zip(said["account_id"], said["kind"], strict=True) if kind == "stolen_card"}
    names = accounts["account_id"].to_pylist()
    of = np.array([campaign[name] for name in names], np.int64)
    fraud = (of >= 0) | np.array([name in stolen for name in names])
    return Truth(names, accounts["created_at"].cast(pa.int64()).to_numpy(), of, fraud)


def label(truth: Truth, folder: Path, *, seed: int, wrong: float, lopsided: bool = False) -> None:
    """Writes labels as analysts would have given them: late, of some members, and a share ``wrong`` of them untrue.

    ``lopsided``: of the largest campaign of the first half all members, of the others hardly any.
    """
    rng = np.random.default_rng([seed, 77])
    created = truth.created_at
    found_share = np.full(len(created), HARDLY if lopsided else FOUND)
    if lopsided:
        early = (created < np.median(created)) & (truth.campaign >= 0)
        found_share[truth.campaign == np.bincount(truth.campaign[early]).argmax()] = 1.0
    found = truth.fraud & (rng.random(len(created)) < found_share)
    decided = created + (rng.lognormal(np.log(4.0), 0.6, len(created)) * DAY).astype(np.int64)
    for number in np.unique(truth.campaign[truth.campaign >= 0]).tolist():
        members = np.flatnonzero(truth.campaign == number)
        seen = np.quantile(created[members], 0.3) + rng.lognormal(np.log(3.0), 0.5) * DAY
        decided[members] = np.maximum(seen, created[members] + 6 * HOUR) + rng.exponential(
            14 * HOUR, len(members)
        ).astype(np.int64)
    judged = found | (~truth.fraud & (rng.random(len(created)) < CLEARED))
    turned = judged & (rng.random(len(created)) < wrong)
    said = np.where(turned, ~truth.fraud, truth.fraud)
    case = truth.campaign.copy()
    cases = np.unique(case[case >= 0])
    honest = turned & ~truth.fraud  # taken for a member of some case
    case[honest] = rng.choice(cases, int(honest.sum()))
    end = int(DEFAULT_START.timestamp()) * 1_000_000 + DAYS * DAY
    rows = np.flatnonzero(judged & (decided < end))
    rows = rows[np.argsort(decided[rows], kind="stable")]
    write(
        folder / "labels.parquet",
        table(
            "labels",
            {
                "account_id": [truth.account_id[i] for i in rows],
                "verdict": ["fraud" if said[i] else "legitimate" for i in rows],
                "decided_at": decided[rows],
                "analyst": [f"analyst-{i % 5}" for i in rows],
                "campaign_id": [f"case-{case[i]}" if said[i] and case[i] >= 0 else None for i in rows],
                "evidence": [None] * len(rows),
                "retracted_at": np.zeros(len(rows), np.int64) if not len(rows) else [None] * len(rows),
            },
        ),
    )


class World:
    """A simulated world, imported once without labels."""

    def __init__(self, folder: Path, *, seed: int, accounts: int, campaigns: int, looks: tuple[int, ...] = ()) -> None:
        self.folder, self.seed, self.looks = folder, seed, looks
        world = folder / "world"
        simulate(
            world,
            accounts=accounts,
            days=DAYS,
            campaigns=campaigns,
            seed=seed,
            start=DEFAULT_START,
            exchanges_per_day=4.0,
        )
        (world / "labels.parquet").unlink()
        self.truth = truth_of(world)
        self.end = int(DEFAULT_START.timestamp()) * 1_000_000 + DAYS * DAY
        self._imported(world, folder / "facts")

    def _imported(self, source: Path, data: Path) -> Dataset | None:
        """What is there once ``source`` is imported, and campaigns were looked for as time passed; None: no labels."""
        data.mkdir(parents=True, exist_ok=True)
        with App.open(Settings(database_url=f"sqlite:///{data}/g.db", data_dir=data), upgrade=True) as app:
            import_directory(source, door=app.door, store=app.store, now=self.end, skip_bad_rows=None, progress=Quiet())
            labels = app.store.labels_at(self.end)
            if not labels:
                return None
            for day in self.looks:
                at = self.end - (DAYS - day) * DAY
                app.detect(as_of=at, holder="benchmark", clock=lambda at=at: at)  # type: ignore[misc]
            return build(app.store, labels, as_of=self.end, seed=1)

    def case(self, wrong: float = WRONG, *, lopsided: bool = False) -> Case:
        """The world with labels as ``label`` gives them."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            data, said = Path(place) / "data", Path(place) / "said"
            shutil.copytree(self.folder / "facts", data)
            said.mkdir()
            label(self.truth, said, seed=self.seed, wrong=wrong, lopsided=lopsided)
            dataset = self._imported(said, data)
        if dataset is None:
            raise SystemExit("this world has no labels: give more accounts or campaigns")
        place_of = {hash64(name): i for i, name in enumerate(self.truth.account_id)}
        at = np.array([place_of[number] for number in dataset.accounts.account.tolist()])
        of = dataset.accounts
        share = campaign_share(of.group, of.stands_for)
        sides = split(of.created_at, of.group, np.where(of.verdict == FRAUD, share, 0.0), seed=self.seed)
        return Case(dataset, self.truth.campaign[at], self.truth.fraud[at], sides, share, self.seed)


def shipped_weight(case: Case, share: Float64s | None = None) -> Float64s:
    """The weights that ``gatehouse train`` uses, or the same with other shares of campaigns' members."""
    silence = weigh_silence(case.dataset, case.sides, case.share, case.seed)
    nobody = np.zeros(len(case.dataset.row))  # no campaign was detected
    return learning_weight(case.dataset, case.sides, silence, case.share if share is None else share, nobody)


def fixed(case: Case, weight: Float64s, leaves: int = LEAVES, trees: int = TREES) -> Float64s:
    """Scores of all rows by a booster of one size."""
    rows = case.rows(weight).part(case.learned(weight))
    booster = fit_booster(rows, case.dataset.features, parameters_of(case.dataset.features, leaves, case.seed), trees)
    return np.asarray(booster.predict(case.dataset.matrix, num_threads=1), np.float64)


def chosen(case: Case, weight: Float64s) -> Float64s:
    """Scores of all rows by a booster of the size that cross-validation chooses."""
    rows = case.rows(weight).part(case.learned(weight))
    made = fit(rows, case.dataset.features, seed=case.seed)
    print(f"    chose {made.parameters['num_leaves']} leaves, {made.trees} trees", flush=True)
    return np.asarray(made.booster.predict(case.dataset.matrix, num_threads=1), np.float64)


def measured(case: Case, score: Float64s) -> Measured:
    """How held-out accounts fared, by truth."""
    highest = highest_of(score, case.dataset.row, len(case.fraud))
    held, of = case.held, case.dataset.accounts
    ranks = figures(highest[held], case.fraud[held].astype(float), of.stands_for[held])
    threshold = np.quantile(highest[held & ~case.fraud], 0.99)
    recall = [
        float((highest[held & (case.campaign == number)] > threshold).mean())
        for number in np.unique(case.campaign[held & (case.campaign >= 0)]).tolist()
    ]
    return {
        "average precision": ranks["average_precision"] or 0.0,
        "ROC AUC": ranks["roc_auc"] or 0.0,
        "found at 1 %": ranks["recall_at_fpr_0.01"] or 0.0,
        "mean campaign": float(np.mean(recall)),
    }


def silence_arms(world: World) -> dict[str, Measured]:
    """Three ways to take an unlabelled account."""
    case = world.case()
    of = case.dataset.accounts
    plain = per_probe(case.dataset, account_weight(case.dataset, case.sides, case.share))
    labelled = np.where((of.verdict == UNLABELLED)[case.dataset.row], 0.0, plain)
    weights = {
        "weighed (shipped)": shipped_weight(case),
        "as legitimate": plain,
        "left out": labelled,
    }
    return {name: measured(case, fixed(case, weight)) for name, weight in weights.items()}


def error_arms(world: World) -> dict[str, Measured]:
    """More and more verdicts turned round."""
    out = {}
    for wrong in (0.0, 0.03, 0.05, 0.1, 0.2):
        case = world.case(wrong)
        out[f"{wrong:.0%} wrong"] = measured(case, fixed(case, shipped_weight(case)))
    return out


def campaign_arms(world: World) -> dict[str, Measured]:
    """How the members of one campaign share its weight, where one campaign has most of the labels."""
    case = world.case(lopsided=True)
    alike = np.ones(len(case.share))
    return {
        "1 / sqrt(size) (shipped)": measured(case, fixed(case, shipped_weight(case))),
        "members alike": measured(case, fixed(case, shipped_weight(case, alike))),
        "campaigns alike": measured(case, fixed(case, shipped_weight(case, case.share**2))),
    }


def size_arms(world: World) -> dict[str, Measured]:
    """How large the model is."""
    case = world.case()
    weight = shipped_weight(case)
    out = {}
    for leaves, trees in ((7, 50), (4, 50), (7, 25), (7, 100), (15, 100), (31, 200)):
        out[f"{leaves} leaves, {trees} trees"] = measured(case, fixed(case, weight, leaves, trees))
    started = time.process_time()
    out["cross-validated"] = measured(case, chosen(case, weight))
    print(f"    choosing took {time.process_time() - started:.0f} s of a processor", flush=True)
    return out


ARMS: dict[str, Callable[[World], dict[str, Measured]]] = {
    "silence": silence_arms,
    "errors": error_arms,
    "campaigns": campaign_arms,
    "sizes": size_arms,
}


def told(name: str, worlds: list[dict[str, Measured]]) -> str:
    """A table: mean and standard deviation over worlds, and the paired difference from the first arm."""
    first = next(iter(worlds[0]))
    lines = [f"{name}, {len(worlds)} worlds: mean (standard deviation); difference from the first (standard error)"]
    for arm in worlds[0]:
        cells = []
        for figure in worlds[0][arm]:
            values = np.array([world[arm][figure] for world in worlds])
            behind = values - np.array([world[first][figure] for world in worlds])
            error = behind.std(ddof=1) / np.sqrt(len(worlds)) if len(worlds) > 1 else float("nan")
            more = "" if arm == first else f" {np.nanmean(behind):+.3f} ({error:.3f})"
            cells.append(f"{figure} {np.nanmean(values):.3f} ({np.nanstd(values):.3f}){more}")
        lines.append(f"  {arm:<26}" + "; ".join(cells))
    return "\n".join(lines)


def main() -> int:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=8_000)
    parser.add_argument("--campaigns", type=int, default=50)
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=101)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    options = parser.parse_args(sys.argv[1:])
    done: dict[str, list[dict[str, Measured]]] = {name: [] for name in options.arms}
    print(f"begun {datetime.now(UTC):%Y-%m-%d %H:%M}")
    for seed in range(options.first_seed, options.first_seed + options.worlds):
        worlds: dict[int, World] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in options.arms:
                print(f"  world {seed}: {name}", flush=True)
                campaigns = FEW_CAMPAIGNS if name == "campaigns" else options.campaigns
                if campaigns not in worlds:
                    place = Path(folder) / str(campaigns)
                    worlds[campaigns] = World(place, seed=seed, accounts=options.accounts, campaigns=campaigns)
                done[name].append(ARMS[name](worlds[campaigns]))
    for name, of in done.items():
        print(told(name, of), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
