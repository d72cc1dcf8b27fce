"""Thresholds from the friction budget: how many legitimate accounts are ever touched, over whole lives and in groups.

**What is promised.** For each decision with its part F of the budget: the share of legitimate accounts that ever get it
or worse, over as much life as the held-out accounts have lived, is at most F with ``CONFIDENCE``, over the accounts
that happened to be held out. Two bounds, and the higher threshold of both is taken:

1. *A stranger's* (``by_group``), exact for any model and any distribution of scores: of each group of accounts one
   account counts, taken by lot, and the upper Clopper-Pearson bound of those above the threshold must not pass F. So
   the chance that an account of a group nobody has seen yet is touched is at most F. (Subsampling one a group: Dunn,
   Wasserman, Ramdas 2023, "Distribution-free prediction sets for two-layer hierarchical models"; the bound, which holds
   with confidence and not only on average, as in risk-controlling prediction sets, Bates and others 2021.) It rests on:
   groups are exchangeable, and which accounts are legitimate is known.
2. *The accounts'* (``by_account``), where a group of 800 counts 800 times: the same bound with as many accounts as
   independent ones would tell as much (Korn and Graubard 1998: Clopper-Pearson with the effective sample size). The
   design effect is measured on the held-out accounts, at the threshold and again where ``TAIL`` times the budget is
   touched, since at the budget too few are. That is an approximation: no bound can rule out, from a few dozen groups,
   that the next group is touched as a whole. ``benchmarks/guarantee.py`` counts how often it fails, over many worlds.

**Ever.** Rescoring asks every few hours, which is far more often than a dataset has probes, so ``highest`` should come
from dense looks (``training/lives.py``). And lives differ in length: an account touched at an age that only a third of
the held-out accounts have reached stands for three (inverse probability of censoring; Robins, Rotnitzky 1992), up to
the age that a tenth have reached: beyond it nothing is known and nothing is promised. Assumed: how likely an account is
touched at an age does not depend on when it signed up.

**What is an estimate only.** Most accounts are unlabelled, and each counts with its chance of being legitimate, which
comes from a model. The plain guarantee, of accounts that an analyst called legitimate and with no weights at all
(``by_labelled``; conformal, Vovk, Gammerman, Shafer 2005), is reported beside it and does not decide: analysts look at
what is suspicious, so these accounts are unlike the others, and on 100,000 simulated accounts the few frauds pardoned
among them took its threshold above every fraud's score. Accounts held out are the newest ones; that those to come are
like them is assumed, and drift says when it is not so. For people whom a model was not trained on at all there is
``service/policy/friction.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from service.domain.enums import Decision
from service.domain.facts import Float64s, Int64s
from service.policy.friction import PARTS, conformal_threshold
from service.policy.policy import GRADED, SEVERITY

Bools = NDArray[np.bool_]

CONFIDENCE = 0.9
TAIL = 5.0  # times the budget: where the design effect is measured
OLDEST = 0.25  # share of held-out accounts that must have reached an age for anything to be said of it


@dataclass(frozen=True, slots=True)
class Lived:
    """What ``n`` held-out accounts met with over their lives: looks at which a score or a rule went beyond all before.

    Of each such look, by account and age, shape (r,): the account's place, its age in microseconds after signup, its
    calibrated score, and the severest decision of any rule that held, as a place in LEVELS (0: none).
    """

    account: Int64s
    age: Int64s
    score: Float64s
    rule: Int64s
    length: Int64s  # (n,) age at the end of what is known
    drawn: Float64s  # (n,) accounts that each was drawn for: 1 where all were looked at, 0 where another one was drawn

    @classmethod
    def of(
        cls, account: Int64s, age: Int64s, score: Float64s, rule: Int64s, *, length: Int64s, drawn: Float64s
    ) -> Lived:
        """From all looks, shape (looks,), in any order."""
        order = np.lexsort((age, account))
        account, age, score, rule = account[order], age[order], score[order], rule[order]
        kept = _records(account, score) | _records(account, rule.astype(np.float64))
        return cls(account[kept], age[kept], score[kept], rule[kept], length, drawn)

    def at_level(self, decision: Decision) -> Firsts:
        """When each account first reached each score; an infinite one where a rule gave it this decision or worse."""
        value = np.where(self.rule >= SEVERITY[decision], np.inf, self.score)
        kept = _records(self.account, value)
        return Firsts(self.account[kept], value[kept], self.age[kept])

    def part(self, which: Bools) -> Lived:
        """Some of the accounts, numbered anew."""
        place = np.cumsum(which) - 1
        rows = which[self.account]
        return Lived(
            place[self.account[rows]],
            self.age[rows],
            self.score[rows],
            self.rule[rows],
            self.length[which],
            self.drawn[which],
        )


@dataclass(frozen=True, slots=True)
class Firsts:
    """Account ``account[i]`` first reached ``value[i]`` at ``age[i]``, shape (r,); by account, rising."""

    account: Int64s
    value: Float64s
    age: Int64s

    def highest(self, n: int) -> Float64s:
        """Each of ``n`` accounts' highest value; one without any has minus infinity."""
        out = np.full(n, -np.inf)
        np.maximum.at(out, self.account, self.value)
        return out

    def touched(self, n: int, threshold: float) -> Bools:
        """Which of ``n`` accounts ever passed a threshold, or were touched by a rule, whatever the threshold."""
        highest = self.highest(n)
        out: Bools = (highest > threshold) | np.isposinf(highest)
        return out

    def part(self, which: Bools) -> Firsts:
        """Those of some of the accounts, numbered anew."""
        place, rows = np.cumsum(which) - 1, which[self.account]
        return Firsts(place[self.account[rows]], self.value[rows], self.age[rows])


