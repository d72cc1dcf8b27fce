"""What a group's sharing looks like: the few numbers that it is judged by.

An organisation shares one of a thing among all: one domain, one address, one card, one device, one code. A pipeline
splits work: thousands of prompts, each sent by a few of its accounts, and pools of cards and addresses that rotate. So
keys that a quarter of a group have say that it is organised, the more so the more members have one; what counts for a
campaign is the sharing that is left without them, and prompts that only some of the members sent. Of a dozen accounts
three have something in common by accident, so a share counts as far as it is certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float64s, Int64s
from service.domain.time import DAY
from service.linking.accounts import Accounts
from service.linking.families import FAMILIES, ORGANISED, PROMPT, by_family, families_of, organising
from service.linking.membership import KEY_CAP, PRIOR, cadence
from service.linking.sightings import Sightings, counted, summed

COMMON = 0.25  # share of a group, from which a key is something that all were given
PLACE = 0.1  # the same for addresses: a hall has several, a rotation many more
GIVEN_LIFT = 7.0  # times as common in the group as elsewhere that such a key must be, or everybody has it
SPECIFIC_NATS = 2.0  # nats, from which a prompt that members share is not a public one
FEWEST = 3  # members
CERTAIN = 1.64  # standard deviations: one group in twenty of so few would have so large a share by accident


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """One element per group."""

    size: Int64s
    split_mean: Float64s  # specific prompts that a member shares with some of the others, on average
    split_median: Float64s
    split_per_day: Float64s  # the same for each day on which a member was active
    split_per_life: Float64s  # for each day since their first exchange
    split_share: Float64s  # of all prompts that members sent
    split_list: Float64s  # different such prompts, for each member
    exercises: Float64s  # prompts that a quarter of the members sent, for each member
    organised: Float64s  # over five families, the share of members who were given the same as a member, on average
    explained: Float64s  # (groups, ORGANISED) share of members whose sharing a common key explains
    unexplained: Float64s  # (groups, FAMILIES) nats a member that are left, clipped
    cadence: Float64s  # nats a member for signing up, or beginning, when the others did
    span_days: Float64s  # in which the middle eight tenths signed up
    volume_spread: Float64s  # standard deviation over members of log(prompts on an active day); honest groups vary
    busy: Float64s  # active days for each day since the first exchange, 0 to 1; who was given an account lets it rest


def traits(seen: Sightings, surprise: Float64s, group: Int64s, accounts: Accounts) -> Traits:
    """Traits of groups at the accounts' moment; ``group`` is (n,), -1 for accounts in none."""
    groups = int(group.max(initial=-1)) + 1
    member = np.flatnonzero(group >= 0)
    of = group[member]
    size = np.bincount(of, minlength=groups)
    rows, having, nats = _telling(seen, surprise, group, size)
    account, kind = seen.account[rows], seen.kind[seen.key[rows]]
    share = having / size[group[account]]
    families = families_of(seen.kinds)
    may_organise = np.array([organising(name) for name in seen.kinds], bool)
    # Among all accounts, not among those of the country that show the kind: a hackathon was most of its country's week,
    # and nothing about its hall was improbable there.
    elsewhere = (seen.degree[seen.key[rows]] - having + 1) / (seen.n - size[group[account]] + 1)
    lift = share / elsewhere
    common = np.where(families == FAMILIES.index("network"), PLACE, COMMON)
    given = (
        (_at_least(share, size[group[account]]) >= common[kind])
        & (lift >= GIVEN_LIFT)
        & (having >= FEWEST)
        & may_organise[kind]
    )
    explained = np.zeros((seen.n, len(FAMILIES)))
    np.maximum.at(explained, (account[given], families[kind[given]]), share[given])
    left = explained[account, families[kind]] == 0
    width = len(seen.kinds)
    per_kind = summed(account[left] * width + kind[left], nats[left], seen.n * width)
    unexplained = by_family(per_kind.reshape(seen.n, width), seen.kinds)
    organised = explained[:, [FAMILIES.index(name) for name in ORGANISED]]

    def mean(values: Float64s) -> Float64s:
        out: Float64s = summed(of, values[member], groups) / np.maximum(size, 1)
        return out

    prompt = (families[kind] == PROMPT) & (nats >= SPECIFIC_NATS)
    split = prompt & (share < COMMON)
    shared = np.bincount(account[split], minlength=seen.n).astype(np.float64)
    exercise = np.bincount(account[prompt & ~split], minlength=seen.n).astype(np.float64)
    sent = seen.shown[np.flatnonzero(families == PROMPT)].sum(axis=0).astype(np.float64)
    days = np.maximum(accounts.active_days, 1).astype(np.float64)
    life = np.maximum((accounts.as_of - accounts.begun) / DAY, 0.0)
    total = mean(shared)
    return Traits(
        size=size,
        split_mean=total,
        split_median=_quantile(shared[member], of, size, 0.5),
        split_per_day=total / np.maximum(mean(days), 1.0),
        split_per_life=total / np.maximum(mean(life), 1.0),
        split_share=total / np.maximum(mean(sent), 1.0),
        split_list=summed(group[account[split]], 1 / having[split], groups) / np.maximum(size, 1),
        exercises=mean(exercise),
        organised=mean(organised.sum(axis=1)),
        explained=np.stack([mean((organised[:, i] > 0).astype(np.float64)) for i in range(len(ORGANISED))], axis=1),
        unexplained=np.stack([mean(unexplained[:, i]) for i in range(len(FAMILIES))], axis=1),
        cadence=mean(_of_members(cadence(accounts, group, member, of, size), member, seen.n)),
        span_days=(
            _quantile(accounts.created[member], of, size, 0.9) - _quantile(accounts.created[member], of, size, 0.1)
        )
        / DAY,
        volume_spread=_spread(np.log(np.maximum(sent, 0.5) / days), (sent > 0) & (group >= 0), group, groups),
        busy=np.minimum(mean(accounts.active_days.astype(np.float64)) / np.maximum(mean(life), 1.0), 1.0),
    )


