"""``gatehouse models``: the registry from a terminal."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from service.commands.context import Run, command_options, now
from service.domain.enums import Decision
from service.domain.errors import UsageError
from service.domain.records import ModelRecord
from service.domain.time import rfc3339

if TYPE_CHECKING:  # it loads scipy, which `models list` has no use for
    from service.usecases.compare_shadow import Comparison

SHOWN_METRICS = ("roc_auc", "average_precision", "recall_at_fpr_0.001", "recall_at_budget")


@click.group("models")
def models_group() -> None:
    """List, show, promote and roll back models."""


@models_group.command("list")
@command_options
def list_command(run: Run) -> None:
    """Print every registered model, the newest first."""
    with run.app() as app:
        models = app.store.models()
    run.done({"models": [_summary(model) for model in models]})
    if run.as_json:
        return
    if not models:
        click.echo("no model is registered; `gatehouse train` makes one")
        return
    table = Table()
    for column in ("version", "state", "origin", "created", "ROC AUC", "AP", "recall at 0.1 %", "recall at budget"):
        table.add_column(column)
    for model in models:
        metrics = json.loads(model.manifest)["metrics"]
        state = model.state.value + (" (suspicious)" if metrics.get("suspicious") else "")
        figures = (_figure(metrics.get(name)) for name in SHOWN_METRICS)
        table.add_row(model.version, state, model.origin, rfc3339(model.created_at)[:19], *figures)
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)


@models_group.command("show")
@click.argument("version")
@command_options
def show_command(run: Run, version: str) -> None:
    """Print one model: where it came from, how it did, what it decides by."""
    with run.app() as app:
        model = app.store.model(version)
    manifest = json.loads(model.manifest)
    shown = {name: manifest[name] for name in ("training", "lightgbm", "calibration", "policy", "code_version")}
    gain = sorted(manifest["gain"].items(), key=lambda item: -item[1])
    body = {**_summary(model), **shown, "features": len(manifest["features"]), "gain": dict(gain)}
    run.done(body, json.dumps({**body, "gain": dict(gain[:20])}, indent=2))


@models_group.command("promote")
@click.argument("version")
@click.option("--reason", default="", help="Why; kept in the registry's history.")
@command_options
def promote_command(run: Run, version: str, reason: str) -> None:
    """Make a model the champion. Running servers switch within seconds."""
    with run.app() as app:
        model = app.promote_model(version, why=reason, now=now())
    run.done(_summary(model), f"{model.version} is champion")


@models_group.command("rollback")
@click.option("--reason", default="", help="Why; kept in the registry's history.")
@command_options
def rollback_command(run: Run, reason: str) -> None:
    """Make the champion before the present one champion again."""
    with run.app() as app:
        model = app.roll_back_model(why=reason, now=now())
    run.done(_summary(model), f"{model.version} is champion again")


@models_group.command("shadow")
@click.argument("version", required=False)
@click.option("--stop", is_flag=True, help="End it. What it said is kept.")
@click.option("--reason", default="", help="Why; kept in the registry's history.")
@command_options
def shadow_command(run: Run, version: str | None, reason: str, *, stop: bool) -> None:
    """Let a model score live traffic beside the champion, without deciding; without a VERSION: compare the two.

    Running servers follow within seconds, and the periodic job scores with it, too. It takes the place of any other
    model that shadows.
    """
    if stop and version is not None:
        raise UsageError("--stop ends the one that shadows; leave the version out")
    with run.app() as app:
        if version is not None:
            model = app.shadow_model(version, why=reason, now=now())
            run.done(_summary(model), f"{model.version} shadows the champion; `gatehouse models shadow` compares them")
        elif stop:
            ended = app.store.stop_shadow(now(), reason or "ended by hand")
            if ended is None:
                raise UsageError("no model shadows the champion")
            run.done(_summary(ended), f"{ended.version} no longer shadows the champion")
        else:
            found = app.compare_shadow(now=now())
            run.done({**_shadow(found), **found.to_json()})
            if not run.as_json:
                _print_comparison(found)


def _shadow(found: Comparison) -> dict[str, Any]:
    return {
        "version": found.shadow.model.version,
        "running": found.shadow.until is None,
        "since": rfc3339(found.shadow.since),
        "until": rfc3339(found.shadow.until) if found.shadow.until is not None else None,
    }


def _print_comparison(of: Comparison) -> None:
    about = _shadow(of)
    span = f"since {about['since'][:19]}" + (f" until {about['until'][:19]}" if about["until"] else "")
    click.echo(f"{about['version']} beside {of.champion or 'the champion'} {span}")
    click.echo(f"{of.scored:,} answers of {of.accounts:,} accounts scored, {of.missed:,} missed")
    if of.scored:
        table = Table(title="answers; rows: the champion's, columns: the shadow's")
        table.add_column("")
        for level in Decision:
            table.add_column(level, justify="right")
        for name, row in of.agreement.items():
            table.add_row(name, *(f"{row[level]:,}" for level in Decision))
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(table)
        correlation = f"{of.correlation:.3f}" if of.correlation is not None else "-"
        click.echo(f"rank correlation of scores {correlation}; shadow's less champion's at quantiles: ", nl=False)
        click.echo("  ".join(f"{part}: {value:+.4f}" for part, value in of.difference.items()))
        used = of.exchanges
        if of.fraud.accounts:
            click.echo(
                f"exchanges of accounts labelled fraud before they were touched: champion {used.champion:,}, "
                f"shadow {used.shadow:,}, of {used.all:,} until the label"
            )
    click.echo(of.sentence)


def _summary(model: ModelRecord) -> dict[str, Any]:
    manifest = json.loads(model.manifest)
    return {
        "version": model.version,
        "state": model.state.value,
        "origin": model.origin,
        "created_at": rfc3339(model.created_at),
        "promoted_at": rfc3339(model.promoted_at) if model.promoted_at is not None else None,
        "why": model.why,
        "metrics": manifest["metrics"],
        "data_fingerprint": manifest["data_fingerprint"],
        "feature_fingerprint": manifest["feature_fingerprint"],
    }


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"
