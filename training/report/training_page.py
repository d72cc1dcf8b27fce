"""The report of one training run: ``report.json`` and a ``report.html`` that shows the same without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

SHOWN_FEATURES = 30

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.bar { background: #3d6fb4; height: .7rem; display: inline-block; }
.warning { background: #fff3d6; border-left: 4px solid #d89b00; padding: .4rem .8rem; margin: .4rem 0; }
svg { background: #f6f8fa; } small { color: #5a6675; }
"""


def write_report(directory: Path, report: Mapping[str, Any]) -> None:
    """Writes both files into ``directory``, which is made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    (directory / "report.html").write_text(page(report))


def page(report: Mapping[str, Any]) -> str:
    """The page's text."""
    about = report["training"]
    said = "Promoted." if report["promoted"] else "Not promoted."
    parts = [
        f"<h1>Model {escape(report['model_version'])}</h1>",
        f"<p>{said} {escape(report['why'])}</p>",
        *(f'<p class="warning">{escape(warning)}</p>' for warning in report["warnings"]),
        "<h2>Held-out figures</h2>",
        f"<p><small>{escape(str(report['metrics'].get('rows_of', '')))}</small></p>",
        _pairs({name: value for name, value in report["metrics"].items() if name not in ("rows_of", "suspicious")}),
        "<h2>By age of the account</h2>",
        _table(
            ("asked at", "fraud", "legitimate", "ROC AUC", "average precision", "recall at 1 %"),
            [
                (
                    age,
                    *(of.get(k) for k in ("fraud", "legitimate", "roc_auc", "average_precision", "recall_at_fpr_0.01")),
                )
                for age, of in report["by_age"].items()
            ],
        ),
        "<h2>Calibration</h2>",
        "<p><small>Each dot is a tenth of the held-out rows: score across, share of fraud upwards.</small></p>",
        _calibration(report["calibration_table"]),
        "<h2>By campaign</h2>",
        "<p><small>Share of its labelled members that ever got anything but allow by their score.</small></p>",
        _table(
            ("campaign", "members", "recall"),
            [(name, of["members"], of["recall"]) for name, of in report["by_campaign"].items()],
        ),
        "<h2>Decisions</h2>",
        "<p><small>No threshold: too few held-out accounts; the decision is left to rules.</small></p>",
        _table(
            ("decision", "budget", "threshold"),
            [(one["decision"], one["budget"], one["value"]) for one in report["thresholds"]],
        ),
        _table(
            ("rule", "share of legitimate accounts", ""),
            [
                (
                    f"{one['code']} >= {one['at_least']:g}",
                    one["legitimate_share"],
                    "kept" if one["kept"] else one["why"],
                )
                for one in report["rules"]
            ],
        ),
        "<h2>What the model looks at</h2>",
        _bars(report["gain"]),
        "<h2>Sizes tried</h2>",
        _table(
            ("leaves", "trees", "average precision", "behind the best", "standard error", ""),
            [
                (s["leaves"], s["trees"], s["average_precision"], s["behind"], s["standard_error"], _chosen(s))
                for s in report["sizes_tried"]
            ],
        ),
        "<h2>What it was learned from</h2>",
        _pairs({name: value for name, value in about.items() if name != "sides"}),
        _table(
            ("side", "accounts", "fraud", "legitimate"),
            [(name, of["accounts"], of["positives"], of["legitimate"]) for name, of in about["sides"].items()],
        ),
    ]
    title = f"<title>Model {escape(report['model_version'])}</title>"
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8">{title}<style>{_STYLE}</style></head>'
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def _chosen(size: Mapping[str, Any]) -> str:
    return "chosen" if size["chosen"] else ""


def _cell(value: object) -> str:
    if value is None:
        return '<td class="n">-</td>'
    if isinstance(value, float):
        return f'<td class="n">{value:.4g}</td>'
    if isinstance(value, int):
        return f'<td class="n">{value}</td>'
    return f"<td>{escape(', '.join(map(str, value)) if isinstance(value, list) else str(value))}</td>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "<p>None.</p>"
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _pairs(of: Mapping[str, object]) -> str:
    return "<table>" + "".join(f"<tr><td>{escape(k)}</td>{_cell(v)}</tr>" for k, v in of.items()) + "</table>"


def _calibration(table: Sequence[Mapping[str, float]]) -> str:
    top = max([0.05, *(max(row["mean_score"], row["fraud_share"]) for row in table)])
    dots = "".join(
        f'<circle cx="{300 * row["mean_score"] / top:.1f}" cy="{300 - 300 * row["fraud_share"] / top:.1f}" r="4" '
        'fill="#3d6fb4"/>'
        for row in table
    )
    line = '<line x1="0" y1="300" x2="300" y2="0" stroke="#9aa5b1"/>'
    return (
        f'<svg viewBox="-5 -5 310 310" width="310" height="310">{line}{dots}</svg><p><small>0 to {top:.2g}</small></p>'
    )


def _bars(gain: Mapping[str, float]) -> str:
    total = sum(gain.values()) or 1.0
    top = sorted(gain.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_FEATURES]
    most = top[0][1] or 1.0 if top else 1.0
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{value / total:.1%}</td>'
        f'<td><span class="bar" style="width:{max(1.0, 260 * value / most):.0f}px"></span></td></tr>'
        for name, value in top
        if value > 0
    )
    return f"<table>{rows}</table>"
