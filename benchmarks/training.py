"""Training on 100,000 simulated accounts: seconds a stage, peak memory, what truth says of it, and checks for leaks.

Truth is read here and nowhere else: the command learns from labels as analysts gave them, late and incomplete. Checks
for leaks: no feature alone may tell truth from its probes (above 0.8 ROC AUC is listed), and a model of labels dealt
out anew among accounts must be worth nothing on held-out ones.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from service.app import App
from service.domain.codes import hash64
from service.domain.time import DAY
from service.features.catalogue import RULED
from service.model.scorer import Scorer
from service.policy.policy import Policy, levels
from service.settings import Settings
from service.usecases.import_directory import Counts, import_directory
from training.dataset import AGES, FRAUD, Dataset, build
from training.evaluate import figures, highest_of
from training.pipeline import Trained, train
from training.silence import campaign_share
from training.simulate import DEFAULT_START, simulate
from training.splits import TRAIN, split

BUDGET = 0.001
SEED = 3


class Quiet:
    """Nobody watches this import."""

    def begins(self, name: str, size: int) -> None:
        """Says nothing."""

    def advanced(self, read: int, rows: int) -> None:
        """Says nothing."""

    def ends(self, name: str, counts: Counts, *, published: bool) -> None:
        """Says nothing."""


def learned(dataset: Dataset, seed: int = SEED) -> Trained:
    """A model of ``dataset``."""
    return train(dataset, seed=seed, budget=BUDGET, origin="trained", created_at=dataset.as_of, code_version="bench")


def truth_of(world: Path, dataset: Dataset) -> np.ndarray:
    """Whether each account of the dataset is fraud in truth."""
    rows = pq.read_table(world / "truth.parquet").to_pydict()
    fraud = {
        hash64(account): campaign is not None or kind == "stolen_card"
        for account, campaign, kind in zip(rows["account_id"], rows["campaign_id"], rows["kind"], strict=True)
    }
    return np.array([fraud[int(account)] for account in dataset.accounts.account])


def held_out(dataset: Dataset, seed: int = SEED) -> np.ndarray:
    """Accounts that the booster of ``dataset`` has not learned from."""
    of = dataset.accounts
    mass = np.where(of.verdict == FRAUD, campaign_share(of.group), 0.0)
    return np.asarray(split(of.created_at, of.group, mass, seed=seed).side > TRAIN)


def in_truth(made: Trained, dataset: Dataset, truth: np.ndarray) -> None:
    """Prints what the held-out accounts would have met with."""
    scorer = Scorer(made.artefact)
    kept = set(scorer.features)
    rows = dataset.only(np.array([feature.name in kept for feature in dataset.features])).matrix
    scores = scorer.score(rows)
    policy = Policy.from_json(made.artefact.manifest.policy)
    names = (*scorer.features, *(feature.name for feature in RULED))
    level = levels(policy, scores, np.concatenate([rows, dataset.ruled], axis=1), names).astype(np.float64)
    worst = highest_of(level, dataset.row, len(truth))
    highest = highest_of(scores, dataset.row, len(truth))
    held, weight = held_out(dataset), dataset.accounts.stands_for
    honest, fraud = held & ~truth, held & truth
    ranks = figures(highest[held], truth[held].astype(float), weight[held])
    touched = float(weight[honest & (worst > 0)].sum() / weight[honest].sum())
    print(f"held out: {honest.sum():,} honest accounts, {fraud.sum():,} fraudulent ones, labelled or not")
    print(f"  honest accounts ever touched   {touched:.5f}  (friction budget {BUDGET})")
    print(f"  fraudulent ones ever touched   {(worst[fraud] > 0).mean():.3f}")
    print(f"  fraudulent ones beyond review  {(worst[fraud] >= 3).mean():.3f}")
    for name in ("roc_auc", "average_precision", "recall_at_fpr_0.01", "recall_at_fpr_0.001"):
        print(f"  {name:<30} {ranks[name]:.3f}")


def leaks(dataset: Dataset, truth: np.ndarray) -> None:
    """Prints the features that tell most alone, and what a model of dealt-out labels is worth."""
    fraud = truth[dataset.row].astype(float)
    alone = []
    for i, feature in enumerate(dataset.features):
        for age in AGES.values():
            of = dataset.age == age
            column = dataset.matrix[of, i].astype(np.float64)
            known = ~np.isnan(column)
            if known.sum() < 1000 or not 0 < fraud[of].sum() < of.sum():
                continue
            auc = figures(np.where(known, column, -1e12), fraud[of], np.ones(int(of.sum())))["roc_auc"] or 0.5
            alone.append((max(auc, 1 - auc), feature.name, int(age) / DAY))
    alone.sort(reverse=True)
    print("features that tell truth best alone (ROC AUC, at the age of so many days):")
    for auc, name, days in alone[:8]:
        print(f"  {auc:.3f}  {name} at {days:.2f}{'  above 0.8: why?' if auc > 0.8 else ''}")
    deal = np.random.default_rng(SEED).permutation(len(dataset.accounts))
    of = dataset.accounts
    dealt = replace(
        dataset,
        accounts=replace(
            of,
            verdict=of.verdict[deal],
            learned_at=of.created_at + (of.learned_at - of.created_at)[deal],
            group=of.account,
            campaign=(None,) * len(of),
        ),
    )
    auc = learned(dealt).report["metrics"]["roc_auc"]
    print(f"labels dealt out anew: held-out ROC AUC {auc:.3f} (0.5: nothing leaks through the way rows are made)")


def main() -> int:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--campaigns", type=int, default=200)
    parser.add_argument("--exchanges-per-day", type=float, default=4.0)
    run(parser.parse_args(sys.argv[1:]))
    return 0


def run(options: argparse.Namespace) -> None:
    """The benchmark with these options."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        clock = [time.monotonic()]

        def took(what: str, more: str = "") -> None:
            clock.append(time.monotonic())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{what:<22} {clock[-1] - clock[-2]:7.1f} s   peak {peak:,.0f} MiB so far   {more}", flush=True)

        simulate(
            world,
            accounts=options.accounts,
            days=options.days,
            campaigns=options.campaigns,
            seed=SEED,
            start=DEFAULT_START,
            exchanges_per_day=options.exchanges_per_day,
        )
        took("simulate")
        end = int(DEFAULT_START.timestamp()) * 1_000_000 + options.days * DAY
        settings = Settings(database_url=f"sqlite:///{folder}/bench.db", data_dir=Path(folder))
        with App.open(settings, upgrade=True) as app:
            import_directory(world, door=app.door, store=app.store, now=end, skip_bad_rows=None, progress=Quiet())
            took("import")
            dataset = build(app.store, app.store.labels_at(end), as_of=end, seed=SEED)
        took("dataset", f"{len(dataset.row):,} rows of {len(dataset.features)} features")
        made = learned(dataset)
        took("fit to artefact", f"{made.artefact.manifest.lightgbm['trees']} trees")
        truth = truth_of(world, dataset)
        in_truth(made, dataset, truth)
        leaks(dataset, truth)


if __name__ == "__main__":
    sys.exit(main())
