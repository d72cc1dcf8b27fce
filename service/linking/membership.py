"""Who belongs: for each account and group, how much likelier the account's keys are inside than outside.

The sum over keys of log P(key | group) / P(key | rest), the account itself left out of the group, clipped by key and by
family, and of when the account came: a crew is recruited and woken in lots. The same test keeps members, drops
strangers that one public prompt or one home address brought in, and admits newcomers. What an account does not share
counts for prompts alone: whoever works for a campaign sends its prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from service.domain.facts import Float64s, Int32s, Int64s
from service.domain.time import DAY
from service.linking.accounts import Accounts
from service.linking.communities import compact
from service.linking.families import PROMPT, by_family, families_of, stacked
from service.linking.given_back import give_back
from service.linking.sightings import Bools, Sightings, runs, summed

JOIN = 12.0  # nats; above the log of the share of accounts that any one campaign is
KEY_CAP = 6.0  # nats that one key says at most
SMALLEST = 4  # accounts; fewer are no campaign
PRIOR = 2.0  # accounts' worth of chance that a group's rates lean on
ENRICHED = 0.5  # nats, below which a key says nothing for a group
PROMPT_FLOOR = -6.0  # nats that not sharing a campaign's prompts takes away at most
AT_ONCE = 1 << 17  # meetings of an account with a group that are weighed together: 13 MB, which a cache holds
TOGETHER = 1 << 21  # of those, so many are put in order at a time: 100 bytes each meanwhile
_ROUNDING = 1e-6  # nats that sums in another order may differ by, and more
ALIKE = 3.0  # how alike members' shares of a campaign's prompts are: as if each were known from so many prompts
LOT = DAY  # before and after an account came, in which others came with it
CADENCE = (-2.0, 3.0)  # nats that this says at least and at most
SAME = 0.35  # share of its own nats that a group must find in another one to be part of it

Int16s: TypeAlias = NDArray[np.int16]
_NONE32 = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """How well accounts fit groups, one row per (account, group) with a key in common, ordered by both."""

    account: Int64s
    group: Int64s
    families: Float64s  # (rows, FAMILIES) nats, clipped
    kinds: Float64s  # (rows, kinds) nats, clipped by key alone
    cadence: Float64s  # (rows,) nats for coming when the group came; 0 where that is not known
    size: Int64s  # (groups,) accounts in each

    @property
    def nats(self) -> Float64s:
        """(rows,) in all."""
        total: Float64s = self.families.sum(axis=1) + self.cadence
        return total

    @property
    def raw(self) -> Float64s:
        """(rows,) in all, clipped by key alone."""
        return _raw(self.kinds)


def _raw(kinds: Float64s) -> Float64s:
    total: Float64s = np.ascontiguousarray(kinds).sum(axis=1)
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What the same rows come to in all, which a fifteenth of the memory holds."""

    account: Int64s
    group: Int64s
    nats: Float64s
    raw: Float64s
    size: Int64s  # (groups,) accounts in each


@dataclass(frozen=True, slots=True, eq=False)
class GroupKeys:
    """Keys that two accounts or more of a group showed, and that say something for it; one row per (group, key)."""

    group: Int64s
    key: Int64s  # place among the keys; ascending
    members: Int64s  # of the group, that showed it
    size: Int64s  # (groups,)


def group_keys(seen: Sightings, surprise: Float64s, group: Int64s) -> GroupKeys:
    """The keys of each group; ``group`` of shape (n,) has -1 for accounts in none."""
    groups = int(group.max(initial=-1)) + 1
    size = np.bincount(group[group >= 0], minlength=groups)
    mine = group[seen.account]
    inside = mine >= 0
    width = len(seen.degree)
    code = np.sort(mine[inside] * width + seen.key[inside])
    start = np.flatnonzero(np.concatenate([np.ones(min(1, len(code)), bool), code[1:] != code[:-1]]))
    members = np.diff(np.append(start, len(code)))
    owner, key = code[start] // width, code[start] % width
    chance = summed(seen.key, np.exp(-surprise), width) / np.maximum(seen.degree, 1)
    telling = members >= 2
    telling[telling] = np.log(members[telling] / size[owner[telling]] / chance[key[telling]]) > ENRICHED
    owner, key, members = owner[telling], key[telling], members[telling]
    order = np.argsort(key, kind="stable")
    return GroupKeys(owner[order], key[order], members[order], size)


