"""The whole of relearning at one moment: dataset, model, gate, registry, and the model of pairs.

``gatehouse train`` calls it with the clock's time and the backtest with the replay's, so both relearn alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from service.app import App
from service.domain.enums import Verdict
from service.domain.errors import UsageError
from service.domain.records import LabelRecord
from service.domain.time import rfc3339
from service.usecases.observe import Observed
from training.dataset import FRAUD, Dataset, build, verdicts
from training.pair_model import Learned, train_pair_model
from training.pipeline import Trained, train
from training.probe_cache import ProbeCache
from training.register import Registered, keep_pairs, register

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


def _quiet(_: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is known at one moment: rows to learn from, and the labels behind them."""

    dataset: Dataset
    labels: tuple[LabelRecord, ...]


@dataclass(frozen=True, slots=True)
class Retrained:
    """A model, what became of it, and what became of the model of pairs."""

    made: Trained
    registered: Registered
    pairs: Learned


def lesson(
    app: App, *, as_of: int, seed: int, progress: Progress | None = None, cache: ProbeCache | None = None
) -> Lesson:
    """What was known at ``as_of`` (microseconds); ``progress`` is told how many rows of how many have their features.

    Whoever asks for several in one process gives all of them the same ``cache``, ``ProbeCache(app.store)``: see
    ``dataset.build``. Raises UsageError where there is nothing to learn from.
    """
    labels = tuple(app.store.labels_at(as_of))
    check_labels(labels, as_of)
    dataset = build(app.store, labels, as_of=as_of, seed=seed, progress=progress, cache=cache)
    check_dataset(dataset, as_of)
    return Lesson(dataset, labels)


def retrain(
    app: App,
    of: Lesson,
    *,
    at: int,
    promote: str,
    budget: float,
    seed: int,
    segment_times: float | None = None,
    say: Say = _quiet,
    pairs: Learned | None = None,
) -> Retrained:
    """Learns from a lesson and registers at the moment ``at`` (microseconds).

    ``promote`` is auto (past the gate), always or never; ``budget`` the friction budget, and ``segment_times`` how many
    times that any segment of honest accounts may be touched (None: only told). Never keeps no pair model. ``pairs`` was
    learned already by ``learn_pairs``; None: it is learned from what the process's last look at campaigns saw.
    """
    dataset, code_version = of.dataset, version("gatehouse")
    say(f"learning from {len(dataset.row):,} rows of {len(dataset.accounts):,} accounts")
    made = train(
        dataset,
        seed=seed,
        budget=budget,
        origin="trained",
        created_at=at,
        code_version=code_version,
        source=app.store,
        segment_times=segment_times,
    )
    registered = register(app, made, dataset, of.labels, at=at, promote=promote, budget=budget, seed=seed)
    if pairs is None:
        pairs = learn_pairs(app, as_of=dataset.as_of, at=at, seed=seed, say=say, observe=app.detect.observed)
    return Retrained(made, registered, keep_pairs(app, pairs, promote=promote))


def learn_pairs(
    app: App, *, as_of: int, at: int, seed: int, say: Say = _quiet, observe: Callable[[int], Observed] | None = None
) -> Learned:
    """The model of pairs of what was known at ``as_of``, made at the moment ``at``; raises as ``check_labels`` does.

    ``observe`` gives what was seen at a moment by one who remembers it. None: everything is read for this alone, and
    let go again. So whoever has not looked learns this first: fifty million exchanges beside the rows of a lesson were
    more than 6 GiB.
    """
    check_labels(tuple(app.store.labels_at(as_of)), as_of)
    say("learning which pairs of accounts are one, from confirmed and refuted campaigns")
    return train_pair_model(
        app.store, as_of=as_of, seed=seed, created_at=at, code_version=version("gatehouse"), observe=observe
    )


def check_labels(labels: Sequence[LabelRecord], as_of: int) -> None:
    """Raises UsageError where there is nothing to learn from."""
    known = verdicts(labels, as_of).values()
    if not known and labels:
        raise UsageError(
            f"there are no labels to train on: all {len(labels)} labels that were known at {rfc3339(as_of)} had been "
            "taken back. They are kept; import others with `gatehouse labels import FILE`, or give another --as-of"
        )
    if not known:
        raise UsageError(
            f"there are no labels to train on: no verdict stands at {rfc3339(as_of)}. Import some with "
            "`gatehouse labels import FILE`, or give a later --as-of"
        )
    if not any(one.fraud for one in known):
        raise UsageError(
            f"all {len(known)} verdicts that stand at {rfc3339(as_of)} say {Verdict.LEGITIMATE.value}: a model needs "
            "fraud to learn from. Label some, or give a later --as-of"
        )


def check_dataset(dataset: Dataset, as_of: int) -> None:
    """Raises UsageError where the labels say nothing about the accounts that are known."""
    frauds = int((dataset.accounts.verdict == FRAUD).sum())
    if frauds == 0:
        raise UsageError(
            f"none of the accounts labelled as fraud had signed up by {rfc3339(as_of)}; import their signups with "
            "`gatehouse import DIR`"
        )
    if frauds == len(dataset.accounts):
        raise UsageError("every known account is labelled as fraud: a model needs others to tell them from")
