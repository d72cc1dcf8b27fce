"""The accounts that are linked, as known at a moment."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.facts import Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """The accounts that are linked, as known at ``as_of``; arrays of shape (n,)."""

    account: Int64s  # hash64 of the id, ascending
    created: Int64s
    country: Int64s  # small integer, 0: unknown
    active_days: Int64s  # days with an exchange
    begun: (
        Int64s  # the first exchange, or the signup where there is none: accounts bought in advance lie idle until then
    )
    as_of: int
