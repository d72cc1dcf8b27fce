"""Campaigns: groups of accounts that are one, the evidence for it, and what analysts say of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.domain.enums import Verdict


class CampaignState(StrEnum):
    """Where a campaign stands."""

    SUSPECTED = "suspected"  # below the evidence threshold: only analysts see it
    DETECTED = "detected"  # above it: its members' scores see it
    CONFIRMED = "confirmed"  # analysts found that it is one
    REFUTED = "refuted"  # analysts found that it is none
    MERGED = "merged"  # part of another campaign now


LIVE_STATES = (CampaignState.DETECTED, CampaignState.CONFIRMED)  # members of these score differently


class ReviewAction(StrEnum):
    """What an analyst wants done."""

    CONFIRM = "confirm"
    REFUTE = "refute"
    MERGE = "merge"
    SPLIT = "split"
    REOPEN = "reopen"


class ReviewState(StrEnum):
    """How far a review has come."""

    APPLIED = "applied"
    PENDING_SECOND_ANALYST = "pending_second_analyst"


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """A campaign as it stands."""

    campaign_id: str
    state: CampaignState
    origin: str  # ``detect``: the job found it; ``label``: an analyst's label named it; ``split``: cut off another one
    score: float | None  # probability that it is a campaign; None: it exists by an analyst's word alone
    members: int  # now
    confirmed_members: int  # of them, those under a fraud verdict now
    created_at: int
    detected_at: int | None  # when it first passed the evidence threshold; None: never
    updated_at: int
    first_signup_at: int | None  # None: no member has signed up
    last_signup_at: int | None
    exchanges: int  # of members, as the last run counted them; 0: not counted yet
    input_tokens: int
    output_tokens: int
    revision: int  # rises with every change; the etag of a review
    merged_into: str | None = None  # where its state is MERGED
    split_from: str | None = None


@dataclass(frozen=True, slots=True)
class CampaignMember:
    """An account's place in a campaign."""

    account: int  # hash64(account_id)
    account_id: str
    joined_at: int
    membership: float | None  # how surely it belongs, 0 to 1; None: an analyst put it there
    key_types: tuple[str, ...]  # kinds of the keys that tie it to the others, the strongest first
    verdict: Verdict | None = None  # in force now; None: nobody has looked, which is not innocence


@dataclass(frozen=True, slots=True)
class KeyEvidence:
    """One link key that holds a campaign together, against chance."""

    key_type: str
    key: int  # the keyed hash, int64; of a derived key, its hash
    members: int  # members that have it
    others: int  # accounts outside that have it
    expected_members: float  # members that would have it by chance: unrelated accounts of the same country, plan, week
    chance: float  # probability of so many or more by chance
    adjusted_chance: float  # after Benjamini and Hochberg's control over all keys looked at


@dataclass(frozen=True, slots=True)
class TimelineSpan:
    """What members did from ``start`` until before ``end``."""

    start: int
    end: int
    signups: int
    active_members: int
    exchanges: int
    tokens: int


@dataclass(frozen=True, slots=True)
class CampaignEvidence:
    """Why a group of accounts is taken to be one, and what speaks against."""

    keys: tuple[KeyEvidence, ...] = ()  # the least likely by chance first
    keys_looked_at: int = 0  # how many the control is over
    timeline: tuple[TimelineSpan, ...] = ()
    families: tuple[
        tuple[str, float], ...
    ] = ()  # evidence by family of keys, nats a member, after what an organisation explains
    counter_evidence: tuple[str, ...] = ()  # sentences for analysts
    typical_accounts: tuple[int, ...] = ()
    edges: tuple[
        tuple[int, int, float, str], ...
    ] = ()  # strongest ties for the picture: account, account, nats, key type
    changed_assessments: int = 0  # assessments whose decision it changed
    as_of: int = 0


@dataclass(frozen=True, slots=True)
class ReviewAsked:
    """A verdict, as an analyst asks for it."""

    campaign_id: str
    action: ReviewAction
    analyst: str
    reason: str
    account_ids: tuple[str, ...] = ()  # the members it is about; none: all
    merge_into: str | None = None  # for MERGE alone
    revision: int | None = None  # as the analyst saw it; None: as it is
    request_id: str | None = None  # asking again under it changes nothing and answers the same
    content: int = 0  # hash of the request as said


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """A verdict, as it was recorded. Append-only; only a second analyst's agreement is added to it."""

    review_id: str
    campaign_id: str
    action: ReviewAction
    state: ReviewState
    analyst: str
    second_analyst: str | None  # None: not needed, or nobody has agreed yet
    reason: str
    reviewed_at: int
    members: int  # how many it is about
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReviewReceipt:
    """What became of a verdict."""

    review: ReviewRecord
    campaign: CampaignRecord  # after it: for MERGE the one merged into, for SPLIT the new one
    labels_recorded: int  # labels recorded, or retracted
