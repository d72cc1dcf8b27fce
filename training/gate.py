"""The gate: may a challenger take over? Not if it rests on too little or too few, nor if it is worse than the champion.

What is worse beyond noise is measured in ``compare``, one analyst's sway in ``influence``. Every reason to refuse is
told, not only the first, each with its figures; noise promotes and harm does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from service.domain.facts import Float64s
from training.compare import Figure, Speed, compare, latency
from training.dataset import LEGITIMATE, UNLABELLED
from training.evaluate import figures, too_good
from training.held import Held
from training.influence import COUNTED_FROM, Influence

LEAST_FRAUD = 20  # labelled frauds that the model learned from
LEAST_GROUPS = 3  # campaigns, or frauds without one, that they come from
LEAST_HELD = 20  # held-out labelled frauds; of fewer, all may be found without a leak
LEAST_LEGITIMATE = 100  # held-out accounts called legitimate, for figures to be of labelled accounts alone
SHIFTED = 0.25  # population stability index; the usual reading is that the population is another one
SHIFTED_GAIN = 0.10  # of the gain of either model, that shifted features carry


@dataclass(frozen=True, slots=True)
class Basis:
    """What a challenger was learned from."""

    fraud: int
    groups: int


@dataclass(frozen=True, slots=True)
class Demands:
    """What an operator asks of labels: ``analysts`` at least, where there are more than ``above`` frauds."""

    analysts: int = 2
    above: int = 100


@dataclass(frozen=True, slots=True)
class Case:
    """A challenger, and the champion that it would replace."""

    basis: Basis
    held: Held
    challenger: Float64s  # calibrated scores of the probes of ``held``, as are the champion's
    champion: Float64s | None = None  # None: there is none, or none that these rows can be scored with
    champion_name: str = "there was no champion"  # or which of both it is
    analysts: Mapping[str, int] = field(default_factory=dict)  # how many of the frauds each labelled
    influence: tuple[Influence, ...] = ()
    shift: Mapping[str, float] = field(default_factory=dict)  # population stability of features that look shifted
    gain: Mapping[str, float] = field(default_factory=dict)  # the larger share of either model's gain, by feature
    speed: tuple[Speed, Speed] | None = None  # challenger's and champion's; None: there is none


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether the challenger may take over, why in one paragraph, and everything that was looked at."""

    passes: bool
    why: str
    figures: tuple[Figure, ...] = ()
    influence: tuple[Influence, ...] = ()


def rule(case: Case, demands: Demands | None = None, *, budget: float, seed: int = 0) -> Ruling:
    """Judges a challenger at the friction budget; the same case and seed get the same ruling."""
    auc = figures(case.challenger, case.held.fraud, case.held.weight)["roc_auc"]
    if not case.held.frauds.any():
        auc = None  # chances of silent accounts are the challenger's own opinion of them
    looked = [_basis(case.basis), _ranking(auc)]
    if case.basis.fraud and auc is not None:
        looked += [_analysts(case, demands or Demands()), *_too_good(case)]
        if case.champion is not None:
            looked += compare(case.held, case.challenger, case.champion, budget=budget, seed=seed)
        looked += _shift(case)
        if case.speed is not None:
            looked.append(latency(*case.speed))
    reasons = [one.why for one in looked if one.refuses] + [one.why for one in case.influence if one.refuses]
    told = tuple(looked)
    if reasons:
        against = f" (champion: {case.champion_name})" if case.champion is not None else ""
        return Ruling(False, f"refused{against}: {'; '.join(reasons)}", told, case.influence)
    if case.champion is None:
        return Ruling(True, f"promoted: {case.champion_name}; held-out ROC AUC is {auc:.3f}", told, case.influence)
    both = [one for one in told if one.low is not None and not one.figure.startswith("false alarms")]
    why = (
        f"promoted: not worse than {case.champion_name} beyond noise on held-out accounts: "
        f"{'; '.join(one.told() for one in both)}"
    )
    return Ruling(True, why, told, case.influence)