def fits(
    seen: Sightings,
    surprise: Float64s,
    group: Int64s,
    accounts: Accounts | None = None,
    *,
    least: float = -np.inf,
    whole: Bools | None = None,
) -> Fits:
    """How well every account fits every group that it shares a telling key with; ``group`` of shape (n,), -1: none.

    ``accounts`` None: nobody knows when they came, and it counts for nothing. Rows that cannot reach ``least`` nats are
    left out, but for accounts that are ``whole``, shape (n,): one public prompt ties half of all accounts to a campaign
    a little, a million rows of fifty thousand accounts, and a hundredth of them matters.
    """
    keys = group_keys(seen, surprise, group)
    found = list(_weighed(seen, surprise, group, keys, least, whole))
    who = np.concatenate([each.account for each in found])
    of = np.concatenate([each.group for each in found])
    families, per_kind = stacked([each.families for each in found]), stacked([each.kinds for each in found])
    came = np.zeros(len(who)) if accounts is None else cadence(accounts, group, who, of, keys.size)
    return Fits(who, of, families, per_kind, came, keys.size)


def sums(
    seen: Sightings,
    surprise: Float64s,
    group: Int64s,
    accounts: Accounts | None = None,
    *,
    least: float = -np.inf,
    whole: Bools | None = None,
) -> Sums:
    """The sums of what ``fits`` gives."""
    keys = group_keys(seen, surprise, group)
    found = [*map(_summed, _weighed(seen, surprise, group, keys, least, whole))]
    who, of = (np.concatenate([each[i] for each in found]) for i in (0, 1))
    nats, raw = (np.concatenate([each[i] for each in found]) for i in (2, 3))
    if accounts is not None:
        nats += cadence(accounts, group, who, of, keys.size)
    return Sums(who, of, nats, raw, keys.size)


def _summed(some: _Fitting) -> tuple[Int64s, Int64s, Float64s, Float64s]:
    return some.account, some.group, some.nats, some.raw


def _weighed(
    seen: Sightings, surprise: Float64s, group: Int64s, keys: GroupKeys, least: float, whole: Bools | None
) -> Iterator[_Fitting]:
    """The rows of ``fits``, some of the accounts after the others."""
    groups = len(keys.size)
    floor = least - CADENCE[1] - _ROUNDING
    needed = None if floor <= 0 else np.zeros(seen.n, bool) if whole is None else whole
    met = _met(seen, surprise, group, keys, needed)
    if needed is not None:  # who cannot reach it with what each key says at most cannot with any group
        able = met.most >= floor
        for i, rows in enumerate(met.pieces):
            met.pieces[i] = rows.take((rows.nats > 0) & able[rows.account] | needed[rows.account])
    prompts = _prompt_rates(seen, group, met)
    for rows in _portions(met.pieces, seen.n):
        yield _fitting(seen, prompts, rows, groups, floor, whole)
    del met
    give_back()


@dataclass(frozen=True, slots=True, eq=False)
class _Fitting:
    """Rows of ``Fits`` but for when accounts came, of some of the accounts."""

    account: Int64s
    group: Int64s
    families: Float64s
    kinds: Float64s

    @property
    def nats(self) -> Float64s:
        """(rows,) in all, one family after the other, as numpy sums tables whose columns lie together."""
        total = np.zeros(len(self.families))
        for column in self.families.T:
            total += column
        return total

    @property
    def raw(self) -> Float64s:
        """(rows,) in all, clipped by key alone."""
        return _raw(self.kinds)


def _portions(pieces: Sequence[_Rows], n: int) -> Iterator[_Rows]:
    """The rows in their order, of some of the ``n`` accounts after the others, about TOGETHER at a time."""
    until = np.cumsum(sum((np.bincount(rows.account, minlength=n) for rows in pieces), np.zeros(n, np.int64)))
    first = 0
    while first < max(n, 1):
        done = int(until[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(until, done + TOGETHER, "right")))
        yield _Rows.joined([rows.take((rows.account >= first) & (rows.account < last)) for rows in pieces])
        first = last


