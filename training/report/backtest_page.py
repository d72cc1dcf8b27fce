"""The report of a backtest: what Gatehouse would have done, step by step, and how that looks by what is known now.

Its first section answers in words, with every figure's basis; pictures and tables follow. What is much is thinned here
and whole in report.json, so that a replay of 200 steps and 100 campaigns stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from service.report.parts import NONE, paragraph, said
from service.report.words import count_of, kind_words
from training.report.backtest_headline import about, answer, figures, numbered, retrainings, title
from training.report.campaign_pictures import caught_pictures, found_pictures
from training.report.page import Section, folded, items, missing, page, write
from training.report.phrases import amount, at, fraction, percent, whole
from training.report.replay_picture import replay_picture
from training.report.segments_picture import segments_picture
from training.report.tables import Column, rows_table

Report = Mapping[str, Any]

MOST_ROWS = 60
_LEVELS = ("allow", "challenge", "throttle", "review", "block")
_TRIGGERS = {"signup": "at signup", "rescore": "by rescoring", "campaign": "by a campaign"}


def write_backtest_report(out: Path, report: Report) -> None:
    """Writes OUT/report.json and OUT/report.html.

    Any part of ``report`` may be missing, and its place then says so. Raises ValueError for infinite numbers.
    """
    write(out, report, backtest_page(report))


def backtest_page(report: Report) -> str:
    """The page's text."""
    budget = report.get("friction_budget")
    top = Markup('<p class="brand">Gatehouse <span>Backtest</span></p><h1>{}</h1><p class="about">{}</p>{}').format(
        title(report), about(report), figures(report)
    )
    honest = report.get("honest") or {}
    sections: list[Section] = [
        (
            "answer",
            "1. What would have happened",
            [
                answer(report),
                items(list(map(said, report["warnings"])), "caution") if report.get("warnings") else NONE,
            ],
        ),
        ("time", "2. The replay over time", _over_time(report)),
        ("models", "3. What each retraining did", _models(report)),
        ("caught", "4. Campaigns that analysts labelled", _labelled(report)),
        (
            "honest",
            "5. Honest accounts by segment",
            [
                _segments(honest, budget),
                folded(
                    "The same as a table",
                    rows_table(
                        "Honest segments",
                        [
                            Column("segment", "segment", "name"),
                            Column("value", "value", "text"),
                            Column("accounts", "accounts"),
                            Column("touched", "touched"),
                            Column("share", "share", "share"),
                            Column("at least", "low", "share"),
                            Column("at most", "high", "share"),
                        ],
                        _by_accounts(honest.get("segments")),
                        most=MOST_ROWS,
                    ),
                )
                if honest.get("segments")
                else NONE,
            ],
        ),
        ("found", "6. Campaigns that were found", _found(report)),
        ("decisions", "7. Decisions", [_decisions(report), _unlabelled(report)]),
        (
            "steps",
            "8. Steps",
            [folded("All steps, one by one", _steps(report))] if report.get("steps") else [missing()],
        ),
        (
            "limits",
            "9. Known limits",
            [items(list(map(said, report["known_limits"])))] if report.get("known_limits") else [missing()],
        ),
    ]
    foot = f"Made by gatehouse backtest; seed {amount(report.get('seed'))}. All moments are in UTC."
    return page("Backtest", top, sections, foot)


def _over_time(report: Report) -> list[Markup]:
    start = at(report["from"]) if report.get("from") else None
    made = replay_picture(report.get("steps") or [], retrainings(report), start=start)
    return [made or missing("no steps were recorded")]


def _models(report: Report) -> list[Markup]:
    models = numbered(report)
    told = rows_table(
        "Models, by when they were trained (UTC)",
        [
            Column("", "number", "name"),
            Column("trained", "at", "moment"),
            Column("what became of it", _became, "markup"),
        ],
        models,
        most=MOST_ROWS,
        name="numbered",
    )
    held_out = rows_table(
        "What they learned from, and their held-out figures",
        [
            Column("", "number", "name"),
            Column("version", "model_version", "text"),
            Column("frauds", "positives"),
            Column("campaigns", "campaigns"),
            Column("ROC AUC", "roc_auc"),
            Column("average precision", "average_precision"),
            Column("recall at budget", "recall_at_budget", "share"),
            Column("calibration error", "calibration_error"),
        ],
        models,
        most=MOST_ROWS,
        name="numbered",
    )
    return [told, held_out] if models else [missing("no model was trained")]


def _became(model: Report) -> Markup:
    why = str(model.get("why") or "no reason was recorded").removeprefix("promoted:").removeprefix("refused:")
    kept = bool(model.get("promoted"))
    if not model.get("number"):
        return Markup("<b>Started from</b>: {}").format(said(why.strip()))
    return Markup('<b class="{}">{}</b>: {}').format(
        "fine" if kept else "kept", "Promoted" if kept else "Not promoted", said(why.strip())
    )


