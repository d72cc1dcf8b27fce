"""Real records through ``gatehouse backtest``: what their owners' labels, as they came, would have taught.

- Star-scout: two snapshots of a public code host's accounts. Labels of the first are known, those of the second are
  not; every account of the second is scored at its snapshot's second. The peer is a plain LightGBM on the same counts.
- SAFE: 12,168 accounts that human reviewers confirmed over five days in 68 campaigns; accounts have no signup times and
  no linking keys. Labels arrive as they did, a model is trained every day, and the gate has its word.

Both need the folder of real records; ``training/examples`` says what was made of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.evaluate import figures
from training.examples import safe_airdrop, starscout


def backtest(world: Path, out: Path, *words: str) -> dict[str, Any]:
    """Runs the command and returns its answer, with the seconds it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "service.cli", "backtest", str(world), "--out", str(out), "--json", *words]
    done = subprocess.run(command, check=True, capture_output=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "wall": time.monotonic() - began}


def stars(source: Path, folder: Path) -> None:
    """Snapshot one to snapshot two."""
    starscout.convert(source / "starscout", folder)
    world = folder / "world"
    world.mkdir()
    for name in ("accounts", "signals"):
        both = [pq.read_table(folder / side / f"{name}.parquet") for side in ("first", "second")]
        pq.write_table(pa.concat_tables(both), world / f"{name}.parquet")
    (world / "labels.parquet").write_bytes((folder / "first" / "labels.parquet").read_bytes())
    span = ("--from", "2024-12-31", "--to", "2025-01-02", "--step", "12h", "--retrain-every", "30d")
    said = backtest(world, folder / "out", *span, "--friction-budget", "0.01")
    held = pq.read_table(folder / starscout.HELD_OUT).to_pylist()
    fraud = {one["account_id"]: one["verdict"] == "fraud" for one in held}
    rows = [
        one for one in pq.read_table(folder / "out" / "decisions.parquet").to_pylist() if one["trigger"] == "signup"
    ]
    truth = np.array([fraud[one["account_id"]] for one in rows], np.float64)
    found = figures(np.array([one["score"] for one in rows]), truth, np.ones(len(rows)))
    touched = np.array([one["decision"] != "allow" for one in rows])
    print(
        f"star-scout: {len(rows):,} accounts of the second snapshot, {said['started_from']['origin']} model: "
        f"ROC AUC {found['roc_auc']:.4f}, average precision {found['average_precision']:.4f}; of suspected ones "
        f"{touched[truth > 0].mean():.1%} touched, of others {touched[truth == 0].mean():.2%}, {said['wall']:.0f} s"
    )


def verdicts(source: Path, folder: Path) -> None:
    """Labels as they came."""
    world = folder / "world"
    safe_airdrop.convert(source / "safe_airdrop", world)
    span = ("--from", "2022-09-18T12:00:00", "--to", "2022-09-23", "--step", "12h", "--retrain-every", "1d")
    said = backtest(world, folder / "out", *span)
    report = json.loads((folder / "out" / "report.json").read_text())
    print(
        f"SAFE: {said['counts']['labels_at_end']:,} labels, {said['campaigns']:,} campaigns known at the end, "
        f"{said['wall']:.0f} s"
    )
    for one in report["models"]:
        word = "promoted" if one["promoted"] else "refused"
        print(f"  {one['at']}: {word}, {one['positives']:,} frauds in {one['campaigns']} campaigns: {one['why'][:240]}")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of real records")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"no real records in {options.data}; --data says where they are", file=sys.stderr)
        return
    for part in (stars, verdicts):
        with tempfile.TemporaryDirectory(prefix="gatehouse-real-") as folder:
            part(options.data, Path(folder))


if __name__ == "__main__":
    main()
