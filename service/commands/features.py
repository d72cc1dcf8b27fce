"""``gatehouse features list``: the catalogue prints itself."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from service.commands.context import Run, command_options
from service.domain.errors import DatabaseProblem
from service.features.catalogue import features_for, fingerprint, link_kinds_of, signal_names_of


@click.group("features")
def features_group() -> None:
    """See what accounts are scored on."""


@features_group.command("list")
@click.option("--family", help="Only this family: identity, payment, usage, linkage, campaign, custom.")
@command_options
def list_command(run: Run, family: str | None) -> None:
    """Print every feature: name, family, meaning, unit, source, and its gain in the present champion."""
    gains = _gains(run)
    names = list(gains)
    features = features_for(signal_names_of(names), link_kinds_of(names))
    shown = [feature for feature in features if family is None or feature.family == family]
    total = sum(gains.values())
    rows = [
        {
            "name": feature.name,
            "family": feature.family,
            "meaning": feature.meaning,
            "unit": feature.unit,
            "source": feature.source,
            "gain": round(gains[feature.name] / total, 6) if total and feature.name in gains else None,
        }
        for feature in shown
    ]
    run.done({"features": rows, "count": len(rows), "fingerprint": fingerprint(features)})
    if not run.as_json:
        table = Table(title=f"{len(rows)} features, fingerprint {fingerprint(features)}")
        for column in ("name", "family", "meaning", "unit", "source"):
            table.add_column(column, overflow="fold")
        table.add_column("gain", justify="right")
        for row in rows:
            gain = "-" if row["gain"] is None else f"{float(row['gain']):.2%}"
            shown_row = (str(row[name]) for name in ("name", "family", "meaning", "unit", "source"))
            table.add_row(*shown_row, gain)
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200).print(table)


def _gains(run: Run) -> dict[str, float]:
    """Gain of each feature in the champion; empty where there is none, or no database yet."""
    try:
        with run.app(upgrade=False) as app:
            champion = app.store.champion()
    except DatabaseProblem:
        return {}
    return {} if champion is None else dict(json.loads(champion.manifest)["gain"])
