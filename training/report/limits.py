"""What a training run's figures do not show, said of this run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.phrases import whole

FEW_FRAUDS = 100


def limits(report: Mapping[str, Any]) -> list[str]:
    """Sentences for the end of the report; what this run gives no cause for is left out."""
    about = report.get("training") or {}
    test = (about.get("sides") or {}).get("test") or {}
    out = [
        *map(str, report.get("known_limits") or []),
        "Held-out accounts are the newest known ones, and the next may be unlike them: a tactic shows after verdicts.",
        "Probes are at fixed ages; a life has more moments, so somebody may be touched, or caught, between them.",
        "The friction budget is kept over all accounts like those held out, not in each segment of them.",
    ]
    if whole(about, "unlabelled"):
        out.append(
            "Silent accounts are not innocent ones: how many of them are frauds is an estimate, and friction and "
            "calibration rest on it."
        )
    if 0 < whole(test, "positives") < FEW_FRAUDS:
        out.append(f"Only {whole(test, 'positives')} labelled frauds are held out: recall may be off by much.")
    if not whole(test, "legitimate"):
        out.append("No held-out account was called legitimate by an analyst: friction is told from silence alone.")
    if about.get("split_by") in ("hash", "campaign"):
        dealt = "whole campaigns, which ran side by side," if about.get("split_by") == "campaign" else "a hash,"
        out.append(f"Sides were dealt out by {dealt} not by time, so nothing here shows how a model ages.")
    if report.get("drift") is None:
        out.append("Whether live data have moved away from the training data was not measured in this run.")
    return out
