"""Honest groups that look organised, beside campaigns: how near each comes to being taken for one.

Worlds of ``benchmarks.worlds`` with all named groups and the heavy-volume versions of seven of them, and campaigns of
tactics that nobody tuned on, which borrow honest people's addresses, prompts and card issuers. Each world is imported
once and looked at as time passes, through the use case of ``gatehouse detect`` and with the thresholds that ship. Of
each group: the highest score, at any look, of a found group that is mostly theirs, with what drove it, and the share of
members who were ever in a detected campaign, or whose keys tied them to one, at a look or at their own signup.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.campaigns import Truth
from benchmarks.worlds.groups import honest_groups
from benchmarks.worlds.world import START, make_world
from service.app import App
from service.domain.time import DAY
from service.linking.find import Found
from service.linking.judge import DETECTED, TERMS, terms
from service.settings import Settings
from service.tiles.campaigns import NO_TIE, fold_campaigns
from service.usecases.observe import Observed

ALONE = "everybody else"  # honest people in no named group
DAYS = 45

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass
class Nearness:
    """How near one honest group came to being taken for a campaign."""

    size: int
    found: int = 0  # the most members that were ever found together, campaign or not
    highest: float = 0.0  # score of a found group that is mostly theirs; 0: none was found
    highest_day: float | None = None
    highest_size: int = 0  # accounts in that found group
    drove: dict[str, float] = field(default_factory=dict)  # log-odds that each term gave it; the bias is not among them
    in_campaign: float = 0.0  # share of members who were ever in a live campaign
    touched: float = 0.0  # the same, or tied to one by their keys


@dataclass
class Looked:
    """What became of one world's groups and campaigns."""

    groups: dict[str, Nearness]  # the named ones, and ALONE
    caught: dict[str, float] = field(default_factory=dict)  # campaign: share of members ever in a live campaign
    size: dict[str, int] = field(default_factory=dict)  # of each campaign
    seconds: list[float] = field(default_factory=list)  # a look


def named_world(out: Path, *, seed: int, accounts: int, exchanges: int, campaigns: int, days: int = DAYS) -> None:
    """Write a world with every named group, and campaigns whose tactics are those for reported figures."""
    make_world(
        out,
        seed=seed,
        tactics="reported",
        accounts=accounts,
        days=days,
        exchanges=exchanges,
        campaigns=campaigns,
        named_groups=True,
    )


def look(app: App, world: Path, *, seed: int, days: Sequence[float]) -> Looked:
    """Detect on each of ``days`` (after the period's beginning, ascending) what was known by then, and count.

    ``world`` is what ``named_world`` wrote from ``seed``, imported into the database of ``app``.
    """
    truth = Truth.read(world)
    names = [group.group_id for group in honest_groups(seed)]
    number = {name: place for place, name in enumerate(names)}
    of_group = np.array([number.get(name, len(names)) for name in truth.groups] + [len(names)], np.int64)
    group = np.where(truth.campaign >= 0, -1, of_group[truth.group])  # ALONE is the last one, -1 a campaign
    sizes = np.bincount(group[group >= 0], minlength=len(names) + 1)
    out = Looked({name: Nearness(int(size)) for name, size in zip([*names, ALONE], sizes.tolist(), strict=True)})
    moments = [START + int(day * DAY) for day in days]
    detect = app.detect
    weights = np.array(detect.judge.weights)
    for day, moment in zip(days, moments, strict=True):

        def watch(observed: Observed, found: Found, day: float = day) -> None:
            owner = group[np.searchsorted(truth.account, observed.accounts.account)]
            _keep_highest(out, owner, found, terms(found.traits) * weights, day)

        began = time.monotonic()
        detect(as_of=moment, holder="benchmarks.honest_groups", clock=lambda: int(time.time() * 1e6), watch=watch)
        out.seconds.append(time.monotonic() - began)
    inside, tied = _ever(app, truth.account, moments)
    for place, each in enumerate(out.groups.values()):
        each.in_campaign = float(inside[group == place].mean())
        each.touched = float((inside | tied)[group == place].mean())
    for place, name in enumerate(truth.campaigns):
        mine = truth.campaign == place
        out.caught[name], out.size[name] = float(inside[mine].mean()), int(mine.sum())
    return out


def _keep_highest(out: Looked, owner: Int64s, found: Found, drove: NDArray[np.float64], day: float) -> None:
    """Take in one look; ``owner`` of shape (n,) is each account's group by place in ``out``, -1: in a campaign."""
    names = list(out.groups)
    for number, score in enumerate(found.score.tolist()):
        members = owner[found.group == number]
        counts = np.bincount(members[members >= 0], minlength=len(names))
        most = int(counts.argmax())
        if counts[most] * 2 <= len(members):
            continue
        each = out.groups[names[most]]
        each.found = max(each.found, int(counts[most]))
        if score > each.highest:
            each.highest, each.highest_day, each.highest_size = score, day, len(members)
            parts = dict(zip(TERMS, drove[number].round(2).tolist(), strict=True))
            each.drove = {name: value for name, value in parts.items() if value}


