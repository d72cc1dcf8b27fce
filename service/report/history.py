"""What people and runs did with a campaign: reviews, merges, splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from service.domain.campaigns import CampaignState, ReviewAction, ReviewRecord, ReviewState
from service.report.parts import cell, head, joined, number, paragraph, said, table
from service.report.words import minute, visible

Event = tuple[int, str, Mapping[str, object]]  # at, what happened, its details by name

_DID = {
    ReviewAction.CONFIRM: "confirmed: these members are a campaign",
    ReviewAction.REFUTE: "refuted: these members are none",
    ReviewAction.MERGE: "merged into another campaign",
    ReviewAction.SPLIT: "split off as a campaign of their own",
    ReviewAction.REOPEN: "reopened: an earlier verdict is taken back",
}
_HAPPENED = {
    "created": "First noticed",
    "grew": "Members were added",
    "shrank": "Members left",
    "merged": "Merged",
    "split": "Split",
    "detected": "Passed the evidence threshold",
    "confirmed": "Confirmed by analysts",
    "refuted": "Refuted by analysts",
    "reopened": "Verdict taken back",
    "revived": "Found again",
}


def standing_verdict(state: CampaignState, reviews: Sequence[ReviewRecord]) -> ReviewRecord | None:
    """The review that a campaign is confirmed or refuted by; None: it is neither, or its reviews are not at hand.

    A refutation may be about one member of a confirmed campaign, so the state says which verdict stands.
    """
    action = {CampaignState.CONFIRMED: ReviewAction.CONFIRM, CampaignState.REFUTED: ReviewAction.REFUTE}.get(state)
    said_so = [one for one in reviews if one.action is action and one.state is ReviewState.APPLIED]
    return max(said_so, key=lambda one: (one.reviewed_at, one.review_id), default=None)


def review_table(reviews: Sequence[ReviewRecord]) -> tuple[Markup, ...]:
    """Who said what, when and why, the latest first."""
    if not reviews:
        return (
            paragraph(
                "No analyst has reviewed it yet. That is neither a finding of guilt nor one of innocence.", "none"
            ),
        )
    ordered = sorted(reviews, key=lambda one: (one.reviewed_at, one.review_id), reverse=True)
    rows = [
        [
            head(minute(review.reviewed_at)),
            cell(said(review.analyst)),
            cell(_DID[review.action]),
            number(f"{review.members:,}"),
            cell(_second(review)),
            Markup('<td class="why">{}</td>').format(said(review.reason)),
        ]
        for review in ordered
    ]
    columns = (
        ("When", ""),
        ("Analyst", ""),
        ("Finding", ""),
        ("Members", "number"),
        ("Second analyst", ""),
        ("Why", ""),
    )
    return (
        paragraph("Reviews are only ever added. One that was taken back stays, with the one that took it back."),
        table("Table 5. Reviews, the latest first", columns, rows, "reviews"),
    )


def _second(review: ReviewRecord) -> Markup:
    if review.state is ReviewState.PENDING_SECOND_ANALYST:
        return Markup('<span class="weak">waits for a second analyst</span>; nothing has changed yet')
    return (
        Markup("not needed")
        if review.second_analyst is None
        else Markup("{} agreed").format(said(review.second_analyst))
    )


def event_table(events: Sequence[Event]) -> tuple[Markup, ...]:
    """What became of it when, the earliest first."""
    if not events:
        return (paragraph("Nothing but its making was recorded.", "none"),)
    rows = [
        [head(minute(at)), cell(said(_HAPPENED.get(what, what))), cell(_details(detail) or "-")]
        for at, what, detail in sorted(events, key=lambda event: event[0])
    ]
    return (table("Table 6. History", (("When", ""), ("What happened", ""), ("Details", "")), rows, "history"),)


def _details(detail: Mapping[str, object]) -> Markup:
    return joined(
        [
            Markup("{}: {}").format(visible(name.replace("_", " ")), said(_value(value)))
            for name, value in detail.items()
        ],
        "; ",
    )


def _value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    return str(value)
