"""Payments of nearly all accounts: the table is read as it lies, for a long span of accounts at a time.

It lies by the hashes of its events, so the payments of some thousand accounts are on as many pages. Among a hundred
thousand accounts those were near at hand; among a million each was fetched anew, and payments, one of an account on
average, took as long to read as its ten link keys.
"""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection

from service.domain.facts import Int64s
from service.storage import layouts
from service.storage.gathered import Rows, packed_of, ranges
from service.storage.memory import Memory
from service.storage.sql import run
from service.tiles.payments import PAYMENT_COLUMNS
from service.tiles.rows import Tiles, merge

AT_ONCE = 2_000_000  # payments that are held, 232 bytes each
PART = 50_000  # payments that the database puts together in one step


class AllPayments:
    """The table, to be asked for ascending accounts, a few thousand at a time, in rising order."""

    def __init__(self, connection: Connection, memory: Memory, wanted: Int64s) -> None:
        """``wanted`` (n,), ascending, are all accounts that will be asked about; at least one."""
        self._connection, self._memory, self._wanted = connection, memory, wanted
        count = run(connection, "SELECT count(*) FROM payments")[0][0]
        self._spans = max(1, -(-count // AT_ONCE))
        self._until: int | None = None  # the last account of what is held; None: nothing is

    def of(self, accounts: Int64s) -> Tiles:
        """Payment tiles of ``accounts`` (ascending), and of others between the first and the last of them."""
        if self._until is None or accounts[-1] > self._until:
            self._hold(int(accounts[0]), int(accounts[-1]))
        low = int(np.searchsorted(self._account, accounts[0], "left"))
        mine = slice(low, int(np.searchsorted(self._account, accounts[-1], "right")))
        return merge(PAYMENT_COLUMNS, self._account[mine], self._learned[mine], self._values[self._row[mine]])

    def _hold(self, low: int, least: int) -> None:
        """Reads a span of accounts from ``low`` to ``least`` or beyond."""
        end = int(np.searchsorted(self._wanted, low)) + -(-len(self._wanted) // self._spans)
        high = max(least, int(self._wanted[min(end, len(self._wanted)) - 1]))
        sql = "SELECT count(*) FROM payments WHERE account BETWEEN :low AND :high"
        count = run(self._connection, sql, low=low, high=high)[0][0]
        self._values = np.empty((count, len(PAYMENT_COLUMNS)), np.int64)
        account, learned = np.empty(count, np.int64), np.empty(count, np.int64)
        at = 0
        for first, last in ranges(count // PART + 1):
            # the plus keeps SQLite from going by the accounts' index, which leads to a page for each payment
            where = "event BETWEEN :first AND :last AND +account BETWEEN :low AND :high"
            rows = Rows("payments", where, {"first": first, "last": last, "low": low, "high": high})
            (who, when), facts = packed_of(self._connection, rows, ("account", "learned_at"), "facts")
            if not len(who):
                continue
            mine = slice(at, at + len(who))
            of = self._memory.layouts_for(self._connection, facts.used())
            account[mine], learned[mine], self._values[mine] = who, when, layouts.payment_values(facts, of)
            at += len(who)
        self._row = np.lexsort((learned, account))
        self._account, self._learned = account[self._row], learned[self._row]
        self._until = high
