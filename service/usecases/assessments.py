"""Reads assessments as they were recorded, and makes their reasons again from what was stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.domain.enums import Decision
from service.domain.records import Assessment
from service.domain.requests import Page
from service.usecases.champion import Models
from service.usecases.score_accounts import with_reasons


class Reads(Protocol):
    """What is needed of the store."""

    def assessment(self, assessment_id: str) -> Assessment: ...

    def assessments_of(self, account_id: str, *, page_size: int, page_token: str) -> Page[Assessment]: ...


@dataclass(frozen=True, slots=True)
class GetAssessment:
    """The deed, wired to its rooms."""

    reads: Reads
    models: Models

    def __call__(self, assessment_id: str, *, explain: bool) -> Assessment:
        """One assessment, with reasons where it is not ``allow`` or ``explain`` asks. Raises UnknownAssessment."""
        found = self.reads.assessment(assessment_id)
        if not explain and found.decision is Decision.ALLOW:
            return found
        [told] = with_reasons(self.models, [found])
        return told


@dataclass(frozen=True, slots=True)
class ListAssessments:
    """The deed, wired to its rooms."""

    reads: Reads

    def __call__(self, account_id: str, *, page_size: int, page_token: str) -> Page[Assessment]:
        """An account's assessments, newest first, without reasons. Raises UnknownAccount, InvalidPageToken."""
        return self.reads.assessments_of(account_id, page_size=page_size, page_token=page_token)
