"""Which campaign a found group is: it keeps its id as it grows, and analysts' placements stay.

A group continues the standing campaign whose members it holds. Of several in one group the one under a verdict goes on
(confirmed, then detected, then suspected; of equals the one with most members there, then the oldest) and takes the
others in. What analysts decided is never undone by a run: a confirmed campaign is not merged away, a refuted one is not
found again under another name, whom they placed stays and whom they took out stays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from service.domain.campaigns import LIVE_STATES, CampaignState
from service.domain.detection import PLACED_DETECT, Bools, Standing
from service.domain.facts import Int64s
from service.linking.membership import SMALLEST

GROWN = 2  # times as many as were refuted: a group that has grown so far is looked at again
_PART = 3  # a third of a campaign, or of a group, is a part of it; less is by the way
_NAMED_BY = 8  # members, the smallest hashes, that a new id is made from

_RANK = {CampaignState.CONFIRMED: 0, CampaignState.DETECTED: 1, CampaignState.SUSPECTED: 2}
_NOT_LIVE = len(_RANK)
_NOBODY = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """A campaign as a run leaves it."""

    campaign_id: str
    accounts: Int64s  # hashes, ascending; also members whom the run did not find, or does not know
    group: int  # the found group that it continues; -1: none, members only left it for others
    standing: int  # its place in ``Standing``; -1: it is new
    merged_from: tuple[str, ...] = ()  # suspicions and detected campaigns that are part of it now
    split_from: str | None = None  # of a new one, the campaign that it was a third of or more


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What stands and what was found, by places of accounts (n,), of campaigns (s,) and of groups (g,)."""

    standing: Standing
    account: Int64s  # (n,) hashes
    group: Int64s  # (n,) without those who stay out
    mine: Int64s  # (n,) the live or suspected campaign of each account, -1: none
    held: Bools  # (n,) placed there by analysts
    again: Bools  # (g,) refuted people found again
    rank: Int64s  # (s,)
    total: Int64s  # (s,) accounts in each
    size: Int64s  # (g,)
    least: Int64s  # (g,) the first account of each: numbers of groups mean nothing


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Campaigns and groups with members in common, those with the first claim first."""

    campaign: Int64s
    group: Int64s
    overlap: Int64s
    movable: Int64s  # of them, whom a run may take elsewhere


@dataclass(slots=True)
class _Claims:
    """Who continues as what."""

    keeper: Int64s  # (g,) the campaign that goes on as this group; from (s,) on a new one; -1: none
    group: Int64s  # (s,) the group that a campaign goes on as
    into: Int64s  # (s,) itself, or what it is merged into
    apart: set[tuple[int, int]]  # (campaign, group): confirmed ones beside another confirmed one
    came_from: list[int]  # of new ones, the campaign that they were split from, or -1


def match(
    group: Int64s,
    account: Int64s,
    standing: Standing,
    as_of: int,
    *,
    fraud: Int64s = _NOBODY,
    worth: Bools | None = None,
) -> list[Matched]:
    """The campaigns that a run found, by id.

    ``group`` of shape (n,) numbers found groups from 0, -1 for accounts in none; ``account`` (n,) are their hashes,
    ascending and distinct; ``fraud`` are hashes of accounts under a fraud verdict. Every account is in one campaign at
    most. The same input, in any numbering of groups, gives the same answer and the same new ids. ``worth`` (groups,)
    are those that may become new campaigns, None: all; members of the others stay where they stand.

    - A group continues a campaign with a third of that campaign's members, or whose members are a third of the group;
      one that analysts' labels made, with any; but two of several at least. The largest part of a campaign keeps the
      id. Another part of a third or more is split off; a smaller one that is its members by half stays with it, too.
    - A suspected or detected campaign with half of its members in another one's group is merged into that.
    - Two confirmed campaigns in one group stay two: both keep their members, and newcomers go to the one with more.
    - Members of detected and confirmed campaigns stay although no group has them, unless they are now in a group that
      is another campaign. Whom analysts or labels placed, and whoever is under a fraud verdict in a confirmed campaign,
      stays in any case. Whom analysts took out of a campaign never comes back into it.
    - Members of a refuted campaign, and those taken out of one who are nowhere else, stay out of every campaign, and
      make no new one where they are half of a group, until the group is GROWN times as large as they were.
    - Detected and confirmed campaigns without a group are among the answers only where they lose or gain members;
      suspicions without a group never, which closes them.
    """
    scene = _scene(group, account, standing, fraud)
    pairs = _pairs(scene)
    claims = _claims(scene, pairs)
    _settle_others(scene, pairs, claims, np.ones(len(scene.size), bool) if worth is None else worth)
    return _matched(scene, claims, _placed(scene, claims), as_of)


def regrouped(matched: list[Matched], account: Int64s) -> Int64s:
    """(n,) the place in ``matched`` of each account's campaign, -1 for those in none."""
    out = np.full(len(account), -1, np.int64)
    for at, each in enumerate(matched):
        place, known = _places(account, each.accounts)
        out[place[known]] = at
    return out


