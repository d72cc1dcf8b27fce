"""From sightings to judged groups: the whole way, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.domain.facts import Float64s, Int64s
from service.linking.accounts import Accounts
from service.linking.communities import communities, compact
from service.linking.families import FAMILIES, PROMPT
from service.linking.judge import Judge
from service.linking.membership import SMALLEST, assign, rejoin
from service.linking.pair_model import PairModel
from service.linking.pairs import Ties, candidates, ties
from service.linking.sightings import Sightings
from service.linking.surprise import surprise
from service.linking.traits import Traits, traits

TIED = 14.0  # nats, from which two accounts of a MILLION are tied: chance ties fewer than one each
MILLION = 1_000_000
WORTH_PROMPTS = 1.5  # nats a member, of prompts or ...
WORTH_IDENTITY = 8.0  # ... of all other families together, from which a group is looked into
_IDENTITY = [i for i, name in enumerate(FAMILIES) if name not in ("prompt", "template", "name", "habit")]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Groups and what they were found from. ``group`` is (n,), -1 for accounts in none."""

    seen: Sightings
    surprise: Float64s
    group: Int64s
    ties: Ties
    traits: Traits
    score: Float64s  # (groups,) probability that each is a campaign


def tied_from(n: int) -> float:
    """Nats from which two of ``n`` accounts are tied: where there are fewer to be mistaken for, less is enough."""
    return TIED - float(np.log(MILLION / min(max(n, 1), MILLION)))


def find(
    seen: Sightings,
    accounts: Accounts,
    standing: Int64s,
    judge: Judge,
    seed: int,
    pair_model: PairModel | None = None,
) -> Found:
    """Groups of accounts that are one, judged.

    ``standing`` of shape (n,) holds the known live campaigns' members, numbered from 0, -1 for all others: they are
    where the search starts from, so that a campaign grows instead of being found anew. ``pair_model`` None: pairs are
    tied by the sum of their surprise.
    """
    weight = surprise(seen, accounts.country)
    left, right = candidates(seen, weight, seed)
    tied_at = tied_from(seen.n)
    tied = ties(seen, weight, left, right, tied_at if pair_model is None else 0.0)
    strength = tied.strength if pair_model is None else pair_model.strength(tied, accounts, tied_at)
    strong = strength >= tied_at
    tied = Ties(tied.left[strong], tied.right[strong], tied.families[strong])
    group = communities(seen.n, tied.left, tied.right, strength[strong] - tied_at + 1.0, seed)
    group = _promising(seen, weight, compact(group, SMALLEST), accounts)
    known = standing >= 0
    group[known] = group.max(initial=-1) + 1 + standing[known]
    group = compact(group, SMALLEST)
    for step in (assign, rejoin, assign, assign):
        if group.max(initial=-1) >= 0:
            group = step(seen, weight, group, accounts)
    judged = traits(seen, weight, group, accounts)
    return Found(seen, weight, group, tied, judged, judge.score(judged))


def _promising(seen: Sightings, weight: Float64s, group: Int64s, accounts: Accounts) -> Int64s:
    """Only the groups that share more than an organisation explains: the others need no closer look."""
    first = traits(seen, weight, group, accounts)
    promising = first.unexplained[:, PROMPT] >= WORTH_PROMPTS
    promising |= first.unexplained[:, _IDENTITY].sum(axis=1) >= WORTH_IDENTITY
    number = np.full(len(promising) + 1, -1, np.int64)  # the last one is for -1
    number[:-1][promising] = np.arange(np.count_nonzero(promising))
    return number[group]
