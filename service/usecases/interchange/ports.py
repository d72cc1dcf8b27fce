"""What an import needs of the door and of the store, so that use cases know neither SQL nor a wire format."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.domain.facts import OwnLinkFacts, PaymentFacts, SignalFacts, SignupFacts, UsageFacts
from service.domain.raw import Label
from service.signals.checks import Rejection
from service.storage.readyusage import ReadyUsage

Statuses = NDArray[np.int8]  # one per row of the facts


class Door(Protocol):
    """Turns typed columns into facts. Rows that a rejection names are not in the facts; the others are, in order."""

    def signups_table(self, table: pa.RecordBatch, now: int) -> tuple[SignupFacts, Sequence[Rejection]]:
        """The accounts table."""

    def payments_table(self, table: pa.RecordBatch, now: int) -> tuple[PaymentFacts, Sequence[Rejection]]:
        """The payments table."""

    def usage_table(self, table: pa.RecordBatch, now: int) -> tuple[UsageFacts, Sequence[Rejection]]:
        """The usage table."""

    def links_table(self, table: pa.RecordBatch, now: int) -> tuple[OwnLinkFacts, Sequence[Rejection]]:
        """The links table: customers' own linking keys."""

    def signals_table(self, table: pa.RecordBatch, now: int) -> tuple[SignalFacts, Sequence[Rejection]]:
        """The signals table: customers' own numbers."""


class Bulk(Protocol):
    """One file's transaction. Each call keeps what is new and tells every row NEW, DUPLICATE or CONFLICT."""

    def signups(self, facts: SignupFacts) -> Statuses:
        """Accounts, with the keys that they showed at signup."""

    def payments(self, facts: PaymentFacts) -> Statuses:
        """Payment events."""

    def usage(self, made: UsageFacts | ReadyUsage) -> Statuses:
        """Exchanges."""

    def links(self, facts: OwnLinkFacts) -> Statuses:
        """Customers' own linking keys."""

    def signals(self, facts: SignalFacts) -> Statuses:
        """Customers' own numbers."""

    def labels(self, labels: Sequence[Label]) -> Statuses:
        """Analysts' verdicts."""


class Store(Protocol):
    """Where the facts are kept."""

    def bulk(self) -> AbstractContextManager[Bulk]:
        """Commits when the block ends; an exception leaves nothing of it."""
