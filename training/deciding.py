"""The policy that a model brings along: which rules the friction budget bears, and thresholds for what is left of it.

What held-out accounts met with comes from dense looks at their lives and from groups that share keys where the store is
at hand (``source``). Without it their probes stand for their lives and every account for itself, which is too mild.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float32s, Float64s, Int32s, Int64s
from service.domain.profile import UNKNOWN_PROFILE
from service.features.catalogue import RULED
from service.policy.policy import SEVERITY, Policy
from service.policy.rules import CAMPAIGN_RULES, LADDERS, Rule
from service.tiles.history import History
from training.dataset import FRAUD, LEGITIMATE, UNLABELLED, Dataset
from training.kinship import Kin, kinship
from training.lives import BELONGING, EVERY, Judged, belonging, draw, live
from training.segments import Segment, by_segment, segments_of
from training.silence import Silence
from training.thresholds import (
    Counted,
    Firsts,
    Lived,
    Threshold,
    clustered_threshold,
    horizon,
    outlived,
    thresholds,
)

RULES_PART = 0.25  # of the friction budget that all rules together may use on legitimate accounts
SURELY = 0.1  # confidence at which a segment is held to be above its bound: where it probably is not, it is left alone

Bools = NDArray[np.bool_]


class Surroundings(Protocol):
    """What is read of the store beside the dataset."""

    def histories(self, *, rows: int, accounts: Int64s | None = None) -> Iterator[History]:
        """All facts, a bounded number of rows at a time; every account once."""
        ...

    def names(self, kind: str) -> dict[int, str]:
        """Names of the customer's signals (``signal``) or link kinds (``kind``)."""
        ...

    def link_rows(
        self, as_of: int, since: int = -(2**62), kinds: tuple[int, ...] = ()
    ) -> tuple[Int64s, Int64s, Int32s, Int64s]:
        """Links learned by ``as_of`` as (account, key, kind, learned), of some kinds."""
        ...

    def signup_rows(self, as_of: int) -> tuple[Int64s, Int64s, Int64s, Float32s]:
        """All signups learned by ``as_of`` as (account, created_at, learned_at, profile), by account."""
        ...


@dataclass(frozen=True, slots=True)
class Decided:
    """A policy and what it rests on."""

    policy: Policy
    thresholds: tuple[Threshold, ...]
    rules: list[dict[str, object]]  # each with what it costs, and why it was left out
    segments: tuple[Segment, ...]  # of held-out accounts; empty without ``source``
    about: dict[str, object]  # looks, groups, how long a life is promised
    innocent: Float64s  # (accounts,) how many honest ones each stands for; 0 where labelled fraud


