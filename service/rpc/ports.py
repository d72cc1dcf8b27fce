# ruff: noqa: D102 - the docstring of each protocol here says what its one method does
"""What the servicers call: one use case for each deed, all of them safe to call from many threads.

``now`` is the moment of the call in UTC microseconds; ``timeout_s`` the seconds that the caller will still wait;
``page_size`` is from 1 to 1,000, and an empty ``page_token`` asks for the first page.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from service.domain.campaigns import CampaignMember, CampaignRecord, CampaignState, ReviewAsked, ReviewReceipt
from service.domain.enums import ModelState
from service.domain.errors import GatehouseError
from service.domain.raw import Label
from service.domain.records import Assessment, ErasureRecord, LabelRecord, ModelRecord
from service.domain.requests import Event, LabelReceipt, Page, RecordedEvents, ScoreRequest
from service.usecases.campaigns import CampaignFile
from service.usecases.export_indicators import Indicators


class ScoreAccounts(Protocol):
    """Scores a batch; an assessment, already durable, or an error for each request in order."""

    def __call__(
        self, requests: Sequence[ScoreRequest], *, now: int, timeout_s: float
    ) -> Sequence[Assessment | GatehouseError]: ...


class AskScores(Protocol):
    """The same, answered later. Whoever gives up cancels the future; what hangs on it must not wait."""

    def __call__(
        self, requests: Sequence[ScoreRequest], *, now: int
    ) -> Future[Sequence[Assessment | GatehouseError]]: ...


class GetAssessment(Protocol):
    """One assessment; raises UnknownAssessment. Its reasons are filled where it is not ``allow``, or on ``explain``."""

    def __call__(self, assessment_id: str, *, explain: bool) -> Assessment: ...


class ListAssessments(Protocol):
    """An account's assessments, newest first; raises UnknownAccount, InvalidPageToken."""

    def __call__(self, account_id: str, *, page_size: int, page_token: str) -> Page[Assessment]: ...


class Recording(Protocol):
    """A batch of events on its way to the disk; ``position`` of a rejection counts within the batch."""

    def result(self, timeout_s: float) -> RecordedEvents:
        """What became of it, once it is durable."""
        ...

    def cancel(self) -> None:
        """Nobody waits for it."""
        ...


class RecordSignals(Protocol):
    """Hands a batch of events over, and does not wait; what is handed over later comes later."""

    def __call__(self, events: Sequence[Event], *, now: int) -> Recording: ...


class EraseAccount(Protocol):
    """Erases an account's personal data and keys; raises UnknownAccount."""

    def __call__(self, account_id: str, *, reason: str, now: int) -> ErasureRecord: ...


class RecordLabels(Protocol):
    """Records all of these labels, durable on return, or raises AlreadyExists or InvalidInput and records none."""

    def __call__(self, labels: Sequence[Label], *, now: int) -> LabelReceipt: ...


class RetractLabel(Protocol):
    """Takes one label back; raises UnknownLabel."""

    def __call__(self, account_id: str, analyst: str, decided_at: int, *, reason: str, now: int) -> LabelRecord: ...


class ListLabels(Protocol):
    """Labels that match every filter that is not None, the latest decided first; raises InvalidPageToken."""

    def __call__(
        self,
        *,
        account_id: str | None,
        analyst: str | None,
        campaign_id: str | None,
        page_size: int,
        page_token: str,
    ) -> Page[LabelRecord]: ...


class ListModels(Protocol):
    """Models in one of these states (none given: all), the newest first; raises InvalidPageToken."""

    def __call__(self, *, states: frozenset[ModelState], page_size: int, page_token: str) -> Page[ModelRecord]: ...


class GetModel(Protocol):
    """One model; raises UnknownModel."""

    def __call__(self, version: str) -> ModelRecord: ...


class PromoteModel(Protocol):
    """Makes a model the champion; raises UnknownModel, ArtefactProblem."""

    def __call__(self, version: str, *, why: str, now: int) -> ModelRecord: ...


class RollBackModel(Protocol):
    """Makes the champion before the present one champion again; raises NoEarlierModel if there was none."""

    def __call__(self, *, why: str, now: int) -> ModelRecord: ...


class ListCampaigns(Protocol):
    """Campaigns in one of these states (none given: all but merged ones), the latest to change first.

    Raises InvalidPageToken.
    """

    def __call__(
        self, *, states: frozenset[CampaignState], min_members: int, page_size: int, page_token: str
    ) -> Page[CampaignRecord]: ...


class GetCampaign(Protocol):
    """One campaign with its evidence and reviews; raises UnknownCampaign."""

    def __call__(self, campaign_id: str) -> CampaignFile: ...


class ListCampaignMembers(Protocol):
    """A campaign's members, the earliest to join first; raises UnknownCampaign, InvalidPageToken."""

    def __call__(self, campaign_id: str, *, page_size: int, page_token: str) -> Page[CampaignMember]: ...


class ReviewCampaign(Protocol):
    """Records a verdict, durable on return.

    Raises UnknownCampaign, CampaignMerged, CampaignChanged, AlreadyExists or InvalidInput, and records nothing then.
    """

    def __call__(self, asked: ReviewAsked, *, now: int) -> ReviewReceipt: ...


class ExportIndicators(Protocol):
    """A campaign's indicators as one document; raises UnknownCampaign."""

    def __call__(self, campaign_id: str, *, now: int) -> Indicators: ...


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything that the servicers can be asked for."""

    score_accounts: ScoreAccounts
    ask_scores: AskScores
    get_assessment: GetAssessment
    list_assessments: ListAssessments
    record_signals: RecordSignals
    erase_account: EraseAccount
    record_labels: RecordLabels
    retract_label: RetractLabel
    list_labels: ListLabels
    list_models: ListModels
    get_model: GetModel
    promote_model: PromoteModel
    roll_back_model: RollBackModel
    list_campaigns: ListCampaigns
    get_campaign: GetCampaign
    list_campaign_members: ListCampaignMembers
    review_campaign: ReviewCampaign
    export_indicators: ExportIndicators
