"""Drift alarms on simulated worlds: how often new people of the same kind raise one, and which changes do.

A model is trained on one world, with all features in its reference. Then other worlds are drawn, by the same laws under
other seeds, and by laws of which one was changed; each is imported as an operator would, and its probes are compared
with the reference. Accounts of a world come in groups, honest and not, so that worlds differ by more than independent
accounts would: the share of same-law worlds with an alarm is the false alarm rate to go by. Samples of few accounts are
drawn from those worlds besides.

The peer is the index read against 0.25 alone, whatever the size of the sample, and against all ages at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.training import Quiet, held_out, learned
from service.app import App
from service.commands.drift import DRIFT_EVERY_S
from service.domain.facts import Float64s
from service.domain.time import DAY, HOUR
from service.model.scorer import Scorer
from service.model.stability import ANOTHER, SCORE, Drift, Reference, Seen, make_reference, stability
from service.settings import Settings
from service.usecases.import_directory import import_directory
from training.dataset import Dataset, build
from training.drift import at_fixed_ages, drifted, reference_of, seen_of
from training.retrain import lesson, retrain
from training.simulate import DEFAULT_START, agents, identity, payments, places, simulate

SEED = 3
SMALL = (100, 300, 1_000)  # accounts of the samples that are drawn besides


@dataclass(frozen=True, slots=True)
class Change:
    """One law of the simulator that is another one now."""

    what: str
    shows_in: tuple[str, ...]  # beginnings of the names of features, one of which at least must raise the alarm
    put: Callable[[], Iterator[None]]
    busier: float = 1.0  # factor of exchanges on a day of use
    moves_score: bool = False  # so much that the score's own index must raise the alarm, too


def _weights(module: object, name: str, value: object) -> Callable[[], Iterator[None]]:
    def put() -> Iterator[None]:
        with patch.object(module, name, value):
            yield

    return put


def _nothing() -> Iterator[None]:
    yield


def _countries() -> Iterator[None]:
    """Nine in ten signups come from India, Indonesia, Pakistan, Bangladesh, the Philippines and Viet Nam."""
    table = places.places()
    favoured = np.array([one.code in {"IN", "ID", "PK", "BD", "PH", "VN"} for one in table.countries])
    before = table.shares.copy()
    table.shares[:] = np.where(favoured, before * 9.0 * before[~favoured].sum() / before[favoured].sum(), before)
    try:
        yield
    finally:
        table.shares[:] = before


def _nothing_said(values: Sequence[object], _rng: object, _left_empty: float) -> list[None]:
    return [None] * len(values)


CHANGES = (
    Change(
        "plans: half of all signups on payg, few on free",
        ("plan",),
        _weights(identity, "PLAN_WEIGHTS", np.array([10, 5, 50, 25, 7, 3])),
    ),
    Change(
        "sources: most signups by ads and partners",
        ("signup_source",),
        _weights(identity, "SOURCE_WEIGHTS", np.array([10, 50, 5, 5, 5, 20, 3, 2])),
    ),
    Change(
        "countries: nine in ten signups from six countries of Asia",
        ("language_", "ip_network_size", "phone_kind", "phone_variety", "local_hour"),
        _countries,
    ),
    Change("usage doubled", ("requests_", "input_tokens_", "output_tokens_"), _nothing, busier=2.0),
    Change("card issuers: three in each country instead of sixty", ("card_bin_",), _weights(payments, "BINS", 3)),
    Change(
        "cards: prepaid ones in place of most others",
        ("prepaid_share", "card_share"),
        _weights(payments, "METHOD_WEIGHTS", np.array([30, 10, 3, 2, 55])),
    ),
    Change(
        "browsers: half of all signups by python-requests",
        ("agent_",),
        _weights(identity, "AGENTS", {**agents.AGENTS, "python-requests/2.32.3": 100.0}),
    ),
    Change(
        "a source breaks: countries, addresses and form times no longer arrive",
        ("ip_", "form_log_seconds", "country_disagreements"),
        _weights(identity, "_unless", _nothing_said),
        moves_score=True,
    ),
)


def probes(folder: Path, options: argparse.Namespace, seed: int, *, busier: float = 1.0) -> Dataset:
    """A world's probes, as training would see them at its end."""
    return _built(_world(folder, options, seed, busier, 1.0), folder, options.days, seed)


def _world(folder: Path, options: argparse.Namespace, seed: int, busier: float, longer: float) -> Path:
    """Writes a world, ``longer`` times as long and as large."""
    world = folder / f"world-{seed}-{longer:g}"
    simulate(
        world,
        accounts=round(options.accounts * longer),
        days=round(options.days * longer),
        campaigns=round(options.campaigns * longer),
        seed=seed,
        start=DEFAULT_START,
        exchanges_per_day=options.exchanges_per_day * busier,
    )
    return world


