"""Campaigns caught, exchanges spent and honest people touched, replayed as it would have happened.

A world is written by ``benchmarks.worlds`` (by default with the tactics that nobody tuned on), imported once, and
looked at every few hours through the use case of ``gatehouse detect``, each time with what was known by then. Between
looks every signup is asked about at its own second, and young accounts at every look, by the fold that scoring uses. An
account is caught, or touched, from the first moment at which it belongs to a campaign above the evidence threshold or
its keys tie it to one. Exchanges spent are those before that, in two parts: until the campaign is first detected, and
of newcomers until they are joined to it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.worlds.tactics import FAMILIES
from benchmarks.worlds.world import make_world
from service.app import App
from service.domain.campaigns import CampaignState
from service.domain.codes import hash64_many
from service.domain.time import DAY, HOUR
from service.linking.find import Found
from service.settings import Settings
from service.tiles.campaigns import fold_campaigns
from service.usecases.detect import Detect
from service.usecases.observe import Observed

YOUNG = 3 * DAY
NEVER = 2**62
SMALL = 20  # honest groups from this size on are looked at one by one

Int64s = NDArray[np.int64]


@dataclass
class Truth:
    """Who is what, by account hash ascending; -1: in no campaign, in no group."""

    account: Int64s
    campaign: Int64s
    campaigns: list[str]
    group: Int64s
    groups: list[str]
    kind: list[str]

    @classmethod
    def read(cls, world: Path) -> Truth:
        """From truth.parquet; worlds of the product's own simulator have no group_id."""
        table = pq.read_table(world / "truth.parquet").to_pydict()
        account = hash64_many(table["account_id"])
        order = np.argsort(account)
        campaign, campaigns = _numbered(table["campaign_id"], order)
        group, groups = _numbered(table.get("group_id", [None] * len(order)), order)
        return cls(account[order], campaign, campaigns, group, groups, [table["kind"][i] for i in order.tolist()])


def _numbered(names: list[str | None], order: NDArray[np.intp]) -> tuple[Int64s, list[str]]:
    known = sorted({name for name in names if name is not None})
    place = {name: i for i, name in enumerate(known)}
    return np.array([-1 if names[i] is None else place[str(names[i])] for i in order.tolist()], np.int64), known


@dataclass
class Replay:
    """What was decided about whom, and when."""

    caught: Int64s
    by_signup: NDArray[np.bool_]
    first_seen: dict[int, int] = field(default_factory=dict)  # campaign: when a third of the present was first in one
    top: dict[str, float] = field(
        default_factory=dict
    )  # honest group or kind: highest score of a group that is mostly it
    steps: list[float] = field(default_factory=list)


def replay(app: App, world: Path, truth: Truth, *, step: int, days: float | None) -> Replay:
    """Look at every ``step`` microseconds; ``days``: stop so long after the first signup."""
    store, detect = app.store, Detect(app.store, app.detect.judge)
    out = Replay(np.full(len(truth.account), NEVER), np.zeros(len(truth.account), bool))
    end = store.newest_fact() or 0
    known, created = store.signups_between(-NEVER, NEVER)
    start = first_exchange(world)
    if days is not None:
        end = min(end, start + int(days * DAY))
    moment = start
    while moment < end:
        before, moment = moment, min(moment + step, end)
        fresh = known[(created > before) & (created <= moment)]
        _ask(app, truth, out, fresh, created=dict(zip(known.tolist(), created.tolist(), strict=True)), at=None)
        began = time.monotonic()
        report = detect(
            as_of=moment,
            holder="benchmarks.campaigns",
            clock=lambda: int(time.time() * 1e6),
            watch=lambda observed, found: _top(out, truth, observed, found),
        )
        out.steps.append(time.monotonic() - began)
        for each in report.campaigns:
            if each.state is CampaignState.DETECTED or each.state is CampaignState.CONFIRMED:
                members, _ = store.member_accounts(each.campaign_id)
                place = _places(truth.account, members)
                out.caught[place] = np.minimum(out.caught[place], moment)
                for campaign in np.unique(truth.campaign[place[truth.campaign[place] >= 0]]).tolist():
                    out.first_seen.setdefault(campaign, moment)
        young = known[(created > moment - YOUNG) & (created <= moment)]
        _ask(app, truth, out, young, created={}, at=moment)
        _say(out, truth, moment, start, end)
    return out


