"""What can go wrong in the caller's terms. Errors know no status code: one table in ``rpc/errors.py`` maps them."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.time import rfc3339


class GatehouseError(Exception):
    """Base of every error that a caller may be told about; its text is safe to show and names the mend."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing wrong with one field of the input."""

    field: str  # path in the caller's terms, such as ``signup.email`` or ``payments[2].amount_minor``
    description: str


class InvalidInput(GatehouseError):
    """The input breaks a rule; nothing of it was kept."""

    def __init__(self, *violations: FieldViolation) -> None:
        self.violations = violations
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))


class UnknownAccount(GatehouseError):
    """No signup of this account is known."""

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        super().__init__(f"account {account_id!r} is not known; send its signup with the request")


class UnknownAssessment(GatehouseError):
    """No assessment has this id."""

    def __init__(self, assessment_id: str) -> None:
        self.assessment_id = assessment_id
        super().__init__(f"assessment {assessment_id!r} is not known")


class UnknownModel(GatehouseError):
    """No registered model has this version."""

    def __init__(self, version: str) -> None:
        self.version = version
        super().__init__(f"model {version!r} is not known; `gatehouse models list` shows those that are")


class NoEarlierModel(GatehouseError):
    """There is no champion before the present one to go back to."""


class UnknownLabel(GatehouseError):
    """No label has this key."""


class UnknownCampaign(GatehouseError):
    """No campaign has this id."""

    def __init__(self, campaign_id: str) -> None:
        self.campaign_id = campaign_id
        super().__init__(f"campaign {campaign_id!r} is not known; `gatehouse campaigns list` shows those that are")


class CampaignMerged(GatehouseError):
    """The campaign is part of another one, which takes the verdicts now."""

    def __init__(self, campaign_id: str, merged_into: str) -> None:
        self.campaign_id = campaign_id
        self.merged_into = merged_into
        super().__init__(f"campaign {campaign_id!r} is part of {merged_into!r} now; review that one")


class CampaignChanged(GatehouseError):
    """Somebody or something changed the campaign after the analyst had looked at it; nothing was recorded."""

    def __init__(self, campaign_id: str) -> None:
        self.campaign_id = campaign_id
        super().__init__(
            f"campaign {campaign_id!r} has changed since you looked at it (another analyst, a label, or a detection); "
            "look at it again, and review it as it is now"
        )


class DetectionRunning(GatehouseError):
    """Another detection is at work on this database, or took this one's place."""

    def __init__(self, holder: str, since: int) -> None:
        self.holder = holder
        self.since = since
        super().__init__(
            f"{holder} has been detecting campaigns in this database since {rfc3339(since)}; wait until it is done, or "
            "a minute after it was stopped"
        )


class AlreadyExists(GatehouseError):
    """The same id came before with different content; the first is kept."""

    def __init__(self, what: str, identifier: str) -> None:
        self.what = what
        self.identifier = identifier
        super().__init__(f"{what} {identifier!r} already exists with different content; the first one is kept")


class NotReady(GatehouseError):
    """The service lacks something it needs before it can answer."""


class NotAvailableYet(GatehouseError):
    """The call is part of the contract, and this version does not do it yet."""


class Overloaded(GatehouseError):
    """More work is waiting than can be answered in time; try again later."""


class DeadlineExceeded(GatehouseError):
    """The caller's deadline passed before the answer was durable."""


class InvalidPageToken(InvalidInput):
    """The page token was not made by this list call."""

    def __init__(self) -> None:
        super().__init__(FieldViolation("page_token", "was not returned by this call; start without one"))


class DatabaseProblem(GatehouseError):
    """The database cannot be used as it is: missing, locked, read-only, or of another schema."""


class ArtefactProblem(GatehouseError):
    """A model artefact cannot be used: missing, truncated, tampered with, or made for other features."""


class UsageError(GatehouseError):
    """The command line or a file given on it is wrong; exit code 2."""
