"""Campaigns: whether the account belongs to one that is live at the moment, or how its keys tie it to one.

Of an account in none everything is 0: that is known. Suspicions below the evidence threshold, refuted and merged
campaigns count as none. What a campaign is worth is known from when it was detected or confirmed, never before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.domain.time import DAY
from service.features.columns import Column, Columns
from service.features.feature import CAMPAIGN_MEMBER, CAMPAIGN_TIE, Feature, feature

BEYOND_DOUBT = 0.99  # score of a campaign from which on its members are held back without waiting for analysts

NEWCOMER = 3 * DAY  # in use for so long at most; a dozen detections at their usual pace

# Levels of what rules read, by what they lead to.
NOTHING, CHALLENGED, THROTTLED, REVIEWED = 0, 1, 2, 3

_FRAUD, _LEGITIMATE = 1.0, 2.0  # verdicts on the account itself
_CLEAR = 1  # the grade of a tie by a private key and a cue


@feature(unit="probability", source="campaigns", reason=CAMPAIGN_MEMBER, monotone=1)
def campaign_score(c: Columns) -> Column:
    """How surely the campaign that it belongs to is one; 0: it is in none; NaN: known by an analyst's word alone."""
    return c.campaign("score").astype(np.float32)


@feature(unit="probability", source="campaigns", reason=CAMPAIGN_MEMBER)
def campaign_membership(c: Columns) -> Column:
    """How surely it belongs to its campaign; 0: it is in none; NaN: an analyst put it there."""
    return c.campaign("membership").astype(np.float32)


@feature(unit="log2 accounts", source="campaigns", reason=CAMPAIGN_MEMBER)
def campaign_members_log(c: Columns) -> Column:
    """log2(1 + members) of the campaign that it belongs to; 0: it is in none."""
    return np.log2(1.0 + c.campaign("members")).astype(np.float32)


@feature(unit="0 or 1", source="campaigns", reason=CAMPAIGN_MEMBER, monotone=1)
def campaign_confirmed(c: Columns) -> Column:
    """Whether analysts had confirmed the campaign that it belongs to."""
    return c.campaign("confirmed").astype(np.float32)


@feature(unit="nats", source="campaigns, accounts, payments, usage, links", reason=CAMPAIGN_TIE, monotone=1)
def campaign_tie(c: Columns) -> Column:
    """What its keys add, in nats, for belonging to the campaign they speak for most; 0: none, or it belongs to one."""
    return c.campaign("tie").astype(np.float32)


@feature(unit="keys", source="campaigns, accounts, payments, usage, links", reason=CAMPAIGN_TIE, monotone=1)
def campaign_tie_private(c: Columns) -> Column:
    """Its keys that hardly anybody but that campaign has."""
    return c.campaign("tie_private").astype(np.float32)


@feature(unit="families of keys", source="campaigns, accounts, payments, usage, links", reason=CAMPAIGN_TIE)
def campaign_tie_families(c: Columns) -> Column:
    """Families of keys, such as mail or payment, that each say something for belonging to that campaign."""
    return c.campaign("tie_families").astype(np.float32)


@feature(unit="level", source="campaigns, labels", reason=CAMPAIGN_MEMBER)
def campaign_member_level(c: Columns) -> Column:
    """What belonging to a campaign leads to: 0 nothing, 1 challenge, 2 throttle, 3 review; for rules alone."""
    score = c.campaign("score")
    confirmed = c.campaign("confirmed") == 1
    level = np.where(score >= BEYOND_DOUBT, THROTTLED, CHALLENGED)
    return _level(c, np.where(c.campaign("belongs") == 1, level, NOTHING), confirmed)


@feature(unit="level", source="campaigns, labels", reason=CAMPAIGN_TIE)
def campaign_tie_level(c: Columns) -> Column:
    """What a tie to a campaign leads to: 0 nothing, 1 challenge, 2 throttle, 3 review; for rules alone.

    One private key and a cue are enough for newcomers only. Whoever has been in use for longer was looked at by
    detections with all of its use, and was not taken for a member: honest people whose address a campaign borrowed
    share a key with nobody else but that campaign, and were 28 of 31 honest accounts touched in one replayed world.
    """
    grade = c.campaign("tie_grade").astype(np.int64)
    return _level(c, np.where((grade == _CLEAR) & ~_newcomer(c), NOTHING, grade), c.campaign("tie_confirmed") == 1)


def _newcomer(c: Columns) -> NDArray[np.bool_]:
    """Not used yet, or for ``NEWCOMER`` at most."""
    used = c.usage.column("requests", "life") > 0
    begun = np.where(used, np.maximum(c.usage.column("first_hour", "life"), c.created_at), c.as_of)
    return np.asarray(c.as_of - begun <= NEWCOMER)


def _level(c: Columns, level: NDArray[np.int64], confirmed: NDArray[np.bool_]) -> Column:
    """A person looks where analysts confirmed the campaign, and nobody has judged the account itself yet.

    An account that was found legitimate is left alone; one that was found fraudulent needs no second look.
    """
    verdict = c.campaign("verdict")
    level = np.where(confirmed & (level > NOTHING), np.where(verdict == _FRAUD, THROTTLED, REVIEWED), level)
    return np.where(verdict == _LEGITIMATE, NOTHING, level).astype(np.float32)


FEATURES: tuple[Feature, ...] = (
    campaign_score,
    campaign_membership,
    campaign_members_log,
    campaign_confirmed,
    campaign_tie,
    campaign_tie_private,
    campaign_tie_families,
)

RULED: tuple[Feature, ...] = (campaign_member_level, campaign_tie_level)