def _labelled(report: Report) -> list[Markup]:
    known = _by_members(report.get("labelled_campaigns"))
    if not known:
        return [missing("no account of a campaign was labelled")]
    return [
        paragraph(
            "A member is caught when it first gets anything but allow, by whatever trigger, before an analyst’s "
            "verdict on the member itself was known. Exchanges after that are counted all the same, so that harm can "
            "be told."
        ),
        caught_pictures(known, since="first use"),
        rows_table(
            "Labelled campaigns",
            [
                Column("campaign", "campaign_id", "name"),
                Column("members", "members"),
                Column("caught", "caught"),
                Column("share", "recall", "share"),
                Column("exchanges", "exchanges"),
                Column("before caught", "exchanges_before"),
                Column("spent before", _spent, "share"),
                Column("median time from first use", "median_days_to_catch", "days"),
            ],
            known,
            most=MOST_ROWS,
        ),
    ]


def _spent(row: Report) -> float | None:
    return fraction(whole(row, "exchanges_before"), whole(row, "exchanges"))


def _segments(honest: Report, budget: float | None) -> Markup:
    made = segments_picture(honest.get("segments") or [], budget, basis=str(honest.get("basis") or ""))
    return made or missing("segments were not measured")


def _found(report: Report) -> list[Markup]:
    found = _by_members(report.get("campaigns"))
    if not found:
        return [missing("detection found no campaign")]
    return [
        paragraph(
            "Groups of accounts whose ties passed the evidence threshold, whether or not analysts ever looked at them. "
            "Exchanges before detection include those of members that joined later only up to that moment."
        ),
        found_pictures(found),
        rows_table(
            "Campaigns found (moments in UTC)",
            [
                Column("campaign", "campaign_id", "name"),
                Column("state", "state", "text"),
                Column("first signup", "first_signup_at", "moment"),
                Column("detected", "detected_at", "moment"),
                Column("members", "members"),
                Column("exchanges", "exchanges"),
                Column("spent before", _spent, "share"),
                Column("strongest links", _strongest, "text"),
            ],
            found,
            most=MOST_ROWS,
        ),
    ]


def _strongest(row: Report) -> list[str]:
    """A campaign's strongest links in words; each is words already, or a kind of key with how many members have it."""
    links = row.get("strongest") or []
    return [
        f"{kind_words(str(one.get('key_type')))} ({count_of(whole(one, 'members'), 'member')})"
        if isinstance(one, Mapping)
        else kind_words(str(one))
        for one in links
    ]


def _decisions(report: Report) -> Markup:
    made = report.get("decisions") or {}
    rows = [
        {"trigger": words, **dict.fromkeys(_LEVELS, 0), **made[name]}
        for name, words in _TRIGGERS.items()
        if made.get(name)
    ]
    return rows_table(
        "Decisions recorded: each signup once, later ones where they changed",
        [
            Column("trigger", "trigger", "name"),
            *(Column(level, level) for level in _LEVELS),
        ],
        rows,
    )


def _unlabelled(report: Report) -> Markup:
    silent = report.get("unlabelled") or {}
    if not silent:
        return NONE
    return paragraph(
        f"Of {count_of(whole(silent, 'accounts'), 'account')} that no analyst ever labelled, "
        f"{amount(silent.get('touched'))} ({percent(silent.get('share'))}) got something other than allow. They are "
        "not known to be honest or otherwise."
    )


def _steps(report: Report) -> Markup:
    steps = report.get("steps") or []
    every = -(-len(steps) // MOST_ROWS)
    shown = steps[every - 1 :: every] if steps else []
    caption = "Steps (UTC)" if every <= 1 else f"Every {every}th step (UTC); all {len(steps)} are in report.json"
    return rows_table(
        caption,
        [
            Column("at", "at", "moment"),
            Column("signups", "signups"),
            Column("rescored", "rescored"),
            Column("exchanges", "exchanges"),
            Column("touched so far", "touched"),
            Column("live campaigns", "campaigns"),
            Column("their members", "members"),
            Column("took", "seconds", "seconds"),
        ],
        shown,
    )


def _by_members(campaigns: Sequence[Report] | None) -> list[Report]:
    return sorted(campaigns or [], key=lambda one: (-whole(one, "members"), str(one.get("campaign_id"))))


def _by_accounts(segments: Sequence[Report] | None) -> list[Report]:
    return sorted(
        segments or [], key=lambda row: (str(row.get("segment")), -whole(row, "accounts"), str(row.get("value")))
    )