def decide_on(
    dataset: Dataset,
    held: Bools,
    silence: Silence,
    member: Float64s,
    score: Callable[[Float32s], Float64s],
    scores: Float64s,
    *,
    budget: float,
    source: Surroundings | None = None,
    segment_times: float | None = None,
) -> Decided:
    """The policy for a model that gives ``scores`` (rows,) to the dataset's rows and ``score`` to any.

    ``held`` (accounts,) are those it has not learned from. ``segment_times``: no segment of honest accounts may be
    clearly touched beyond so many times the budget; None leaves segments to the report.
    """
    accounts = dataset.accounts
    belongs = member[latest_rows(dataset)]
    innocent = accounts.stands_for * innocence(dataset, silence, belongs) * (accounts.verdict != FRAUD)
    kept, vetted = vet_rules(dataset, innocent, budget)
    held = held & (accounts.verdict != FRAUD)
    places = np.flatnonzero(held)
    judge = _judge(dataset, kept, score)
    lived = _probed(dataset, held, places, judge, scores)
    group, segments, about = places, None, dict[str, object]()
    if source is not None and len(places):
        account, created_at = accounts.account[places], accounts.created_at[places]
        looks = lived.length // EVERY + 1
        highest = np.zeros(len(places))
        np.maximum.at(highest, lived.account, lived.score)
        drawn = draw(highest, looks, account)
        lived, belongs_now = live(
            source, account, created_at, drawn, dataset.features, judge, as_of=dataset.as_of, probed=lived
        )
        # a campaign that was found after an account's latest probe touches it all the same
        told = (drawn > 0) & (accounts.verdict[places] == UNLABELLED)
        belongs[places[told]] = belongs_now[told]
        innocent = accounts.stands_for * innocence(dataset, silence, belongs) * (accounts.verdict != FRAUD)
        profile = _profiles(source, account, dataset.as_of)
        kin = kinship(source, account, profile, dataset.as_of)
        group, segments = kin.group, segments_of(profile, kin)
        about = _about(looks, drawn, kin)
    counted = Counted(innocent[places], accounts.stands_for[places], group, accounts.verdict[places] == LEGITIMATE)
    made = thresholds(lived, counted, budget=budget)
    values, raised = [one.value for one in made], ""
    firsts = lived.at_level(made[0].decision)
    if segments is not None and segment_times is not None:
        least, raised = segment_threshold(firsts, lived, counted, segments, segment_times * budget)
        values = [max(value, least) for value in values]
    found: tuple[Segment, ...] = ()
    if segments is not None:
        touched = firsts.touched(len(places), values[0])
        asked = lived.drawn > 0
        some = {name: [value for value, take in zip(of, asked, strict=True) if take] for name, of in segments.items()}
        weight = (counted.weight * lived.drawn)[asked]
        found = tuple(by_segment(some, touched[asked], weight, counted.group[asked]))
    about |= {
        "accounts": len(places),
        "life_days": horizon(lived.length, counted.weight) / 86_400e6,
        "raised_for_segment": raised or None,
    }
    return Decided(Policy(budget, tuple(values), kept), made, vetted, found, about, innocent)


def _about(looks: Int64s, drawn: Float64s, kin: Kin) -> dict[str, object]:
    return {
        "looks": int(looks[drawn > 0].sum()),
        "looked_at": int((drawn > 0).sum()),
        "groups": len(np.unique(kin.group[kin.size > 1])),
        "in_groups": int((kin.size > 1).sum()),
        "largest_group": int(kin.size.max()),
    }


def _judge(dataset: Dataset, rules: tuple[Rule, ...], score: Callable[[Float32s], Float64s]) -> _Judge:
    names = [feature.name for feature in (*dataset.features, *RULED)]

    def judge(rows: Float32s, ruled: Float32s) -> Judged:
        return Judged(score(rows), severest(rules, np.concatenate([rows, ruled], axis=1), names))

    return judge


_Judge = Callable[[Float32s, Float32s], Judged]


def severest(rules: tuple[Rule, ...], values: Float32s, names: list[str]) -> Int64s:
    """The severest decision of any rule that holds, as a place in LEVELS, shape (rows,); 0: none."""
    out = np.zeros(len(values), np.int64)
    for rule in rules:
        out[rule.holds(values, names)] = np.maximum(out[rule.holds(values, names)], SEVERITY[rule.minimum])
    return out


def _probed(dataset: Dataset, held: Bools, places: Int64s, judge: _Judge, scores: Float64s) -> Lived:
    """What the dataset's own probes say of the held-out accounts."""
    rows = held[dataset.row]
    rule = judge(dataset.matrix[rows], dataset.ruled[rows]).rule
    number = np.cumsum(held) - 1
    return Lived.of(
        number[dataset.row[rows]],
        dataset.age[rows],
        scores[rows],
        rule,
        length=np.maximum(dataset.as_of - dataset.accounts.created_at[places], 0),
        drawn=np.ones(len(places)),
    )


def _profiles(source: Surroundings, account: Int64s, as_of: int) -> Float32s:
    """Facts at signup, (n, PROFILE); unknown where an account was erased."""
    known, _, _, profile = source.signup_rows(as_of)
    out = np.tile(UNKNOWN_PROFILE, (len(account), 1))
    place = np.searchsorted(known, account)
    there = known[np.minimum(place, len(known) - 1)] == account if len(known) else np.zeros(len(account), bool)
    out[there] = profile[place[there]]
    return out