@dataclass(frozen=True, slots=True)
class Counted:
    """How much each of ``n`` accounts counts, shape (n,) each."""

    weight: Float64s  # legitimate accounts that each stands for, by chance
    whole: Float64s  # accounts that each stands for, legitimate or not
    group: Int64s  # accounts of one group are touched together; any numbers
    labelled: Bools  # an analyst called it legitimate

    def part(self, which: Bools) -> Counted:
        """Some of the accounts."""
        return Counted(self.weight[which], self.whole[which], self.group[which], self.labelled[which])

    def times(self, factor: Float64s) -> Counted:
        """Each account standing for so many times more."""
        return Counted(self.weight * factor, self.whole * factor, self.group, self.labelled)


@dataclass(frozen=True, slots=True)
class Bound:
    """A threshold and what is known of the share above it."""

    value: float  # infinite: no threshold keeps the budget with confidence
    share: float  # of legitimate accounts ever above it, as estimated
    upper: float  # the same with confidence
    design_effect: float  # accounts that tell as much as one independent one


@dataclass(frozen=True, slots=True)
class Threshold:
    """One decision's threshold and what it rests on."""

    decision: Decision
    budget: float  # share of legitimate accounts that may ever get this or worse
    value: float  # infinite: too few accounts to set it
    by_account: Bound
    by_group: Bound
    by_labelled: float  # by accounts that analysts called legitimate alone; infinite: too few

    def to_json(self) -> dict[str, object]:
        """For reports; infinite is null."""
        numbers = {
            "value": self.value,
            "by_account": self.by_account.value,
            "by_group": self.by_group.value,
            "by_labelled": self.by_labelled,
        }
        finite = {name: None if math.isinf(number) else number for name, number in numbers.items()}
        return {
            "decision": self.decision.value,
            "budget": self.budget,
            **finite,
            "share": self.by_account.share,
            "upper": self.by_account.upper,
            "confidence": CONFIDENCE,
            "design_effect": self.by_account.design_effect,
        }


def thresholds(lived: Lived, counted: Counted, *, budget: float) -> tuple[Threshold, ...]:
    """A threshold for each graded decision, not falling with severity, from held-out accounts that are not fraud."""
    asked = lived.drawn > 0
    some = counted.part(asked).times(lived.drawn[asked])
    _, first = np.unique(some.group, return_index=True)  # accounts' numbers are hashes: the first one is by lot
    one = np.zeros(len(some.group), bool)
    one[first] = True
    out: list[Threshold] = []
    for decision in GRADED:
        part = budget * PARTS[decision]
        every = lived.at_level(decision)
        firsts = every.part(asked)
        for_age = outlived(lived.length, counted.weight, firsts.age)
        by_account = clustered_threshold(firsts, for_age, some, budget=part)
        by_group = clustered_threshold(firsts.part(one), for_age[one[firsts.account]], some.part(one), budget=part)
        highest = every.highest(len(counted.group))[counted.labelled]
        by_labelled = conformal_threshold(highest, np.ones(len(highest)), part)
        value = max(by_account.value, by_group.value, *(milder.value for milder in out))
        out.append(Threshold(decision, part, value, by_account, by_group, by_labelled))
    return tuple(out)


