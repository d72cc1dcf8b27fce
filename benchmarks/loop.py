"""The learning loop, measured: the same worlds replayed with nobody labelling, and with an analyst at work.

Worlds are those of ``benchmarks.worlds`` (by default with the tactics that nobody tuned on). The analyst of the second
arm gives twenty verdicts a day: on members of campaigns that have used the service for five days, under their
campaign's name; one in thirty is wrong and says fraud of an honest person. Labels are all that differs between the
arms. Both go through ``gatehouse backtest``; figures are those of ``benchmarks.outcomes``.

Whom the analyst wrongly calls fraud is touched by the analyst, and counted apart; whom the product touches because of
that counts.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.outcomes import NEVER, Truth, figures, first_touched
from benchmarks.worlds.world import START, make_world

DAY = 86_400_000_000
A_DAY = 20  # verdicts
LATE = 5 * DAY
WRONG = 1 / 30
ARMS = ("silent", "labelled")
SHOWN = ("caught", "worst_campaign", "spent", "spent_before_seen", "spent_by_newcomers", "honest_touched")


def label(world: Path, *, days: int, seed: int) -> int:
    """Writes labels.parquet into ``world``; how many."""
    rng = np.random.default_rng([seed, 77])
    truth = Truth.read(world)
    first = np.full(len(truth.account), NEVER)
    for path in sorted((world / "usage").glob("*.parquet")):
        table = pq.read_table(path, columns=["account_id", "happened_at"])
        place = truth.places(np.array(table["account_id"].to_pylist(), dtype=truth.account.dtype))
        np.minimum.at(first, place, table["happened_at"].to_numpy().astype("datetime64[us]").astype(np.int64))
    created = {
        one["account_id"]: int(one["created_at"].timestamp() * 1e6)
        for one in pq.read_table(world / "accounts.parquet", columns=["account_id", "created_at"]).to_pylist()
    }
    open_ = set(np.flatnonzero(truth.campaign >= 0).tolist())
    honest = np.flatnonzero(truth.campaign < 0)
    rows: list[dict[str, Any]] = []
    for day in range(1, days):
        now = START + day * DAY
        ready = sorted(i for i in open_ if first[i] <= now - LATE)
        for i in rng.permutation(np.array(ready, np.int64))[:A_DAY].tolist():
            open_.discard(i)
            judged = i
            if rng.random() < WRONG:  # somebody else is taken for the member
                judged = int(rng.choice(honest[[created[truth.account[j]] < now for j in honest]]))
            rows.append(
                {
                    "account_id": str(truth.account[judged]),
                    "verdict": "fraud",
                    "decided_at": now + int(rng.integers(0, DAY // 3)),
                    "analyst": f"analyst-{rng.integers(1, 4)}",
                    "campaign_id": f"case-{truth.campaign[i]}",
                }
            )
    moment = pa.timestamp("us", tz="UTC")
    columns = {name: [row[name] for row in rows] for name in ("account_id", "verdict", "analyst", "campaign_id")}
    decided = pa.array([row["decided_at"] for row in rows], pa.int64()).cast(moment)
    pq.write_table(pa.table({**columns, "decided_at": decided}), world / "labels.parquet")
    return len(rows)


def replay(world: Path, out: Path, *, days: int, step_hours: float, retrain_days: float) -> dict[str, Any]:
    """One backtest of the whole world, in a process of its own; what it answered."""
    start = datetime.fromtimestamp(START / 1e6, UTC)
    end = datetime.fromtimestamp(START / 1e6 + days * 86_400, UTC)
    command = [sys.executable, "-m", "service.cli", "backtest", str(world), "--out", str(out), "--json"]
    command += ["--from", start.isoformat(), "--to", end.isoformat(), "--step", f"{step_hours:g}h"]
    command += ["--retrain-every", f"{retrain_days:g}d"]
    done = subprocess.run(command, check=True, capture_output=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Both arms of one world."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-loop-") as folder:
        world = Path(folder) / "world"
        make_world(
            world,
            seed=seed,
            tactics=options.tactics,
            accounts=options.accounts,
            days=options.days,
            exchanges=options.exchanges,
            campaigns=options.campaigns,
            named_groups=False,
        )
        found: dict[str, Any] = {"seed": seed}
        for arm in options.arms:
            said: list[dict[str, Any]] = []
            if arm == "labelled":
                label(world, days=options.days, seed=seed)
                said = pq.read_table(world / "labels.parquet").to_pylist()
            began = time.monotonic()
            out = Path(folder) / arm
            answer = replay(
                world, out, days=options.days, step_hours=options.step_hours, retrain_days=options.retrain_days
            )
            truth = Truth.read(world)
            wrong = {one["account_id"] for one in said} & set(truth.account[truth.campaign < 0].tolist())
            first, _ = first_touched(out, truth)
            honest = truth.campaign < 0
            by_analyst = np.isin(truth.account, sorted(wrong)) & honest
            found[arm] = {
                **figures(world, out),
                "labels": len(said),
                "wrong_labels": len(wrong),
                "honest_touched": float(((first < NEVER) & honest & ~by_analyst).sum() / honest.sum()),
                "models": answer["models"],
                "seconds": round(time.monotonic() - began, 1),
            }
            if options.keep is not None:
                kept = options.keep / f"{seed}-{arm}"
                shutil.copytree(out, kept, dirs_exist_ok=True)
            print(f"seed {seed}, {arm}: " + ", ".join(_shown(found[arm], name) for name in SHOWN), flush=True)
        return found


def _shown(arm: dict[str, Any], name: str) -> str:
    value = arm[name]
    return f"{name} {'-' if value is None else format(value, '.2%' if name != 'honest_touched' else '.3%')}"


def main() -> None:
    """Print the figures of each world and arm, the medians, and what each retraining came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[31, 32, 33, 34, 35])
    parser.add_argument("--tactics", default="reported", choices=["reported", "tuning"])
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--exchanges", type=int, default=1_700_000)
    parser.add_argument("--campaigns", type=int, default=5)
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--step-hours", type=float, default=6.0)
    parser.add_argument("--retrain-days", type=float, default=7.0)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--keep", type=Path, help="keep decisions and reports below this folder")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here, too")
    options = parser.parse_args()
    found = [measure(seed, options) for seed in options.seeds]
    for arm in options.arms:
        middle = {name: statistics.median(each[arm][name] for each in found) for name in SHOWN}
        print(f"median {arm}: " + ", ".join(_shown(middle, name) for name in SHOWN))
    for each in found:
        for one in each.get("labelled", {}).get("models", ()):
            word = "promoted" if one["promoted"] else "refused"
            print(f"seed {each['seed']} {one['at']}: {word}: {one['why'][:200]}")
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
