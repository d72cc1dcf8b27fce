"""Campaigns as JSON and as tables on a terminal. ``members`` is a count in all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.domain.campaigns import (
    CampaignMember,
    CampaignRecord,
    KeyEvidence,
    ReviewReceipt,
    ReviewRecord,
    TimelineSpan,
)
from service.domain.time import rfc3339
from service.usecases.campaigns import CampaignFile, key_hash

SHOWN_KEYS = 15  # on a terminal; --format json has all of them
SHOWN_SPANS = 20
SHOWN_REVIEWS = 10
SHOWN_EVENTS = 10
PLAIN_WIDTH = 160  # where standard output is no terminal


def campaign_body(record: CampaignRecord) -> dict[str, Any]:
    """One campaign in JSON; what is not known is null."""
    return {
        "id": record.campaign_id,
        "campaign_id": record.campaign_id,
        "state": record.state.value,
        "score": record.score,
        "members": record.members,
        "confirmed_members": record.confirmed_members,
        "origin": record.origin,
        "created_at": rfc3339(record.created_at),
        "detected_at": _moment(record.detected_at),
        "updated_at": rfc3339(record.updated_at),
        "first_signup_at": _moment(record.first_signup_at),
        "last_signup_at": _moment(record.last_signup_at),
        "exchanges": record.exchanges,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "merged_into": record.merged_into,
        "split_from": record.split_from,
        "etag": str(record.revision),
    }


def file_body(file: CampaignFile) -> dict[str, Any]:
    """One campaign with all that is known of it."""
    evidence = file.evidence
    return {
        **campaign_body(file.record),
        "evidence": {
            "as_of": rfc3339(evidence.as_of) if evidence.as_of else None,
            "keys": [_key_body(key) for key in evidence.keys],
            "keys_looked_at": evidence.keys_looked_at,
            "families": dict(evidence.families),
            "timeline": [_span_body(span) for span in evidence.timeline],
            "counter_evidence": list(evidence.counter_evidence),
            "typical_account_ids": list(file.typical_account_ids()),
            "edges": [
                {"account_ids": [file.account_ids[a], file.account_ids[b]], "nats": nats, "key_type": kind}
                for a, b, nats, kind in evidence.edges
                if a in file.account_ids and b in file.account_ids
            ],
            "changed_assessments": evidence.changed_assessments,
        },
        "reviews": [review_body(review) for review in file.reviews],
        "events": [{"at": rfc3339(at), "what": what, "detail": dict(detail)} for at, what, detail in file.events],
    }


def review_body(review: ReviewRecord) -> dict[str, Any]:
    """One verdict."""
    return {
        "review_id": review.review_id,
        "action": review.action.value,
        "state": review.state.value,
        "analyst": review.analyst,
        "second_analyst": review.second_analyst,
        "reason": review.reason,
        "reviewed_at": rfc3339(review.reviewed_at),
        "members": review.members,
    }


def receipt_body(receipt: ReviewReceipt) -> dict[str, Any]:
    """What became of a verdict: as the RPC answers it, with the ids at the top."""
    return {
        "campaign_id": receipt.campaign.campaign_id,
        "review_id": receipt.review.review_id,
        "state": receipt.review.state.value,
        "members": receipt.review.members,
        "labels_recorded": receipt.labels_recorded,
        "review": review_body(receipt.review),
        "campaign": campaign_body(receipt.campaign),
    }


def member_body(member: CampaignMember) -> dict[str, Any]:
    """One member."""
    return {
        "account_id": member.account_id,
        "joined_at": rfc3339(member.joined_at),
        "membership": member.membership,
        "key_types": list(member.key_types),
        "verdict": member.verdict.value if member.verdict is not None else None,
    }


def print_campaigns(records: Sequence[CampaignRecord]) -> None:
    """A line for each campaign."""
    table = Table()
    for name in ("campaign", "state"):
        table.add_column(name, overflow="fold")
    for name in ("score", "members", "confirmed", "exchanges"):
        table.add_column(name, justify="right")
    for name in ("first signup", "last signup", "changed"):
        table.add_column(name)
    for record in records:
        table.add_row(
            Text(record.campaign_id),
            record.state.value,
            _share(record.score),
            f"{record.members:,}",
            f"{record.confirmed_members:,}",
            f"{record.exchanges:,}",
            _minute(record.first_signup_at),
            _minute(record.last_signup_at),
            _minute(record.updated_at),
        )
    console().print(table)


def print_file(file: CampaignFile) -> None:
    """One campaign for a reader at a terminal."""
    out = console()
    for line in _headlines(file.record):
        out.print(Text(line))
    evidence = file.evidence
    if evidence.keys:
        out.print(_keys_table(evidence.keys, evidence.keys_looked_at))
    else:
        out.print("no evidence yet: `gatehouse detect` gathers it, and finds what links the members")
    if evidence.families:
        out.print("evidence per member by family of keys, in nats, after what an organisation explains:")
        out.print("  " + ", ".join(f"{family} {nats:.1f}" for family, nats in evidence.families))
    if evidence.counter_evidence:
        out.print("what speaks against:")
    for sentence in evidence.counter_evidence:
        out.print(Text(f"  - {sentence}"))
    if evidence.timeline:
        out.print(_timeline_table(evidence.timeline))
    typical = file.typical_account_ids()
    if typical:
        out.print(Text("most typical members: " + ", ".join(typical)))
    if file.reviews:
        out.print(_reviews_table(file.reviews))
    for at, what, detail in file.events[-SHOWN_EVENTS:]:
        more = ", ".join(f"{name} {value}" for name, value in detail.items())
        out.print(Text(f"{_minute(at)}  {what}" + (f" ({more})" if more else "")))


def print_members(members: Sequence[CampaignMember]) -> None:
    """A line for each member."""
    table = Table()
    for name in ("account", "joined", "membership", "tied by", "verdict"):
        table.add_column(name, overflow="fold")
    for member in members:
        table.add_row(
            Text(member.account_id),
            _minute(member.joined_at),
            "by an analyst" if member.membership is None else _share(member.membership),
            ", ".join(member.key_types) or "-",
            member.verdict.value if member.verdict is not None else "-",
        )
    console().print(table)


def receipt_text(receipt: ReviewReceipt, asked_campaign: str) -> str:
    """What became of a verdict, in a sentence."""
    review, campaign = receipt.review, receipt.campaign
    if review.state.value != "applied":
        return (
            f"{review.action.value} of {asked_campaign} is recorded as review {review.review_id} and changes nothing "
            f"yet: it is about {review.members:,} members, so another analyst must ask for the same"
        )
    return (
        f"{review.action.value} of {asked_campaign}: done; campaign {campaign.campaign_id} is {campaign.state.value}, "
        f"{campaign.members:,} members, {receipt.labels_recorded:,} labels recorded or retracted"
    )


def console() -> Console:
    """Standard output, as wide as the terminal."""
    return Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else PLAIN_WIDTH,
        markup=False,
        highlight=False,
    )


def _headlines(record: CampaignRecord) -> Iterator[str]:
    score = "by an analyst's word" if record.score is None else f"score {_share(record.score)}"
    yield f"campaign {record.campaign_id}: {record.state.value}, {score}, etag {record.revision}"
    yield (
        f"  {record.members:,} members, {record.confirmed_members:,} of them confirmed; {record.exchanges:,} exchanges"
        f", {record.input_tokens:,} tokens in, {record.output_tokens:,} out"
    )
    yield (
        f"  signups {_minute(record.first_signup_at)} to {_minute(record.last_signup_at)}; created "
        f"{_minute(record.created_at)}, detected {_minute(record.detected_at)}, changed {_minute(record.updated_at)}"
    )
    if record.merged_into is not None:
        yield f"  part of campaign {record.merged_into} now"
    if record.split_from is not None:
        yield f"  split from campaign {record.split_from}"


def _keys_table(keys: Sequence[KeyEvidence], looked_at: int) -> Table:
    shown = keys[:SHOWN_KEYS]
    table = Table(title=f"linking keys: {len(shown)} of {len(keys)} ({looked_at:,} looked at)", title_justify="left")
    for name in ("key type", "key"):
        table.add_column(name)
    for name in ("members", "others", "expected", "chance", "adjusted"):
        table.add_column(name, justify="right")
    for key in shown:
        table.add_row(
            Text(key.key_type),
            key_hash(key.key),
            f"{key.members:,}",
            f"{key.others:,}",
            f"{key.expected_members:.3g}",
            f"{key.chance:.1e}",
            f"{key.adjusted_chance:.1e}",
        )
    return table


def _timeline_table(spans: Sequence[TimelineSpan]) -> Table:
    shown = spans[-SHOWN_SPANS:]
    table = Table(title=f"timeline: the last {len(shown)} of {len(spans)} spans", title_justify="left")
    table.add_column("from")
    for name in ("signups", "active members", "exchanges", "tokens"):
        table.add_column(name, justify="right")
    for span in shown:
        figures = (span.signups, span.active_members, span.exchanges, span.tokens)
        table.add_row(_minute(span.start), *(f"{figure:,}" for figure in figures))
    return table


def _reviews_table(reviews: Sequence[ReviewRecord]) -> Table:
    shown = reviews[:SHOWN_REVIEWS]
    table = Table(title=f"reviews: the latest {len(shown)} of {len(reviews)}", title_justify="left")
    for name in ("when", "what", "state", "analysts", "members", "reason"):
        table.add_column(name, overflow="fold")
    for review in shown:
        table.add_row(
            _minute(review.reviewed_at),
            review.action.value,
            review.state.value.replace("_", " "),
            Text(" and ".join(filter(None, (review.analyst, review.second_analyst)))),
            f"{review.members:,}",
            Text(review.reason),
        )
    return table


def _key_body(key: KeyEvidence) -> dict[str, Any]:
    return {
        "key_type": key.key_type,
        "key_hash": key_hash(key.key),
        "members": key.members,
        "others": key.others,
        "expected_members": key.expected_members,
        "chance": key.chance,
        "adjusted_chance": key.adjusted_chance,
    }


def _span_body(span: TimelineSpan) -> dict[str, Any]:
    return {
        "start": rfc3339(span.start),
        "end": rfc3339(span.end),
        "signups": span.signups,
        "active_members": span.active_members,
        "exchanges": span.exchanges,
        "tokens": span.tokens,
    }


def _moment(at: int | None) -> str | None:
    return rfc3339(at) if at is not None else None


def _minute(at: int | None) -> str:
    return "-" if at is None else rfc3339(at)[:16].replace("T", " ")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