def _fitting(
    seen: Sightings, prompts: _PromptRates, rows: _Rows, groups: int, floor: float, whole: Bools | None
) -> _Fitting:
    """How well the accounts of these rows fit; all rows of an account are there."""
    code = rows.account.astype(np.int64) * groups + rows.owner
    order = np.argsort(code, kind="stable")
    code, nats, kind = code[order], rows.nats[order], rows.kind[order].astype(np.int64)
    is_prompt = _is_prompt(seen, kind, nats)
    start = np.flatnonzero(np.concatenate([np.ones(min(1, len(code)), bool), code[1:] != code[:-1]]))
    pair = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(code))))
    who, of = code[start] // max(groups, 1), code[start] % max(groups, 1)
    shared = np.bincount(pair[is_prompt], minlength=len(start)).astype(np.float64)
    # Caps and families only take away from the sum over all keys; when accounts came adds its own at most.
    wanted = summed(pair, nats, len(start)) >= floor
    if whole is not None:
        wanted |= whole[who]
    mine = wanted[pair]
    pair, kind, nats = (np.cumsum(wanted) - 1)[pair[mine]], kind[mine], nats[mine]
    who, of = who[wanted], of[wanted]
    work = _prompt_work(prompts, who, of, shared[wanted])
    width = len(seen.kinds)
    # Numbers of one kind lie together: by_family goes through them kind by kind.
    per_kind = summed(kind * len(who) + pair, nats, width * len(who)).reshape(width, -1).T
    families = by_family(per_kind, seen.kinds)
    families[:, PROMPT] = np.maximum(np.minimum(families[:, PROMPT], work), PROMPT_FLOOR)
    return _Fitting(who, of, families, per_kind)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Accounts that showed a key of a group, one row per (account, key, group), in the order of ``seen``."""

    account: Int32s
    owner: Int32s  # the group
    nats: Float64s  # that the key says for it, clipped
    kind: Int16s

    def take(self, rows: Bools) -> _Rows:
        """Some of them."""
        return _Rows(self.account[rows], self.owner[rows], self.nats[rows], self.kind[rows])

    @classmethod
    def joined(cls, parts: Sequence[_Rows]) -> _Rows:
        """All of several."""
        every = [_NO_ROWS, *parts]
        return cls(*(np.concatenate([getattr(part, each.name) for part in every]) for each in fields(cls)))


_NO_ROWS = _Rows(_NONE32, _NONE32, np.empty(0), np.empty(0, np.int16))


@dataclass(frozen=True, slots=True, eq=False)
class _Met:
    """All rows, and what they come to together."""

    pieces: list[_Rows]  # some after the others
    most: Float64s  # (n,) nats of each account, if for one group each of its keys said what it says for any at most
    belonging: Bools  # (n,) accounts with a key of their own group
    inside: Int64s  # (groups,) prompts of the group that members sent ...
    outside: Int64s  # ... and that somebody else did


def _met(seen: Sightings, surprise: Float64s, group: Int64s, keys: GroupKeys, whole: Bools | None) -> _Met:
    """All of them; ``whole`` not None: without those that say nothing, but for accounts that are ``whole``.

    Weighed and left in pieces, since a public prompt that many groups have meets each of its senders with each of them:
    a hundred bytes each meanwhile, and at fifty million exchanges a gigabyte that need not be there twice.
    """
    groups = len(keys.size)
    belonging = np.zeros(seen.n, bool)
    inside, outside = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    pieces: list[_Rows] = []
    most = np.zeros(seen.n)
    for row, entry in _meetings(seen, keys):
        account, owner = seen.account[row], keys.group[entry]
        own = group[account] == owner
        others, size = keys.members[entry] - own, keys.size[owner] - own
        chance = np.exp(-surprise[row])
        degree = seen.degree[seen.key[row]]
        elsewhere = np.minimum(chance * np.maximum(degree - keys.members[entry] + 1, 1) / degree, 1.0)
        nats = np.clip(np.log((others + PRIOR * chance) / (size + PRIOR) / elsewhere), 0.0, KEY_CAP)
        nats[others < 1] = 0.0
        kind = seen.kind[seen.key[row]]
        is_prompt = _is_prompt(seen, kind, nats)
        belonging[account[own]] = True
        inside += np.bincount(owner[is_prompt & own], minlength=groups)
        outside += np.bincount(owner[is_prompt & ~own], minlength=groups)
        some = slice(None) if whole is None else np.flatnonzero((nats > 0) | whole[account])
        # All groups of a row are there. Summed over groups, a few public prompts of many campaigns let everybody pass.
        first, _ = runs(row)
        most += np.bincount(account[first], weights=np.maximum.reduceat(nats, first), minlength=seen.n)
        pieces.append(
            _Rows(account[some].astype(np.int32), owner[some].astype(np.int32), nats[some], kind[some].astype(np.int16))
        )
    return _Met(pieces, most, belonging, inside, outside)


def _is_prompt(seen: Sightings, kind: Int64s | Int16s, nats: Float64s) -> Bools:
    """Which rows count as prompts of their groups."""
    out: Bools = (families_of(seen.kinds) == PROMPT)[kind] & (nats > 1.0)
    return out


def _meetings(seen: Sightings, keys: GroupKeys) -> Iterator[tuple[Int64s, Int64s]]:
    """All (row of ``seen``, row of ``keys``) with the same key, in order, about AT_ONCE at a time."""
    low = np.searchsorted(keys.key, np.arange(len(seen.degree) + 1))
    every = np.flatnonzero(np.diff(low)[seen.key])
    until = np.cumsum(np.diff(low)[seen.key[every]])
    first = 0
    while first < len(every):
        done = until[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(until, done + AT_ONCE, "right")))
        rows = every[first:last]
        count = np.diff(until[first:last], prepend=done)
        offset = np.arange(until[last - 1] - done) - np.repeat(np.cumsum(count) - count, count)
        yield np.repeat(rows, count), np.repeat(low[seen.key[rows]], count) + offset
        first = last


@dataclass(frozen=True, slots=True, eq=False)
class _PromptRates:
    """How often prompts are a group's."""

    sent: Float64s | None  # (n,) different prompts of each account; None: there is no such kind of key
    rate: Float64s  # (groups,) share of members' prompts
    base: Float64s  # (groups,) of all others'