def _basis(basis: Basis) -> Figure:
    short = basis.fraud < LEAST_FRAUD or basis.groups < LEAST_GROUPS
    why = (
        f"learned from {basis.fraud} frauds in {basis.groups} campaigns or single cases, and the gate asks for "
        f"{LEAST_FRAUD} in {LEAST_GROUPS}; label more, or promote by hand"
    )
    return Figure("frauds learned from", None, float(basis.fraud), refuses=short, why=why if short else "")


def _ranking(auc: float | None) -> Figure:
    why = ""
    if auc is None:
        why = "no labelled fraud, or nothing but fraud, among the held-out accounts; label more"
    elif auc <= 0.5:
        why = f"it ranks held-out fraud no better than chance (ROC AUC {auc:.3f})"
    return Figure("ROC AUC", None, auc, refuses=bool(why), why=why)


def _analysts(case: Case, demands: Demands) -> Figure:
    name, frauds = "analysts behind the frauds", case.basis.fraud
    counted = [analyst for analyst, n in case.analysts.items() if n >= COUNTED_FROM]
    if len(counted) >= demands.analysts or not case.analysts:
        return Figure(name, None, float(len(counted)))
    few = "one analyst" if len(counted) == 1 else f"{len(counted)} analysts"
    who = f" ({', '.join(counted)})" if counted else ""
    of = f"labels of fraud come from {few}{who} with {COUNTED_FROM} or more, and {demands.analysts} are asked for"
    if frauds <= demands.above:
        why = f"{of} above {demands.above} frauds; there are {frauds}"
        return Figure(name, None, float(len(counted)), why=why)
    why = (
        f"{of} where a model learns from more than {demands.above} frauds (it is {frauds}): one person's error, or one "
        "stolen sign-in, would decide alone; let another analyst label some, set GATEHOUSE_LEAST_ANALYSTS, or promote "
        "by hand (--promote always)"
    )
    return Figure(name, None, float(len(counted)), refuses=True, why=why)


def _too_good(case: Case) -> list[Figure]:
    """Figures that no honest model has, unless the champion, whom somebody let pass, has them as well."""
    held = case.held
    labelled = held.of_rows((held.verdict != UNLABELLED).astype(float)) > 0
    head = labelled if (held.verdict == LEGITIMATE).sum() >= LEAST_LEGITIMATE else np.ones(len(labelled), bool)
    fraud = held.of_rows(held.frauds.astype(np.float64))[head]
    own = figures(case.challenger[head], fraud, held.weight[head])
    before = None if case.champion is None else figures(case.champion[head], fraud, held.weight[head])
    out = []
    for sentence in too_good(own):
        name = sentence.split(" is ", 1)[0]
        known = None if before is None else before[name]
        as_good = before is not None and any(one.startswith(f"{name} is ") for one in too_good(before))
        refuses = int(held.frauds.sum()) >= LEAST_HELD and not as_good
        why = f"{sentence} (a feature or signal that knows the verdict), and if there is none promote by hand"
        out.append(Figure(f"too good: {name}", known, own[name], refuses=refuses, why=why if refuses else ""))
    return out


def _shift(case: Case) -> list[Figure]:
    """Features that look another population's; refused where the models rest on them."""
    shifted = {name: psi for name, psi in case.shift.items() if psi > SHIFTED}
    if not shifted:
        return []
    by_gain = sorted(shifted, key=lambda name: (-case.gain.get(name, 0.0), name))
    rests = sum(case.gain.get(name, 0.0) for name in shifted)
    refuses = rests >= SHIFTED_GAIN
    said = ", ".join(
        f"{name} ({shifted[name]:.2f}, {case.gain.get(name, 0.0):.0%} of the gain)" for name in by_gain[:5]
    )
    why = (
        f"the data have shifted against what the champion learned from: {len(shifted)} features that carry {rests:.0%} "
        f"of the gain have a population stability index above {SHIFTED}: {said}; see that their sources are right, or "
        "promote by hand"
    )
    each = [Figure(f"population stability, {name}", None, shifted[name]) for name in by_gain]
    return [Figure("gain of shifted features", None, rests, refuses=refuses, why=why if refuses else ""), *each]