def _built(world: Path, folder: Path, days: int, seed: int) -> Dataset:
    """The probes of a world, as was known after so many days."""
    end = int(DEFAULT_START.timestamp()) * 1_000_000 + days * DAY
    with tempfile.TemporaryDirectory(dir=folder) as home, _app(Path(home)) as app:
        _import(app, world, end)
        return build(app.store, app.store.labels_at(end), as_of=end, seed=seed)


def _app(home: Path) -> AbstractContextManager[App]:
    keys = f"content:{'a5' * 32},bench:{'5a' * 32}"
    settings = Settings(database_url=f"sqlite:///{home}/bench.db", data_dir=home, hmac_keys=keys)
    return App.open(settings, upgrade=True)


def _import(app: App, world: Path, end: int) -> None:
    """Also what lies after ``end``: it counts only for whoever asks later."""
    import_directory(world, door=app.door, store=app.store, now=end + 365 * DAY, skip_bad_rows=None, progress=Quiet())


@dataclass(frozen=True, slots=True)
class Watched:
    """The model whose world is watched."""

    scorer: Scorer
    reference: Reference  # of all features, those that the model never splits on, too
    flat: Reference  # the same with all ages as one, for the peer
    gain: dict[str, float]  # share of each feature

    @classmethod
    def of(cls, dataset: Dataset) -> Watched:
        """Trains it."""
        made = learned(dataset)
        scorer = Scorer(made.artefact)
        score = _scores(scorer, dataset)
        held = held_out(dataset)[dataset.row]
        seen = seen_of(dataset, score, scored=held).part(at_fixed_ages(dataset))
        total = sum(made.artefact.manifest.gain.values())
        return cls(
            scorer,
            reference_of(dataset, score, held=held),
            make_reference(replace(seen, age=np.zeros_like(seen.age))),
            {name: gain / total for name, gain in made.artefact.manifest.gain.items()},
        )

    def seen(self, dataset: Dataset) -> Seen:
        """The probes of another world, scored."""
        return seen_of(dataset, _scores(self.scorer, dataset)).part(at_fixed_ages(dataset))


def _scores(scorer: Scorer, dataset: Dataset) -> Float64s:
    column = {feature.name: i for i, feature in enumerate(dataset.features)}
    rows = np.full((len(dataset.row), len(scorer.features)), np.nan, np.float32)
    for i, name in enumerate(scorer.features):
        if name in column:
            rows[:, i] = dataset.matrix[:, column[name]]
    return scorer.score(rows)


def same_law(watched: Watched, worlds: list[Seen]) -> None:
    """Prints how often nothing has changed and something is an alarm, and what is farthest."""
    rng = np.random.default_rng(SEED)
    print("\nthe same laws, other seeds: worlds or samples with an alarm")
    print(f"{'accounts':>10} {'draws':>6} {'any feature':>12} {'with gain':>10} {'score':>6} {'peer':>6}   farthest")
    for n in (*SMALL, None):
        draws = [part for world in worlds for part in _samples(world, n, rng)]
        found = [stability(watched.reference, draw) for draw in draws]
        alarms = [{one.feature for one in drift if one.alarm} for drift in found]
        flat = [stability(watched.flat, replace(draw, age=np.zeros_like(draw.age))) for draw in draws]
        far = max((one for drift in found for one in drift), key=lambda one: one.psi - one.bound)
        print(
            f"{n or 'a world':>10} {len(draws):>6} {np.mean([bool(a) for a in alarms]):>12.3f} "
            f"{np.mean([bool(_with_gain(watched, a)) for a in alarms]):>10.3f} "
            f"{np.mean([SCORE in a for a in alarms]):>6.3f} "
            f"{np.mean([any(one.psi > ANOTHER for one in drift) for drift in flat]):>6.3f}   "
            f"{far.feature} ({far.of}) {far.psi:.3f} of {far.bound:.3f}"
        )


def later(folder: Path, options: argparse.Namespace, seed: int) -> None:
    """Prints what the accounts of the next half of a period look like to a model of the period before."""
    world = _world(folder, options, seed, 1.0, 1.5)
    before = _built(world, folder, options.days, seed)
    after = _built(world, folder, round(options.days * 1.5), seed)
    watched = Watched.of(before)
    drift = drifted(watched.reference, after, _scores(watched.scorer, after), since=before.as_of)
    alarms = {one.feature: one for one in reversed(drift) if one.alarm}
    weigh = _with_gain(watched, set(alarms))
    print(f"seed {seed}: {len(alarms)} features in alarm, {len(weigh)} of them with gain; score {_score(drift):.3f}")
    for name, one in sorted(alarms.items(), key=lambda item: item[1].bound - item[1].psi)[:6]:
        print(_row(watched, name, one))


