"""From histories to assessments: the one street that calls and jobs walk."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from service.domain.codes import code32, hash64_many
from service.domain.enums import Purpose
from service.domain.facts import Int64s
from service.domain.records import Assessment, LinkSummary
from service.features.campaign import campaign_tie_level
from service.features.columns import Columns
from service.policy.exploration import Given, eligible, let_through
from service.policy.policy import Decided
from service.tiles.history import History
from service.tiles.sharing import standing_verdict
from service.usecases.champion import Serving


@dataclass(frozen=True, slots=True)
class Asked:
    """One account to assess, and who asks."""

    account_id: str
    purpose: Purpose
    request_id: str | None = None  # None: a job asks
    request_content: int = 0


def assess(serving: Serving, history: History, asked: Sequence[Asked], as_of: int | Int64s) -> list[Assessment | None]:
    """Assessments, not recorded yet; None where no signup of the account is known by then.

    ``as_of`` is the moment of all, or one for each of ``asked``, shape (n,): a replay asks about each signup at its own
    second. A job's assessment goes by what it was made from, so that a job that is run again records nothing twice.
    """
    account = hash64_many([one.account_id for one in asked])
    moments = np.broadcast_to(np.asarray(as_of, np.int64), account.shape).copy()
    columns = serving.columns(history, account, moments)
    rows, ruled = serving.matrix(columns), serving.ruled_matrix(columns)
    scores = serving.scorer.score(rows)
    decided = serving.decide(scores, rows, ruled)
    given = _given(serving, decided, columns, history)
    campaigns = campaigns_of(columns, history)
    links = link_summaries(columns, serving.kinds, campaigns)
    policy_version = serving.policy.version  # a hash of all its rules: not for every row
    stored, beside = rows.astype("<f4"), ruled.astype("<f4")
    out: list[Assessment | None] = [None] * len(asked)
    for i in np.flatnonzero(columns.known).tolist():
        one, features, at = asked[i], stored[i].tobytes(), int(moments[i])
        made_from = f"{account[i]}/{at}/{serving.version}/{policy_version}/{campaigns[i]}/".encode()
        made_from += features + beside[i].tobytes() + (b"" if given.explored_from[i] is None else b"/let through")
        out[i] = Assessment(
            assessment_id=str(uuid.uuid4() if one.request_id is not None else _named(made_from)),
            account_id=one.account_id,
            account=int(account[i]),
            assessed_at=at,
            purpose=one.purpose,
            score=float(scores[i]),
            decision=given.decision[i],
            recommended_limit=decided.limit[i],
            model_version=serving.version,
            policy_version=policy_version,
            feature_fingerprint=serving.fingerprint,
            features=features,
            links=links[i],
            rules=decided.rules[i],
            campaign_id=campaigns[i],
            request_id=one.request_id,
            request_content=one.request_content,
            explored_from=given.explored_from[i],
            propensity=given.propensity[i],
        )
    return out


def _given(serving: Serving, decided: Decided, columns: Columns, history: History) -> Given:
    """Decisions with the slice let through that the model is to learn about.

    An account that an analyst called fraud, or a member of a campaign that analysts confirmed, is known already.
    """
    may = eligible(serving.exploration, decided.decision)
    if may.any():
        fraud = standing_verdict(history.spans, columns.account, columns.as_of)[:, 0] == 1
        may &= ~fraud & (columns.campaign("confirmed") != 1)
    return let_through(serving.exploration, decided.decision, columns.account, may)


def _named(content: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=blake2b(content, digest_size=16).digest(), version=5)


def campaigns_of(columns: Columns, history: History) -> list[str | None]:
    """For each account the live campaign that it belongs to, else the one it is tied to clearly enough to act on."""
    out: list[str | None] = [None] * len(columns)
    belonging = columns.campaigns
    if belonging.campaign.any():
        named = (belonging.column("belongs") > 0) | (campaign_tie_level(columns) > 0)
        for row in np.flatnonzero(named).tolist():
            out[row] = history.campaigns.names[int(belonging.campaign[row])]
    return out


def link_summaries(
    columns: Columns, kinds: Sequence[str], campaigns: Sequence[str | None]
) -> list[tuple[LinkSummary, ...]]:
    """For each account, the kinds of key that it shares with others, in the order of ``kinds``."""
    linked = np.stack([columns.shared(kind, "others_life") for kind in kinds], axis=1)
    confirmed = np.stack([columns.shared(kind, "fraud") for kind in kinds], axis=1)
    ties = set(zip(columns.campaigns.tied_probe.tolist(), columns.campaigns.tied_kind.tolist(), strict=True))
    codes = [code32(kind) for kind in kinds]
    out: list[list[LinkSummary]] = [[] for _ in range(len(columns))]
    for row, kind in np.argwhere((linked > 0) | (confirmed > 0)).tolist():
        campaign = campaigns[row] if (row, codes[kind]) in ties else None
        out[row].append(LinkSummary(kinds[kind], int(linked[row, kind]), int(confirmed[row, kind]), campaign))
    return [tuple(found) for found in out]
