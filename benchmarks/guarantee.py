"""How often the friction budget is exceeded, against what ``training/thresholds.py`` promises, over many worlds.

A world is a law of honest accounts: who is in one group with whom, how alike a group scores, how a score wanders over a
life. From it a few thousand accounts are held out, each as old as it happens to be, and thresholds are set on them; the
law itself then says which share of all accounts is ever touched, over lives of the length that the promise is about.
That is repeated over worlds, from accounts that have nothing in common to groups that score as one.

Compared are four ways to set the same threshold: the highest of six probes, as if accounts were independent (what was
done before); the highest of all looks; the same with old accounts counted for the young, at a confidence of one half;
and that with groups and confidence, which is what ships. A promise that holds on average is exceeded in about half of
the worlds.

``--real N`` simulates N whole worlds besides, trains on what was known at two thirds of their time, and asks every six
hours about accounts that sign up afterwards: which share of those that are honest in truth is ever touched by score, by
the thresholds that ship and by those of six probes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.signal import lfilter

from benchmarks.training import Quiet, truth_of
from benchmarks.training import held_out as learned_without
from service.app import App
from service.domain.codes import hash64
from service.domain.enums import Decision
from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.time import DAY, HOUR
from service.model.scorer import Scorer
from service.policy.friction import conformal_threshold
from service.policy.policy import Policy
from service.settings import Settings
from service.usecases.import_directory import import_directory
from training.dataset import build
from training.evaluate import highest_of
from training.lives import EVERY, Judged, live
from training.pipeline import train
from training.simulate import DEFAULT_START, simulate
from training.thresholds import Counted, Lived, clustered_threshold, horizon, outlived, thresholds

STEP = 12 * HOUR
DAYS = 40
PROBES = (0, 1, 2, 6, 14, 60)  # looks: signup, (1 h), 1 d, 3 d, 7 d, 30 d
REAL_DAYS = 45
DEFAULT_START_AT = int(DEFAULT_START.timestamp()) * 1_000_000
WAYS = ("six probes", "all looks", "whole lives", "by groups, with confidence")


@dataclass(frozen=True, slots=True)
class Law:
    """What honest accounts of one world are like."""

    alike: float  # share of an account's lasting variance that is its group's
    wander: float  # standard deviation of a score's wandering, the lasting part's being 1
    keeps: float  # correlation of the wandering from one look to the next
    grouped: float  # share of accounts in groups
    largest: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Accounts of a world: scores at every look, (n, looks), and who belongs together."""

    scores: NDArray[np.float32]
    group: Int64s


def law(rng: np.random.Generator, alike: float) -> Law:
    """One world's."""
    return Law(alike, rng.uniform(0.2, 0.8), rng.uniform(0.5, 0.95), rng.uniform(0.1, 0.5), int(rng.integers(50, 400)))


