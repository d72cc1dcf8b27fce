"""A challenger beside the champion on the same held-out accounts: every figure of both, and what noise can explain.

The difference is resampled over campaigns and single accounts (paired bootstrap; Efron and Tibshirani 1993): rows of
one campaign are not independent, and ten thousand rows may be three campaigns. Each draw sets both models' thresholds
anew, so the noise of a threshold that few honest accounts set is in the interval, too. A figure refuses the challenger
where the whole interval of its difference lies on the bad side and the difference is larger than what is tolerated.

Three figures differ. A campaign that is lost is in two draws of three at the most, so that no interval over campaigns
would ever see it: the worst campaign's recall is resampled over accounts, and more of it is tolerated. A segment's
false alarms are few, and segments are many: accounts touched by one model alone are compared exactly (McNemar 1947),
with Bonferroni's correction. Latency is measured in processor time, in turns, and must be explained by the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from service.domain.facts import Float64s
from training.evaluate import calibration_error, calibration_table
from training.held import Bools, Held

RESAMPLES = 200
INTERVAL = 0.90  # two-sided
TOLERATED = 0.01  # of recall, average precision and exchanges let through: no operator would notice less
TOLERATED_WORST = 0.10  # of the worst campaign's recall: one fit differs from the next by as much
TOLERATED_CALIBRATION = 0.02  # mean distance from the observed share may grow by this much
CHANCE = 0.05  # that honest segments, all together, refuse a challenger that is no worse
LEAST_SEGMENT = 50  # honest accounts
LEAST_TOUCHED = 3  # by the challenger alone, more than by the champion alone
CROWDED = 4.0  # times the budget: what a segment may bear of friction that has to be borne by somebody
SLOWER, LEAST_SLOWER = 1.5, 50.0  # times the champion's, and microseconds a row more


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both models, and whether the challenger is refused for it."""

    figure: str
    champion: float | None  # None: there is no champion, or the figure is the challenger's alone
    challenger: float | None
    low: float | None = None  # interval of challenger minus champion; None: not a figure with one
    high: float | None = None
    refuses: bool = False
    why: str = ""  # a sentence, where it refuses or says why it does not

    def to_json(self) -> dict[str, object]:
        """As in reports."""
        return {name: getattr(self, name) for name in self.__slots__}

    def told(self) -> str:
        """Both values and the interval, as in a sentence."""
        said = self.figure if self.challenger is None else f"{self.figure} {self.challenger:.4g}"
        if self.champion is not None:
            said += f" against {self.champion:.4g}"
        if self.low is not None and self.high is not None:
            said += f" (difference {self.low:+.4f} to {self.high:+.4f})"
        return said


@dataclass(frozen=True, slots=True)
class Speed:
    """How long one model takes for a row, in microseconds, and its leaves in all."""

    microseconds: float
    leaves: int


class Ranked:
    """A model's highest score of each held-out account, ready to be cut at a budget for any weights."""

    def __init__(self, held: Held, score: Float64s) -> None:
        self._held = held
        self.score = score
        self.highest = held.highest(score)
        self._falling = np.argsort(-self.highest, kind="stable")
        self._ends = np.append(np.diff(self.highest[self._falling]) != 0, True)
        _, self._starts = np.unique(held.account, return_index=True)
        self._last = np.append(self._starts[1:], len(held.account)) - 1

    def threshold(self, mass: Float64s, budget: float) -> float:
        """The lowest above which at most ``budget`` of the honest lie; ``mass`` is how often each account counts."""
        honest = (self._held.innocent * mass)[self._falling]
        within = np.searchsorted(np.cumsum(honest), budget * float(honest.sum()) + 1e-9, "right")
        return float(self.highest[self._falling[within]]) if within < len(honest) else -np.inf

    def average_precision(self, mass: Float64s) -> float:
        """Of accounts, by their highest score; 0 without fraud or without anybody else."""
        fraud, honest = ((x * mass)[self._falling] for x in (self._held.frauds, self._held.innocent))
        if fraud.sum() <= 0 or honest.sum() <= 0:
            return 0.0
        found, alarms = np.cumsum(fraud)[self._ends], np.cumsum(honest)[self._ends]
        return float((np.diff(found, prepend=0.0) * found / np.maximum(found + alarms, 1e-12)).sum() / fraud.sum())

    def let_through(self, threshold: float) -> tuple[Float64s, Float64s]:
        """Of each account: exchanges made before it scored above ``threshold``, and all that are known; shape (m,).

        Known are those of its first seven days, up to its last probe. A stand-in for the harm: a probe comes later than
        the look that would have caught it, counts end at the last closed hour, and a fraud's probes end at its verdict.
        """
        spent = self._held.spent
        assert spent is not None  # noqa: S101  whoever asks has looked
        rows = np.arange(len(spent))
        first = np.minimum.reduceat(np.where(self.score > threshold, rows, len(rows)), self._starts)
        return spent[np.minimum(first, self._last)], spent[self._last]


