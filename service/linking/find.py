"""From sightings to judged groups: the whole way, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.domain.facts import Float64s, Int64s
from service.linking.accounts import Accounts
from service.linking.communities import communities, compact
from service.linking.families import FAMILIES, PROMPT, families_of
from service.linking.given_back import give_back
from service.linking.judge import Judge
from service.linking.membership import SMALLEST, assign, rejoin
from service.linking.pair_model import PairModel
from service.linking.pairs import Ties, candidates, ties
from service.linking.sightings import Sightings, counted, runs
from service.linking.surprise import surprise
from service.linking.traits import Traits, traits

TIED = 14.0  # nats, from which two accounts of a MILLION are tied: chance ties fewer than one each
MILLION = 1_000_000
WORTH_PROMPTS = 1.5  # nats a member, of prompts or ...
WORTH_IDENTITY = 8.0  # ... of all other families together, from which a group is looked into
SUSPICIOUS = -3.0  # log-odds of the judge from which it is looked into, too
CREW = 3.0  # nats, a template's surprise from which those who have it may be a crew: one account in twenty at most
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
    tied, group = _tied(seen, weight, accounts, seed, pair_model)
    group = _with_crews(seen, weight, compact(group, SMALLEST))
    group = _promising(seen, weight, group, accounts, judge)
    known = standing >= 0
    group[known] = group.max(initial=-1) + 1 + standing[known]
    group = compact(group, SMALLEST)
    for step in (assign, rejoin, assign, assign):
        if group.max(initial=-1) >= 0:
            group = step(seen, weight, group, accounts)
    judged = traits(seen, weight, group, accounts)
    return Found(seen, weight, group, tied, judged, judge.score(judged))


def _tied(
    seen: Sightings, weight: Float64s, accounts: Accounts, seed: int, pair_model: PairModel | None
) -> tuple[Ties, Int64s]:
    """The pairs that are tied, and the groups that they make, (n,)."""
    tied_at = tied_from(seen.n)
    some = ties(seen, weight, *candidates(seen, weight, seed), tied_at if pair_model is None else 0.0)
    strength = some.strength if pair_model is None else pair_model.strength(some, accounts, tied_at)
    strong = strength >= tied_at
    tied = Ties(some.left[strong], some.right[strong], some.families[strong])
    del some
    give_back()
    return tied, communities(seen.n, tied.left, tied.right, strength[strong] - tied_at + 1.0, seed)


def _with_crews(seen: Sightings, weight: Float64s, group: Int64s) -> Int64s:
    """``group`` with those whom no tie put into one grouped by the rarest template that SMALLEST of them have.

    A template of thirty accounts says too little of any two to tie them, and much of all thirty: a crew of twenty with
    a template of its own, woken in one night, was looked at two weeks later, when prompts had been asked twice.
    """
    of_template = (families_of(seen.kinds) == FAMILIES.index("template"))[seen.kind[seen.key]]
    rows = np.flatnonzero(of_template & (weight >= CREW) & (group[seen.account] < 0))
    rows = rows[counted(seen.key[rows]) >= SMALLEST]
    rows = rows[np.lexsort((seen.key[rows], seen.degree[seen.key[rows]], seen.account[rows]))]
    first, _ = runs(seen.account[rows])
    rows = rows[first]
    out = group.copy()
    out[seen.account[rows]] = group.max(initial=-1) + 1 + np.unique(seen.key[rows], return_inverse=True)[1]
    return compact(out, SMALLEST)


def _promising(seen: Sightings, weight: Float64s, group: Int64s, accounts: Accounts, judge: Judge) -> Int64s:
    """Only the groups that share more than an organisation explains: the others need no closer look."""
    first = traits(seen, weight, group, accounts)
    promising = first.unexplained[:, PROMPT] >= WORTH_PROMPTS
    promising |= first.unexplained[:, _IDENTITY].sum(axis=1) >= WORTH_IDENTITY
    promising |= judge.log_odds(first) >= SUSPICIOUS
    number = np.full(len(promising) + 1, -1, np.int64)  # the last one is for -1
    number[:-1][promising] = np.arange(np.count_nonzero(promising))
    return number[group]
