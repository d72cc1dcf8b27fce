"""What each feature carries over several simulated worlds. A feature that carries nothing in any of them goes.

In each world a model larger than any that ships learns from the truth itself (only a benchmark may read it), on the
same probes as training; a feature that it never splits on in any world is listed and has to go, unless KEPT says why
it stays.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow.parquet as pq

from service.app import App
from service.domain.codes import hash64_many
from service.domain.time import DAY
from service.features.campaign import FEATURES as CAMPAIGN
from service.settings import Settings
from service.usecases.import_directory import import_directory
from training.dataset import build
from training.fit import parameters_of
from training.simulate import DEFAULT_START, simulate
from training.starter import Quiet

KEPT: dict[str, str] = {
    **dict.fromkeys(("card_fraud", "device_fraud", "phone_fraud", "mailbox_fraud"), "policy rules read it"),
    **dict.fromkeys(
        ("homoglyphs", "agent_automated", "mail_valid"), "nobody in the simulator is so clumsy; real ones are"
    ),
    **dict.fromkeys(("refunds_life", "chargebacks_life"), "come after months, and worlds last weeks"),
    **dict.fromkeys((feature.name for feature in CAMPAIGN), "campaigns are detected in other benchmarks"),
    "rate_limited_share_7d": "the simulator has no rate limits",
    "requests_1h": "the simulator's bursts of usage take longer than an hour",
    "cards": "people in the simulator have one card each; testers of stolen cards have dozens",
    "mailbox_others_life": "campaigns in the simulator never reuse a mailbox under plus-tags; real ones do",
}
WORLDS = 5
ACCOUNTS = 8_000
DAYS = 40
CAMPAIGNS = 24
TREES, LEAVES = 150, 31


def gains(seed: int, accounts: int) -> dict[str, float]:
    """Total gain per feature in one world."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        simulate(world, accounts=accounts, days=DAYS, campaigns=CAMPAIGNS, seed=seed, exchanges_per_day=6.0)
        truth = pq.read_table(world / "truth.parquet").to_pydict()
        end = int(DEFAULT_START.timestamp()) * 1_000_000 + DAYS * DAY
        settings = Settings(database_url=f"sqlite:///{folder}/world.db", data_dir=Path(folder))
        with App.open(settings, upgrade=True) as app:
            import_directory(world, door=app.door, store=app.store, now=end, skip_bad_rows=None, progress=Quiet())
            dataset = build(app.store, app.store.labels_at(end), as_of=end, seed=seed)
    ids = hash64_many(truth["account_id"])
    fraud = np.isin(dataset.accounts.account, ids[[kind in ("campaign", "stolen_card") for kind in truth["kind"]]])
    data = lightgbm.Dataset(dataset.matrix, fraud[dataset.row].astype(float))
    parameters = {**parameters_of(dataset.features, LEAVES, seed), "num_threads": 2}
    booster = lightgbm.train(parameters, data, num_boost_round=TREES)
    gained = booster.feature_importance("gain")
    return {feature.name: float(gain) for feature, gain in zip(dataset.features, gained, strict=True)}


def main() -> int:
    """Prints shares of gain, highest first, and the features that carry nothing; 1 if there are such."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    options = parser.parse_args()
    worlds = [gains(seed, options.accounts) for seed in range(101, 101 + options.worlds)]
    totals = [sum(world.values()) for world in worlds]
    names = [name for name in worlds[0] if not name.startswith(("signal.", "link."))]
    shares = {name: [w.get(name, 0.0) / t for w, t in zip(worlds, totals, strict=True)] for name in names}
    for name in sorted(names, key=lambda name: -float(np.median(shares[name]))):
        print(f"{name:32} median {np.median(shares[name]):8.4%}  highest {max(shares[name]):8.4%}")
    nothing = [name for name in names if max(shares[name]) == 0.0 and name not in KEPT]
    print(f"{len(names)} features, {len(nothing)} carry nothing in {len(worlds)} worlds: {', '.join(nothing) or '-'}")
    for name in (name for name in names if max(shares[name]) == 0.0 and name in KEPT):
        print(f"kept: {name}, since {KEPT[name]}")
    return 1 if nothing else 0


if __name__ == "__main__":
    raise SystemExit(main())