def compare(held: Held, challenger: Float64s, champion: Float64s, *, budget: float, seed: int) -> tuple[Figure, ...]:
    """The figures of calibrated scores of both models, of the probes of ``held``."""
    both = Ranked(held, challenger), Ranked(held, champion)
    out = [*_ranking(held, both, budget, seed), _calibration(held, challenger, champion, seed)]
    if held.campaigns.max(initial=-1) >= 0:
        out.insert(1, _worst_campaign(held, both, budget, seed))
    return (*out, *_segments(held, both, budget, seed))


def draws(held: Held, seed: int, resamples: int = RESAMPLES) -> Iterator[Float64s]:
    """How often each account counts in each draw of campaigns and single accounts, shape (m,)."""
    rng = np.random.default_rng([seed, 2])
    units = int(held.units.max(initial=-1)) + 1
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, units, units), minlength=units)[held.units].astype(np.float64)


def interval(differences: list[float], level: float = INTERVAL) -> tuple[float, float]:
    """The middle ``level`` of what was drawn."""
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _ranking(held: Held, both: tuple[Ranked, Ranked], budget: float, seed: int) -> list[Figure]:
    """Recall and exchanges let through at the budget, and average precision."""
    frauds = held.frauds.astype(np.float64)

    def recall(model: Ranked, mass: Float64s) -> float:
        caught = model.highest > model.threshold(mass, budget)
        return float((frauds * mass * caught).sum() / max((frauds * mass).sum(), 1e-12))

    def spent(model: Ranked, mass: Float64s) -> float:
        before, known = model.let_through(model.threshold(mass, budget))
        return float((frauds * mass * before).sum() / max((frauds * mass * known).sum(), 1e-12))

    measures: dict[str, tuple[int, Callable[[Ranked, Float64s], float]]] = {
        "recall at the friction budget": (1, recall),
        "average precision": (1, lambda model, mass: model.average_precision(mass)),
    }
    if held.spent is not None and (held.spent[held.of_rows(frauds) > 0] > 0).any():
        measures["share of exchanges let through before caught"] = (-1, spent)
    drawn: dict[str, list[float]] = {name: [] for name in measures}
    for mass in draws(held, seed):
        for name, (_, measure) in measures.items():
            drawn[name].append(measure(both[0], mass) - measure(both[1], mass))
    once = np.ones(len(held))
    return [
        _judged(name, better, measure(both[1], once), measure(both[0], once), drawn[name], TOLERATED)
        for name, (better, measure) in measures.items()
    ]


def _worst_campaign(held: Held, both: tuple[Ranked, Ranked], budget: float, seed: int) -> Figure:
    rng = np.random.default_rng([seed, 3])
    of = held.campaigns
    member = of >= 0

    def worst(model: Ranked, mass: Float64s) -> float:
        caught = model.highest > model.threshold(mass, budget)
        there = np.bincount(of[member], mass[member])
        found = np.bincount(of[member], (mass * caught)[member])
        return float((found[there > 0] / there[there > 0]).min(initial=1.0))

    drawn = []
    for _ in range(RESAMPLES):
        mass = rng.poisson(1.0, len(held)).astype(np.float64)
        drawn.append(worst(both[0], mass) - worst(both[1], mass))
    once = np.ones(len(held))
    return _judged("worst campaign's recall", 1, worst(both[1], once), worst(both[0], once), drawn, TOLERATED_WORST)


