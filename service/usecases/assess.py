"""From histories to assessments: the one street that calls and jobs walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from service.domain.blocks import (
    NAME_BITS,
    NONE,
    PLACES,
    AssessmentBlock,
    LinkColumns,
    call_assessment_id,
    job_assessment_id,
)
from service.domain.codes import code32, hash64_many
from service.domain.enums import Decision, Purpose
from service.domain.facts import Float32s, Float64s, Int64s
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
    said = _said(serving, history, account, moments)
    links = link_summaries(said.columns, serving.kinds, said.campaigns)
    policy_version = serving.policy.version  # a hash of all its rules: not for every row
    stored = said.rows.astype("<f4")
    by_jobs = np.array([i for i, one in enumerate(asked) if one.request_id is None], np.int64)
    named = _Names(said, serving, policy_version)(by_jobs) if len(by_jobs) else by_jobs
    names = dict(zip(by_jobs.tolist(), named.tolist(), strict=True))
    decided, given = said.decided, said.given
    out: list[Assessment | None] = [None] * len(asked)
    for i in np.flatnonzero(said.columns.known).tolist():
        one = asked[i]
        out[i] = Assessment(
            assessment_id=(
                job_assessment_id(int(account[i]), names[i]) if i in names else call_assessment_id(int(moments[i]))
            ),
            account_id=one.account_id,
            account=int(account[i]),
            assessed_at=int(moments[i]),
            purpose=one.purpose,
            score=float(said.scores[i]),
            decision=given.decision[i],
            recommended_limit=decided.limit[i],
            model_version=serving.version,
            policy_version=policy_version,
            feature_fingerprint=serving.fingerprint,
            features=stored[i].tobytes(),
            links=links[i],
            rules=decided.rules[i],
            campaign_id=said.campaigns[i],
            request_id=one.request_id,
            request_content=one.request_content,
            explored_from=given.explored_from[i],
            propensity=given.propensity[i],
        )
    return out


def assess_many(serving: Serving, history: History, account_ids: Sequence[str] | None, as_of: int) -> AssessmentBlock:
    """What a job says at ``as_of`` of those of the history's accounts whose signup is known by then.

    ``account_ids`` are the ids of ``history.account``; None: nobody wants them. The same as ``assess`` says of each,
    as columns.
    """
    moments = np.full(len(history.account), as_of, np.int64)
    said = _said(serving, history, history.account, moments)
    kept = np.flatnonzero(said.columns.known)
    policy_version = serving.policy.version
    rows = kept.tolist()
    explored, propensity = said.given.explored_from, said.given.propensity
    return AssessmentBlock(
        account=history.account[kept],
        account_id=None if account_ids is None else [account_ids[i] for i in rows],
        name=_Names(said, serving, policy_version)(kept),
        assessed_at=as_of,
        purpose=Purpose.PERIODIC,
        model_version=serving.version,
        policy_version=policy_version,
        feature_fingerprint=serving.fingerprint,
        score=said.scores[kept],
        decision=np.array([PLACES[said.given.decision[i]] for i in rows], np.int8),
        limit=[said.decided.limit[i] for i in rows],
        rules=[said.decided.rules[i] for i in rows],
        campaign=[said.campaigns[i] for i in rows],
        explored_from=np.array([NONE if (was := explored[i]) is None else PLACES[was] for i in rows], np.int8),
        propensity=np.array([propensity[i] for i in rows], np.float64),
        features=said.rows[kept],
        links=_link_columns(said.columns, serving.kinds, kept),
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What a model and its policy say of n accounts; row i is that of the i-th."""

    columns: Columns
    rows: Float32s
    ruled: Float32s
    scores: Float64s
    decided: Decided
    given: Given
    campaigns: list[str | None]


def _said(serving: Serving, history: History, account: Int64s, moments: Int64s) -> _Said:
    columns = serving.columns(history, account, moments)
    rows, ruled = serving.matrix(columns), serving.ruled_matrix(columns)
    scores = serving.scorer.score(rows)
    decided = serving.decide(scores, rows, ruled)
    given = _given(serving, decided, columns, history)
    return _Said(columns, rows, ruled, scores, decided, given, campaigns_of(columns, history))


