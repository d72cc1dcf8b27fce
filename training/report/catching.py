"""When a policy would have caught the members of held-out campaigns, and how many exchanges they had until then.

Each member is followed from its signup until the verdict on it was known: nobody asks about an account that is judged.
It is caught at its first probe that gets anything but ``allow``. Between two probes (the longest pause is that from 7
to 30 days) a server that rescores more often catches earlier, so what is let through here is an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from service.domain.facts import Float64s, Int64s
from service.domain.time import DAY, rfc3339
from service.features.catalogue import RULED
from service.policy.policy import Policy, levels
from service.tiles.history import History
from service.tiles.usage import USAGE_COLUMNS
from training.dataset import FRAUD, Dataset

NEVER = np.iinfo(np.int64).max
POINTS = 40  # of a campaign's timeline
_EXCHANGES = [column.name for column in USAGE_COLUMNS].index("requests")
_HISTORY_ROWS = 200_000


class Histories(Protocol):
    """What is read of the store."""

    def histories(self, *, rows: int, accounts: Int64s | None = None) -> Iterator[History]:
        """All facts of ``accounts``, a bounded number of rows at a time."""
        ...


def first_caught(dataset: Dataset, test: Int64s, scores: Float64s, policy: Policy) -> Int64s:
    """The moment of each account's first probe among the rows ``test`` that is not allowed; NEVER: none is.

    Shape (accounts,); ``scores`` are those rows' calibrated scores.
    """
    names = [feature.name for feature in (*dataset.features, *RULED)]
    values = np.concatenate([dataset.matrix[test], dataset.ruled[test]], axis=1)
    caught = levels(policy, scores, values, names) > 0
    out = np.full(len(dataset.accounts), NEVER)
    of = dataset.row[test][caught]
    np.minimum.at(out, of, dataset.accounts.created_at[of] + dataset.age[test][caught])
    return out


def caught_campaigns(
    source: Histories, dataset: Dataset, test: Int64s, scores: Float64s, policy: Policy
) -> list[dict[str, Any]]:
    """Each held-out campaign's labelled members and exchanges over time, the largest campaign first.

    ``exchanges`` are those until the verdict on each member, ``exchanges_before`` those of them until it was caught.
    """
    accounts = dataset.accounts
    caught = first_caught(dataset, test, scores, policy)
    held = np.zeros(len(accounts), bool)
    held[dataset.row[test]] = True
    names = np.asarray([name or "" for name in accounts.campaign], dtype=object)
    member = np.flatnonzero(held & (accounts.verdict == FRAUD) & (names != ""))
    if not len(member):
        return []
    of, when, many = _exchanges(source, accounts.account[member])
    until = accounts.learned_at[member]
    counted = when < until[of]
    of, when, many = of[counted], when[counted], many[counted]
    out = []
    for name in sorted(set(names[member].tolist())):
        within = np.flatnonzero(names[member] == name)
        own = np.isin(of, within)
        out.append(
            _campaign(
                name,
                accounts.created_at[member[within]],
                until[within],
                caught[member[within]],
                (when[own], many[own], caught[member][of[own]]),
            )
        )
    return sorted(out, key=lambda one: (-one["members"], one["campaign_id"]))


def _campaign(
    name: str, created: Int64s, until: Int64s, caught: Int64s, exchanges: tuple[Int64s, Int64s, Int64s]
) -> dict[str, Any]:
    when, many, stopped = exchanges
    through = when < stopped
    found = caught < NEVER
    first, last = int(created.min()), int(until.max())
    moments = np.unique(np.linspace(first, last, POINTS).astype(np.int64))
    timeline = [
        {
            "at": rfc3339(at),
            "members": int((created <= at).sum()),
            "caught": int((caught <= at).sum()),
            "exchanges": int(many[when <= at].sum()),
            "exchanges_let_through": int(many[(when <= at) & through].sum()),
        }
        for at in moments.tolist()
    ]
    days = (caught[found] - created[found]) / DAY
    return {
        "campaign_id": name,
        "members": len(created),
        "caught": int(found.sum()),
        "recall": float(found.mean()),
        "exchanges": int(many.sum()),
        "exchanges_before": int(many[through].sum()),
        "median_days_to_catch": float(np.median(days)) if found.any() else None,
        "timeline": timeline,
    }


def _exchanges(source: Histories, accounts: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """(place in ``accounts``, hour, exchanges) of all usage; ``accounts`` ascend."""
    of, when, many = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for history in source.histories(rows=_HISTORY_ROWS, accounts=accounts):
        usage = history.usage
        own = np.isin(usage.account, accounts)
        of.append(np.searchsorted(accounts, usage.account[own]))
        when.append(usage.time[own])
        many.append(usage.values[own, _EXCHANGES])
    return np.concatenate(of), np.concatenate(when), np.concatenate(many)
