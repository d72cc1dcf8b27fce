"""The top of a training run's report: what became of the model, its figures at a glance, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE, paragraph, said
from service.report.words import count_of, visible
from training.report.friction_picture import recall_within
from training.report.page import items, tiles
from training.report.phrases import amount, duration, percent, round_percent, when, whole

Report = Mapping[str, Any]

_LONG = 160  # letters; a longer reason is not set in large type


def top(report: Report) -> Markup:
    """Name, state, and what it was trained on in one sentence."""
    about = report.get("training") or {}
    promoted = bool(report.get("promoted"))
    told = (
        f"Learned from {count_of(whole(about, 'rows'), 'row')} of {count_of(whole(about, 'accounts'), 'account')}, "
        f"{count_of(whole(about, 'positives'), 'labelled fraud')} among them, as known on {when(about.get('as_of'))}; "
        f"friction budget {round_percent(about.get('friction_budget'))}; took {duration(report.get('seconds'))}."
    )
    return Markup(
        '<p class="brand">Gatehouse <span>Training report</span></p><p class="state {kind}">{state}</p>'
        '<h1>Model {name}</h1><p class="about">{told}</p>{tiles}'
    ).format(
        kind="refuted" if promoted else "detected",
        state="promoted" if promoted else "not promoted",
        name=said(str(report.get("model_version"))),
        told=told,
        tiles=_tiles(report),
    )


def _tiles(report: Report) -> Markup:
    about, metrics = report.get("training") or {}, report.get("metrics") or {}
    test = (about.get("sides") or {}).get("test") or {}
    curves = {curve.get("of"): curve for curve in report.get("friction_curves") or []}
    budget = about.get("friction_budget")
    within = [
        f"{name} {percent(recall_within(curves[of], budget))}"
        for of, name in (("challenger", "it could be"), ("champion", "the champion"))
        if budget and of in curves
    ]
    precision = amount(metrics.get("average_precision"))
    campaigns = count_of(whole(about, "campaigns"), "campaign")
    return tiles(
        [
            (
                "Frauds found",
                percent(metrics.get("recall_at_budget")),
                f"by its threshold, of {whole(test, 'positives'):,} held out"
                + (f"; within the budget {', '.join(within)}" if within else ""),
            ),
            ("Worst campaign", percent(metrics.get("worst_campaign_recall")), "of its held-out members found"),
            (
                "ROC AUC",
                amount(metrics.get("roc_auc")),
                f"average precision {precision}",
            ),
            (
                "Calibration error",
                percent(metrics.get("calibration_error")),
                "mean distance of score and observed share",
            ),
            (
                "Labels",
                f"{whole(about, 'positives'):,} frauds",
                f"in {campaigns}; {whole(about, 'legitimate'):,} legitimate, {whole(about, 'unlabelled'):,} silent",
            ),
        ]
    )


def verdict(report: Report) -> list[Markup]:
    """Why the model was promoted or not, and the warnings."""
    promoted = bool(report.get("promoted"))
    why = str(report.get("why") or "no reason was recorded")
    text = why
    for start in ("promoted:", "refused:", "not promoted because", "promoted because"):
        if why.startswith(start):
            text = "because" * start.endswith("because") + why.removeprefix(start)
    text = text.strip()
    parts = [
        paragraph(
            Markup('<b class="{}">{}</b>: {}').format(
                "fine" if promoted else "kept", "Promoted" if promoted else "Not promoted", said(text)
            ),
            "lead" if len(text) <= _LONG else "",
        )
    ]
    basis = (report.get("metrics") or {}).get("rows_of")
    if basis:
        parts.append(paragraph(f"The figures above are of rows that the model has not seen: {visible(str(basis))}."))
    warnings = [said(str(one)) for one in report.get("warnings") or []]
    return [*parts, items(warnings, "caution") if warnings else NONE]