def _ever(app: App, account: Int64s, moments: Sequence[int]) -> tuple[Bools, Bools]:
    """Who was ever in a live campaign, and whose keys ever tied them to one, by the fold that scoring uses."""
    inside, tied = np.zeros(len(account), bool), np.zeros(len(account), bool)
    known, signed_up = app.store.signups_between(-(2**62), 2**62)
    order = np.argsort(known)
    known, signed_up = known[order], signed_up[order]
    for history in app.store.histories():
        created = signed_up[np.searchsorted(known, history.account)]
        place = np.searchsorted(account, history.account)
        for at in (created, *(np.full(len(created), moment) for moment in moments)):
            present = created <= at
            told = fold_campaigns(history, history.account[present], at[present])
            inside[place[present]] |= told.column("belongs") == 1
            tied[place[present]] |= told.column("tie_grade") > NO_TIE
    return inside, tied


def measure(
    seed: int, *, accounts: int, exchanges: int, campaigns: int, step_days: float
) -> tuple[Looked, dict[str, int]]:
    """One world, written, imported and looked at every ``step_days``; and its accounts and exchanges."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-") as folder:
        world = Path(folder) / "world"
        named_world(world, seed=seed, accounts=accounts, exchanges=exchanges, campaigns=campaigns)
        settings = Settings(database_url=f"sqlite:///{folder}/world.db")
        command = [sys.executable, "-m", "service.cli", "import", str(world), "--database", settings.database_url]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        written = sum(pq.read_metadata(path).num_rows for path in (world / "usage").glob("*.parquet"))
        with App.open(settings, upgrade=True) as app:
            days = np.minimum(np.arange(1, int(np.ceil(DAYS / step_days)) + 1) * step_days, DAYS).tolist()
            return look(app, world, seed=seed, days=days), {"accounts": accounts, "exchanges": written}


def table(results: Sequence[Looked]) -> str:
    """A line for each group: its size, and over all worlds the highest score and the largest shares."""
    lines = ["| group | size | highest score | in a campaign | touched |", "|---|---|---|---|---|"]
    for name, first in results[0].groups.items():
        each = [result.groups[name] for result in results]
        size = f"{first.size:,}" if len({one.size for one in each}) == 1 else f"{min(one.size for one in each):,}+"
        scores = " / ".join(f"{one.highest:.2f}" for one in each)
        inside, touched = max(one.in_campaign for one in each), max(one.touched for one in each)
        lines.append(f"| {name} | {size} | {scores} | {inside:.2%} | {touched:.2%} |")
    return "\n".join(lines)


def main() -> None:
    """Print a line for each group and each campaign, and what drove the highest scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--accounts", type=int, default=22_000)
    parser.add_argument("--exchanges", type=int, default=3_740_000)
    parser.add_argument("--campaigns", type=int, default=3)
    parser.add_argument("--step-days", type=float, default=1.0, help="between looks [default: %(default)s]")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here, too")
    options = parser.parse_args()
    results: list[Looked] = []
    told: list[dict[str, object]] = []
    for seed in options.seeds:
        began = time.monotonic()
        result, world = measure(
            seed,
            accounts=options.accounts,
            exchanges=options.exchanges,
            campaigns=options.campaigns,
            step_days=options.step_days,
        )
        results.append(result)
        print(f"seed {seed}: {world['accounts']:,} accounts, {world['exchanges']:,} exchanges, {len(result.seconds)} "
              f"looks, {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
        for name, share in result.caught.items():
            print(f"  {name} of {result.size[name]}: {share:.0%} caught", flush=True)
        told.append(
            {
                "seed": seed,
                **world,
                "step_days": options.step_days,
                "threshold": DETECTED,
                "groups": {name: vars(each) for name, each in result.groups.items()},
                "campaigns": {
                    name: {"size": result.size[name], "caught": share} for name, share in result.caught.items()
                },
                "slowest_look_s": max(result.seconds),
            }
        )
        if options.out is not None:
            options.out.write_text(json.dumps(told, indent=1), encoding="utf-8")
    print(table(results))
    for name in results[0].groups:
        best = max((result.groups[name] for result in results), key=lambda each: each.highest)
        if best.highest > 0:
            drove = sorted(best.drove.items(), key=lambda item: -item[1])
            print(f"{name}: {best.highest:.3f} for {best.highest_size} accounts on day {best.highest_day:g}: "
                  + ", ".join(f"{term} {value:+.2f}" for term, value in drove))  # fmt: skip


if __name__ == "__main__":
    main()
