"""How a step of a call ended: with its result, or with what its caller is told instead."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import grpc
import structlog
from google.rpc import status_pb2
from grpc_status import rpc_status

from service.domain.errors import GatehouseError, InvalidInput
from service.rpc.errors import internal_status, kind_of, status_of

log = structlog.get_logger(__name__)

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Failure:
    """How a call failed, as the caller is told."""

    status: status_pb2.Status

    @cached_property
    def told(self) -> grpc.Status:
        """Code, details and trailing metadata."""
        return rpc_status.to_status(self.status)


def attempt(step: Callable[[], _Result]) -> _Result | Failure:
    """The step's result, or how it failed. The one broad ``except`` of the service is here."""
    try:
        return step()
    except grpc.RpcError:
        raise  # the caller hung up while its stream was read; grpc knows its own exception again
    except GatehouseError as error:
        fields = [violation.field for violation in error.violations] if isinstance(error, InvalidInput) else []
        log.info("rpc_refused", reason=kind_of(error).reason, fields=fields[:20])
        return Failure(status_of(error))
    except Exception:
        reference = secrets.token_hex(8)
        log.exception("rpc_failed", reference=reference)
        return Failure(internal_status(reference))
