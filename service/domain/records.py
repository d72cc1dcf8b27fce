"""Records that the product makes and keeps. All are frozen; a list that grows is a new record."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.domain.enums import Decision, ModelState, Purpose, Verdict


@dataclass(frozen=True, slots=True)
class LinkSummary:
    """With whom an account shares one kind of link key, at the moment of an assessment."""

    key_type: str
    linked: int  # other accounts on its most shared key of this kind; counted up to 256
    confirmed: int  # of the accounts on one key, those confirmed as fraud by then
    campaign_id: str | None = None  # the assessment's, where a key of this kind speaks for it


@dataclass(frozen=True, slots=True)
class Reason:
    """One named group of features and how much it moved the score."""

    code: str
    analyst_text: str
    customer_text: str  # safe to show: says nothing that helps evasion and accuses nobody
    contribution: float  # log-odds; positive raises risk


@dataclass(frozen=True, slots=True)
class Assessment:
    """One answer, as it was given. History is never rewritten."""

    assessment_id: str
    account_id: str
    account: int  # hash64(account_id)
    assessed_at: int
    purpose: Purpose
    score: float  # calibrated probability of fraud, 0 to 1
    decision: Decision
    recommended_limit: str | None  # rate-limit tier where the decision is throttle
    model_version: str
    policy_version: str
    feature_fingerprint: str
    features: bytes  # little-endian float32 row in the model's feature order; reasons are recomputed from it
    links: tuple[LinkSummary, ...] = ()
    rules: tuple[str, ...] = ()  # codes of policy rules that raised the decision
    campaign_id: str | None = None  # it belongs, or is clearly tied, to; None: no campaign above the evidence threshold
    degraded: tuple[str, ...] = ()  # sources that could not be read in time
    request_id: str | None = None  # None: made by a job
    request_content: int = 0  # hash of the request as said; tells a repeat from a conflict
    explored_from: Decision | None = None  # the decision that chance lifted to ``allow``; None: none was lifted
    propensity: float | None = None  # chance with which the decision was given; None: chance had no say in it
    reasons: tuple[Reason, ...] = field(default=())  # filled for the answer, never stored


@dataclass(frozen=True, slots=True)
class ShadowAssessment:
    """What a challenger would have answered where the champion gave an assessment. Nobody was told."""

    assessment_id: str  # the champion's
    model_version: str
    account: int
    assessed_at: int
    score: float
    decision: Decision
    policy_version: str


@dataclass(frozen=True, slots=True)
class ShadowRecord:
    """The model that scores beside the champion, or did last."""

    model: ModelRecord
    since: int
    until: int | None  # None: it still does


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """An analyst's verdict as kept."""

    account_id: str
    account: int
    verdict: Verdict
    decided_at: int
    analyst: str
    learned_at: int
    campaign_id: str | None = None
    evidence: str | None = None
    retracted_at: int | None = None  # None: it stands
    retraction_learned_at: int | None = None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model in the registry. ``manifest`` is the artefact's manifest.json as text."""

    version: str
    state: ModelState
    origin: str  # ``starter`` or ``trained``
    created_at: int
    location: str  # directory of the artefact
    manifest_sha256: str
    manifest: str
    promoted_at: int | None = None  # None: never champion
    why: str = ""  # of its latest change of state


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """What was erased of one account, for the audit."""

    account_id: str
    reason: str
    erased_at: int
    signups: int
    link_keys: int
    payments: int
    signals: int
    usage_events: int
