"""The door itself: one object, built once, shared by all threads of a server and by imports."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.facts import OwnLinkFacts, PaymentFacts, SignalFacts, SignupFacts, UsageFacts
from service.domain.raw import Link, Payment, Signal, Signup, Usage
from service.signals.batch import ArrowTable, Columns, Records
from service.signals.checks import Rejection
from service.signals.keyring import Keyring
from service.signals.own import OwnDoor
from service.signals.payments import PaymentDoor
from service.signals.place import Countries
from service.signals.pseudonymise import ContentHasher, Pseudonymiser
from service.signals.reference.tables import AddressTables
from service.signals.signups import SignupDoor
from service.signals.usage import UsageDoor


class Door:
    """Lets facts in. Every method takes a batch and the moment ``now`` at which it arrived.

    It returns the facts of the sound rows in their order, and a ``Rejection`` for every field that is wrong with the
    others; ``checks.accepted_rows`` tells which row of the batch each fact came from. The methods ending in ``_table``
    take a ``pyarrow.Table`` or ``RecordBatch`` whose columns are the contract's and already have its types
    (timestamps, int64, uint64, float64, bool, string); missing columns are columns of nulls. They give the same facts,
    bit for bit, as the same rows said one by one.
    """

    def __init__(self, keyring: Keyring, addresses: AddressTables) -> None:
        pseudonymiser, content = Pseudonymiser(keyring), ContentHasher(keyring.content)
        countries = Countries()
        self._signups = SignupDoor(pseudonymiser, content, addresses, countries)
        self._payments = PaymentDoor(pseudonymiser, content, countries)
        self._usage = UsageDoor(pseudonymiser, content, addresses)
        self._own = OwnDoor(pseudonymiser, content)

    def signups(self, rows: Sequence[Signup], now: int) -> tuple[SignupFacts, list[Rejection]]:
        """Signups of a call."""
        return self._signups.read(Records(rows), now)

    def signups_table(self, table: ArrowTable, now: int) -> tuple[SignupFacts, list[Rejection]]:
        """Signups of a file."""
        return self._signups.read(Columns(table), now)

    def payments(self, rows: Sequence[Payment], now: int) -> tuple[PaymentFacts, list[Rejection]]:
        """Payment events of a call."""
        return self._payments.read(Records(rows), now)

    def payments_table(self, table: ArrowTable, now: int) -> tuple[PaymentFacts, list[Rejection]]:
        """Payment events of a file."""
        return self._payments.read(Columns(table), now)

    def usage(self, rows: Sequence[Usage], now: int) -> tuple[UsageFacts, list[Rejection]]:
        """Exchanges of a call."""
        return self._usage.read(Records(rows), now)

    def usage_table(self, table: ArrowTable, now: int) -> tuple[UsageFacts, list[Rejection]]:
        """Exchanges of a file."""
        return self._usage.read(Columns(table), now)

    def links(self, rows: Sequence[Link], now: int) -> tuple[OwnLinkFacts, list[Rejection]]:
        """The customer's own link keys of a call."""
        return self._own.links(Records(rows), now)

    def links_table(self, table: ArrowTable, now: int) -> tuple[OwnLinkFacts, list[Rejection]]:
        """The customer's own link keys of a file."""
        return self._own.links(Columns(table), now)

    def signals(self, rows: Sequence[Signal], now: int) -> tuple[SignalFacts, list[Rejection]]:
        """The customer's own numbers of a call."""
        return self._own.signals(Records(rows), now)

    def signals_table(self, table: ArrowTable, now: int) -> tuple[SignalFacts, list[Rejection]]:
        """The customer's own numbers of a file."""
        return self._own.signals(Columns(table), now)
