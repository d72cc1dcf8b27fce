"""How the judge's weights came about: groups of tuning worlds, and a fit whose signs and caps are set beforehand.

Worlds of both generators (the product's simulator and ``benchmarks.worlds`` with its tuning tactics) are looked at
every few days; each group found is a row, a campaign where six tenths of it are one campaign's. The fit brings every
campaign's rows over the threshold and keeps every honest row well below it: of honest groups the nearest count and not
the average, since one class of a hundred that passes touches more people than a year of averages. Weights go from
FLOORS to CAPS. They are printed beside the shipped ones, and for both: the honest groups with the highest log-odds, and
how many days after it could first be seen each campaign passes the threshold. The shipped ones are such a fit over
thirteen worlds of different sizes, rounded, with the bias moved until the nearest honest group stayed half a log-odd
below; ``reported`` tactics were never fitted to.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.campaigns import Truth, first_exchange
from benchmarks.worlds.world import make_world
from service.app import App
from service.domain.time import DAY
from service.linking.find import find
from service.linking.judge import DETECTED, TERMS, shipped, terms
from service.settings import Settings
from service.usecases.observe import Observer
from training.simulate.command import simulate_command

Floats = NDArray[np.float64]

MOSTLY = 0.6  # share of one campaign from which a group is it
HARDLY = 0.3  # share of any campaign up to which a group is honest; between the two it is left out
FEWEST = 5
# No single kind of evidence decides: identity, habit, pace and volume are what the next campaign changes first.
CAPS = {
    "split_per_life": 1.2,
    "dealt_out": 1.0,
    "network": 0.6,
    "mail": 0.5,
    "payment": 1.0,
    "device": 0.8,
    "custom": 0.5,
    "template": 0.0,  # every organisation writes its own
    "habit": 0.6,
    "cadence": 1.0,
    "size": 0.1,
    "few": 4.0,
    "even_volume": 1.0,
    "busy": 2.0,
    "organised": 2.5,
    "explained_most": 2.0,
    "exercised": 2.5,
    "drilled": 6.0,
}
# What these worlds' campaigns seldom do counts for something all the same.
FLOORS = {
    "network": 0.3,
    "mail": 0.25,
    "payment": 0.35,
    "device": 0.15,
    "custom": 0.2,
    "habit": 0.3,
    "split_per_life": 0.1,
}
BELOW = 0.8  # log-odds below the threshold from which an honest row costs, and steeply from there on
STEEP = 4.0
HONEST = 6.0  # times as much as a campaign's rows together that one honest row costs
LEAN = 0.3  # towards the shipped weights
NO_CAP = 9.0


@dataclass
class Groups:
    """One row per group, world and look."""

    terms: Floats
    campaign: NDArray[np.bool_]
    world: list[str]
    day: Floats
    which: list[str]  # the campaign, or what most of it is
    size: NDArray[np.int64]


def groups(name: str, world: Path, every: float) -> Groups:
    """All groups of a world, looked at every so many days."""
    rows: list[tuple[Floats, bool, float, str, int]] = []
    with tempfile.TemporaryDirectory(prefix="gatehouse-") as folder:
        settings = Settings(database_url=f"sqlite:///{folder}/world.db")
        command = [sys.executable, "-m", "service.cli", "import", str(world), "--database", settings.database_url]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        truth, start = Truth.read(world), first_exchange(world)
        kinds = np.array(truth.kind)
        with App.open(settings, upgrade=True) as app:
            observe = Observer(app.store)
            for day in np.arange(every, 45.01, every).tolist():
                observed = observe(start + int(day * DAY))
                nobody = np.full(observed.seen.n, -1)
                found = find(observed.seen, observed.accounts, nobody, shipped(), 1)
                place = np.searchsorted(truth.account, observed.accounts.account)
                made = terms(found.traits)
                for group, size in enumerate(found.traits.size.tolist()):
                    members = place[found.group == group]
                    of = truth.campaign[members]
                    most = np.bincount(of[of >= 0], minlength=1)
                    share = most.max() / len(members)
                    if size < FEWEST or HARDLY <= share < MOSTLY:
                        continue
                    names, count = np.unique(kinds[members], return_counts=True)
                    which = truth.campaigns[int(most.argmax())] if share >= MOSTLY else str(names[count.argmax()])
                    rows.append((made[group], bool(share >= MOSTLY), day, which, size))
    return Groups(
        np.array([row[0] for row in rows]).reshape(-1, len(TERMS)),
        np.array([row[1] for row in rows], bool),
        [name] * len(rows),
        np.array([row[2] for row in rows]),
        [row[3] for row in rows],
        np.array([row[4] for row in rows], np.int64),
    )


def fit(found: Groups) -> tuple[Floats, float]:
    """Weights and bias."""
    threshold = float(np.log(DETECTED / (1 - DETECTED)))
    name = np.array([f"{world} {which}" for world, which in zip(found.world, found.which, strict=True)])
    _, place, rows = np.unique(name, return_inverse=True, return_counts=True)
    weight = np.where(found.campaign, 1.0 / rows[place], HONEST / STEEP)
    slope = np.where(found.campaign, -1.0, STEEP)
    aim = np.where(found.campaign, threshold, threshold - BELOW)
    before = np.array(shipped().weights)

    def loss(p: Floats) -> tuple[float, Floats]:
        over = slope * (found.terms @ p[:-1] + p[-1] - aim)
        pull = weight * slope / (1.0 + np.exp(-np.clip(over, -50, 50)))
        moved = p[:-1] - before
        value = float((weight * np.logaddexp(0.0, over)).sum() + LEAN * (moved**2).sum() / 10)
        return value, np.append(found.terms.T @ pull + LEAN * moved / 5, pull.sum())

    bounds = [(FLOORS.get(name, 0.0), CAPS.get(name, NO_CAP)) for name in TERMS] + [(None, None)]
    start = np.append(before, shipped().bias)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1500}).x
    return best[:-1], float(best[-1])


def say(name: str, found: Groups, odds: Floats, threshold: float) -> None:
    """Honest groups that come closest, and how late campaigns are seen."""
    print(f"\n{name}: detected from log-odds {threshold:.2f}")
    honest = np.flatnonzero(~found.campaign)
    for row in honest[np.argsort(-odds[honest])][:6].tolist():
        print(
            f"  honest {odds[row]:6.2f}  {found.world[row]}  day {found.day[row]:4.1f}  "
            f"{found.which[row]}, {found.size[row]}"
        )
    seen: dict[tuple[str, str], list[float]] = {}
    for row in np.flatnonzero(found.campaign).tolist():
        first = seen.setdefault((found.world[row], found.which[row]), [found.day[row], np.inf])
        if odds[row] >= threshold:
            first[1] = min(first[1], found.day[row])
    late = [second - first for first, second in seen.values()]
    missed = sum(np.isinf(late))
    print(f"  {len(seen)} campaigns, {missed} never; days late: mean {np.mean([x for x in late if x < np.inf]):.1f}, "
          f"median {np.median(late):.1f}")  # fmt: skip


def main() -> None:
    """Make the worlds, look at them, fit, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--every", type=float, default=3.0, help="days between two looks")
    parser.add_argument("--seeds", type=int, nargs="*", default=[21, 22])
    options = parser.parse_args()
    parts = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory(prefix="gatehouse-world-") as folder:
            make_world(
                Path(folder) / "world",
                seed=seed,
                tactics="tuning",
                accounts=options.accounts,
                days=45,
                exchanges=None,
                campaigns=5,
                named_groups=False,
            )
            parts.append(groups(f"worlds-{seed}", Path(folder) / "world", options.every))
        with tempfile.TemporaryDirectory(prefix="gatehouse-world-") as folder:
            arguments = [f"{folder}/world", "--accounts", str(options.accounts), "--days", "45"]
            simulate_command.main([*arguments, "--campaigns", "6", "--seed", str(seed)], standalone_mode=False)
            parts.append(groups(f"simulate-{seed}", Path(folder) / "world", options.every))
    found = Groups(
        np.concatenate([part.terms for part in parts]),
        np.concatenate([part.campaign for part in parts]),
        [name for part in parts for name in part.world],
        np.concatenate([part.day for part in parts]),
        [name for part in parts for name in part.which],
        np.concatenate([part.size for part in parts]),
    )
    threshold = float(np.log(DETECTED / (1 - DETECTED)))
    weights, bias = fit(found)
    print(f"{len(found.campaign):,} groups, {int(found.campaign.sum()):,} of them campaigns")
    print(f"{'term':<18}{'shipped':>9}{'this fit':>10}")
    for name, ours, now in zip(TERMS, shipped().weights, weights.tolist(), strict=True):
        print(f"{name:<18}{ours:>9.2f}{now:>10.2f}")
    print(f"{'bias':<18}{shipped().bias:>9.2f}{bias:>10.2f}")
    say("shipped", found, found.terms @ np.array(shipped().weights) + shipped().bias, threshold)
    odds = found.terms @ weights + bias
    say("this fit, where no honest group passes", found, odds, float(odds[~found.campaign].max(initial=-9.0)))


if __name__ == "__main__":
    main()
