"""``gatehouse train``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from service.commands.context import MOMENT, Run, command_options, now
from service.commands.jobs import warn_if_stale
from training.drift import champion_drift
from training.exploration import explored, outcomes
from training.register import champion_scores
from training.report.measured import measured
from training.report.training_page import write_report
from training.retrain import learn_pairs, lesson, retrain


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
    "--segment-bound",
    type=click.FloatRange(1),
    metavar="TIMES",
    help="Raise thresholds where a country, plan, kind of mail or of group is clearly touched more than TIMES the "
    "budget. [default: only say so in the report]",
)
@click.option(
    "--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.json and report.html there."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Same data and seed, same model."
)
@command_options
def train_command(
    run: Run,
    as_of: int | None,
    promote: str,
    friction_budget: float | None,
    segment_bound: float | None,
    report: Path | None,
    seed: int,
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
        pairs = learn_pairs(app, as_of=moment, at=now(), seed=seed, say=run.say)
        with run.progress("features") as advance:
            known = lesson(app, as_of=moment, seed=seed, progress=advance)
        chances = app.store.chances(moment)
        before = app.store.champion()
        learned = retrain(
            app,
            known,
            at=now(),
            promote=promote,
            budget=budget,
            seed=seed,
            segment_times=segment_bound,
            say=run.say,
            pairs=pairs,
        )
        made, registered = learned.made, learned.registered
        drawn: dict[str, Any] = {}
        if report is not None:
            rival = champion_scores(app, before, known.dataset, made)
            drift = champion_drift(app, before, known.dataset)
            drawn = {} if drift is None else {"drift": drift}
            drawn |= measured(app.store, known.dataset, known.labels, made, rival, seed=seed)
    full = {
        "model_version": made.artefact.manifest.version,
        "promoted": registered.promoted,
        "why": registered.why,
        "training": dict(made.artefact.manifest.training),
        "gain": dict(made.artefact.manifest.gain),
        **made.report,
        **drawn,
        "explored": explored(outcomes(known.dataset, made), chances),
        "pair_model": learned.pairs.to_json(),
        "gate": [one.to_json() for one in registered.ruling.figures],
        "influence": [one.to_json() for one in registered.ruling.influence],
        "seconds": round(time.monotonic() - started, 1),
    }
    if report is not None:
        write_report(report, full)
    for warning in made.report["warnings"]:
        run.say(f"warning: {warning}")
    run.done(summary(full), told(full))


def summary(full: dict[str, Any]) -> dict[str, Any]:
    """What ``--json`` prints."""
    about = full["training"]
    counts = {name: about[name] for name in ("as_of", "rows", "accounts", "positives", "legitimate", "campaigns")}
    kept = (
        "metrics",
        "promoted",
        "why",
        "gate",
        "influence",
        "size",
        "sizes_tried",
        "thresholds",
        "warnings",
        "explored",
        "pair_model",
        "seconds",
    )
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
            f"size: {full['size']}",
            f"pairs of accounts: {full['pair_model']['why']}",
        ]
    )
