"""Leads: the keys by which a newcomer is seen to belong to a campaign before the next run.

Scoring knows of a newcomer what it has shown so far, often one key of a kind, and no prompts. So only keys that the
door makes count here, each with the nats that showing it adds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.domain.codes import code32
from service.domain.detection import CampaignKeys
from service.domain.facts import Float64s, Int64s
from service.keys.kinds import KINDS
from service.linking.families import apart, family
from service.linking.membership import ENRICHED, KEY_CAP, PRIOR
from service.linking.sightings import Sightings, counted

MOST = 2_000  # keys of a campaign, the heaviest
PRIVATE_MEMBERS = 3  # members that have a private key, at least
PRIVATE_SHARE = 0.05  # of them, as many others may have it, too ...
PRIVATE_OTHERS = 2  # ... and so many in any case, but of an address, where one other may be the person who lives there

_AT_THE_DOOR = frozenset(kind.name for kind in KINDS)


def shown_at_the_door(kind: str) -> bool:
    """Whether a signup, a payment or an exchange shows a key of this kind as it is."""
    return kind in _AT_THE_DOOR or kind.startswith("custom.")


def at_the_door(seen: Sightings, surprise: Float64s) -> tuple[Sightings, Float64s]:
    """Only the rows of keys that the door makes, and their surprise: a tenth of all, where there are prompts.

    ``leads`` says the same of them as of all, in a tenth of the time.
    """
    kinds = np.array([shown_at_the_door(kind) for kind in seen.kinds], bool)
    kept = kinds[seen.kind]
    rows = kept[seen.key]
    number = np.cumsum(kept) - 1
    door = replace(
        seen,
        account=seen.account[rows],
        key=number[seen.key[rows]],
        hashes=seen.hashes[kept],
        kind=seen.kind[kept],
        degree=seen.degree[kept],
    )
    return door, surprise[rows]


def leads(seen: Sightings, surprise: Float64s, group: Int64s, which: int, rows: Int64s | None = None) -> CampaignKeys:
    """The keys that speak for belonging to group ``which``, the heaviest first; ``group`` is (n,), -1: none.

    ``surprise`` is (rows,) of ``seen``; ``rows`` are those of the group's members, ascending, None: not known yet. The
    weight is log P(key | campaign) / P(key | rest) of a newcomer that shows one key of the kind: the share that the key
    has of all that members showed of its kind, against its share elsewhere. A member with forty addresses makes
    none of them typical.
    """
    if rows is None:
        rows = np.flatnonzero(group[seen.account] == which)
    rows = rows[np.array([shown_at_the_door(kind) for kind in seen.kinds], bool)[seen.kind[seen.key[rows]]]]
    rows = rows[counted(seen.key[rows]) >= 2]
    key, place, members = np.unique(seen.key[rows], return_inverse=True, return_counts=True)
    kind, degree = seen.kind[key], seen.degree[key]
    others = degree - members
    draws = seen.shown[seen.kind[seen.key[rows]], seen.account[rows]]
    rate = -np.log1p(-np.exp(-np.maximum(surprise[rows], 1e-9))) / np.maximum(draws, 1)
    outside = np.bincount(place, weights=rate, minlength=len(key)) / members
    outside = np.minimum(outside * np.maximum(others, 1) / degree, 1.0)
    shown = seen.shown[:, group == which].sum(axis=1)[kind]
    inside = (members + PRIOR * outside) / (shown + PRIOR)
    weight = np.minimum(np.log(inside / outside), KEY_CAP)
    telling = np.flatnonzero(weight >= ENRICHED)
    kept = telling[np.lexsort((seen.hashes[key[telling]], -members[telling], -weight[telling]))][:MOST]
    # Of 46 honest people tied in a replay of 52,850 accounts, 44 were so by an address that the campaign had borrowed.
    places = np.array([family(name) == "network" for name in seen.kinds], bool)[kind]
    few = others <= np.maximum(np.where(places, 0, PRIVATE_OTHERS), PRIVATE_SHARE * members)
    codes = np.array([code32(name) for name in seen.kinds], np.int32)
    return CampaignKeys(
        key=seen.hashes[key[kept]],
        kind=codes[kind[kept]],
        weight=weight[kept],
        private=(few & (members >= PRIVATE_MEMBERS))[kept],
        family=apart(seen.kinds)[kind[kept]],
    )