def _places(account: Int64s, wanted: Int64s) -> tuple[Int64s, Bools]:
    if not len(account):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(account, wanted), len(account) - 1)
    return place, np.equal(account[place], wanted)


# --- what stands ----------------------------------------------------------------------------------------------------


def _scene(group: Int64s, account: Int64s, standing: Standing, fraud: Int64s) -> _Scene:
    rank = np.array([_RANK.get(state, _NOT_LIVE) for state in standing.state], np.int64)
    place, known = _places(account, standing.member_account)
    place, campaign = place[known], standing.member_campaign[known]
    stays = standing.member_placed[known] != PLACED_DETECT
    stays |= (rank[campaign] == 0) & np.isin(account[place], fraud)
    live = np.flatnonzero(rank[campaign] < _NOT_LIVE)
    age = standing.created_at[campaign[live]]
    # Who is in several campaigns counts for the one that analysts placed it in, else for the one with the verdict.
    last_wins = live[np.lexsort((-campaign[live], -age, -rank[campaign[live]], stays[live]))]
    mine, held = np.full(len(account), -1, np.int64), np.zeros(len(account), bool)
    mine[place[last_wins]], held[place[last_wins]] = campaign[last_wins], stays[last_wins]
    groups = int(group.max(initial=-1)) + 1
    out = _cleared(group, mine, standing, rank, (place, campaign), _places(account, standing.barred_account))
    size = np.bincount(group[group >= 0], minlength=groups)
    again = 2 * np.bincount(group[out], minlength=groups) >= np.maximum(size, 1)
    left = np.where(out, -1, group)
    least = np.full(groups, len(account), np.int64)
    inside = np.flatnonzero(left >= 0)
    np.minimum.at(least, left[inside], inside)
    return _Scene(
        standing=standing,
        account=account,
        group=left,
        mine=mine,
        held=held,
        again=again,
        rank=rank,
        total=np.bincount(mine[mine >= 0], minlength=len(rank)),
        size=np.bincount(left[inside], minlength=groups),
        least=least,
    )


def _cleared(
    group: Int64s,
    mine: Int64s,
    standing: Standing,
    rank: Int64s,
    members: tuple[Int64s, Int64s],
    barred: tuple[Int64s, Bools],
) -> Bools:
    """(n,) members of found groups whom analysts cleared, in groups that have not grown since."""
    size = np.bincount(group[group >= 0], minlength=1)
    refuted = rank[members[1]] == _NOT_LIVE
    place = np.concatenate([members[0][refuted], barred[0][barred[1]]])
    campaign = np.concatenate([members[1][refuted], standing.barred_campaign[barred[1]]])
    out = np.zeros(len(group), bool)
    for each in np.unique(campaign).tolist():
        people = np.unique(place[campaign == each])
        # Who is in another campaign by now, by an analyst's splitting or for its growth, counts but is not cleared.
        there = people[(group[people] >= 0) & (mine[people] < 0)]
        out[there[size[group[there]] < GROWN * len(people)]] = True
    return out


# --- who continues as what ------------------------------------------------------------------------------------------


