"""The door itself: one object, built once, shared by all threads of a server and by imports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.domain.facts import SignupFacts
from service.domain.raw import Signup
from service.signals.batch import Columns, Records
from service.signals.checks import Rejection
from service.signals.keyring import Keyring
from service.signals.pseudonymise import ContentHasher, Pseudonymiser
from service.signals.reference.tables import AddressTables
from service.signals.signups import SignupDoor


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
        self._signups = SignupDoor(pseudonymiser, content, addresses)

    def signups(self, rows: Sequence[Signup], now: int) -> tuple[SignupFacts, list[Rejection]]:
        """Signups of a call."""
        return self._signups.read(Records(rows), now)

    def signups_table(self, table: Any, now: int) -> tuple[SignupFacts, list[Rejection]]:
        """Signups of a file."""
        return self._signups.read(Columns(table), now)
