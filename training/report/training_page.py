"""The report of one training run: ``report.json`` and a ``report.html`` that shows the same without a network.

It begins with the verdict, then says what was learned from, and only then how good the model is, so that no figure is
read without its basis. A part that this run has not measured says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE, paragraph, said
from service.report.words import count_of, visible
from training.report.calibration_picture import calibration_picture
from training.report.campaign_pictures import caught_pictures
from training.report.friction_picture import friction_picture
from training.report.inline_pictures import bar, difference
from training.report.limits import limits
from training.report.page import Section, folded, items, missing, page, terms, write
from training.report.phrases import amount, days, fraction, percent, when, whole
from training.report.segments_picture import segments_picture
from training.report.swarm_picture import swarm_picture
from training.report.tables import Column, rows_table
from training.report.training_headline import top, verdict

Report = Mapping[str, Any]

SHOWN_FEATURES = 30
MOST_ROWS = 60
_SIDES = {"train": "learned from", "calibration": "calibrated and set thresholds", "test": "measured here"}


def write_report(directory: Path, report: Report) -> None:
    """Writes both files into ``directory``, which is made where it is missing.

    Raises ValueError where the report has infinite numbers.
    """
    write(directory, report, training_page(report))


def training_page(report: Report) -> str:
    """The page's text; any part of ``report`` may be missing."""
    about = report.get("training") or {}
    budget = about.get("friction_budget")
    challenge = next((one.get("value") for one in report.get("thresholds") or []), None)
    curves = friction_picture(report.get("friction_curves") or [], budget, threshold=challenge)
    error = (report.get("metrics") or {}).get("calibration_error")
    calibration = calibration_picture(report.get("calibration_table") or [], error)
    basis = "those not labelled fraud, each by its chance of being legitimate"
    segments = segments_picture(report.get("segments") or [], budget, basis=basis)
    swarm = swarm_picture(report.get("swarm") or {})
    sections: list[Section] = [
        ("verdict", "1. What became of it", verdict(report)),
        ("data", "2. What it was learned from", _data(report)),
        ("labels", "3. Whose labels", _labels(report)),
        ("change", "4. What changed against the champion", _change(report)),
        ("friction", "5. Recall against friction", [curves or missing(), _by_age(report)]),
        ("calibration", "6. Calibration", [calibration or missing()]),
        ("campaigns", "7. Held-out campaigns over time", _campaigns(report)),
        ("segments", "8. Honest segments", [segments or missing("segments were not measured")]),
        ("features", "9. What the model looks at", [swarm or missing(), _gain(report)]),
        ("drift", "10. Drift", _drift(report)),
        ("decisions", "11. Thresholds and rules", _decisions(report)),
        ("explored", "12. Those let through to learn from", _explored(report)),
        ("making", "13. How it was made", _making(report)),
        ("limits", "14. Known limits", [items([said(one) for one in limits(report)])]),
    ]
    foot = "Made by gatehouse train. All moments are in UTC. All figures, also those left out here, are in report.json."
    return page(f"Model {visible(str(report.get('model_version')))}", top(report), sections, foot)


def _data(report: Report) -> list[Markup]:
    about, model, data = (report.get(name) or {} for name in ("training", "model", "data"))
    if not about:
        return [missing()]
    accounts = f"{whole(about, 'accounts'):,}"
    if whole(about, "accounts_stood_for") > whole(about, "accounts"):
        accounts += f", a sample that stands for {whole(about, 'accounts_stood_for'):,}"
    if data:
        accounts += f"; signed up from {when(data.get('first_signup'))} to {when(data.get('last_signup'))}"
    verdicts = (
        f"{whole(about, 'positives'):,} fraud in {count_of(whole(about, 'campaigns'), 'named campaign')}, "
        f"{whole(about, 'legitimate'):,} legitimate, {whole(about, 'unlabelled'):,} without one"
    )
    silence = (
        f"of frauds, {percent(about.get('frauds_ever_labelled'))} are estimated to be labelled ever; nine in ten "
        f"verdicts come within {amount(about.get('verdict_delay_90_days'))} days"
    )
    dropped = count_of(whole(about, "dropped_past_their_campaigns_side"), "account")
    rule = visible(str(about.get("split_by", "an unknown rule")))
    facts = [
        ("As known on", when(about.get("as_of"))),
        ("Accounts", accounts),
        ("Rows", f"{whole(about, 'rows'):,} probes: each account at its signup and at fixed ages after it"),
        ("Verdicts", verdicts),
        ("Silence", silence),
        ("Split", f"by {rule}, whole campaigns on one side; {dropped} past their campaign’s side left out"),
        ("Seed", amount(about.get("seed"))),
    ]
    prints = [
        ("Data", model.get("data_fingerprint")),
        ("Features", model.get("feature_fingerprint")),
        ("Policy", model.get("policy_version")),
    ]
    marks = [Markup("{} <code>{}</code>").format(name, said(str(mark))) for name, mark in prints if mark]
    if marks:
        facts.append(("Fingerprints", Markup(" · ").join(marks)))
    return [terms(facts), _sides(about, data)]