def first_exchange(world: Path) -> int:
    """The moment of a world's first exchange."""
    first = min(pq.read_table(path, columns=["happened_at"])["happened_at"][0].value for path in _usage(world))
    return int(first)


def _usage(world: Path) -> list[Path]:
    return sorted((world / "usage").glob("*.parquet")) or [world / "usage.parquet"]


def _ask(app: App, truth: Truth, out: Replay, accounts: Int64s, *, created: dict[int, int], at: int | None) -> None:
    """Mark whom scoring would not simply allow, at their signup or at one moment."""
    if not len(accounts):
        return
    for history in app.store.histories(accounts=np.sort(accounts)):
        moments = np.array([created[a] if at is None else at for a in history.account.tolist()], np.int64)
        told = fold_campaigns(history, history.account, moments)
        flagged = (told.column("belongs") == 1) | (told.column("tie_grade") > 0)
        place = _places(truth.account, history.account[flagged])
        if at is None:
            out.by_signup[place] |= out.caught[place] > moments[flagged]
        out.caught[place] = np.minimum(out.caught[place], moments[flagged])


def _places(account: Int64s, wanted: Int64s) -> Int64s:
    return np.searchsorted(account, wanted)


def _top(out: Replay, truth: Truth, observed: Observed, found: Found) -> None:
    place = _places(truth.account, observed.accounts.account)
    for number, score in enumerate(found.score.tolist()):
        members = place[found.group == number]
        if (truth.campaign[members] >= 0).mean() > 0.5:
            continue
        groups = truth.group[members]
        of = groups[groups >= 0]
        name = truth.groups[int(np.bincount(of).argmax())] if len(of) * 2 > len(members) else "individuals"
        out.top[name] = max(out.top.get(name, 0.0), score)


def _say(out: Replay, truth: Truth, moment: int, start: int, end: int) -> None:
    caught, fraud = out.caught < NEVER, truth.campaign >= 0
    print(
        f"  day {(moment - start) / DAY:5.2f} of {(end - start) / DAY:.0f}: {(caught & fraud).sum():,} of "
        f"{fraud.sum():,} campaign accounts, {(caught & ~fraud).sum():,} of {(~fraud).sum():,} honest, "
        f"{out.steps[-1]:.1f} s a look",
        file=sys.stderr,
        flush=True,
    )


