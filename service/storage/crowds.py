"""Accounts with a great many link keys, of which the latest are found without walking over all.

Hardly an account has as many as ``OWN_ROWS`` keys, and all of its rows lie beside one another in ``links``. An index by
kind and moment of every row wrote two and a half pages more for each signup, of seventeen, and took a fifth of what
keeping one costs; so on SQLite it has the rows of crowded accounts alone. On PostgreSQL it has all of them: two servers
that write at one moment do not see each other's rows, so neither could tell when an account becomes crowded.
"""

from __future__ import annotations

import numpy as np

from service.storage.sql import Int64s, Runs, changed, run

OWN_ROWS = 192  # one walk over so many costs a third of a look-up by kind

COUNTED = (
    f"SELECT group_concat((SELECT count(*) FROM (SELECT 1 FROM links WHERE account = p.value LIMIT {OWN_ROWS + 1}))) "  # noqa: S608
    "FROM json_each(:accounts) p"
)
_MARKED = "UPDATE links SET crowded = 1 WHERE account IN @accounts AND crowded = 0"


def crowded(connection: Runs, account: Int64s) -> Int64s:
    """For each row about to be kept 1 where its account may then have more than ``OWN_ROWS`` rows, else 0; shape (n,).

    Rows that such an account has already are marked here, so that of more than ``OWN_ROWS`` all are marked. One may be
    marked sooner, since rows count that are there already.
    """
    if connection.dialect.name != "sqlite" or not len(account):
        return np.zeros(len(account), np.int64)
    who, place, coming = np.unique(account, return_inverse=True, return_counts=True)
    there = np.fromstring(run(connection, COUNTED, accounts=who)[0][0], np.int64, sep=",")
    full = there + coming > OWN_ROWS
    begins = who[full & (there <= OWN_ROWS)]
    if len(begins):
        changed(connection, _MARKED, accounts=begins)
    return full.astype(np.int64)[place]
