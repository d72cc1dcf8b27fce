"""The top of a backtest's report: how many were caught, what they used before, who was touched, what relearning did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE, said
from service.report.words import count_of
from training.report.page import items, tiles
from training.report.phrases import amount, days, duration, fraction, percent, round_percent, when, whole

Report = Mapping[str, Any]


def title(report: Report) -> str:
    """``What Gatehouse would have done from 22 April 2026 to 6 June 2026``."""
    if not (report.get("from") and report.get("to")):
        return "What Gatehouse would have done"
    start, end = (when(report.get(name)).rpartition(", ")[0] or "-" for name in ("from", "to"))
    return f"What Gatehouse would have done from {start} to {end}"


def about(report: Report) -> str:
    """What was replayed, and how."""
    counts = report.get("counts") or {}
    return (
        f"{count_of(whole(counts, 'accounts'), 'account')}, {count_of(whole(counts, 'signups'), 'signup')} and "
        f"{count_of(whole(counts, 'exchanges'), 'exchange')} replayed from {when(report.get('from'))} to "
        f"{when(report.get('to'))}; steps of {amount(report.get('step_hours'))} h, retraining every "
        f"{amount(report.get('retrain_every_days'))} days; the replay took {duration(report.get('seconds'))}."
    )


def _sum(rows: Sequence[Report], name: str) -> int:
    return sum(whole(row, name) for row in rows)


def numbered(report: Report) -> list[Report]:
    """All models with their numbers: 0 is the one that the replay started from, if it is among them."""
    models = report.get("models") or []
    start = (report.get("started_from") or {}).get("model_version")
    first = 0 if models and models[0].get("model_version") == start else 1
    return [{**(one.get("metrics") or {}), **one, "number": i} for i, one in enumerate(models, first)]


def retrainings(report: Report) -> list[Report]:
    """The models that were trained after the start."""
    return [one for one in numbered(report) if one["number"]]


def figures(report: Report) -> Markup:
    """The figures that one looks for first."""
    known = report.get("labelled_campaigns") or []
    honest = report.get("honest") or {}
    models = retrainings(report)
    members, exchanges = _sum(known, "members"), _sum(known, "exchanges")
    caught, before = _sum(known, "caught"), _sum(known, "exchanges_before")
    recalls = [one["recall"] for one in known if one.get("recall") is not None]
    budget = round_percent(report.get("friction_budget"))
    return tiles(
        [
            ("Campaign accounts", percent(fraction(caught, members)), f"caught: {caught:,} of {members:,} labelled"),
            (
                "Worst campaign",
                percent(min(recalls, default=None)),
                f"of its members caught; {count_of(len(known), 'campaign')}",
            ),
            (
                "Spent before",
                percent(fraction(before, exchanges)),
                f"{before:,} of {count_of(exchanges, 'exchange')} of theirs",
            ),
            (
                "Honest accounts",
                percent(honest.get("share")),
                f"touched: {amount(honest.get('touched'))} of {amount(honest.get('accounts'))}; budget {budget}",
            ),
            (
                "Models promoted",
                f"{sum(bool(one.get('promoted')) for one in models)} of {len(models)}",
                "that were trained on the way",
            ),
        ]
    )


def answer(report: Report) -> Markup:
    """The same in words, each with what it rests on."""
    return items([_said_caught(report), _said_honest(report), _said_models(report), _said_start(report)], "headline")


def _said_caught(report: Report) -> Markup:
    known = report.get("labelled_campaigns") or []
    if not known:
        return Markup(
            "<b>Campaigns.</b> No account of a campaign was labelled, so how many were caught is not measured."
        )
    members, caught = _sum(known, "members"), _sum(known, "caught")
    exchanges, before = _sum(known, "exchanges"), _sum(known, "exchanges_before")
    paces = sorted(one["median_days_to_catch"] for one in known if one.get("median_days_to_catch") is not None)
    pace = (
        f" In the median campaign, half of those caught were so within {days(paces[len(paces) // 2])} of first use."
        if paces
        else ""
    )
    return Markup(
        "<b>Campaigns.</b> Of {members} in {campaigns} that analysts labelled, <b>{caught:,} were caught "
        "({share})</b> before an analyst’s word on them: by their score, or with a campaign that was found, they got "
        "something other than allow. Until they got it, from whatever cause, they had used {before:,} of "
        "their {exchanges} ({spent}).{pace}{worst}"
    ).format(
        members=count_of(members, "account"),
        campaigns=count_of(len(known), "campaign"),
        caught=caught,
        share=percent(fraction(caught, members)),
        before=before,
        exchanges=count_of(exchanges, "exchange"),
        spent=percent(fraction(before, exchanges)),
        pace=pace,
        worst=_worst(known),
    )


def _worst(known: Sequence[Report]) -> Markup:
    worst = min(known, key=lambda one: (one.get("recall") or 0.0, -whole(one, "members"), str(one.get("campaign_id"))))
    if (worst.get("recall") or 0.0) >= 1:
        return Markup(" No campaign was caught in part only.")
    return Markup(" The worst campaign was <code>{}</code>: {:,} of {}.").format(
        said(str(worst.get("campaign_id"))), whole(worst, "caught"), count_of(whole(worst, "members"), "member")
    )


def _said_honest(report: Report) -> Markup:
    honest, budget = report.get("honest") or {}, report.get("friction_budget")
    if honest.get("share") is None:
        return Markup("<b>Honest people.</b> How many were touched is not measured.")
    ends = ""
    verdict = NONE
    if honest.get("low") is not None and honest.get("high") is not None:
        ends = f"; of people like them it may be {percent(honest['low'])} to {percent(honest['high'])}"
    if budget is not None:
        if honest["share"] <= budget:
            verdict = Markup(' <span class="fine">Within the budget of {}.</span>').format(round_percent(budget))
        elif honest.get("low") is not None and honest["low"] <= budget:
            verdict = Markup(
                ' <span class="bad">Above the budget of {}</span>, though no further than chance explains.'
            ).format(round_percent(budget))
        else:
            verdict = Markup(' <span class="bad">Above the budget of {}, beyond chance.</span>').format(
                round_percent(budget)
            )
    basis = honest.get("basis")
    return Markup("<b>Honest people.</b> <b>{} of {} were touched ({})</b>{}.{}{}").format(
        amount(honest.get("touched")),
        count_of(whole(honest, "accounts"), "honest account"),
        percent(honest["share"]),
        ends,
        verdict,
        Markup(" Who counts as honest: {}.").format(said(str(basis).rstrip("."))) if basis else NONE,
    )


def _said_models(report: Report) -> Markup:
    models = retrainings(report)
    if not models:
        return Markup("<b>Relearning.</b> No model was trained after the start.")
    kept = [one for one in models if one.get("promoted")]
    refused = len(models) - len(kept)
    parts = [f"{count_of(len(models), 'training')}, of which {len(kept)} promoted and {refused} refused by the gate"]
    if kept:
        parts.append(f"the last promoted one on {when(kept[-1].get('at'))}")
    return Markup("<b>Relearning.</b> {}. Section 3 says why, one by one.").format("; ".join(parts))


def _said_start(report: Report) -> Markup:
    start, counts = report.get("started_from") or {}, report.get("counts") or {}
    return Markup(
        "<b>Where it started.</b> From the {} model <code>{}</code>{}. Labels known: {} at the start, {} at the end."
    ).format(
        said(str(start.get("origin", "unknown"))),
        said(str(start.get("model_version", "-"))),
        Markup(" ({})").format(said(str(start["why"]).rstrip("."))) if start.get("why") else NONE,
        amount(counts.get("labels_at_start")),
        amount(counts.get("labels_at_end")),
    )