def sample(of: Law, n: int, rng: np.random.Generator) -> Sample:
    """``n`` accounts, the last group cut to fit."""
    sizes: list[int] = []
    left = int(n * of.grouped)
    while left > 0:
        sizes.append(min(left, round(float(np.exp(rng.uniform(np.log(3), np.log(of.largest)))))))
        left -= sizes[-1]
    alone = n - sum(sizes)
    group = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), len(sizes) + np.arange(alone)]).astype(np.int64)
    lasting = np.sqrt(of.alike) * rng.normal(size=len(sizes) + alone)[group]
    lasting += np.sqrt(1 - of.alike) * rng.normal(size=n)
    looks = int(DAYS * DAY // STEP) + 1
    noise = rng.normal(size=(n, looks)).astype(np.float32) * np.float32(np.sqrt(1 - of.keeps**2))
    noise[:, 0] /= np.float32(np.sqrt(1 - of.keeps**2))
    wander = lfilter([1.0], [1.0, -of.keeps], noise, axis=1)
    return Sample((lasting[:, None] + of.wander * wander).astype(np.float32), group)


def held_out(of: Sample, rng: np.random.Generator, probes: tuple[int, ...] | None = None) -> Lived:
    """What is seen of them when each has lived for part of the time only."""
    n, looks = of.scores.shape
    length = np.floor(rng.random(n) * float(DAYS * DAY)).astype(np.int64)
    asked = np.arange(looks) if probes is None else np.array(probes)
    account, which = np.nonzero(asked * STEP <= length[:, None])
    age, none = asked[which] * STEP, np.zeros(len(account), np.int64)
    score = of.scores[account, asked[which]].astype(np.float64)
    return Lived.of(account, age, score, none, length=length, drawn=np.ones(n))


def shares(of: Law, accounts: int, budget: float, rng: np.random.Generator, *, many: int) -> Float64s:
    """Which share of all accounts each of ``WAYS`` ever touches; NaN where it sets no threshold."""
    held = sample(of, accounts, rng)
    ones, seed = np.ones(accounts), int(rng.integers(2**31))
    dense = held_out(held, np.random.default_rng(seed))
    six = held_out(held, np.random.default_rng(seed), PROBES)
    firsts, probed = dense.at_level(Decision.CHALLENGE), six.at_level(Decision.CHALLENGE)
    counted = Counted(ones, ones, held.group, np.ones(accounts, bool))
    alone = Counted(ones, ones, np.arange(accounts), np.ones(accounts, bool))
    times = outlived(dense.length, ones, firsts.age)
    made = (
        conformal_threshold(probed.highest(accounts), ones, budget),
        conformal_threshold(firsts.highest(accounts), ones, budget),
        clustered_threshold(firsts, times, alone, budget=budget, confidence=0.5).value,
        thresholds(dense, counted, budget=budget)[0].value,
    )
    until = int(horizon(dense.length, ones) // STEP) + 1
    ever = sample(of, many, rng).scores[:, :until].max(axis=1)
    return np.array([float((ever > value).mean()) if np.isfinite(value) else np.nan for value in made])


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=50, help="worlds for each of four degrees of likeness")
    parser.add_argument("--real", type=int, default=0, help="simulated and trained worlds besides")
    parser.add_argument("--accounts", type=int, default=8_000, help="held out in each")
    parser.add_argument("--budget", type=float, default=0.002)
    parser.add_argument("--many", type=int, default=60_000, help="accounts that stand for the law itself")
    parser.add_argument("--real-accounts", type=int, default=6_000)
    parser.add_argument("--real-budget", type=float, default=0.01)
    options = parser.parse_args(sys.argv[1:])
    print(f"{options.worlds} worlds of {options.accounts:,} held-out accounts, budget {options.budget:.2%}")
    print(f"{'alike':<8}{'way':<28}{'exceeded':>9}{'mean share':>12}{'worst':>9}{'none set':>9}")
    for alike in (0.0, 0.3, 0.6, 0.9):
        rng = np.random.default_rng([7, int(alike * 10)])
        found = np.array(
            [
                shares(law(rng, alike), options.accounts, options.budget, rng, many=options.many)
                for _ in range(options.worlds)
            ]
        )
        for way, column in zip(WAYS, found.T, strict=True):
            known = column[~np.isnan(column)]
            if not len(known):
                print(f"{alike:<8}{way:<28}{'-':>9}{'-':>12}{'-':>9}{1:>9.0%}")
                continue
            print(
                f"{alike:<8}{way:<28}{(known > options.budget).sum() / len(column):>9.1%}{known.mean():>12.4%}"
                f"{known.max():>9.3%}{np.isnan(column).mean():>9.0%}"
            )
    if options.real:
        print(f"\n{'simulated world':<16}{'new honest':>11}{'six probes':>12}{'ships':>9}{'budget':>9}{'looks/s':>9}")
        for seed in range(1, options.real + 1):
            found_real = real(seed, options.real_accounts, options.real_budget)
            told = [f"{share:.3%}" if np.isfinite(share) else "none" for share in found_real[1:3]]
            print(
                f"{seed:<16}{found_real[0]:>11,.0f}{told[0]:>12}{told[1]:>9}{options.real_budget:>9.2%}"
                f"{found_real[3]:>9,.0f}"
            )
    return 0


def real(seed: int, accounts: int, budget: float) -> tuple[float, float, float, float]:
    """New honest accounts of a simulated world; the share ever touched by six probes' threshold, and by what ships.

    Both NaN where no threshold was set. Last, looks a second.
    """
    end, begin = DEFAULT_START_AT + REAL_DAYS * DAY, DEFAULT_START_AT + REAL_DAYS * 2 // 3 * DAY
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        simulate(
            world,
            accounts=accounts,
            days=REAL_DAYS,
            campaigns=max(6, accounts // 500),
            seed=seed,
            start=DEFAULT_START,
            exchanges_per_day=4.0,
        )
        settings = Settings(database_url=f"sqlite:///{folder}/bench.db", data_dir=Path(folder))
        with App.open(settings, upgrade=True) as app:
            import_directory(world, door=app.door, store=app.store, now=end, skip_bad_rows=None, progress=Quiet())
            dataset = build(app.store, app.store.labels_at(begin), as_of=begin, seed=seed)
            made = train(
                dataset,
                seed=seed,
                budget=budget,
                origin="trained",
                created_at=begin,
                code_version="bench",
                source=app.store,
            )
            scorer = Scorer(made.artefact)
            kept = np.array([feature.name in set(scorer.features) for feature in dataset.features])
            features = tuple(feature for feature, keep in zip(dataset.features, kept, strict=True) if keep)
            probes = highest_of(scorer.score(dataset.only(kept).matrix), dataset.row, len(dataset.accounts))
            honest = learned_without(dataset, seed) & ~truth_of(world, dataset)
            before = conformal_threshold(probes[honest], np.ones(int(honest.sum())), budget)
            after = Policy.from_json(made.artefact.manifest.policy).thresholds[0]
            account, created_at = (column.astype(np.int64) for column in app.store.signups_between(begin, end))
            by = np.argsort(account)
            account, created_at = account[by], created_at[by]
            none, started = np.zeros(0, np.int64), time.monotonic()
            length = end - created_at
            nothing = Lived(none, none, none.astype(np.float64), none, length, np.ones(len(account)))

            def judge(rows: Float32s, ruled: Float32s) -> Judged:
                return Judged(scorer.score(rows), np.zeros(len(ruled), np.int64))

            ones = np.ones(len(account))
            lived, _ = live(app.store, account, created_at, ones, features, judge, as_of=end, probed=nothing)
            ever = lived.at_level(Decision.CHALLENGE).highest(len(account))
            speed = float((length // EVERY + 1).sum()) / (time.monotonic() - started)
            rows = pq.read_table(world / "truth.parquet").to_pydict()
            fraud = {
                hash64(name)
                for name, campaign, kind in zip(rows["account_id"], rows["campaign_id"], rows["kind"], strict=True)
                if campaign is not None or kind == "stolen_card"
            }
            new = ~np.isin(account, np.fromiter(fraud, np.int64, len(fraud)))
    told = [float((ever[new] > value).mean()) if np.isfinite(value) else np.nan for value in (before, after)]
    return float(new.sum()), told[0], told[1], speed


if __name__ == "__main__":
    sys.exit(main())
