"""The engine in the process: histories to columns as of given moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.domain.codes import code32
from service.features.columns import Columns, Int64s
from service.tiles.campaigns import fold_campaigns
from service.tiles.fold import fold_payments, fold_usage, search
from service.tiles.history import History
from service.tiles.sharing import fold_sharing


def columns(
    history: History, account: Int64s, as_of: Int64s, *, kinds: Sequence[str], signal_names: Sequence[str] = ()
) -> Columns:
    """Columns of ``account[i]`` as of ``as_of[i]``; every account must be in ``history``.

    ``kinds`` are names of link kinds, the customer's own as ``custom.<key_type>``. A signup learned after ``as_of`` is
    not known yet: its row has ``known`` False and a profile of NaN.
    """
    row = np.searchsorted(history.account, account)
    known = history.known[row] & (history.learned_at[row] <= as_of)
    facts = np.where(known[:, None], history.profile[row], np.float32(np.nan))
    return Columns(
        account=account,
        as_of=as_of,
        created_at=np.where(known, history.created_at[row], 0),
        known=known,
        facts=facts,
        usage=fold_usage(history.usage, account, as_of),
        payments=fold_payments(history.payments, account, as_of),
        sharing=fold_sharing(history, account, as_of, [code32(kind) for kind in kinds]),
        campaigns=fold_campaigns(history, account, as_of),
        signals={name: latest_signal(history, name, account, as_of) for name in signal_names},
    )


def latest_signal(history: History, name: str, account: Int64s, as_of: Int64s) -> np.ndarray:
    """The value of signal ``name`` learned last by ``as_of`` (ties: happened last, then the larger); NaN: none."""
    rows = history.signals
    of_name = rows.name == code32(name)
    who, happened, learned, value = (
        rows.account[of_name],
        rows.happened[of_name],
        rows.learned[of_name],
        rows.value[of_name],
    )
    by = np.lexsort((value, happened, learned, who))
    who, learned, value = who[by], learned[by], value[by]
    low, high = np.searchsorted(who, account, "left"), np.searchsorted(who, account, "right")
    last = search(learned, low, high, as_of) - 1
    there = last >= low
    if not len(value):
        return np.full(len(account), np.nan, np.float32)
    return np.where(there, value[np.maximum(last, 0)], np.nan).astype(np.float32)