def figures(world: Path, truth: Truth, out: Replay) -> dict[str, object]:
    """What a replay comes to."""
    fraud = truth.campaign >= 0
    caught = out.caught < NEVER
    spent = np.zeros((len(truth.campaigns), 3))  # in all, before the campaign was seen, by newcomers after
    by_account = np.zeros(len(truth.account))
    first = np.array([out.first_seen.get(i, NEVER) for i in range(len(truth.campaigns))] or [NEVER])
    for path in _usage(world):
        table = pq.read_table(path, columns=["account_id", "happened_at"])
        place = _places(truth.account, hash64_many(table["account_id"].to_pylist()))
        at = table["happened_at"].to_numpy().astype("datetime64[us]").astype(np.int64)
        mine = truth.campaign[place]
        rows = mine >= 0
        place, at, mine = place[rows], at[rows], mine[rows]
        np.add.at(spent[:, 0], mine, 1)
        free = at < out.caught[place]
        np.add.at(spent[:, 1], mine[free & (at < first[mine])], 1)
        np.add.at(spent[:, 2], mine[free & (at >= first[mine])], 1)
        np.add.at(by_account, place[free], 1)
    recall = [float(caught[truth.campaign == i].mean()) for i in range(len(truth.campaigns))]
    honest_groups = {
        name: float(caught[truth.group == i].mean())
        for i, name in enumerate(truth.groups)
        if (truth.group == i).sum() >= SMALL and not (fraud[truth.group == i]).any()
    }
    total = spent.sum(axis=0)
    return {
        "caught": float(caught[fraud].mean()),
        "caught_by_campaign": recall,
        "caught_at_signup": float(out.by_signup[fraud].mean()),
        "spent": float(total[1:].sum() / max(total[0], 1)),
        "spent_before_seen": float(total[1] / max(total[0], 1)),
        "spent_by_newcomers": float(total[2] / max(total[0], 1)),
        "spent_by_campaign": (spent[:, 1:].sum(axis=1) / np.maximum(spent[:, 0], 1)).round(4).tolist(),
        "honest_touched": float(caught[~fraud].mean()),
        "honest_touched_by_kind": _by_kind(truth, caught & ~fraud),
        "worst_honest_group": max(honest_groups.items(), key=lambda item: item[1], default=("none", 0.0)),
        "highest_scores": dict(sorted(out.top.items(), key=lambda item: -item[1])[:40]),
        "seconds_a_look": statistics.median(out.steps),
    }


def _by_kind(truth: Truth, touched: NDArray[np.bool_]) -> dict[str, int]:
    kinds = np.array(truth.kind)
    return {kind: int(touched[kinds == kind].sum()) for kind in sorted(set(truth.kind)) if touched[kinds == kind].any()}


def measure(world: Path, *, step_hours: float, days: float | None) -> dict[str, object]:
    """Import a world into a database of its own, replay it, and count."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-") as folder:
        settings = Settings(database_url=f"sqlite:///{folder}/world.db")
        command = [sys.executable, "-m", "service.cli", "import", str(world), "--database", settings.database_url]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with App.open(settings, upgrade=True) as app:
            truth = Truth.read(world)
            out = replay(app, world, truth, step=int(step_hours * HOUR), days=days)
            return figures(world, truth, out)


def main() -> None:
    """Print figures of each world, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[11, 12, 13, 14, 15])
    parser.add_argument("--tactics", default="reported", choices=sorted(FAMILIES))
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--exchanges", type=int, default=3_500_000)
    parser.add_argument("--campaigns", type=int, default=5)
    parser.add_argument("--groups", action="store_true", help="the named honest groups in place of the usual ones")
    parser.add_argument("--days", type=float, help="stop so many days after the first exchange")
    parser.add_argument("--step-hours", type=float, default=6.0)
    parser.add_argument("--world", type=Path, nargs="*", help="interchange directories to replay instead of new worlds")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here, too")
    options = parser.parse_args()
    results: list[dict[str, object]] = []
    for world in options.world or options.seeds:
        made = None
        if not isinstance(world, Path):
            made = Path(tempfile.mkdtemp(prefix="gatehouse-world-"))
            make_world(
                made / "world",
                seed=world,
                tactics=options.tactics,
                accounts=options.accounts,
                days=45,
                exchanges=options.exchanges,
                campaigns=options.campaigns,
                named_groups=options.groups,
            )
            path = made / "world"
        else:
            path = world
        try:
            found = {"world": str(world), **measure(path, step_hours=options.step_hours, days=options.days)}
        finally:
            if made is not None:
                shutil.rmtree(made)
        results.append(found)
        print(json.dumps(found), flush=True)
    names = ("caught", "caught_at_signup", "spent", "spent_before_seen", "spent_by_newcomers", "honest_touched")
    middle = {name: statistics.median(float(str(each[name])) for each in results) for name in names}
    worst = min(min(each["caught_by_campaign"], default=1.0) for each in results)  # type: ignore[call-overload]
    print("medians", json.dumps(middle), "worst campaign", worst)
    if options.out is not None:
        options.out.write_text(json.dumps({"medians": middle, "worlds": results}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
