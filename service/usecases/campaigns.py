"""Reads campaigns: which there are, what one rests on and what analysts said of it, and who belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from service.domain.campaigns import CampaignEvidence, CampaignMember, CampaignRecord, CampaignState, ReviewRecord
from service.domain.codes import Int64s
from service.domain.errors import UnknownCampaign
from service.domain.requests import Page

Event = tuple[int, str, Mapping[str, Any]]  # when, what happened to the campaign, and more of it

_ALL_BITS = 2**64 - 1


class CampaignReads(Protocol):
    """What is needed of the store."""

    def list_campaigns(
        self, *, states: frozenset[CampaignState], min_members: int, page_size: int, page_token: str
    ) -> Page[CampaignRecord]: ...

    def campaign(self, campaign_id: str) -> CampaignRecord: ...

    def campaign_evidence(self, campaign_id: str) -> CampaignEvidence: ...

    def list_members(self, campaign_id: str, *, page_size: int, page_token: str) -> Page[CampaignMember]: ...

    def campaign_reviews(self, campaign_id: str) -> Sequence[ReviewRecord]: ...

    def campaign_events(self, campaign_id: str) -> Sequence[Event]: ...

    def account_ids(self, accounts: Int64s) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class CampaignFile:
    """All that is known of one campaign, but for the list of its members."""

    record: CampaignRecord
    evidence: CampaignEvidence
    reviews: tuple[ReviewRecord, ...]  # the latest first
    events: tuple[Event, ...]  # in the order of the store: what became of it, merges and splits too
    account_ids: Mapping[int, str]  # of the accounts that the evidence names; absent: erased since

    def typical_account_ids(self) -> tuple[str, ...]:
        """The most typical members, without those erased since."""
        return tuple(self.account_ids[each] for each in self.evidence.typical_accounts if each in self.account_ids)


@dataclass(frozen=True, slots=True)
class ListCampaigns:
    """The deed, wired to its rooms."""

    reads: CampaignReads

    def __call__(
        self, *, states: frozenset[CampaignState], min_members: int, page_size: int, page_token: str
    ) -> Page[CampaignRecord]:
        """Campaigns in one of these states (none given: all but merged ones), the latest to change first.

        Raises InvalidPageToken.
        """
        return self.reads.list_campaigns(
            states=states, min_members=min_members, page_size=page_size, page_token=page_token
        )


@dataclass(frozen=True, slots=True)
class GetCampaign:
    """The deed, wired to its rooms."""

    reads: CampaignReads

    def __call__(self, campaign_id: str) -> CampaignFile:
        """One campaign with its evidence, reviews and history. Raises UnknownCampaign."""
        _can_exist(campaign_id)
        # First, so that its etag is never newer than what is shown with it: a verdict on what was seen is then refused.
        record = self.reads.campaign(campaign_id)
        evidence = self.reads.campaign_evidence(campaign_id)
        named = np.unique(np.array(_named(evidence), np.int64))
        ids = self.reads.account_ids(named)
        return CampaignFile(
            record,
            evidence,
            tuple(self.reads.campaign_reviews(campaign_id)),
            tuple(self.reads.campaign_events(campaign_id)),
            {account: name for account, name in zip(named.tolist(), ids, strict=True) if name},
        )


@dataclass(frozen=True, slots=True)
class ListCampaignMembers:
    """The deed, wired to its rooms."""

    reads: CampaignReads

    def __call__(self, campaign_id: str, *, page_size: int, page_token: str) -> Page[CampaignMember]:
        """Members, the earliest to join first. Raises UnknownCampaign, InvalidPageToken."""
        _can_exist(campaign_id)
        return self.reads.list_members(campaign_id, page_size=page_size, page_token=page_token)


def key_hash(key: int) -> str:
    """A keyed hash as people and files see it: 16 hexadecimal digits."""
    return f"{key & _ALL_BITS:016x}"


def _named(evidence: CampaignEvidence) -> list[int]:
    return [*evidence.typical_accounts, *(account for edge in evidence.edges for account in edge[:2])]


def _can_exist(campaign_id: str) -> None:
    """PostgreSQL takes no text with a NUL in it, not even to say that there is none."""
    if "\0" in campaign_id:
        raise UnknownCampaign(campaign_id)