def _calibration(held: Held, challenger: Float64s, champion: Float64s, seed: int) -> Figure:
    def error(score: Float64s) -> Callable[[Float64s], float]:
        order = np.argsort(score, kind="stable")  # once: what is in order is in order for every weight
        ranked, fraud, weight = score[order], held.fraud[order], held.weight[order]
        return lambda mass: calibration_error(calibration_table(ranked, fraud, weight * held.of_rows(mass)[order]))

    after, before = error(challenger), error(champion)
    drawn = [after(mass) - before(mass) for mass in draws(held, seed, RESAMPLES // 2)]
    once = np.ones(len(held))
    return _judged("calibration error", -1, before(once), after(once), drawn, TOLERATED_CALIBRATION)


def _judged(name: str, better: int, champion: float, challenger: float, drawn: list[float], tolerated: float) -> Figure:
    """``better``: 1 where more is better, -1 where less is."""
    low, high = interval(drawn)
    gain = better * (challenger - champion)
    refuses = max(better * low, better * high) < 0 and -gain > tolerated
    figure = Figure(name, champion, challenger, low, high, refuses)
    return replace(figure, why=f"worse beyond noise: {figure.told()}") if refuses else figure


def _segments(held: Held, both: tuple[Ranked, Ranked], budget: float, seed: int) -> list[Figure]:
    """False alarms of every honest segment that either model touches."""
    once = np.ones(len(held))
    after, before = (model.highest > model.threshold(once, budget) for model in both)
    honest = held.innocent > 0
    looked: list[tuple[str, Bools]] = []
    for kind, names in held.segments.items():
        for name in np.unique(names[names != ""]).tolist():
            inside = honest & (names == name)
            if inside.sum() >= LEAST_SEGMENT:
                looked.append((f"false alarms, {kind} {name}", inside))
    touched = [(name, inside) for name, inside in looked if (inside & (after | before)).any()]
    drawn: dict[str, list[float]] = {name: [] for name, _ in touched}
    for mass in draws(held, seed):
        weight = held.innocent * mass
        for name, inside in touched:
            some = max(float(weight[inside].sum()), 1e-12)
            drawn[name].append(float((weight * (after.astype(float) - before))[inside].sum()) / some)
    out = []
    for name, inside in touched:
        weight = held.innocent[inside]
        rates = [float((weight * hit[inside]).sum() / weight.sum()) for hit in (before, after)]
        alone = [_independent(held, inside & one & ~other) for one, other in ((after, before), (before, after))]
        chance = float(binomtest(alone[0], sum(alone), 0.5, "greater").pvalue) if sum(alone) else 1.0
        refuses = chance < CHANCE / len(looked) and alone[0] - alone[1] >= LEAST_TOUCHED and rates[1] > CROWDED * budget
        low, high = interval(drawn[name])
        figure = Figure(name, rates[0], rates[1], low, high, refuses)
        why = f"worse beyond noise: {figure.told()}; it alone touches {alone[0]}, the champion alone {alone[1]}"
        out.append(replace(figure, why=why) if refuses else figure)
    return out


def _independent(held: Held, which: Bools) -> int:
    """Accounts, members of one campaign counted once."""
    return len(np.unique(held.units[which]))


def latency(challenger: Speed, champion: Speed) -> Figure:
    """Whether a row takes clearly longer. Times are noisy: the challenger's size must explain what is measured."""
    name = "scoring, microseconds a row"
    more = challenger.microseconds - champion.microseconds
    slower = challenger.microseconds > SLOWER * champion.microseconds and more > LEAST_SLOWER
    refuses = slower and challenger.leaves > SLOWER * champion.leaves
    why = ""
    if refuses:
        why = (
            f"slower: {challenger.microseconds:.0f} us a row against {champion.microseconds:.0f} us, with "
            f"{challenger.leaves:,} leaves against {champion.leaves:,}; tolerated are {SLOWER:g} times the champion's, "
            f"and {LEAST_SLOWER:.0f} us more"
        )
    return Figure(name, champion.microseconds, challenger.microseconds, refuses=refuses, why=why)
