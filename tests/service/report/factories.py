"""A campaign as the store would hand it over: members of five batches that share rare keys, over thirty days."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.domain.campaigns import (
    CampaignEvidence,
    CampaignRecord,
    CampaignState,
    KeyEvidence,
    ReviewAction,
    ReviewRecord,
    ReviewState,
    TimelineSpan,
)
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.time import DAY, HOUR
from service.report.history import Event
from tests.factories import NOON

KINDS = ("template", "card_bin", "mail_shape", "ip_net", "device", "card", "ip", "mail_domain", "custom.referral")
CHANCE = (1e-19, 4e-7, 2e-5, 3e-3, 2e-24, 1e-31, 7e-4, 0.02, 3e-9)


@dataclass(frozen=True)
class Campaign:
    """What the page and the export are made of."""

    record: CampaignRecord
    evidence: CampaignEvidence
    reviews: list[ReviewRecord] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    account_ids: dict[int, str] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)


def make_record(**said: Any) -> CampaignRecord:
    """A detected campaign of three accounts, but for what is said."""
    base = {
        "campaign_id": "c-5f0c1d9a7be2",
        "state": CampaignState.DETECTED,
        "origin": "detect",
        "score": 0.987,
        "members": 3,
        "confirmed_members": 0,
        "created_at": NOON,
        "detected_at": NOON + 6 * HOUR,
        "updated_at": NOON + DAY,
        "first_signup_at": NOON - 2 * DAY,
        "last_signup_at": NOON,
        "exchanges": 120,
        "input_tokens": 40_000,
        "output_tokens": 9_000,
        "revision": 4,
    }
    return CampaignRecord(**{**base, **said})


def make_review(**said: Any) -> ReviewRecord:
    """A confirmation that was applied, but for what is said."""
    base = {
        "review_id": "r-1",
        "campaign_id": "c-5f0c1d9a7be2",
        "action": ReviewAction.CONFIRM,
        "state": ReviewState.APPLIED,
        "analyst": "analyst-7",
        "second_analyst": None,
        "reason": "One program behind all of them.",
        "reviewed_at": NOON + DAY,
        "members": 3,
    }
    return ReviewRecord(**{**base, **said})


def make_key(**said: Any) -> KeyEvidence:
    """A card that three members and nobody else has, but for what is said."""
    base = {
        "key_type": "card",
        "key": hash64("card/1"),
        "members": 3,
        "others": 0,
        "expected_members": 0.002,
        "chance": 1e-9,
        "adjusted_chance": 4e-8,
    }
    return KeyEvidence(**{**base, **said})


def make_campaign(*, members: int = 350, keys: int = 40, days: int = 30, seed: int = 7) -> Campaign:
    """A realistic one: batches, each with keys of its own, a few keys across all, one review by two analysts."""
    draw = np.random.default_rng(seed)
    start = NOON - days * DAY
    ids = [f"acct_{draw.integers(10**11):011d}" for _ in range(members)]
    accounts = [hash64(one) for one in ids]
    batch = np.sort(draw.choice(5, members, p=(0.3, 0.25, 0.2, 0.15, 0.1)))
    evidence, edges = [], []
    for number in range(keys):
        kind = KINDS[number % len(KINDS)]
        which = int(draw.integers(5)) if number >= 6 else -1
        pool = np.flatnonzero(batch == which) if which >= 0 else np.arange(members)
        share = draw.uniform(0.12, 0.6) if which >= 0 else draw.uniform(0.08, 0.3)
        holders = np.sort(draw.choice(pool, max(2, int(share * len(pool))), replace=False))
        chance = float(CHANCE[number % len(KINDS)] * 10 ** draw.uniform(-2, 2))
        others = (
            int(draw.geometric(0.4) - 1) if kind not in ("card_bin", "mail_domain") else int(draw.integers(40, 900))
        )
        expected = float(len(holders) * draw.uniform(0.0001, 0.02))
        evidence.append(
            KeyEvidence(kind, hash64(f"{kind}/{number}"), len(holders), others, expected, chance, min(1.0, chance * 12))
        )
        if kind in ("card_bin", "mail_domain"):
            continue  # too common to be among the strongest ties
        for a, b in zip(holders, draw.permutation(holders), strict=True):
            if a != b:
                edges.append((accounts[a], accounts[b], float(draw.gamma(4, 0.4) + (9 if which >= 0 else 2)), kind))
    evidence.sort(key=lambda key: key.chance)
    timeline = []
    created = np.sort(start + (draw.beta(2.2, 1.6, members) * (days - 4) * DAY).astype(np.int64) + batch * 12 * HOUR)
    for at in range(days):
        low, high = start + at * DAY, start + (at + 1) * DAY
        active = int((created < high).sum() * draw.uniform(0.5, 0.95))
        exchanges = int(active * draw.gamma(6, 5))
        signups = int(((created >= low) & (created < high)).sum())
        timeline.append(TimelineSpan(low, high, signups, active, exchanges, exchanges * int(draw.integers(900, 2600))))
    exchanges = sum(span.exchanges for span in timeline)
    tokens = sum(span.tokens for span in timeline)
    detected = start + 19 * DAY
    verdicts = dict.fromkeys(accounts[: members * 7 // 10], Verdict.FRAUD)
    verdicts[accounts[members // 2]] = Verdict.LEGITIMATE
    tied = sorted({end for edge in edges for end in edge[:2]}, key=accounts.index)
    typical = tuple(tied[i] for i in np.linspace(0, len(tied) - 1, min(8, len(tied))).astype(int))
    record = make_record(
        state=CampaignState.CONFIRMED,
        score=0.9987,
        members=members,
        confirmed_members=sum(verdict is Verdict.FRAUD for verdict in verdicts.values()),
        created_at=start + 16 * DAY + 4 * HOUR,
        detected_at=detected,
        updated_at=NOON,
        first_signup_at=int(created[0]),
        last_signup_at=int(created[-1]),
        exchanges=exchanges,
        input_tokens=tokens * 7 // 10,
        output_tokens=tokens * 3 // 10,
        revision=23,
    )
    return Campaign(
        record,
        CampaignEvidence(
            tuple(evidence),
            18_240,
            tuple(timeline),
            (
                ("template", 6.4),
                ("device and card", 5.1),
                ("mail", 2.3),
                ("network", 1.2),
                ("cadence", 0.7),
                ("payment", -0.2),
            ),
            (
                "31 members pay with a card of one issuer that 412 accounts outside the campaign use, too.",
                "18 members share a mail domain of a university; its other 240 accounts have no ties to them.",
                "One member was found to be legitimate: it used a public prompt that the campaign also uses.",
            ),
            typical,
            tuple(edges),
            412,
            NOON,
        ),
        [
            make_review(
                second_analyst="r.okafor",
                analyst="m.lindqvist",
                members=244,
                reviewed_at=detected + DAY + 3 * HOUR,
                reason="Same prompt template and device in all batches; cards bought in one lot.\nChecked 20 by hand.",
            ),
            make_review(
                review_id="r-2",
                action=ReviewAction.REFUTE,
                analyst="r.okafor",
                members=1,
                reviewed_at=detected + 5 * DAY,
                reason="A student; the prompt is from a public course. Identity document seen by support.",
            ),
            make_review(
                review_id="r-3",
                state=ReviewState.PENDING_SECOND_ANALYST,
                analyst="m.lindqvist",
                members=106,
                reviewed_at=NOON - 5 * HOUR,
                reason="The 106 that joined since.",
            ),
        ],
        [
            (start + 16 * DAY + 4 * HOUR, "created", {"members": 42}),
            (detected, "detected", {"score": 0.962, "members": 161}),
            (detected + 12 * HOUR, "merged", {"from": ["c-91be0ac27d44"], "members": 203}),
            (detected + DAY + 3 * HOUR, "confirmed", {"review_id": "r-1"}),
            (detected + 6 * DAY, "split", {"into": "c-0d41e88b13f7", "members": 9}),
            (NOON, "grew", {"members": members}),
        ],
        dict(zip(accounts, ids, strict=True)),
        verdicts,
    )
