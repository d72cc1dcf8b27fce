"""Takes an analyst's verdict on a campaign: confirm, refute, merge, split, or take the verdict back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from service.domain.campaigns import ReviewAction, ReviewAsked, ReviewReceipt
from service.domain.errors import FieldViolation, InvalidInput

log = structlog.get_logger(__name__)

MAX_NAME = 200  # characters of an analyst's name
MAX_REASON = 10_000
WHOLE_CAMPAIGN = {
    ReviewAction.MERGE: "a merge takes all members; split off first those that shall not go with it",
    ReviewAction.REOPEN: "reopening takes the whole verdict back; to judge some members anew, review those",
}


class Reviews(Protocol):
    """What is needed of the store."""

    def review(self, asked: ReviewAsked, *, at: int, two_above: int) -> ReviewReceipt: ...


@dataclass(frozen=True, slots=True)
class ReviewCampaign:
    """The deed, wired to its rooms."""

    store: Reviews
    two_above: int  # a verdict about more members than this waits for a second analyst

    def __call__(self, asked: ReviewAsked, *, now: int) -> ReviewReceipt:
        """Records the verdict, durable on return, and applies it unless a second analyst must agree first.

        Raises UnknownCampaign, CampaignMerged, CampaignChanged, AlreadyExists and InvalidInput; then nothing was
        recorded.
        """
        # " ann" is no second analyst beside "ann".
        asked = replace(asked, analyst=asked.analyst.strip(), reason=asked.reason.strip())
        violations = tuple(_violations(asked))
        if violations:
            raise InvalidInput(*violations)
        receipt = self.store.review(asked, at=now, two_above=self.two_above)
        log.info(
            "campaign_reviewed",
            campaign_id=asked.campaign_id,
            review_id=receipt.review.review_id,
            action=asked.action.value,
            state=receipt.review.state.value,
            members=receipt.review.members,
            labels=receipt.labels_recorded,
        )
        return receipt


def _violations(asked: ReviewAsked) -> Iterator[FieldViolation]:
    for name, text, longest in (("analyst", asked.analyst, MAX_NAME), ("reason", asked.reason, MAX_REASON)):
        if not text:
            yield FieldViolation(name, "is required")
        elif len(text) > longest:
            yield FieldViolation(name, f"is longer than {longest:,} characters")
    if asked.account_ids and asked.action in WHOLE_CAMPAIGN:
        yield FieldViolation("account_ids", WHOLE_CAMPAIGN[asked.action])
    if not asked.account_ids and asked.action is ReviewAction.SPLIT:
        yield FieldViolation("account_ids", "a split needs the members that become a campaign of their own")
    texts = {
        "campaign_id": asked.campaign_id,
        "analyst": asked.analyst,
        "reason": asked.reason,
        "merge_into_campaign_id": asked.merge_into or "",
        "request_id": asked.request_id or "",
        **{f"account_ids[{i}]": account_id for i, account_id in enumerate(asked.account_ids)},
    }
    for name, text in texts.items():
        if "\0" in text:
            yield FieldViolation(name, "holds a NUL character")
