"""Domain errors as gRPC statuses with google.rpc details: one table, and the sizes that a trailer may have."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2

from service.domain import errors

DOMAIN = "gatehouse"

# The status travels in trailers twice, as text and as details; clients refuse more than 8 KiB of metadata by default.
MAX_TEXT = 1_000
MAX_DETAILS = 3_000
MAX_DESCRIPTION = 300


@dataclass(frozen=True, slots=True)
class Kind:
    """How a class of errors looks on the wire."""

    code: grpc.StatusCode
    reason: str  # of google.rpc.ErrorInfo


STATUS: dict[type[errors.GatehouseError], Kind] = {
    errors.GatehouseError: Kind(grpc.StatusCode.UNKNOWN, "FAILED"),
    errors.InvalidInput: Kind(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
    errors.InvalidPageToken: Kind(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"),
    errors.UnknownAccount: Kind(grpc.StatusCode.NOT_FOUND, "UNKNOWN_ACCOUNT"),
    errors.UnknownAssessment: Kind(grpc.StatusCode.NOT_FOUND, "UNKNOWN_ASSESSMENT"),
    errors.UnknownModel: Kind(grpc.StatusCode.NOT_FOUND, "UNKNOWN_MODEL"),
    errors.NoEarlierModel: Kind(grpc.StatusCode.FAILED_PRECONDITION, "NO_EARLIER_MODEL"),
    errors.UnknownLabel: Kind(grpc.StatusCode.NOT_FOUND, "UNKNOWN_LABEL"),
    errors.UnknownCampaign: Kind(grpc.StatusCode.NOT_FOUND, "UNKNOWN_CAMPAIGN"),
    errors.CampaignMerged: Kind(grpc.StatusCode.FAILED_PRECONDITION, "CAMPAIGN_MERGED"),
    errors.CampaignChanged: Kind(grpc.StatusCode.ABORTED, "CAMPAIGN_CHANGED"),
    errors.DetectionRunning: Kind(grpc.StatusCode.ABORTED, "DETECTION_RUNNING"),
    errors.AlreadyExists: Kind(grpc.StatusCode.ALREADY_EXISTS, "DIFFERENT_CONTENT"),
    errors.NotReady: Kind(grpc.StatusCode.UNAVAILABLE, "NOT_READY"),
    errors.NotAvailableYet: Kind(grpc.StatusCode.UNIMPLEMENTED, "NOT_AVAILABLE_YET"),
    errors.Overloaded: Kind(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    errors.DeadlineExceeded: Kind(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    errors.DatabaseProblem: Kind(grpc.StatusCode.UNAVAILABLE, "DATABASE"),
    errors.ArtefactProblem: Kind(grpc.StatusCode.FAILED_PRECONDITION, "MODEL_ARTEFACT"),
    errors.UsageError: Kind(grpc.StatusCode.FAILED_PRECONDITION, "MISCONFIGURED"),
}


def kind_of(error: errors.GatehouseError) -> Kind:
    """The entry of the error's class, or of the nearest class that it descends from."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def status_of(error: errors.GatehouseError) -> status_pb2.Status:
    """The error with its details: ErrorInfo always, BadRequest for fields, ResourceInfo for a thing."""
    kind = kind_of(error)
    info = error_details_pb2.ErrorInfo(reason=kind.reason, domain=DOMAIN)
    if isinstance(error, errors.CampaignMerged):
        info.metadata["merged_into"] = error.merged_into
    details: list[message.Message] = [info]
    if isinstance(error, errors.InvalidInput):
        details.append(bad_request(error.violations))
    resource = resource_of(error)
    if resource is not None:
        details.append(resource)
    return make_status(kind.code, str(error), details)


def resource_of(error: errors.GatehouseError) -> error_details_pb2.ResourceInfo | None:
    """The thing that the error is about, if it is about one."""
    match error:
        case errors.UnknownAccount():
            return error_details_pb2.ResourceInfo(resource_type="account", resource_name=error.account_id)
        case errors.UnknownAssessment():
            return error_details_pb2.ResourceInfo(resource_type="assessment", resource_name=error.assessment_id)
        case errors.UnknownModel():
            return error_details_pb2.ResourceInfo(resource_type="model", resource_name=error.version)
        case errors.UnknownCampaign() | errors.CampaignMerged() | errors.CampaignChanged():
            return error_details_pb2.ResourceInfo(resource_type="campaign", resource_name=error.campaign_id)
        case errors.AlreadyExists():
            return error_details_pb2.ResourceInfo(resource_type=error.what, resource_name=error.identifier)
        case _:
            return None


def bad_request(violations: tuple[errors.FieldViolation, ...]) -> error_details_pb2.BadRequest:
    """Every violation that fits; a request with a thousand bad items must not burst the trailer that says so."""
    details = error_details_pb2.BadRequest()
    size = 0
    for number, violation in enumerate(violations):
        entry = error_details_pb2.BadRequest.FieldViolation(
            field=shorten(violation.field, MAX_DESCRIPTION), description=shorten(violation.description, MAX_DESCRIPTION)
        )
        size += entry.ByteSize() + 4
        if size > MAX_DETAILS:
            left = len(violations) - number
            details.field_violations.add(field="", description=f"and {left} more that are not shown")
            break
        details.field_violations.append(entry)
    return details


def internal_status(reference: str) -> status_pb2.Status:
    """What a caller hears of a defect: nothing but where to find it in the log."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"reference": reference})
    return make_status(grpc.StatusCode.INTERNAL, f"internal error, reference {reference}", [info])


def make_status(code: grpc.StatusCode, text: str, details: list[message.Message]) -> status_pb2.Status:
    """A status of bounded size."""
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=shorten(text, MAX_TEXT))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters of the text, and a mark where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