def _score(drift: Sequence[Drift]) -> float:
    return max((one.psi for one in drift if one.feature == SCORE), default=float("nan"))


def _row(watched: Watched, name: str, one: Drift) -> str:
    gain = watched.gain.get(name, 0.0)
    return f"  {name:<32} {one.of:<7} {one.psi:7.3f} of {one.bound:.3f}   gain {gain:.3f}"


def _samples(world: Seen, n: int | None, rng: np.random.Generator) -> list[Seen]:
    """Ten samples of ``n`` accounts each; None: the world as it is."""
    if n is None:
        return [world]
    names = np.unique(world.account)
    return [world.part(np.isin(world.account, rng.choice(names, n, replace=False))) for _ in range(10)]


def _with_gain(watched: Watched, alarms: set[str]) -> set[str]:
    return {name for name in alarms if watched.gain.get(name, 0.0) >= 0.01}


def changed(watched: Watched, change: Change, world: Seen) -> bool:
    """Prints what one change shows in; whether the right features raise the alarm."""
    drift = stability(watched.reference, world)
    alarms: dict[str, Drift] = {}
    for one in drift:
        if one.alarm:
            alarms.setdefault(one.feature, one)
    right = [name for name in alarms if name.startswith(change.shows_in)]
    if change.moves_score and SCORE not in alarms:
        right = []
    print(f"\n{change.what}: {'alarm' if right else 'NO ALARM where it should show'}; score {_score(drift):.3f}")
    for name, one in list(alarms.items())[:8]:
        print(_row(watched, name, one))
    if len(alarms) > 8:
        print(f"  and {len(alarms) - 8} more")
    expected = [one for one in drift if one.feature.startswith(change.shows_in)]
    if not right and expected:
        one = expected[0]
        print(f"  the nearest of those expected: {one.feature} ({one.of}) {one.psi:.3f} of {one.bound:.3f}")
    return bool(right)


def cost(folder: Path, options: argparse.Namespace) -> None:
    """Prints what a server pays to measure drift from the record: a world rescored each 6 h of its last week."""
    world = _world(folder, options, SEED + 900, 1.0, 1.0)
    end = int(DEFAULT_START.timestamp()) * 1_000_000 + options.days * DAY
    with tempfile.TemporaryDirectory(dir=folder) as home, _app(Path(home)) as app:
        _import(app, world, end)
        retrain(app, lesson(app, as_of=end, seed=SEED), at=end, promote="always", budget=0.001, seed=SEED)
        for hours in range(0, 7 * 24, 6):
            app.rescore(as_of=end - hours * HOUR)
        champion = app.store.champion()
        if champion is None:
            raise RuntimeError("the model was not promoted")
        took = []
        for _ in range(5):
            began = time.process_time()
            watched = app.watch_drift(champion, now=end)
            took.append(time.process_time() - began)
        width = len(watched.gain)
    seconds = float(np.median(took))
    print(
        f"\nmeasured from the record: {watched.rows:,} rows of {width} features in {seconds:.2f} s of processor time, "
        f"which each {DRIFT_EVERY_S:g} s is {seconds / DRIFT_EVERY_S:.3%} of one core; no call waits for it"
    )


def main() -> int:
    """Runs all of it; exit code 1 where a change raised no alarm on the right feature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=3_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--campaigns", type=int, default=12)
    parser.add_argument("--exchanges-per-day", type=float, default=4.0)
    parser.add_argument("--worlds", type=int, default=20, help="drawn by the same laws")
    parser.add_argument("--continued", type=int, default=3, help="worlds that go on after training")
    options = parser.parse_args(sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watched = Watched.of(probes(folder, options, SEED))
        reference = watched.reference
        size = len(json.dumps(reference.to_json()))
        print(f"reference of {len(reference.features)} features at {len(reference.ages)} ages: {size:,} bytes")
        same = [watched.seen(probes(folder, options, SEED + 1 + i)) for i in range(options.worlds)]
        same_law(watched, same)
        print("\nthe same world, those who signed up in the half period after training")
        for i in range(options.continued):
            later(folder, options, SEED + 500 + i)
        right = []
        for i, change in enumerate(CHANGES):
            with contextmanager(change.put)():
                world = probes(folder, options, SEED + 1_000 + i, busier=change.busier)
            right.append(changed(watched, change, watched.seen(world)))
        cost(folder, options)
    print(f"\n{sum(right)} of {len(right)} changes raised the alarm where they should show")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