def _pairs(scene: _Scene) -> _Pairs:
    groups = max(len(scene.size), 1)
    both = np.flatnonzero((scene.group >= 0) & (scene.mine >= 0))
    code, of, overlap = np.unique(
        scene.mine[both] * groups + scene.group[both], return_inverse=True, return_counts=True
    )
    movable = np.bincount(of, weights=~scene.held[both], minlength=len(code)).astype(np.int64)
    campaign, group = code // groups, code % groups
    age = scene.standing.created_at[campaign]
    order = np.lexsort((scene.least[group], campaign, age, -overlap, scene.rank[campaign]))
    return _Pairs(campaign[order], group[order], overlap[order], movable[order])


def _claims(scene: _Scene, pairs: _Pairs) -> _Claims:
    groups, campaigns = len(scene.size), len(scene.rank)
    claims = _Claims(
        keeper=np.full(groups, -1, np.int64),
        group=np.full(campaigns, -1, np.int64),
        into=np.arange(campaigns),
        apart=set(),
        came_from=[],
    )
    labelled = np.array([origin == "label" for origin in scene.standing.origin], bool)
    part = _PART * pairs.overlap >= np.minimum(scene.total[pairs.campaign], scene.size[pairs.group])
    part |= labelled[pairs.campaign]
    part &= (pairs.overlap >= 2) | (pairs.overlap == scene.total[pairs.campaign])  # one label of several is an accident
    rows = zip(pairs.campaign[part].tolist(), pairs.group[part].tolist(), pairs.overlap[part].tolist(), strict=True)
    for campaign, group, overlap in rows:
        if claims.keeper[group] < 0:
            if claims.group[campaign] < 0 and claims.into[campaign] == campaign:
                claims.keeper[group], claims.group[campaign] = campaign, group
        elif scene.rank[campaign] == 0:
            claims.apart.add((campaign, group))
        elif claims.group[campaign] < 0 and 2 * overlap >= scene.total[campaign]:
            claims.into[campaign] = claims.keeper[group]
    return claims


def _settle_others(scene: _Scene, pairs: _Pairs, claims: _Claims, worth: Bools) -> None:
    """Groups that continue no campaign are part of one, or split off one, or new."""
    order = np.lexsort((np.arange(len(pairs.group)), -pairs.overlap, pairs.group))
    first = order[np.concatenate([np.ones(min(1, len(order)), bool), np.diff(pairs.group[order]) != 0])]
    largest = dict(zip(pairs.group[first].tolist(), first.tolist(), strict=True))
    free = np.flatnonzero((claims.keeper < 0) & (scene.size > 0) & ~scene.again & worth)
    for group in free[np.argsort(scene.least[free])].tolist():
        row = largest.get(group)
        came_from = -1
        if row is not None:
            campaign = int(pairs.campaign[row])
            if _PART * pairs.movable[row] >= scene.total[campaign]:
                came_from = campaign
            elif 2 * pairs.overlap[row] >= scene.size[group]:
                keeper = int(claims.into[campaign])
                claims.keeper[group] = keeper
                if claims.group[keeper] < 0:
                    claims.group[keeper] = group
                continue
        claims.keeper[group] = len(scene.rank) + len(claims.came_from)
        claims.came_from.append(came_from)


# --- who is in which ------------------------------------------------------------------------------------------------


def _placed(scene: _Scene, claims: _Claims) -> Int64s:
    """(n,) the campaign of each account, from (s,) on new ones; -1: none."""
    campaigns = len(scene.rank)
    into = np.append(claims.into, -1)  # the last one is for -1
    target = np.append(claims.keeper, -1)[scene.group]
    for confirmed, shared in claims.apart:
        target[(scene.mine == confirmed) & (scene.group == shared)] = confirmed
    target[scene.held] = into[scene.mine[scene.held]]
    place, known = _places(scene.account, scene.standing.barred_account)
    place, campaign = place[known], scene.standing.barred_campaign[known]
    out = target[place] == campaign
    # What was taken out of a campaign stays out of what that is merged into, except who is a member there anyhow.
    out |= (target[place] == into[campaign]) & (scene.mine[place] != into[campaign])
    target[place[out]] = -1
    new = target >= campaigns
    few = np.bincount(target[new], minlength=campaigns + len(claims.came_from)) < SMALLEST
    target[new] = np.where(few[target[new]], -1, target[new])
    live = np.append([state in LIVE_STATES for state in scene.standing.state], [False]).astype(bool)
    sticks = (target < 0) & live[scene.mine]
    sticks[place[(scene.mine[place] != into[scene.mine[place]]) & (into[scene.mine[place]] == campaign)]] = False
    target[sticks] = into[scene.mine[sticks]]
    return target


