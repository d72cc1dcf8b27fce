"""The fold of campaigns: which one an account belongs to, and how its keys tie it to one, as of a moment.

A campaign is live at a moment if it had passed the evidence threshold, or analysts had confirmed it, and neither was
undone by then. Suspicions, refuted and merged campaigns count for nobody. One definition for one account and for
millions, to the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.campaigns import CampaignState
from service.domain.detection import STATE_CODES, CampaignRows
from service.domain.facts import Float64s, Int64s
from service.tiles.fold import expand, search
from service.tiles.history import FRAUD, LEGITIMATE, History, OwnLinks
from service.tiles.sharing import known_keys, standing_verdict

MEASURES = (
    "belongs",  # 1: to a live campaign
    "score",  # of the live campaign that it belongs to; 0: none; NaN: that exists by an analyst's word alone
    "membership",  # how surely it belongs, 0 to 1; 0: none; NaN: an analyst put it there
    "members",
    "confirmed",  # 1: analysts confirmed that campaign
    "tie",  # of an account in none: nats that its keys add for "belongs" to the live campaign they speak for most
    "tie_private",  # of those keys, the ones that hardly anybody else has
    "tie_families",  # families of keys that say at least SAYS
    "tie_grade",  # NO_TIE, CLEAR or STRONG
    "tie_confirmed",
    "verdict",  # FRAUD or LEGITIMATE on the account itself, where it belongs or is tied to a campaign
)
SAYS = 1.0  # nats from which on a family of keys says something
STRONG_TIE = 12.0  # nats

# CLEAR: a private key, and a second family that says something. STRONG: STRONG_TIE from two families or more.
NO_TIE, CLEAR, STRONG = 0, 1, 2

_DETECTED, _CONFIRMED = STATE_CODES[CampaignState.DETECTED], STATE_CODES[CampaignState.CONFIRMED]
_PLACE = {name: place for place, name in enumerate(MEASURES)}

_Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Belonging:
    """``values[i, m]``: probe i, measure m of ``MEASURES``."""

    values: Float64s
    campaign: Int64s  # (n,) number of the campaign that it belongs to, else of the one it is tied to most; 0: none
    tied_probe: Int64s  # rows (probe, kind): a key of that kind speaks for the probe's ``campaign``
    tied_kind: Int64s

    def column(self, name: str) -> Float64s:
        """Shape (n,)."""
        return np.ascontiguousarray(self.values[:, _PLACE[name]])


@dataclass(frozen=True, slots=True)
class _Held:
    """One row per (probe, campaign, own key that speaks for it)."""

    probe: Int64s
    kind: Int64s
    campaign: Int64s
    state: Int64s  # place of the state row that held
    weight: Float64s
    private: _Bools
    family: NDArray[np.int8]

    def at(self, rows: Int64s) -> _Held:
        return _Held(*(getattr(self, name)[rows] for name in _Held.__dataclass_fields__))


def fold_campaigns(history: History, account: Int64s, as_of: Int64s) -> Belonging:
    """What campaigns ``account[i]`` belonged or was tied to as of ``as_of[i]``."""
    none = np.empty(0, np.int64)
    out = Belonging(np.zeros((len(account), len(MEASURES))), np.zeros(len(account), np.int64), none, none)
    if not len(history.campaigns):
        return out
    rows = _by_moment(history.campaigns.rows)
    _belong(out, rows, account, as_of)
    if len(rows.key):
        held = _held(history.own, rows, account, as_of)
        _tie(out, held, rows)
        mine = held.campaign == out.campaign[held.probe]
        tied = np.unique(np.stack([held.probe[mine], held.kind[mine]], axis=1), axis=0)
        out = Belonging(out.values, out.campaign, tied[:, 0].copy(), tied[:, 1].copy())
    concerned = np.flatnonzero(out.campaign)
    under = standing_verdict(history.spans, account[concerned], as_of[concerned])
    out.values[concerned, _PLACE["verdict"]] = under @ np.array([FRAUD, LEGITIMATE])
    return out


def _by_moment(rows: CampaignRows) -> CampaignRows:
    """The same with states by (campaign, moment)."""
    by = np.lexsort((rows.state_at, rows.state_campaign))
    names = [name for name in CampaignRows.__dataclass_fields__ if name.startswith("state")]
    return CampaignRows(
        **{
            name: getattr(rows, name)[by] if name in names else getattr(rows, name)
            for name in CampaignRows.__dataclass_fields__
        }
    )


def _live(rows: CampaignRows, campaign: Int64s, at: Int64s) -> tuple[Int64s, _Bools]:
    """The place of the state row that held at each moment, and whether it says that the campaign was live."""
    low = np.searchsorted(rows.state_campaign, campaign, "left")
    high = np.searchsorted(rows.state_campaign, campaign, "right")
    last = search(rows.state_at, low, high, at) - 1
    known = last >= low
    place = np.where(known, last, 0)
    if not len(rows.state):
        return place, known
    return place, known & ((rows.state[place] == _DETECTED) | (rows.state[place] == _CONFIRMED))


def _belong(out: Belonging, rows: CampaignRows, account: Int64s, as_of: Int64s) -> None:
    """Fills in the live campaign that each account belongs to: a confirmed one first, then by score."""
    by = np.argsort(rows.member_account, kind="stable")
    who = rows.member_account[by]
    probe, row = expand(np.searchsorted(who, account, "left"), np.searchsorted(who, account, "right"))
    row = by[row] if len(row) else row
    at = as_of[probe]
    state, live = _live(rows, rows.member_campaign[row], at)
    inside = live & (rows.member_start[row] <= at) & (at < rows.member_end[row])
    probe, row, state = probe[inside], row[inside], state[inside]
    if not len(probe):
        return
    confirmed = rows.state[state] == _CONFIRMED
    score = rows.state_score[state]
    best = _first(probe, ~confirmed, -np.nan_to_num(score, nan=0.0), rows.member_campaign[row])
    probe, row, state = probe[best], row[best], state[best]
    out.campaign[probe] = rows.member_campaign[row]
    out.values[probe, _PLACE["belongs"]] = 1.0
    out.values[probe, _PLACE["score"]] = rows.state_score[state]
    out.values[probe, _PLACE["membership"]] = rows.membership[row]
    out.values[probe, _PLACE["members"]] = rows.state_members[state]
    out.values[probe, _PLACE["confirmed"]] = rows.state[state] == _CONFIRMED


def _first(group: Int64s, *ranks: NDArray[np.generic]) -> Int64s:
    """Of each group the row that ranks first, by the first of ``ranks``, then the next."""
    by: Int64s = np.lexsort((*ranks[::-1], group))
    fresh = np.concatenate([[True], group[by][1:] != group[by][:-1]])
    out: Int64s = by[fresh]
    return out


def _held(own: OwnLinks, rows: CampaignRows, account: Int64s, as_of: Int64s) -> _Held:
    """Keys of each probe's account, known by then, that spoke for a live campaign then."""
    by = np.argsort(rows.key, kind="stable")
    key = rows.key[by]
    who = np.unique(own.account[_among(own.key, key)])
    probes = np.flatnonzero(_among(account, who))
    mine = np.flatnonzero(_among(own.account, who))
    kinds = np.unique(rows.key_kind).astype(np.int64)
    concerned = OwnLinks(own.account[mine], own.kind[mine], own.key[mine], own.learned[mine])
    known = known_keys(concerned, account[probes], as_of[probes], kinds)
    pair, row = expand(np.searchsorted(key, known.key, "left"), np.searchsorted(key, known.key, "right"))
    row = by[row] if len(row) else row
    probe = probes[known.probe[pair]]
    at = as_of[probe]
    state, live = _live(rows, rows.key_campaign[row], at)
    inside = live & (rows.key_start[row] <= at) & (at < rows.key_end[row])
    probe, pair, row, state = probe[inside], pair[inside], row[inside], state[inside]
    return _Held(
        probe=probe,
        kind=kinds[known.kind[pair]],
        campaign=rows.key_campaign[row],
        state=state,
        weight=rows.key_weight[row],
        private=rows.key_private[row],
        family=rows.key_family[row],
    )