def _sides(about: Report, data: Report) -> Markup:
    cuts = [*(about.get("split_at") or [])]
    ends = [data.get("first_signup"), *cuts, data.get("last_signup")]
    sides = about.get("sides") or {}
    dated = len(cuts) + 1 == len(sides)
    rows = [
        {
            **of,
            "side": f"{name}: {_SIDES[name]}" if name in _SIDES else name,
            "start": ends[i] if dated else None,
            "end": ends[i + 1] if dated else None,
        }
        for i, (name, of) in enumerate(sides.items())
    ]
    return rows_table(
        "Sides, by when the account’s campaign began (UTC)" if dated else "Sides",
        [
            Column("side", "side", "name"),
            Column("from", "start", "moment"),
            Column("to", "end", "moment"),
            Column("accounts", "accounts"),
            Column("fraud", "positives"),
            Column("legitimate", "legitimate"),
        ],
        rows,
    )


def _labels(report: Report) -> list[Markup]:
    analysts = report.get("analysts") or []
    total = sum(whole(one, "fraud") for one in analysts)
    table = rows_table(
        "Analysts and their labels (UTC)",
        [
            Column("analyst", "analyst", "name"),
            Column("fraud", "fraud"),
            Column("share of fraud", lambda row: fraction(whole(row, "fraud"), total), "share"),
            Column("legitimate", "legitimate"),
            Column("taken back", "retracted"),
            Column("first", "first", "moment"),
            Column("last", "last", "moment"),
        ],
        analysts,
        most=MOST_ROWS,
    )
    influence = report.get("influence") or []
    swayed = rows_table(
        "What the model would be without one analyst’s labels",
        [
            Column("analyst", "analyst", "name"),
            Column("share of fraud", "share", "share"),
            Column("accounts left out", "left_out"),
            Column("recall at budget", "recall", "share"),
            Column("without them", "recall_without", "share"),
            Column("of others’ frauds", "recall_of_others", "share"),
            Column("without them", "recall_of_others_without", "share"),
            Column("judgement", _ruling, "markup"),
        ],
        influence,
        most=MOST_ROWS,
    ) + _reasons(influence)
    parts = [table] if analysts else [missing("whose labels they are was not recorded")]
    return [*parts, swayed if influence else missing("the influence of single analysts was not measured")]


def _ruling(row: Report) -> Markup:
    return Markup('<b class="bad">refuses</b>') if row.get("refuses") else Markup("fine")


def _reasons(rows: Sequence[Report]) -> Markup:
    """What the gate says of some of its figures, those that refuse first."""
    told = [row for row in sorted(rows, key=lambda row: not row.get("refuses")) if row.get("why")]
    return items([said(str(row["why"])) for row in told]) if told else NONE


def _change(report: Report) -> list[Markup]:
    champion = report.get("champion")
    told = paragraph(Markup("The champion before: {}.").format(said(str(champion)))) if champion else NONE
    compared = report.get("gate") or []
    if not compared:
        return [told, missing("there was nothing to compare it with, or the gate had refused it before")]
    return [
        told,
        rows_table(
            "What the gate looked at, on the same held-out accounts",
            [
                Column("figure", "figure", "name"),
                Column("champion", "champion"),
                Column("this model", "challenger"),
                Column("difference", _interval),
                Column("less · more", _drawn, "markup"),
                Column("judgement", _ruling, "markup"),
            ],
            sorted(compared, key=lambda row: not row.get("refuses")),
            most=MOST_ROWS,
        ),
        _reasons(compared),
        paragraph(
            "Differences are this model less the champion, as an interval over resampled campaigns; each bar is on a "
            "scale of its own around zero. A figure refuses the model only where it is worse beyond that noise.",
            "none",
        ),
    ]


def _drawn(row: Report) -> Markup:
    return difference(row.get("low"), row.get("high"), "harm" if row.get("refuses") else "")


