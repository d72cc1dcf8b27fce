"""Why a group is taken to be one, in figures that others can check, and what speaks against.

Of every key that members showed it is asked how many of them would have it if they were unrelated accounts of the same
country, plan and week of signup. What is known of that rate is what the rest of the accounts show, so the count by
chance is negative binomial: Poisson where many others have the key, wider where few do. That is also the exact test for
two Poisson rates being one (Przyborowski and Wilenski, Biometrika 31, 1940), which a Poisson with the rate filled in is
not: of a key that two accounts have in all, it would call every meeting within a group improbable.

A key is looked at because a member showed it; so the control of false discoveries (Benjamini and Hochberg, Journal of
the Royal Statistical Society B 57, 1995) goes over chances given that one member has the key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, gammaln

from service.domain.campaigns import CampaignEvidence, KeyEvidence, TimelineSpan
from service.domain.detection import Bools
from service.domain.facts import Float64s, Int64s
from service.domain.time import DAY, HOUR, WEEK
from service.linking.accounts import Accounts
from service.linking.families import FAMILIES, ORGANISED, family, organising
from service.linking.pairs import Ties
from service.linking.sightings import Sightings
from service.linking.traits import Traits

KEPT_KEYS = 200  # the least likely ...
KEPT_OF_A_KIND = 10  # ... and so many of each kind, or a thousand prompts would hide the one card
LEAST = 1e-300  # a chance below it is said as it; 0 would be a certainty
SURE = 0.05  # adjusted chance, from which on a key may be luck

TYPICAL = 10  # accounts
PICTURED = 120  # accounts in the picture
EDGES = 600

_THIN = 30.0  # showings in a stratum, below which its rate leans on the country's; in a country, on everybody's
_DENSE = 4_000_000  # pairs of key and stratum, up to which they are counted in a table
_SHORT, _LONG = 3 * DAY, 90 * DAY  # hours are shown of a campaign shorter than the first, weeks of one longer than the
_MOST_SPANS = 520  # ... second; ten years of weeks: a clock that stood at 1970 must not make thousands
_MONDAY = 4 * DAY  # the first one after the epoch

_MOSTLY = 0.5  # share of members or keys, from which something is said against
_ONE_COUNTRY, _OFFICE = 0.9, 0.85
_OFFICE_DAYS, _OFFICE_HOURS, _WEEK_HOURS = 5, 12, 168
_ENOUGH_WORK = 100  # exchanges, below which they show no office hours
_FEW = 8  # members
_DOUBTED = 0.2  # share of members that belong less surely than not

_WORDS = {"ip": "internet address", "ip_net": "network of addresses", "card": "payment card", "phone": "phone number"}


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What chance is judged against: who showed what, and how much of each kind is shown where."""

    seen: Sightings
    first: Int64s  # (k + 1,) where the rows of each key begin
    row: Int64s  # (rows,) rows by account
    of_account: Int64s  # (n + 1,) where those of each account begin
    country: Int64s  # (n,) from 0
    stratum: Int64s  # (n,) country, plan and week, from 0
    country_of: Int64s  # (strata,)
    in_country: Float64s  # (kinds, countries) keys shown
    in_stratum: Float64s  # (kinds, strata)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a run knows beside the keys. ``traits`` are of the same groups as the evidence; arrays are (n,)."""

    accounts: Accounts
    membership: Float64s  # how surely each belongs to its group; NaN: an analyst put it there
    honest: Bools  # under a legitimate verdict of analysts
    ties: Ties
    traits: Traits


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Exchanges, any order: place of the account, moment, tokens in and out together."""

    account: Int64s
    happened: Int64s
    tokens: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """Keys that members showed against chance, one element each, the least likely first."""

    key: Int64s  # place in ``seen``
    members: Int64s
    others: Int64s
    expected: Float64s
    chance: Float64s
    adjusted: Float64s
    looked_at: int  # keys that any member showed


def ground(seen: Sightings, country: Int64s, plan: Int64s, week: Int64s) -> Ground:
    """Once for all groups; ``country``, ``plan`` and ``week`` of signup are integers of shape (n,)."""
    _, place = np.unique(country, return_inverse=True)
    strata, stratum = np.unique(np.stack([place, plan, week]), axis=1, return_inverse=True)
    order = np.argsort(seen.account, kind="stable")

    def shown(where: Int64s, places: int) -> Float64s:
        return np.stack([np.bincount(where, weights=row, minlength=places) for row in seen.shown])

    return Ground(
        seen=seen,
        first=seen.first,
        row=order,
        of_account=np.searchsorted(seen.account[order], np.arange(seen.n + 1)),
        country=place,
        stratum=stratum.ravel(),
        country_of=strata[0],
        in_country=shown(place, int(place.max(initial=-1)) + 1),
        in_stratum=shown(stratum.ravel(), strata.shape[1]),
    )


def evidence(base: Ground, group: Int64s, which: int, known: Known, work: Work) -> CampaignEvidence:
    """The evidence for group ``which``; ``group`` of shape (n,) numbers groups from 0, -1 for accounts in none.

    The order of rows, ties and exchanges does not matter. Exchanges of others than members are left out.
    """
    member = np.flatnonzero(group == which)
    shared = _shared(base, member)
    inside = group[work.account] == which
    work = Work(work.account[inside], work.happened[inside], work.tokens[inside])
    left = known.traits.unexplained[which] if len(member) else np.zeros(len(FAMILIES))
    tied = _within(known.ties, group, which)
    typical = _typical(known, member, tied)
    return CampaignEvidence(
        keys=_kept(base.seen, shared),
        keys_looked_at=shared.looked_at,
        timeline=timeline(known.accounts.created[member], work),
        families=tuple((name, float(nats)) for name, nats in zip(FAMILIES, left, strict=True) if nats > 0),
        counter_evidence=_against(base, known, member, which, shared, work),
        typical_accounts=tuple(known.accounts.account[typical].tolist()),
        edges=_edges(known, member, tied, typical),
        as_of=known.accounts.as_of,
    )


# --- keys against chance --------------------------------------------------------------------------------------------


def _shared(base: Ground, member: Int64s) -> _Shared:
    seen = base.seen
    rows = base.row[_ranges(base.of_account[member], base.of_account[member + 1])]
    key, members = np.unique(seen.key[rows], return_counts=True)
    looked_at = len(key) + int(seen.shown[:, member].sum()) - len(rows)  # the rest was shown by one account alone
    key, members = key[members >= 2], members[members >= 2]
    others = seen.degree[key] - members
    expected = np.minimum(_expected(base, member, key, others), float(len(member)))
    known_by = (others + 1).astype(np.float64)  # accounts that say how often the key is shown
    chance = betainc(members, known_by, expected / (expected + known_by))
    logs = np.where(chance > LEAST, np.log(np.maximum(chance, LEAST)), _log_of(members, known_by, expected))
    given = np.minimum(logs - np.log(-np.expm1(-known_by * np.log1p(expected / known_by))), 0.0)
    order = np.lexsort((seen.hashes[key], seen.kind[key], -members, given))
    key, members, others, expected = key[order], members[order], others[order], expected[order]
    adjusted = given[order] + np.log(max(looked_at, 1)) - np.log(np.arange(1, len(order) + 1))
    adjusted = np.minimum(np.minimum.accumulate(adjusted[::-1])[::-1], 0.0)
    return _Shared(
        key,
        members,
        others,
        expected,
        np.clip(chance[order], LEAST, 1.0),
        np.maximum(np.exp(adjusted), LEAST),
        looked_at,
    )


def _log_of(members: Int64s, known_by: Float64s, expected: Float64s) -> Float64s:
    """The log of a tail that is too small for a number: its first term."""
    share = expected / (expected + known_by)
    ways = gammaln(members + known_by) - gammaln(known_by) - gammaln(members + 1)
    out: Float64s = ways + known_by * np.log1p(-share) + members * np.log(share)
    return out


def _expected(base: Ground, member: Int64s, key: Int64s, others: Int64s) -> Float64s:
    """(keys,) members that would have each key at the rates of the rest, in their own country, plan and week.

    The highest of a stratum's, its country's and everybody's rate counts. Unrelated members that show many keys of a
    kind are as many draws.
    """
    seen = base.seen
    kind = seen.kind[key]
    mine = seen.shown[:, member].astype(np.float64)
    everywhere = (others + 1.0) / np.maximum(base.in_country.sum(axis=1) - mine.sum(axis=1), 1.0)[kind]
    everywhere = np.minimum(everywhere, 1.0)
    who, place = _outside(base, member, key)
    at_home = _there(base.country, base.in_country, member, mine, who, place)
    rate = _rate(at_home, everywhere[at_home.key], kind)
    out: Float64s = everywhere * mine.sum(axis=1)[kind]
    out += at_home.adds(rate - everywhere[at_home.key], kind)
    alike = _there(base.stratum, base.in_stratum, member, mine, who, place)
    # Whoever has a key in a stratum has it in that stratum's country.
    country = np.searchsorted(at_home.here, base.country_of[alike.here])
    width = len(at_home.here)
    lean = rate[np.searchsorted(at_home.key * width + at_home.place, alike.key * width + country[alike.place])]
    out += alike.adds(_rate(alike, lean, kind) - lean, kind)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _There:
    """How many others have which keys in the countries, or strata, that members are of; one element a key and place."""

    here: Int64s  # (h,) the countries or strata
    key: Int64s
    place: Int64s  # in ``here``
    count: Int64s
    mine: Float64s  # (kinds, h) keys that members showed
    rest: Float64s  # (kinds, h) and others

    def adds(self, rate: Float64s, kind: Int64s) -> Float64s:
        """(keys,) members that a rate adds."""
        return np.asarray(np.bincount(self.key, rate * self.mine[kind[self.key], self.place], len(kind)), np.float64)


def _there(of: Int64s, table: Float64s, member: Int64s, mine: Float64s, who: Int64s, key: Int64s) -> _There:
    here, where = np.unique(of[member], return_inverse=True)
    shown = np.stack([np.bincount(where, row, len(here)) for row in mine]).astype(np.float64)
    number = np.full(table.shape[1], -1, np.int64)
    number[here] = np.arange(len(here))
    place = number[of[who]]
    code = (key * len(here) + place)[place >= 0]
    if int(code.max(initial=0)) <= _DENSE:  # a public prompt's thousands of rows are counted faster than sorted
        dense = np.bincount(code)
        code = np.flatnonzero(dense)
        count = dense[code]
    else:
        code, count = np.unique(code, return_counts=True)
    return _There(here, code // len(here), code % len(here), count, shown, table[:, here] - shown)


def _rate(there: _There, lean: Float64s, kind: Int64s) -> Float64s:
    """How often keys are shown where ``there`` has them, at least as often as ``lean``."""
    shown = there.rest[kind[there.key], there.place]
    out: Float64s = np.maximum(np.minimum((there.count + lean * _THIN) / (shown + _THIN), 1.0), lean)
    return out


def _outside(base: Ground, member: Int64s, key: Int64s) -> tuple[Int64s, Int64s]:
    """Accounts that have the keys and are no members, with the place of the key."""
    who = base.seen.account[_ranges(base.first[key], base.first[key + 1])]
    place = np.repeat(np.arange(len(key)), base.seen.degree[key])
    inside = np.zeros(base.seen.n, bool)
    inside[member] = True
    return who[~inside[who]], place[~inside[who]]


def _ranges(start: Int64s, end: Int64s) -> Int64s:
    """All numbers from each start until before its end."""
    count = end - start
    out: Int64s = np.arange(int(count.sum())) + np.repeat(start - np.cumsum(count) + count, count)
    return out


def _kept(seen: Sightings, shared: _Shared) -> tuple[KeyEvidence, ...]:
    kind = seen.kind[shared.key]
    by_kind = np.argsort(kind, kind="stable")
    rank = np.empty(len(kind), np.int64)
    rank[by_kind] = np.arange(len(kind)) - np.searchsorted(kind[by_kind], kind[by_kind])
    first = np.lexsort((np.arange(len(kind)), rank >= KEPT_OF_A_KIND))[:KEPT_KEYS]
    return tuple(
        KeyEvidence(
            key_type=seen.kinds[kind[at]],
            key=int(seen.hashes[shared.key[at]]),
            members=int(shared.members[at]),
            others=int(shared.others[at]),
            expected_members=float(shared.expected[at]),
            chance=float(shared.chance[at]),
            adjusted_chance=float(shared.adjusted[at]),
        )
        for at in np.sort(first).tolist()
    )


# --- what members did when ------------------------------------------------------------------------------------------


def timeline(created: Int64s, work: Work) -> tuple[TimelineSpan, ...]:
    """Hours, days or weeks (from Monday, in UTC) from the first signup or exchange to the last, quiet ones too."""
    moments = np.concatenate([created, work.happened])
    if not len(moments):
        return ()
    low, high = int(moments.min()), int(moments.max())
    unit = HOUR if high - low < _SHORT else DAY if high - low <= _LONG else WEEK
    while (high - low) // unit >= _MOST_SPANS:
        unit *= 2
    start = (low - _MONDAY) // unit * unit + _MONDAY
    spans = (high - start) // unit + 1
    at = (work.happened - start) // unit
    accounts = int(work.account.max(initial=0)) + 1
    signups = np.bincount((created - start) // unit, minlength=spans)
    active = np.bincount(np.unique(at * accounts + work.account) // accounts, minlength=spans)
    exchanges = np.bincount(at, minlength=spans)
    tokens = np.zeros(spans, np.int64)
    np.add.at(tokens, at, work.tokens.astype(np.int64))
    columns = zip(signups.tolist(), active.tolist(), exchanges.tolist(), tokens.tolist(), strict=True)
    return tuple(
        TimelineSpan(start + place * unit, start + (place + 1) * unit, *counts) for place, counts in enumerate(columns)
    )


# --- the picture ----------------------------------------------------------------------------------------------------


def _within(ties: Ties, group: Int64s, which: int) -> Ties:
    inside = (group[ties.left] == which) & (group[ties.right] == which)
    return Ties(ties.left[inside], ties.right[inside], ties.families[inside])


def _pull(member: Int64s, tied: Ties) -> Float64s:
    """(members,) nats that tie each to others of the group; both ends of all ties are members."""
    size, strength = len(member), tied.strength
    ends = (np.searchsorted(member, tied.left), np.searchsorted(member, tied.right))
    return np.asarray(sum(np.bincount(end, strength, size) for end in ends), np.float64)


def _typical(known: Known, member: Int64s, tied: Ties) -> Int64s:
    surely = np.nan_to_num(known.membership[member].astype(np.float64), nan=-1.0)
    order = np.lexsort((known.accounts.account[member], -_pull(member, tied), -surely))
    return member[order[:TYPICAL]]


def _edges(known: Known, member: Int64s, tied: Ties, typical: Int64s) -> tuple[tuple[int, int, float, str], ...]:
    """The strongest ties among the typical members and those who are tied most."""
    account, pull = known.accounts.account, _pull(member, tied)
    pull[np.searchsorted(member, typical)] = np.inf
    drawn = np.flatnonzero(pull > 0)
    drawn = member[drawn[np.lexsort((account[member[drawn]], -pull[drawn]))][:PICTURED]]
    shown = np.isin(tied.left, drawn) & np.isin(tied.right, drawn)
    left, right, families = tied.left[shown], tied.right[shown], tied.families[shown]
    strength = families.sum(axis=1)
    strongest = np.lexsort((account[right], account[left], -strength))[:EDGES]
    kind = families[strongest].argmax(axis=1)
    return tuple(
        (int(account[left[at]]), int(account[right[at]]), float(strength[at]), FAMILIES[name])
        for at, name in zip(strongest.tolist(), kind.tolist(), strict=True)
    )


# --- what speaks against --------------------------------------------------------------------------------------------


def _against(base: Ground, known: Known, member: Int64s, which: int, shared: _Shared, work: Work) -> tuple[str, ...]:
    said = [
        *(
            _organisation(base.seen, shared, name, float(known.traits.explained[which, at]), len(member))
            for at, name in enumerate(ORGANISED)
            if len(member) and known.traits.explained[which, at] >= _MOSTLY
        ),
        _office(known.accounts.country[member], work.happened),
        _few(len(member)),
        _doubted(known.membership[member]),
        _cleared(int(known.honest[member].sum()), len(member)),
        _common(base.seen, shared),
        _lucky(shared),
    ]
    return tuple(each for each in said if each)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _word(kind: str) -> str:
    if kind.startswith("custom."):
        return f"key “{kind.removeprefix('custom.')}”"
    return _WORDS.get(kind, kind.replace("_", " "))


def _accounts(number: int) -> str:
    return "1 other account has" if number == 1 else f"{number:,} other accounts have"


def _organisation(seen: Sightings, shared: _Shared, name: str, explained: float, size: int) -> str:
    """Says what explains it: ``91 % of the members share one mail domain, which hardly anybody else has: ...``."""
    of_family = np.array([family(kind) == name and organising(kind) for kind in seen.kinds], bool)
    keys = np.flatnonzero(of_family[seen.kind[shared.key]])
    if not len(keys):
        return ""
    top = keys[np.argmax(shared.members[keys])]
    members, others = int(shared.members[top]), int(shared.others[top])
    kind = _word(seen.kinds[seen.kind[shared.key[top]]])
    if members < _MOSTLY * size:
        return (
            f"{_percent(explained)} of the members have in common with at least a quarter of them what an organisation "
            f"gives out (the commonest is one {kind}, of {_percent(members / size)}): they may be a few organisations."
        )
    if others == 0:
        whose = "nobody else has"
    elif others <= max(2, 0.05 * members):
        whose = "hardly anybody else has"
    else:
        whose = f"{_accounts(others)}, too"
    return f"{_percent(members / size)} of the members share one {kind}, which {whose}: they may be one organisation."


def _office(country: Int64s, happened: Int64s) -> str:
    """One country (0: unknown) and office hours, wherever the office's clock stands."""
    where = country[country != 0]
    if 2 * len(where) < len(country) or not len(where) or len(happened) < _ENOUGH_WORK:
        return ""
    home = float(np.unique(where, return_counts=True)[1].max() / len(where))
    by_hour = np.bincount((happened - _MONDAY) // HOUR % _WEEK_HOURS, minlength=_WEEK_HOURS)
    open_hours = np.add.outer(np.arange(_OFFICE_DAYS) * 24, np.arange(_OFFICE_HOURS)).ravel()
    within = by_hour[np.add.outer(np.arange(_WEEK_HOURS), open_hours) % _WEEK_HOURS].sum(axis=1)
    office = float(within.max() / len(happened))
    if home < _ONE_COUNTRY or office < _OFFICE:
        return ""
    return (
        f"{_percent(home)} of the members are in one country, and {_percent(office)} of their exchanges fall on the "
        f"same {_OFFICE_DAYS} days of the week within the same {_OFFICE_HOURS} hours: they may be one office at work."
    )


def _few(size: int) -> str:
    if size >= _FEW:
        return ""
    return f"There are only {size} members: a family, a small firm or one person with several accounts looks like it."


def _doubted(membership: Float64s) -> str:
    known = membership[~np.isnan(membership)]
    share = float((known < 0.5).mean()) if len(known) else 0.0
    return f"{_percent(share)} of the members belong less surely than not." if share >= _DOUBTED else ""


def _cleared(honest: int, size: int) -> str:
    return f"Analysts found {honest:,} of the {size:,} members honest." if honest else ""


def _common(seen: Sightings, shared: _Shared) -> str:
    hubs = shared.others > shared.members
    if not len(hubs) or hubs.mean() < _MOSTLY:
        return ""
    at = np.lexsort((seen.hashes[shared.key], -shared.others))[0]
    return (
        f"{_percent(float(hubs.mean()))} of the keys that members share are with more others than members; the "
        f"commonest, one {_word(seen.kinds[seen.kind[shared.key[at]]])}, {_accounts(int(shared.others[at]))}."
    )


def _lucky(shared: _Shared) -> str:
    if (shared.adjusted < SURE).any():
        return ""
    return (
        f"Chance alone may explain every key that members share, once all {shared.looked_at:,} keys looked at are "
        "allowed for."
    )