def _prompt_rates(seen: Sightings, group: Int64s, met: _Met) -> _PromptRates:
    groups = len(met.inside)
    places = [i for i, family in enumerate(families_of(seen.kinds).tolist()) if family == PROMPT]
    if not places:
        return _PromptRates(None, np.zeros(groups), np.zeros(groups))
    sent = seen.shown[places].sum(axis=0).astype(np.float64)
    who = np.flatnonzero(met.belonging)
    total = summed(group[who], sent[who], groups)
    rate = np.clip((met.inside + 0.2) / (total + 1.0), 1e-4, 0.95)
    base = np.clip((met.outside + 0.5) / max(sent.sum(), 1.0), 1e-5, rate / 1.5)
    return _PromptRates(sent, rate, base)


def _prompt_work(rates: _PromptRates, account: Int64s, group: Int64s, shared: Float64s) -> Float64s:
    """Log-likelihood ratio of how many of an account's prompts are the group's, members' rate against the rest's."""
    if rates.sent is None:
        return np.full(len(account), np.inf)
    total = rates.sent[account]
    # Members differ, and a newcomer's prompts have had no time to be asked again by others: shares of one campaign
    # spread as those of ALIKE prompts would (beta-binomial), which takes less from who shows none yet.
    yes, no = (ALIKE * rates.rate)[group], (ALIKE * (1 - rates.rate))[group]
    unshared = np.maximum(total - shared, 0.0)
    within = betaln(yes + shared, no + unshared) - betaln(yes, no)
    out: Float64s = within - shared * np.log(rates.base)[group]  # elsewhere to show none is a matter of course
    out[total == 0] = 0.0
    return out