def _among(values: Int64s, ascending: Int64s) -> _Bools:
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.equal(ascending[place], values)


def _tie(out: Belonging, held: _Held, rows: CampaignRows) -> None:
    """Fills in the strongest tie of accounts that belong to no live campaign: by what it would lead to, then nats."""
    alone = held.at(np.flatnonzero(out.campaign[held.probe] == 0))
    if not len(alone.probe):
        return
    by = np.lexsort((alone.campaign, alone.probe))
    alone = alone.at(by)
    fresh = np.ones(len(by), np.bool_)
    fresh[1:] = (alone.probe[1:] != alone.probe[:-1]) | (alone.campaign[1:] != alone.campaign[:-1])
    start = np.flatnonzero(fresh)
    group = np.cumsum(fresh) - 1
    nats, families, grade = _weigh(alone, group, len(start))
    confirmed = rows.state[alone.state[start]] == _CONFIRMED
    probe, campaign = alone.probe[start], alone.campaign[start]
    leads_to = np.where(grade == NO_TIE, 0, np.where(confirmed, STRONG + 1, grade))
    best = _first(probe, -leads_to, -nats, campaign)
    probe = probe[best]
    out.campaign[probe] = campaign[best]
    for name, values in (
        ("tie", nats),
        ("tie_private", np.bincount(group, alone.private, minlength=len(start))),
        ("tie_families", families),
        ("tie_grade", grade),
        ("tie_confirmed", confirmed),
    ):
        out.values[probe, _PLACE[name]] = values[best]


def _weigh(held: _Held, group: Int64s, groups: int) -> tuple[Float64s, Int64s, Int64s]:
    """Nats, families that say something, and grade of each group's keys: of a family the heaviest key counts.

    Families are added in their order, so that a group's sum does not depend on which others are beside it.
    """
    nats = np.zeros(groups)
    families, private, either = (np.zeros(groups, np.int64) for _ in range(3))
    for family in np.unique(held.family).tolist():
        rows = held.family == family
        heaviest = np.zeros(groups)
        np.maximum.at(heaviest, group[rows], held.weight[rows])
        holds = np.bincount(group[rows], held.private[rows], minlength=groups) > 0
        says = heaviest >= SAYS
        nats += heaviest
        families += says
        private += holds
        either += says | holds
    clear = (private >= 1) & (families >= 1) & (either >= 2)
    strong = (nats >= STRONG_TIE) & (families >= 2)
    return nats, families, np.where(strong, STRONG, np.where(clear, CLEAR, NO_TIE))
