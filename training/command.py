"""``gatehouse train``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

from service.app import App
from service.commands.context import MOMENT, Run, command_options, now
from service.commands.jobs import warn_if_stale
from service.domain.enums import ModelState, Verdict
from service.domain.errors import ArtefactProblem, UsageError
from service.domain.facts import Float64s
from service.domain.records import LabelRecord, ModelRecord
from service.domain.time import rfc3339
from service.model.artefact import write_artefact
from service.usecases.champion import Serving
from service.usecases.pair_models import FOLDER
from training.dataset import FRAUD, Dataset, build, verdicts
from training.gate import Ruling, rule
from training.pair_model import Learned, train_pair_model
from training.pipeline import Trained, train
from training.report.training_page import write_report

Progress = Callable[[int, int], None]


@click.command("train")
@click.option("--as-of", type=MOMENT, metavar="T", help="Learn from what was known at T. [default: now]")
@click.option(
    "--promote",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="auto: only past the gate, which compares it with the present champion on held-out accounts.",
)
@click.option(
    "--friction-budget",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of legitimate accounts that may ever be touched. [default: GATEHOUSE_FRICTION_BUDGET, else 0.001]",
)
@click.option(
    "--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.json and report.html there."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Same data and seed, same model."
)
@command_options
def train_command(
    run: Run, as_of: int | None, promote: str, friction_budget: float | None, report: Path | None, seed: int
) -> None:
    """Train a model on the accounts and labels known at a moment, register it, and promote it past the gate.

    The newest accounts are held out, whole campaigns at a time, to calibrate, set thresholds and measure. From
    confirmed and refuted campaigns it also learns which pairs of accounts are one, for `gatehouse detect`; that is kept
    where it does better than no labels, and --promote is not never.
    """
    started = time.monotonic()
    moment = as_of if as_of is not None else now()
    budget = friction_budget if friction_budget is not None else run.settings.friction_budget
    with run.app() as app:
        warn_if_stale(run, app.store.newest_fact(), as_of, moment)
        labels = app.store.labels_at(moment)
        check_labels(labels, moment)
        with run.progress("features") as advance:
            dataset = build(app.store, labels, as_of=moment, seed=seed, progress=advance)
        check_dataset(dataset, moment)
        run.say(f"learning from {len(dataset.row):,} rows of {len(dataset.accounts):,} accounts")
        made = train(
            dataset, seed=seed, budget=budget, origin="trained", created_at=now(), code_version=version("gatehouse")
        )
        registered = register(app, made, dataset, promote=promote, budget=budget, seed=seed)
        run.say("learning which pairs of accounts are one, from confirmed and refuted campaigns")
        pairs = keep_pairs(app, learn_pairs(app, moment, seed), promote=promote)
    full = {
        "model_version": made.artefact.manifest.version,
        "promoted": registered.promoted,
        "why": registered.why,
        "training": dict(made.artefact.manifest.training),
        "gain": dict(made.artefact.manifest.gain),
        **made.report,
        "pair_model": pairs.to_json(),
        "gate": [{name: getattr(one, name) for name in one.__slots__} for one in registered.ruling.compared],
        "seconds": round(time.monotonic() - started, 1),
    }
    if report is not None:
        write_report(report, full)
    for warning in made.report["warnings"]:
        run.say(f"warning: {warning}")
    run.done(summary(full), told(full))


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a model."""

    promoted: bool
    why: str
    ruling: Ruling


def check_labels(labels: list[LabelRecord], as_of: int) -> None:
    """Raises UsageError where there is nothing to learn from."""
    known = verdicts(labels, as_of).values()
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


def register(app: App, made: Trained, dataset: Dataset, *, promote: str, budget: float, seed: int) -> Registered:
    """Writes and registers the model, and promotes it as ``promote`` says."""
    manifest = made.artefact.manifest
    champion = app.store.champion()
    scores, name = champion_scores(app, champion, dataset, made)
    ruling = rule(made.basis, made.held, made.scores, scores, budget=budget, champion_name=name, seed=seed)
    directory = app.settings.models_dir() / manifest.version
    write_artefact(made.artefact, directory)
    at = now()
    app.store.add_model(
        ModelRecord(
            version=manifest.version,
            state=ModelState.CHALLENGER,
            origin=manifest.origin,
            created_at=at,
            location=str(directory.resolve()),
            manifest_sha256=made.artefact.manifest_sha256,
            manifest=made.artefact.manifest_text,
            why=ruling.why,
        )
    )
    why = {"auto": ruling.why, "always": f"promoted because it was asked for; the gate: {ruling.why}"}.get(
        promote, f"not promoted because it was asked so; the gate: {ruling.why}"
    )
    promoted = promote == "always" or (promote == "auto" and ruling.passes)
    if promoted:
        app.store.promote(manifest.version, at, why)
    return Registered(promoted, why, ruling)


def learn_pairs(app: App, as_of: int, seed: int) -> Learned:
    """What confirmed and refuted campaigns teach about pairs of accounts."""
    return train_pair_model(app.store, as_of=as_of, seed=seed, created_at=now(), code_version=version("gatehouse"))


def keep_pairs(app: App, learned: Learned, *, promote: str) -> Learned:
    """Writes the pair model where it is kept; the next detection uses it. ``never`` leaves detection as it is."""
    if learned.artefact is None:
        return learned
    if promote == "never":
        return replace(learned, artefact=None, why=f"not kept because it was asked so; else {learned.why}")
    write_artefact(learned.artefact, app.settings.models_dir() / FOLDER / learned.artefact.manifest.version)
    return learned


def champion_scores(
    app: App, champion: ModelRecord | None, dataset: Dataset, made: Trained
) -> tuple[Float64s | None, str]:
    """The champion's scores of the held-out rows, and what to call it; None where it cannot score them."""
    if champion is None:
        return None, "there was no champion"
    name = f"{champion.origin} model {champion.version}"
    try:
        serving = Serving.load(app.model_directory(champion), manifest_sha256=champion.manifest_sha256)
    except ArtefactProblem as error:
        return None, f"the champion, {name}, cannot be used ({error})"
    place = {feature.name: i for i, feature in enumerate(dataset.features)}
    rows = np.full((len(made.test), len(serving.features)), np.nan, np.float32)
    for i, feature in enumerate(serving.features):
        if feature.name in place:
            rows[:, i] = dataset.matrix[made.test, place[feature.name]]
    return serving.scorer.score(rows), name


def summary(full: dict[str, Any]) -> dict[str, Any]:
    """What ``--json`` prints."""
    about = full["training"]
    counts = {name: about[name] for name in ("as_of", "rows", "accounts", "positives", "legitimate", "campaigns")}
    kept = ("metrics", "promoted", "why", "thresholds", "warnings", "pair_model", "seconds")
    return {"model_version": full["model_version"], **counts, **{name: full[name] for name in kept}}


def told(full: dict[str, Any]) -> str:
    """What a person reads."""
    about = full["training"]
    figures = {name: value for name, value in full["metrics"].items() if isinstance(value, float)}
    return "\n".join(
        [
            f"{full['model_version']}: {'promoted' if full['promoted'] else 'not promoted'} in {full['seconds']} s",
            full["why"],
            f"{about['rows']:,} rows of {about['accounts']:,} accounts; {about['positives']:,} frauds",
            json.dumps({name: round(value, 4) for name, value in figures.items()}),
            f"pairs of accounts: {full['pair_model']['why']}",
        ]
    )