class _Names:
    """Of each row a hash of what its assessment was made from, which with the account makes a job's id."""

    def __init__(self, said: _Said, serving: Serving, policy_version: str) -> None:
        self._said = said
        self._by = f"{serving.version}/{policy_version}/"
        self._content = np.concatenate([said.rows, said.ruled], axis=1).astype("<f4").tobytes()
        self._width = 4 * (said.rows.shape[1] + said.ruled.shape[1])

    def __call__(self, rows: Int64s) -> Int64s:
        """Of each of these rows one below 2**58."""
        campaigns, explored, width = self._said.campaigns, self._said.given.explored_from, self._width
        content = memoryview(self._content)
        begun: dict[tuple[int, str | None, Decision | None], blake2b] = {}  # of a job's accounts nearly all have one
        digests = []
        for row, at in zip(rows.tolist(), self._said.columns.as_of[rows].tolist(), strict=True):
            key = at, campaigns[row], explored[row]
            begin = begun.get(key)
            if begin is None:
                head = f"{at}/{self._by}{campaigns[row] or ''}/{explored[row] or ''}/".encode()
                begun[key] = begin = blake2b(head, digest_size=8)
            made_from = begin.copy()
            made_from.update(content[row * width : (row + 1) * width])
            digests.append(made_from.digest())
        return (np.frombuffer(b"".join(digests), "<u8") >> np.uint64(64 - NAME_BITS)).astype(np.int64)


def _given(serving: Serving, decided: Decided, columns: Columns, history: History) -> Given:
    """Decisions with the slice let through that the model is to learn about.

    An account that an analyst called fraud, or a member of a campaign that analysts confirmed, is known already.
    """
    may = eligible(serving.exploration, decided.decision)
    if may.any():
        fraud = standing_verdict(history.spans, columns.account, columns.as_of)[:, 0] == 1
        may &= ~fraud & (columns.campaign("confirmed") != 1)
    return let_through(serving.exploration, decided.decision, columns.account, may)


def campaigns_of(columns: Columns, history: History) -> list[str | None]:
    """For each account the live campaign that it belongs to, else the one it is tied to clearly enough to act on."""
    out: list[str | None] = [None] * len(columns)
    belonging = columns.campaigns
    if belonging.campaign.any():
        named = (belonging.column("belongs") > 0) | (campaign_tie_level(columns) > 0)
        for row in np.flatnonzero(named).tolist():
            out[row] = history.campaigns.names[int(belonging.campaign[row])]
    return out


_summary = lru_cache(maxsize=16_384)(LinkSummary)  # numbers are capped, and most are small: few differ


def link_summaries(
    columns: Columns, kinds: Sequence[str], campaigns: Sequence[str | None]
) -> list[tuple[LinkSummary, ...]]:
    """For each account, the kinds of key that it shares with others, in the order of ``kinds``."""
    found = _link_columns(columns, kinds, np.arange(len(columns)))
    out: list[list[LinkSummary]] = [[] for _ in range(len(columns))]
    each = zip(*(getattr(found, name).tolist() for name in ("row", "kind", "linked", "confirmed", "tied")), strict=True)
    for row, kind, linked, confirmed, tied in each:
        out[row].append(_summary(kinds[kind], linked, confirmed, campaigns[row] if tied else None))
    return [tuple(summaries) for summaries in out]


def _link_columns(columns: Columns, kinds: Sequence[str], kept: Int64s) -> LinkColumns:
    """The same for the rows ``kept``, ascending, as columns; a row's number is its place among those."""
    linked = columns.shared_by([(kind, "others_life") for kind in kinds])[kept]
    confirmed = columns.shared_by([(kind, "fraud") for kind in kinds])[kept]
    row, kind = np.nonzero((linked > 0) | (confirmed > 0))
    ties = columns.campaigns
    pairs = (ties.tied_probe << 32) + ties.tied_kind
    mine = (kept[row] << 32) + np.array([code32(each) for each in kinds], np.int64)[kind]
    return LinkColumns(
        kinds=tuple(kinds),
        row=row.astype(np.int64),
        kind=kind.astype(np.int8),
        linked=linked[row, kind].astype(np.int16),
        confirmed=confirmed[row, kind].astype(np.int16),
        tied=np.isin(mine, pairs) if len(pairs) else np.zeros(len(mine), np.bool_),
    )
