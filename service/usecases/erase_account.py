"""Erases what is kept of a person: personal data and keys go, aggregates stay valid, the erasure is audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from service.domain.records import ErasureRecord

log = structlog.get_logger(__name__)


class Erases(Protocol):
    """What is needed of the store."""

    def erase(self, account_id: str, reason: str, at: int) -> ErasureRecord: ...


@dataclass(frozen=True, slots=True)
class EraseAccount:
    """The deed, wired to its rooms."""

    store: Erases

    def __call__(self, account_id: str, *, reason: str, now: int) -> ErasureRecord:
        """Erases one account; raises UnknownAccount. Erasing again erases what came since."""
        record = self.store.erase(account_id, reason, now)
        log.info("account_erased", account_id=account_id, link_keys=record.link_keys, usage_events=record.usage_events)
        return record
