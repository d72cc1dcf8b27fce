"""Which links are surely kept: most exchanges come from an address and with a template that were there before."""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import mix64
from service.domain.facts import Int64s

_SLOTS = 1 << 18  # 6 MB once they are all in use
_SIGHT = np.dtype([("account", np.int64), ("key", np.int64), ("learned", np.int64)])


class Sights:
    """(account, key) pairs that ``links`` has, learned by a moment at the latest. Safe to share between threads.

    A row of ``links`` goes only when its account is erased, of which nothing is written any more, and its moment only
    ever becomes earlier; so what is known here needs no look into the table, whichever server wrote meanwhile. Each
    pair has one place in a table of a fixed size, where the latest pair displaces the one before.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._table = np.zeros(_SLOTS, _SIGHT)  # no key is 0, so an empty slot is nobody's

    def known(self, account: Int64s, key: Int64s, learned: Int64s) -> NDArray[np.bool_]:
        """Which of these pairs are kept with a moment no later than ``learned``; shape (n,)."""
        with self._lock:
            held = self._table[_slots(account, key)]
        return np.asarray((held["account"] == account) & (held["key"] == key) & (held["learned"] <= learned))

    def remember(self, account: Int64s, key: Int64s, learned: Int64s) -> None:
        """These pairs are durable, with this moment or an earlier one."""
        rows = np.empty(len(account), _SIGHT)
        rows["account"], rows["key"], rows["learned"] = account, key, learned
        with self._lock:
            self._table[_slots(account, key)] = rows

    def forget(self, account: int) -> None:
        """Whom it is about has been erased."""
        with self._lock:
            self._table[self._table["account"] == account] = np.zeros(1, _SIGHT)


def _slots(account: Int64s, key: Int64s) -> NDArray[np.intp]:
    return (mix64(account ^ (key << 1)) & np.uint64(_SLOTS - 1)).astype(np.intp)