def _telling(seen: Sightings, surprise: Float64s, group: Int64s, size: Int64s) -> tuple[Int64s, Int64s, Float64s]:
    """Rows of members whose key another member has, too; how many members have it; nats that it says for the group."""
    rows = np.flatnonzero(group[seen.account] >= 0)
    owner = group[seen.account[rows]]
    having = counted(owner * len(seen.degree) + seen.key[rows])
    rows, owner, having = rows[having >= 2], owner[having >= 2], having[having >= 2]
    chance = np.exp(-surprise[rows])
    degree = seen.degree[seen.key[rows]]
    outside = np.minimum(chance * np.maximum(degree - having + 1, 1) / degree, 1.0)
    inside = (having - 1 + PRIOR * chance) / (size[owner] - 1 + PRIOR)
    return rows, having, np.clip(np.log(inside / outside), 0.0, KEY_CAP)


def _at_least(share: Float64s, size: Int64s) -> Float64s:
    """The lower end of what ``share`` of ``size`` accounts may mean (Wilson, 1927)."""
    room = CERTAIN**2 / np.maximum(size, 1)
    middle = share + room / 2 - np.sqrt(room * (share * (1 - share) + room / 4))
    out: Float64s = middle / (1 + room)
    return out


def _of_members(values: Float64s, member: Int64s, n: int) -> Float64s:
    """(n,) the values of members, 0 for others."""
    out = np.zeros(n)
    out[member] = values
    return out


def _quantile(values: NDArray[np.generic], group: Int64s, size: Int64s, share: float) -> Float64s:
    """The element at ``share`` of each group's sorted values; groups are not empty."""
    order = np.lexsort((values, group))
    first = np.cumsum(size) - size
    out: Float64s = values[order][first + (size * share).astype(np.int64)].astype(np.float64)
    return out


def _spread(values: Float64s, counts: NDArray[np.bool_], group: Int64s, groups: int) -> Float64s:
    """Standard deviation within each group of the values that count; 1 (what is usual) where fewer than two do."""
    of, value = group[counts], values[counts]
    number = np.bincount(of, minlength=groups)
    mean = summed(of, value, groups) / np.maximum(number, 1)
    square = summed(of, (value - mean[of]) ** 2, groups) / np.maximum(number - 1, 1)
    return np.where(number >= 2, np.sqrt(square), 1.0)