def cadence(accounts: Accounts, group: Int64s, who: Int64s, of: Int64s, size: Int64s) -> Float64s:
    """(rows,) log of how much commoner it is among the others of group ``of`` than among all to come when ``who`` did.

    Within LOT of its signup or of its first exchange, whichever the group has more in common: some sign up in lots,
    others are bought over months and woken in one night. ``group`` is (n,), -1 for accounts in none, and ``size``
    (groups,).
    """
    member = np.flatnonzero(group >= 0)
    best = np.full(len(size), -np.inf)
    out = np.zeros(len(who))
    for at, known in ((accounts.created, accounts.created >= 0), (accounts.begun, accounts.active_days > 0)):
        if not known.any():
            continue
        inside = member[known[member]]
        mean = summed(group[inside], _beside(at, known, group, inside, group[inside]), len(size))
        mean /= np.maximum(np.bincount(group[inside], minlength=len(size)), 1)
        better = mean > best
        out = np.where(better[of], _beside(at, known, group, who, of), out)
        best = np.maximum(best, mean)
    return out


def _beside(at: Int64s, known: Bools, group: Int64s, who: Int64s, of: Int64s) -> Float64s:
    """The same for one of the two moments; 0 for accounts of which it is not known."""
    ordered = np.sort(at[known])
    low, high = np.searchsorted(ordered, at - LOT, "left"), np.searchsorted(ordered, at + LOT, "right")
    width = len(ordered) + 1
    inside = np.flatnonzero(known & (group >= 0))
    places = np.sort(group[inside] * width + np.searchsorted(ordered, at[inside], "left"))
    there = np.searchsorted(places, of * width + high[who]) - np.searchsorted(places, of * width + low[who])
    among = np.bincount(group[inside], minlength=int(group.max(initial=-1)) + 1)[of]
    usual = np.maximum(high - low, 1)[who] / len(ordered)
    own = (group[who] == of) & known[who]
    odds = (there - own + PRIOR * usual) / (among - own + PRIOR) / usual
    out: Float64s = np.where(known[who], np.clip(np.log(odds), *CADENCE), 0.0)
    return out


def assign(
    seen: Sightings, surprise: Float64s, group: Int64s, accounts: Accounts | None = None, join: float = JOIN
) -> Int64s:
    """Each account to the group that it fits best, -1 where none reaches ``join``; small groups dissolve."""
    found = sums(seen, surprise, group, accounts, least=join)
    nats = found.nats
    enough = np.flatnonzero(nats >= join)
    order = enough[np.lexsort((found.group[enough], nats[enough], found.account[enough]))]
    who = found.account[order]
    best = order[np.concatenate([who[1:] != who[:-1], np.ones(min(1, len(who)), bool)])]
    out = np.full(seen.n, -1, np.int64)
    out[found.account[best]] = found.group[best]
    return compact(out, SMALLEST)


def rejoin(seen: Sightings, surprise: Float64s, group: Int64s, accounts: Accounts | None = None) -> Int64s:
    """Parts of one campaign put together: groups whose members find in each other what they have among themselves."""
    found = sums(seen, surprise, group, accounts, least=np.inf, whole=group >= 0)
    groups = len(found.size)
    if groups < 2:
        return group
    mine = group[found.account]
    member = mine >= 0
    code = mine[member] * groups + found.group[member]
    pairs, of = np.unique(code, return_inverse=True)
    raw = summed(of, found.raw[member], len(pairs))
    clipped = summed(of, found.nats[member], len(pairs))
    one, other = pairs // groups, pairs % groups
    own = np.zeros(groups)
    own[one[one == other]] = raw[one == other]
    size = found.size.astype(np.float64)
    # A part of the same campaign that is half as large holds half of the sharing.
    like = raw >= SAME * own[one] * np.minimum(1.0, size[other] / size[one])
    near = clipped / size[one] >= 0.75 * JOIN
    joins = set(zip(one[like & near].tolist(), other[like & near].tolist(), strict=True))
    root = list(range(groups))

    def find(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for a, b in sorted(joins):
        if a < b and (b, a) in joins:
            root[find(b)] = find(a)
    number = np.array([find(place) for place in range(groups)] + [-1], np.int64)
    return compact(number[group], SMALLEST)