def _interval(row: Report) -> str | None:
    low, high = row.get("low"), row.get("high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    ends = [f"{end:+.3g}" if end else "0" for end in (low, high)]
    return " to ".join(ends).replace("-", "−")


def _by_age(report: Report) -> Markup:
    rows = [{"age": age, **of} for age, of in (report.get("by_age") or {}).items()]
    return rows_table(
        "By age of the account when asked about it (each account’s weight is shared by its probes)",
        [
            Column("asked at", "age", "name"),
            Column("fraud", "fraud"),
            Column("legitimate", "legitimate"),
            Column("ROC AUC", "roc_auc"),
            Column("average precision", "average_precision"),
            Column("recall at 1 % false alarms", "recall_at_fpr_0.01", "share"),
            Column("at 0.1 %", "recall_at_fpr_0.001", "share"),
        ],
        rows,
    )


def _campaigns(report: Report) -> list[Markup]:
    caught = report.get("detection") or []
    if caught:
        return [
            paragraph(
                "Campaigns on the test side, as this model’s policy alone (thresholds and rules, without the detection "
                "job’s later finds) would have met them at each probe. A member is caught at its first probe that gets "
                "anything but allow; it is followed until the verdict on it was known."
            ),
            caught_pictures(caught, since="signup"),
            rows_table(
                "Held-out campaigns",
                [
                    Column("campaign", "campaign_id", "name"),
                    Column("members", "members"),
                    Column("caught", "caught"),
                    Column("share", "recall", "share"),
                    Column("exchanges", "exchanges"),
                    Column("let through", "exchanges_before"),
                    Column(
                        "share let through",
                        lambda row: fraction(whole(row, "exchanges_before"), whole(row, "exchanges")),
                        "share",
                    ),
                    Column("median time from signup", "median_days_to_catch", "days"),
                ],
                caught,
                most=MOST_ROWS,
            ),
        ]
    rows = [{"campaign": name, **of} for name, of in (report.get("by_campaign") or {}).items()]
    if not rows:
        return [missing("no labelled campaign is on the test side")]
    columns = [Column("campaign", "campaign", "name"), Column("members", "members"), Column("found", "recall", "share")]
    return [rows_table("Held-out campaigns, by score alone", columns, rows, most=MOST_ROWS)]


def _gain(report: Report) -> Markup:
    gain = {name: float(value) for name, value in (report.get("gain") or {}).items()}
    total, most = sum(gain.values()), max(gain.values(), default=0.0)
    if total <= 0:
        return missing("gain was not measured")
    ranked = sorted(gain.items(), key=lambda item: (-item[1], item[0]))
    rows = [{"feature": name, "gain": value / total, "of": value / most} for name, value in ranked if value > 0]
    return folded(
        f"Gain of the first {min(SHOWN_FEATURES, len(rows))} of {count_of(len(gain), 'feature')}",
        rows_table(
            "Share of the gain of all splits",
            [
                Column("feature", "feature", "name"),
                Column("share", "gain", "share"),
                Column("", lambda row: bar(row["of"]), "markup"),
            ],
            rows,
            most=SHOWN_FEATURES,
        ),
    )


def _drift(report: Report) -> list[Markup]:
    drift = report.get("drift")
    if drift is None:
        return [missing()]
    rows = sorted(drift, key=lambda row: not row.get("alarm"))  # as they come, those next to their bound are first
    alarms = sum(bool(row.get("alarm")) for row in rows)
    told = paragraph(
        f"Population stability index of {count_of(len(rows), 'feature')}; {alarms} beyond what chance and age explain."
    )
    table = rows_table(
        "Drift, alarms first",
        [
            Column("feature", "feature", "name"),
            *([Column("of", "of", "text")] if any("of" in row for row in rows) else []),
            Column("index", "psi"),
            Column("alarm beyond", "bound"),
            Column("", _psi, "markup"),
            Column("share of gain", "gain", "share"),
        ],
        rows,
        most=SHOWN_FEATURES,
    )
    return [told, table]


def _psi(row: Report) -> Markup:
    psi, bound = row.get("psi"), row.get("bound")
    if not isinstance(psi, int | float) or not isinstance(bound, int | float) or bound <= 0:
        return NONE
    return bar(min(1.0, psi / (2 * bound)), mark=0.5, look="harm" if row.get("alarm") else "")


def _decisions(report: Report) -> list[Markup]:
    made = report.get("thresholds") or []
    optional = (
        ("by accounts", "by_account", "number"),
        ("by groups", "by_group", "number"),
        ("by labelled alone", "by_labelled", "number"),
        ("touched when set", "share", "share"),
        ("at most", "upper", "share"),
    )
    return [
        _lives(report.get("friction") or {}),
        rows_table(
            "Thresholds: a score above it gets the decision, or worse",
            [
                Column("decision", "decision", "name"),
                Column("part of the budget", "budget", "set share"),
                Column("threshold", "value"),
                *(Column(title, name, kind) for title, name, kind in optional if any(name in row for row in made)),
            ],
            made,
        ),
        paragraph("Without a threshold, too few accounts were held out for that budget: rules alone decide.", "none"),
        rows_table(
            "Rules, each measured on legitimate accounts before it is let in",
            [
                Column("rule", lambda row: f"{row.get('code')} ≥ {amount(row.get('at_least'))}", "name"),
                Column("legitimate touched", "legitimate_share", "share"),
                Column("", lambda row: "kept" if row.get("kept") else row.get("why"), "text"),
            ],
            report.get("rules") or [],
            most=MOST_ROWS,
        ),
    ]


def _lives(basis: Report) -> Markup:
    """What thresholds were set on; nothing where that was not told."""
    if not basis.get("accounts"):
        return NONE
    text = f"Set on {count_of(whole(basis, 'accounts'), 'held-out account')} that are not labelled fraud"
    if basis.get("looks"):
        text += f", {whole(basis, 'looked_at'):,} of them looked at {whole(basis, 'looks'):,} times over their lives"
    if basis.get("life_days") is not None:
        text += f"; what is promised holds for lives of {days(basis['life_days'])}"
    if basis.get("groups"):
        text += (
            f". {count_of(whole(basis, 'in_groups'), 'account')} stand in {count_of(whole(basis, 'groups'), 'group')} "
            f"touched together, the largest of {whole(basis, 'largest_group'):,}"
        )
    if basis.get("raised_for_segment"):
        text += f". Raised for the segment {visible(str(basis['raised_for_segment']))}"
    return paragraph(f"{text}.")


def _explored(report: Report) -> list[Markup]:
    explored = report.get("explored")
    if not explored:
        return [missing()]
    if not whole(explored, "accounts"):
        return [
            paragraph(
                "No account that would have been challenged or reviewed was let through to learn from, so figures rest "
                "on accounts whose outcome decisions may have shaped."
            )
        ]
    held = explored.get("held_out") or {}
    rows = [
        {"what": what, **(of or {})}
        for what, of in (
            ("fraud among all that would have been refused", explored.get("fraud_share")),
            ("recall, held out", held.get("recall")),
            ("friction, held out", held.get("friction")),
        )
    ]
    return [
        paragraph(
            f"{count_of(whole(explored, 'accounts'), 'account')} let through by chance, "
            f"{whole(explored, 'labelled'):,} of them labelled since, stand for "
            f"{amount(explored.get('weight'))} that were or would have been refused "
            f"({visible(str(explored.get('method')))})."
        ),
        rows_table(
            "Figures that count those let through for all like them",
            [
                Column("figure", "what", "name"),
                Column("value", "value", "share"),
                Column("at least", "low", "share"),
                Column("at most", "high", "share"),
                Column("accounts behind it", "effective_accounts"),
            ],
            rows,
        ),
    ]


def _making(report: Report) -> list[Markup]:
    model, pairs = report.get("model") or {}, report.get("pair_model") or {}
    boosted = model.get("lightgbm") or {}
    facts = []
    if model:
        facts += [
            ("Made", f"{when(model.get('created_at'))} by Gatehouse {model.get('code_version')}"),
            ("Booster", f"LightGBM {boosted.get('version')}, {amount(boosted.get('trees'))} trees"),
            ("Features", amount(model.get("features"))),
            ("Calibration", str(model.get("calibration"))),
            ("Parameters", ", ".join(f"{name} {amount(of)}" for name, of in (boosted.get("parameters") or {}).items())),
        ]
    if report.get("size"):
        facts.append(("Size", str(report["size"])))
    if pairs:
        facts.append(("Pairs of accounts", str(pairs.get("why"))))
    return [
        terms([(name, said(text)) for name, text in facts]) if facts else missing(),
        rows_table(
            "Sizes tried by cross-validation over whole campaigns of the train side",
            [
                Column("leaves", "leaves", "name"),
                Column("trees", "trees"),
                Column("average precision", "average_precision"),
                Column("behind the best", "behind"),
                Column("standard error", "standard_error"),
                Column("", lambda row: "chosen" if row.get("chosen") else "", "text"),
            ],
            report.get("sizes_tried") or [],
        ),
    ]
