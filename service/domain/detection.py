"""What the detection job finds, and what it finds it beside: campaigns as parallel arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.domain.campaigns import CampaignEvidence, CampaignState
from service.domain.facts import Float32s, Float64s, Int8s, Int32s, Int64s

Bools = NDArray[np.bool_]

PLACED_DETECT, PLACED_ANALYST, PLACED_LABEL = 0, 1, 2  # who put a member there; the job may take back its own alone

STATE_CODES: dict[CampaignState, int] = {state: code for code, state in enumerate(CampaignState, start=1)}


@dataclass(frozen=True, slots=True, eq=False)
class CampaignKeys:
    """Keys that speak for a campaign, each once; all of shape (n,)."""

    key: Int64s
    kind: Int32s  # code32 of the kind's name
    weight: Float64s  # nats that having the key adds for "belongs to this campaign"
    private: Bools  # hardly anybody else has it
    family: Int8s  # which family of kinds it counts in

    @classmethod
    def none(cls) -> CampaignKeys:
        """No keys."""
        none = np.empty(0, np.int64)
        return cls(none, none.astype(np.int32), none.astype(np.float64), none.astype(bool), none.astype(np.int8))


@dataclass(frozen=True, slots=True, eq=False)
class FoundCampaign:
    """A campaign as one run found it. ``accounts`` are distinct."""

    campaign_id: str  # that of the campaign it continues, or a new one
    accounts: Int64s  # (n,)
    membership: Float32s  # (n,) how surely each belongs, 0 to 1
    key_types: list[str]  # (n,) comma-joined kinds of the keys that tie each to the others, the strongest first
    score: float  # probability that it is a campaign
    state: CampaignState  # SUSPECTED or DETECTED; an analysts' verdict stays above it
    evidence: CampaignEvidence
    keys: CampaignKeys = field(default_factory=CampaignKeys.none)
    exchanges: int = 0  # of the members
    input_tokens: int = 0
    output_tokens: int = 0
    first_signup_at: int | None = None  # None: no member has signed up
    last_signup_at: int | None = None
    merged_from: tuple[str, ...] = ()  # campaigns whose members are this one's now
    split_from: str | None = None  # the campaign that it came out of; for a new id alone


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Campaigns at a moment, but for merged ones. ``campaign`` of members and bars is a place in ``campaign_id``."""

    as_of: int
    campaign_id: tuple[str, ...]
    state: tuple[CampaignState, ...]
    origin: tuple[str, ...]
    created_at: Int64s
    score: Float64s  # NaN: no run found it
    member_campaign: Int64s  # (m,) one row per present member, by campaign
    member_account: Int64s
    member_joined: Int64s
    member_placed: Int8s  # PLACED_DETECT, PLACED_ANALYST or PLACED_LABEL
    barred_campaign: Int64s  # (b,) accounts that analysts took out of a campaign
    barred_account: Int64s


@dataclass(frozen=True, slots=True)
class DetectionOutcome:
    """What recording a run's findings changed; the same findings again change nothing."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # state, score or members; those created too
    merged: tuple[str, ...] = ()  # they are part of another one now
    closed: tuple[str, ...] = ()  # suspicions that were not found again
    skipped: tuple[str, ...] = ()  # merged by an analyst since the run began


@dataclass(frozen=True, slots=True, eq=False)
class CampaignRows:
    """What scoring reads of campaigns, any order; spans hold from ``start`` until before ``end`` (2**62: still).

    ``campaign`` is ``hash64(campaign_id)``.
    """

    member_account: Int64s
    member_campaign: Int64s
    member_start: Int64s
    member_end: Int64s
    membership: Float64s  # NaN: an analyst put it there
    key: Int64s
    key_campaign: Int64s
    key_start: Int64s
    key_end: Int64s
    key_kind: Int32s
    key_weight: Float64s
    key_private: Bools
    key_family: Int8s
    state_campaign: Int64s
    state_at: Int64s  # a campaign is in this state from here until its next row
    state: Int8s  # STATE_CODES
    state_score: Float64s  # NaN: it exists by an analyst's word alone
    state_members: Int64s