def _matched(scene: _Scene, claims: _Claims, target: Int64s, as_of: int) -> list[Matched]:
    standing, campaigns = scene.standing, len(scene.rank)
    unknown = _unknown(scene, claims)
    found: list[Matched] = []
    order = np.argsort(target, kind="stable")
    bounds = np.searchsorted(target[order], np.arange(campaigns + len(claims.came_from) + 1))
    merged: dict[int, list[int]] = {}
    for source in np.flatnonzero(claims.into != np.arange(campaigns)).tolist():
        merged.setdefault(int(claims.into[source]), []).append(source)
    for campaign in range(campaigns):
        if scene.rank[campaign] == _NOT_LIVE or claims.into[campaign] != campaign:
            continue
        members = scene.account[order[bounds[campaign] : bounds[campaign + 1]]]
        members = np.union1d(members, unknown.get(campaign, _NOBODY))
        if claims.group[campaign] < 0 and (
            standing.state[campaign] not in LIVE_STATES or not _changed(standing, campaign, members)
        ):
            continue
        sources = sorted(merged.get(campaign, []), key=lambda each: (scene.rank[each], standing.created_at[each], each))
        found.append(
            Matched(
                standing.campaign_id[campaign],
                members,
                int(claims.group[campaign]),
                campaign,
                merged_from=tuple(standing.campaign_id[each] for each in sources),
            )
        )
    group_of = {int(keeper): group for group, keeper in enumerate(claims.keeper.tolist()) if keeper >= campaigns}
    taken = set(standing.campaign_id)
    for number, source in enumerate(claims.came_from, start=campaigns):
        members = scene.account[order[bounds[number] : bounds[number + 1]]]
        if not len(members):
            continue
        split_from = standing.campaign_id[source] if source >= 0 else None
        found.append(Matched(_new_id(as_of, members, taken), members, group_of[number], -1, split_from=split_from))
    return sorted(found, key=lambda each: each.campaign_id)


def _unknown(scene: _Scene, claims: _Claims) -> dict[int, Int64s]:
    """Members who stay and of whom the run knows nothing, by campaign: a run as of a past moment loses nobody."""
    standing = scene.standing
    _, known = _places(scene.account, standing.member_account)
    live = np.array([state in LIVE_STATES for state in standing.state], bool)
    stays = ~known & (live[standing.member_campaign] | (standing.member_placed != PLACED_DETECT))
    campaign, account = claims.into[standing.member_campaign[stays]], standing.member_account[stays]
    return {each: account[campaign == each] for each in np.unique(campaign).tolist()}


def _changed(standing: Standing, campaign: int, members: Int64s) -> bool:
    """Whether others are members than stand; those whom analysts placed stay in any case."""
    of = standing.member_campaign == campaign
    there = standing.member_account[of]
    placed_by_run = there[standing.member_placed[of] == PLACED_DETECT]
    return not (np.isin(members, there).all() and np.isin(placed_by_run, members).all())


def _new_id(as_of: int, members: Int64s, taken: set[str]) -> str:
    """The same for the same people at the same moment."""
    said = np.append(members[:_NAMED_BY], as_of).astype("<i8").tobytes()
    name = f"c-{blake2b(said, digest_size=6).hexdigest()}"
    while name in taken:
        name = f"c-{blake2b(name.encode(), digest_size=6).hexdigest()}"
    taken.add(name)
    return name
