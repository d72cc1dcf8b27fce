"""``gatehouse models``: the registry from a terminal."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from service.commands.context import Run, command_options, now
from service.domain.errors import NotAvailableYet
from service.domain.records import ModelRecord
from service.domain.time import rfc3339

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
@command_options
def shadow_command(run: Run, version: str | None) -> None:  # noqa: ARG001  whatever was asked, the answer is the same
    """Not in this version yet: score with a challenger beside the champion."""
    raise NotAvailableYet(
        "`gatehouse models shadow` is not in this version yet: a challenger that scores live traffic beside the "
        "champion comes with the learning loop; `gatehouse train` compares the two on held-out accounts"
    )


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