def clustered_threshold(
    firsts: Firsts,
    times: Float64s,
    counted: Counted,
    *,
    budget: float,
    confidence: float = CONFIDENCE,
    spared: float = 0.0,
) -> Bound:
    """The smallest value of ``firsts`` that at most ``budget`` of the legitimate accounts pass, with confidence.

    An account that passes a threshold at ``firsts.age[i]`` counts ``times[i]`` times. An account's innocence is taken
    as independent of its fellows', its score is not. With weights and times of 1 and every account a group of its own,
    the bound is the exact binomial one. With 1 account ``spared`` and a low confidence it is the lower bound instead,
    and the threshold the smallest at which the share is not clearly beyond the budget.
    """
    if not len(firsts.value):
        return Bound(math.inf, 0.0, 1.0, 1.0)
    total = max(float(counted.weight.sum()), 1e-12)
    order = np.argsort(-firsts.value, kind="stable")
    values, of = firsts.value[order], firsts.account[order]
    # below each value that it reached, an account counts as often as it did when it first got there
    last = np.append(firsts.account[1:] != firsts.account[:-1], True)
    later = np.where(last, 0.0, np.append(times[1:], 0.0))
    mass = counted.weight[of] * (times - later)[order]
    doubt = (counted.weight * np.maximum(counted.whole - counted.weight, 0.0))[of] * (times**2 - later**2)[order]
    above = np.cumsum(mass)
    effect = _design_effect(mass, doubt, of, counted, above / total)
    least = float(effect[min(int(np.argmax(np.append(above >= TAIL * budget * total, True))), len(above) - 1)])
    # strictly above a value lie those before the first of its equals
    before = np.searchsorted(-values, -values, "left")
    touched = np.concatenate([[0.0], above])[before]
    effects = np.maximum(np.concatenate([[1.0], effect])[before], least)
    upper = upper_share(np.maximum(touched - spared * effects, 0.0), total, effects, confidence)
    fits = int(np.argmin(np.append(upper <= budget, False)))  # all higher thresholds must keep it, too
    if fits == 0 or math.isinf(values[fits - 1]):
        ruled = float(mass[np.isinf(values)].sum())
        bound = float(upper_share(np.array([ruled]), total, np.array([least]), confidence)[0])
        return Bound(math.inf, ruled / total, bound, least)
    at = fits - 1
    return Bound(float(values[at]), float(touched[at] / total), float(upper[at]), float(effects[at]))


def upper_share(touched: Float64s, total: float, effect: Float64s, confidence: float) -> Float64s:
    """Upper Clopper-Pearson bounds of a share, one-sided, shape (n,); 1 where nothing is known.

    ``touched`` of ``total`` accounts, of which ``effect`` tell as much as one independent one.
    """
    left = np.maximum(total - touched, 0.0) / effect
    out: Float64s = np.where(left > 0, beta.ppf(confidence, touched / effect + 1.0, np.maximum(left, 1e-12)), 1.0)
    return out


def _design_effect(mass: Float64s, doubt: Float64s, of: Int64s, counted: Counted, share: Float64s) -> Float64s:
    """How many accounts tell as much as one independent one, after the first 1, 2, ... rows, shape (r,); 1 at least.

    The variance of a ratio of group sums (what is touched of a group less the ``share`` of its size, squared and summed
    over groups), over what it would be if every touched account stood for itself.
    """
    _, place = np.unique(counted.group, return_inverse=True)
    sizes = np.bincount(place, counted.weight)
    squares = np.cumsum(2 * mass * _before(place[of], mass) + mass**2 + doubt)
    expected = 2 * share * np.cumsum(mass * sizes[place[of]]) - share**2 * float((sizes**2).sum())
    out: Float64s = np.maximum((squares - expected) / np.maximum(np.cumsum(mass), 1e-12), 1.0)
    return out


def _before(group: Int64s, mass: Float64s) -> Float64s:
    """Of each row the mass of the earlier rows of its group, shape (n,)."""
    by = np.argsort(group, kind="stable")
    running = np.cumsum(mass[by]) - mass[by]
    starts = np.flatnonzero(np.append(True, np.diff(group[by]) != 0)) if len(by) else by
    sizes = np.diff(np.append(starts, len(by)))
    out = np.empty(len(by))
    out[by] = running - np.repeat(running[starts], sizes)
    return out


def _records(account: Int64s, value: Float64s) -> Bools:
    """Which rows, by account and age, are above all earlier rows of their account; shape (rows,)."""
    _, rank = np.unique(value, return_inverse=True)
    lift = account * (int(rank.max(initial=0)) + 1) + rank
    highest = np.maximum.accumulate(lift)
    out: Bools = np.append(True, highest[1:] > highest[:-1])[: len(account)]
    return out


def outlived(length: Int64s, weight: Float64s, age: Int64s) -> Float64s:
    """How many accounts one that was touched at ``age`` (m,) stands for: all, over those that reached that age."""
    order = np.argsort(length)
    total = max(float(weight.sum()), 1e-12)
    reached = total - np.concatenate([[0.0], np.cumsum(weight[order])])
    times = 1.0 / np.maximum(reached / total, OLDEST)
    out: Float64s = times[np.searchsorted(length[order], age, "left")]
    return out


def horizon(length: Int64s, weight: Float64s) -> int:
    """The age (microseconds) up to which anything is promised: a tenth of the accounts have reached it."""
    order = np.argsort(length)
    reached = np.cumsum(weight[order][::-1])[::-1]
    there = np.flatnonzero(reached >= OLDEST * float(weight.sum()))
    return int(length[order][there[-1]]) if len(there) else 0