def segment_threshold(
    firsts: Firsts, lived: Lived, counted: Counted, segments: dict[str, tuple[str, ...]], bound: float
) -> tuple[float, str]:
    """The smallest threshold at which no segment is clearly above ``bound``, and the segment that asks for it.

    Segments that rules alone bring above it are no matter of scores, and do not count.
    """
    least, whose = -np.inf, ""
    asked = lived.drawn > 0
    some, times = counted.times(lived.drawn), outlived(lived.length, counted.weight, firsts.age)
    for name, of in segments.items():
        values = np.asarray(of)
        for value in np.unique(values).tolist():
            mine = asked & (values == value)
            ruled = firsts.highest(len(mine))[mine] == np.inf
            found = clustered_threshold(
                firsts.part(mine),
                times[mine[firsts.account]],
                some.part(mine),
                budget=bound,
                confidence=SURELY,
                spared=1.0,
            ).value
            if found > least and not (np.isinf(found) and ruled.any()):
                least, whose = found, f"{name} {value}"
    return least, whose


def membership(dataset: Dataset) -> Float64s:
    """Per row the chance that it belongs to a campaign that is one, as was known then; an analyst's word is certain.

    Shape (rows,); 0 where a verdict on the account itself says more.
    """
    chance = belonging(*(dataset.column(feature.name) for feature in BELONGING))
    return np.where(dataset.accounts.verdict[dataset.row] == UNLABELLED, chance, 0.0)


def innocence(dataset: Dataset, silence: Silence, member: Float64s) -> Float64s:
    """Per account, the chance that it is legitimate, by its latest probe: by then the most is known.

    ``member`` (accounts,) is its chance to belong to a campaign. Without it a detected one whose members nobody has
    labelled yet would count as so many honest accounts that its rules touch, use up the friction budget at once, and
    leave every decision without a threshold.
    """
    latest = latest_rows(dataset)
    out: Float64s = (1.0 - silence.hidden[latest] - silence.pardoned[latest]) * (1.0 - member)
    return out


def latest_rows(dataset: Dataset) -> Int64s:
    """The row of each account's latest probe, shape (accounts,)."""
    out = np.zeros(len(dataset.accounts), np.int64)
    out[dataset.row] = np.arange(len(dataset.row))
    return out


def vet_rules(dataset: Dataset, innocent: Float64s, budget: float) -> tuple[tuple[Rule, ...], list[dict[str, object]]]:
    """Rules are what analysts know beforehand; the data only say which rung of each ladder the budget bears, if any.

    Rules of campaigns rest on the evidence threshold, and stay; whom they touch counts against the budget all the same.
    """
    names = [feature.name for feature in (*dataset.features, *RULED)]
    values = np.concatenate([dataset.matrix, dataset.ruled], axis=1)
    allowed = RULES_PART * budget / len(LADDERS)
    kept: list[Rule] = []
    vetted: list[dict[str, object]] = []
    for rung in (rung for ladder in LADDERS for rung in ladder):
        if any(rung.code == taken.code for taken in kept):
            continue
        cost = _cost(rung, dataset.row, values, names, innocent)
        keep = cost <= allowed
        if keep:
            kept.append(rung)
        why = (
            "" if keep else f"left out: it touches a share of {cost:.2e} of legitimate accounts, {allowed:.2e} allowed"
        )
        vetted.append({"code": rung.code, "at_least": rung.value, "legitimate_share": cost, "kept": keep, "why": why})
    for rule in CAMPAIGN_RULES:
        cost = _cost(rule, dataset.row, values, names, innocent)
        kept.append(rule)
        vetted.append({"code": rule.code, "at_least": rule.value, "legitimate_share": cost, "kept": True, "why": ""})
    return tuple(kept), vetted


def _cost(rule: Rule, row: Int64s, values: Float32s, names: list[str], innocent: Float64s) -> float:
    """Which share of legitimate accounts a rule touches at any probe."""
    hit = np.zeros(len(innocent), bool)
    hit[row[rule.holds(values, names)]] = True
    return float(innocent[hit].sum() / max(1.0, innocent.sum()))
