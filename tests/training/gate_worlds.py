"""Small made worlds for the gate's tests: datasets of a few signals, for the real trainer and the real registry.

The accounts of a ``World`` are drawn once. What a test changes is what one of two models learns from; both are judged
on the challenger's held-out side, which is the same accounts in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.app import App
from service.domain.enums import ModelState, Verdict
from service.domain.records import LabelRecord, ModelRecord
from service.domain.time import DAY, HOUR
from service.features.catalogue import RULED, features_for
from service.model.artefact import write_artefact
from service.settings import Settings
from tests.factories import NOON
from training.dataset import FRAUD, LEGITIMATE, UNLABELLED, Accounts, Dataset
from training.pipeline import Trained, train
from training.register import Registered, register
from training.silence import campaign_share
from training.splits import TRAIN, split

T = NOON + 60 * DAY
AGES = (0, HOUR, 7 * DAY)
SIGNALS = ("good", "late", "leak", "noise", "odd")
FEATURES = tuple(
    one
    for one in features_for(SIGNALS)
    if one.name.startswith(("signal.", "campaign_")) or one.name in ("plan", "mail_free", "requests_7d")
)
PLACE = {one.name.removeprefix("signal."): i for i, one in enumerate(FEATURES)}
BUDGET = 0.02

Bools = NDArray[np.bool_]


@dataclass
class World:
    """Accounts in order of creation, whose number is their place; all have their verdict ten days after signup."""

    n: int = 3_000
    frauds_in: int = 24  # campaigns
    of_each: int = 10
    seed: int = 1
    analysts: tuple[str, ...] = ("ann", "bob", "eve")
    fraud: Bools = field(init=False)
    group: NDArray[np.int64] = field(init=False)
    values: dict[str, NDArray[np.float64]] = field(init=False)  # (n, ages) each

    def __post_init__(self) -> None:
        """Draws everything; a campaign's members sign up one after another."""
        rng = np.random.default_rng(self.seed)
        n, ages = self.n, len(AGES)
        starts = np.linspace(40, n - 60, self.frauds_in).astype(int)
        self.group = np.arange(n) + 10**6
        self.fraud = np.zeros(n, bool)
        for number, start in enumerate(starts.tolist()):
            members = start + 2 * np.arange(self.of_each)
            self.group[members], self.fraud[members] = number, True
        signal = rng.normal(self.fraud * 3.0, 1.0)
        each = np.repeat(signal[:, None], ages, axis=1)
        self.values = {
            "good": each,
            "late": np.where(np.arange(ages) == 2, each, 0.0),  # says nothing before seven days
            "leak": np.full((n, ages), np.nan),
            "noise": np.repeat(rng.normal(size=n)[:, None], ages, axis=1),
            "odd": np.repeat((rng.random(n) < 0.05).astype(float)[:, None], ages, axis=1),
            "plan": np.repeat(rng.integers(1, 11, n)[:, None], ages, axis=1).astype(float),
            "mail_free": np.repeat((rng.random(n) < 0.5)[:, None], ages, axis=1).astype(float),
            "requests_7d": np.repeat(rng.poisson(40, n)[:, None], ages, axis=1) * np.array([0.0, 0.05, 1.0]),
        }

    @property
    def created(self) -> NDArray[np.int64]:
        """Evenly over forty days."""
        return NOON + np.arange(self.n) * (40 * DAY // self.n)

    @property
    def learning(self) -> Bools:
        """The accounts of the train side."""
        share = np.where(self.fraud, campaign_share(self.group, np.ones(self.n)), 0.0)
        return split(self.created, self.group, share, seed=1).on(TRAIN)

    def dataset(self, *, silent: Bools | None = None, without: Bools | None = None) -> Dataset:
        """What training would read: all accounts labelled but ``silent`` ones, and none of ``without``."""
        there = np.ones(self.n, bool) if without is None else ~without
        verdict = np.where(self.fraud, FRAUD, LEGITIMATE)
        verdict[np.zeros(self.n, bool) if silent is None else silent] = UNLABELLED
        kept = np.flatnonzero(there)
        m, ages = len(kept), len(AGES)
        matrix = np.full((m * ages, len(FEATURES)), np.nan, np.float32)
        for name, of in self.values.items():
            matrix[:, PLACE[name]] = of[kept].ravel()
        case = [f"case-{number}" if number < 10**6 else None for number in self.group.tolist()]
        accounts = Accounts(
            account=kept.astype(np.int64),
            created_at=self.created[kept],
            verdict=verdict[kept].astype(np.int8),
            learned_at=np.where(verdict == UNLABELLED, 0, self.created + 10 * DAY)[kept],
            group=self.group[kept].astype(np.int64),
            campaign=tuple(case[i] if self.fraud[i] else None for i in kept.tolist()),
            stands_for=np.ones(m),
        )
        return Dataset(
            as_of=T,
            features=FEATURES,
            accounts=accounts,
            row=np.repeat(np.arange(m), ages),
            age=np.tile(np.array(AGES, np.int64), m),
            matrix=matrix,
            ruled=np.full((m * ages, len(RULED)), np.nan, np.float32),
            overturned=np.zeros(m, bool),
        )

    def labels(self, who: Callable[[int], str] | None = None) -> list[LabelRecord]:
        """The labels of all accounts, dealt out to the analysts in turn, or as ``who`` says."""
        said = []
        for i in range(self.n):
            analyst = self.analysts[i % len(self.analysts)] if who is None else who(i)
            verdict = Verdict.FRAUD if self.fraud[i] else Verdict.LEGITIMATE
            case = f"case-{self.group[i]}" if self.fraud[i] and self.group[i] < 10**6 else None
            at = int(self.created[i]) + 10 * DAY
            said.append(LabelRecord(f"a{i}", i, verdict, at, analyst, at, campaign_id=case))
        return said

    def shuffled(self, *signals: str) -> World:
        """The same world where nothing can be learned from some signals, though their values are what they were."""
        rng = np.random.default_rng(3)
        order = np.arange(self.n)
        order[self.learning] = rng.permutation(order[self.learning])
        return self.told({name: self.values[name][order] for name in signals})

    def told(self, values: dict[str, float | NDArray[np.float64]], of: Bools | None = None) -> World:
        """The same world with other values of some signals, of some accounts or (None) of all."""
        other = World(self.n, self.frauds_in, self.of_each, self.seed, self.analysts)
        other.fraud, other.group = self.fraud.copy(), self.group.copy()
        which = np.ones(self.n, bool) if of is None else of
        changed = {name: np.where(which[:, None], value, self.values[name]) for name, value in values.items()}
        other.values = {**self.values, **changed}
        return other


def model(dataset: Dataset, *, at: int = T, origin: str = "trained", budget: float = BUDGET) -> Trained:
    """What the trainer makes of it."""
    return train(dataset, seed=1, budget=budget, origin=origin, created_at=at, code_version="0")


@contextmanager
def registry(folder: Path, **more: object) -> Iterator[App]:
    """The product on a database of its own."""
    settings = Settings(database_url=f"sqlite:///{folder / 'g.db'}", data_dir=folder, **more)  # type: ignore[arg-type]
    with App.open(settings, upgrade=True) as app:
        yield app


def crowned(app: App, made: Trained) -> None:
    """Makes a model the champion, and asks nobody."""
    manifest = made.artefact.manifest
    directory = app.settings.models_dir() / manifest.version
    write_artefact(made.artefact, directory)
    app.store.add_model(
        ModelRecord(
            version=manifest.version,
            state=ModelState.CHALLENGER,
            origin=manifest.origin,
            created_at=T - DAY,
            location=str(directory),
            manifest_sha256=made.artefact.manifest_sha256,
            manifest=made.artefact.manifest_text,
        )
    )
    app.store.promote(manifest.version, T - DAY, "by hand")


def against(
    folder: Path,
    champion: Trained | None,
    challenger: tuple[Trained, Dataset],
    labels: list[LabelRecord],
    **more: object,
) -> Registered:
    """What becomes of the challenger: judged, registered and, past the gate, promoted."""
    with registry(folder, **more) as app:
        if champion is not None:
            crowned(app, champion)
        made, dataset = challenger
        return register(app, made, dataset, labels, at=T, promote="auto", budget=BUDGET, seed=1)


def refusing(of: Registered) -> set[str]:
    """The figures, and analysts, for which a challenger was refused; of segments and indices the kind alone."""
    return {one.figure.split(",")[0] for one in of.ruling.figures if one.refuses} | {
        f"influence of {one.analyst}" for one in of.ruling.influence if one.refuses
    }
