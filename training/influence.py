"""Does one analyst's word swing a model? Their labels are left out, the same size is fitted again, and compared.

Deleting a case and looking at what changes is how influence is measured in regression (Cook 1977); here the case is an
analyst. Whose labels teach something true, finds fraud that others labelled, too, or members of campaigns that others
found, and that acquits: only what an analyst's word teaches, their own word praises and nobody else's confirms is held
against the challenger. What is left out are accounts whose verdict would be another one, or none, without their labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import lightgbm
import numpy as np

from service.domain.codes import mix64
from service.domain.enums import Verdict
from service.domain.facts import Float64s, Int64s
from service.domain.records import LabelRecord
from training.compare import Ranked, draws, interval
from training.dataset import FRAUD, UNLABELLED, Dataset, verdicts
from training.fit import THREADS, WORKERS, FitRows, fit_booster, parameters_of
from training.held import Bools, Held, columns_of

COUNTED_FROM = 3  # frauds that an analyst labelled; fewer are a visit, not a second pair of eyes
LEAST_SHARE = 0.10  # of labelled frauds, for an analyst to be looked at
MOST_ANALYSTS = 5
MOST_ROWS = 40_000  # to fit again on; of more, a sample, and what all labels teach is then learned from the same sample
LEVEL = 0.98  # two-sided; several analysts are looked at
LEAST_SWUNG = 5  # accounts whose decision hangs on the analyst's labels


@dataclass(frozen=True, slots=True)
class Taught:
    """What a model was fitted on, so that it can be fitted again without some of it."""

    rows: Int64s  # places in the dataset
    weight: Float64s  # of those rows
    leaves: int
    trees: int


@dataclass(frozen=True, slots=True)
class Influence:
    """What one analyst's labels do; recalls are at the friction budget, of held-out labelled fraud."""

    analyst: str
    frauds: int  # accounts that they labelled fraud, of those whose verdict is fraud
    share: float  # of those
    left_out: int  # accounts that were not learned from for want of their labels
    recall: float
    recall_without: float | None  # None: without their labels there is no fraud to learn from
    recall_of_others: float | None  # of fraud that somebody else labelled; None: there is none held out
    recall_of_others_without: float | None
    flagged_alone: float  # accounts above the threshold that nobody else calls fraud, as a share of such accounts
    flagged_alone_without: float
    low: float  # interval of what their labels add to ``flagged_alone``
    high: float
    refuses: bool
    why: str

    def to_json(self) -> dict[str, object]:
        """As in reports."""
        return {name: getattr(self, name) for name in self.__slots__}


def analysts_of(labels: Iterable[LabelRecord], dataset: Dataset) -> dict[str, int]:
    """Of the accounts whose verdict is fraud, how many each analyst labelled so; most first, ties by name."""
    frauds = set(dataset.accounts.account[dataset.accounts.verdict == FRAUD].tolist())
    said = {(one.analyst, one.account) for one in _standing(labels, dataset.as_of) if one.account in frauds}
    count: dict[str, int] = {}
    for analyst, _ in said:
        count[analyst] = count.get(analyst, 0) + 1
    return dict(sorted(count.items(), key=lambda item: (-item[1], item[0])))


def influences(
    dataset: Dataset,
    labels: Sequence[LabelRecord],
    taught: Taught,
    held: Held,
    test: Int64s,
    scores: Sequence[Float64s | None],
    features: Sequence[str],
    *,
    budget: float,
    seed: int,
) -> tuple[Influence, ...]:
    """Of each analyst with a good part of the frauds, those with the most first; nothing where only one counts.

    Nor is anything told where no fraud is on the training side.

    Beside one who labelled nearly all there is nobody to compare with: the gate asks for a second analyst, then.

    ``test`` are the rows of ``held``, ``scores`` those of the challenger and the champion (None: there is none),
    ``features`` the challenger's.
    """
    count = analysts_of(labels, dataset)
    frauds = int((dataset.accounts.verdict == FRAUD).sum())
    looked = [name for name, n in count.items() if n >= LEAST_SHARE * frauds][:MOST_ANALYSTS]
    if sum(n >= COUNTED_FROM for n in count.values()) < 2 or scores[0] is None:
        return ()
    left_out = {name: _rests_on(name, labels, dataset) for name in looked}
    few = _sample(dataset, taught, seed)
    with ThreadPoolExecutor(WORKERS) as workers:
        jobs = {
            name: workers.submit(_without, dataset, few, test, tuple(features), out, seed)
            for name, out in left_out.items()
        }
        nobody = np.zeros(len(dataset.accounts), bool)
        whole = None if few is taught else workers.submit(_without, dataset, few, test, tuple(features), nobody, seed)
        refitted = {name: job.result() for name, job in jobs.items()}
        own = scores[0] if whole is None else whole.result()
    if own is None:  # the campaigns labelled so far all began too late to be learned from: the gate refuses for that
        return ()
    models = Ranked(held, own), None if scores[1] is None else Ranked(held, scores[1])
    of_test = np.unique(dataset.row[test])
    out = []
    for name in looked:
        other = _fraud_by_others(name, labels, dataset)[of_test] & held.frauds
        without = None if refitted[name] is None else Ranked(held, refitted[name])  # type: ignore[arg-type]
        judged = _judge(held, models[0], models[1], without, other, budget=budget, seed=seed)
        out.append(_told(name, count[name], count[name] / frauds, int(left_out[name].sum()), judged))
    return tuple(out)


def _standing(labels: Iterable[LabelRecord], as_of: int) -> list[LabelRecord]:
    """Fraud labels in force."""
    return [
        one
        for one in labels
        if one.verdict is Verdict.FRAUD
        and one.learned_at <= as_of
        and (one.retraction_learned_at is None or one.retraction_learned_at > as_of)
    ]


def _rests_on(analyst: str, labels: Sequence[LabelRecord], dataset: Dataset) -> Bools:
    """Accounts whose verdict is another without the analyst's labels, shape (accounts,)."""
    without = verdicts([one for one in labels if one.analyst != analyst], dataset.as_of)
    found = [without.get(int(account)) for account in dataset.accounts.account]
    then = np.array([UNLABELLED if one is None else int(one.fraud) for one in found], np.int8)
    return np.asarray(then != dataset.accounts.verdict)


def _fraud_by_others(analyst: str, labels: Sequence[LabelRecord], dataset: Dataset) -> Bools:
    """Accounts that somebody else labelled fraud, or whose campaign others found to be one, too; shape (accounts,).

    Analysts share a campaign's members out among them, so that hardly an account has two labels. Others found the
    campaign if they labelled ``COUNTED_FROM`` of its members or more, and half as many as the analyst: a name on many
    accounts of one's own does not borrow a colleague's three.
    """
    standing = _standing(labels, dataset.as_of)
    others = [one.account for one in standing if one.analyst != analyst]
    mine = Counter(one.campaign_id for one in standing if one.analyst == analyst)
    theirs = Counter(one.campaign_id for one in standing if one.analyst != analyst)
    found = {
        name for name, count in theirs.items() if name is not None and count >= COUNTED_FROM and 2 * count >= mine[name]
    }
    of_found = np.array([name in found for name in dataset.accounts.campaign], bool)
    return np.asarray(np.isin(dataset.accounts.account, np.array(others, np.int64)) | of_found)


def _sample(dataset: Dataset, taught: Taught, seed: int) -> Taught:
    """All fraud, and of other groups as many as make about ``MOST_ROWS``; each weighs for those left out."""
    fraud = dataset.accounts.verdict[dataset.row[taught.rows]] == FRAUD
    if len(taught.rows) <= MOST_ROWS:
        return taught
    share = max(0.02, (MOST_ROWS - float(fraud.sum())) / float((~fraud).sum()))
    drawn = mix64(dataset.accounts.group[dataset.row[taught.rows]] ^ np.int64(seed + 11)) / 2.0**64 < share
    kept = fraud | drawn
    weight = np.where(fraud, taught.weight, taught.weight / share)
    return Taught(taught.rows[kept], weight[kept], taught.leaves, taught.trees)


def _without(
    dataset: Dataset, taught: Taught, test: Int64s, names: tuple[str, ...], left_out: Bools, seed: int
) -> Float64s | None:
    """Raw scores of the held-out rows by a model that did not learn from some accounts; None: no fraud was left."""
    kept = ~left_out[dataset.row[taught.rows]]
    rows = taught.rows[kept]
    fraud = dataset.accounts.verdict[dataset.row[rows]] == FRAUD
    if not fraud.any() or fraud.all():
        return None
    features = tuple(feature for feature in dataset.features if feature.name in names)
    group = dataset.accounts.group[dataset.row[rows]]
    asked = FitRows(columns_of(dataset, rows, features), fraud, taught.weight[kept], group)
    booster: lightgbm.Booster = fit_booster(asked, features, parameters_of(features, taught.leaves, seed), taught.trees)
    return np.asarray(
        booster.predict(columns_of(dataset, test, features), raw_score=True, num_threads=THREADS), np.float64
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    recall: tuple[float, float | None]
    others: tuple[float | None, float | None]
    alone: tuple[float, float]
    low: float
    high: float
    swung: int
    gains: bool  # better than the champion, or than nothing, beyond noise
    gains_without: bool
    loses: bool  # recall, beyond noise, without the analyst
    confirmed: bool  # by fraud that others labelled


def _judge(
    held: Held,
    model: Ranked,
    champion: Ranked | None,
    without: Ranked | None,
    others: Bools,
    *,
    budget: float,
    seed: int,
) -> _Judged:
    frauds, nobody_else = held.frauds, ~others

    def hits(of: Ranked | None, mass: Float64s) -> Bools:
        return np.zeros(len(held), bool) if of is None else np.asarray(of.highest > of.threshold(mass, budget))

    def share(hit: Bools, among: Bools, mass: Float64s) -> float:
        return float((mass * hit)[among].sum() / max(mass[among].sum(), 1e-12))

    drawn: dict[str, list[float]] = {name: [] for name in ("alone", "recall", "others", "gain", "gain without")}
    once = np.ones(len(held))
    for mass in draws(held, seed):
        with_, left, before = (hits(of, mass) for of in (model, without, champion))
        drawn["alone"].append(share(with_, nobody_else, mass) - share(left, nobody_else, mass))
        drawn["recall"].append(share(with_, frauds, mass) - share(left, frauds, mass))
        drawn["others"].append(share(with_, others, mass) - share(left, others, mass))
        drawn["gain"].append(share(with_, frauds, mass) - share(before, frauds, mass))
        drawn["gain without"].append(share(left, frauds, mass) - share(before, frauds, mass))
    lows = {name: interval(values, LEVEL)[0] for name, values in drawn.items()}
    with_, left = hits(model, once), hits(without, once)
    low, high = interval(drawn["alone"], LEVEL)
    some = bool(others.any())
    return _Judged(
        recall=(share(with_, frauds, once), None if without is None else share(left, frauds, once)),
        others=(share(with_, others, once), share(left, others, once)) if some else (None, None),
        alone=(share(with_, nobody_else, once), share(left, nobody_else, once)),
        low=low,
        high=high,
        swung=int((with_ & ~left & nobody_else).sum()) - int((left & ~with_ & nobody_else).sum()),
        gains=lows["gain"] > 0,
        gains_without=lows["gain without"] > 0,
        loses=lows["recall"] > 0,
        confirmed=some and lows["others"] > 0,
    )


def _told(analyst: str, frauds: int, share: float, left_out: int, of: _Judged) -> Influence:
    carries = of.gains and of.loses and not of.gains_without and of.swung >= LEAST_SWUNG
    flags = of.low > 0 and of.swung >= LEAST_SWUNG
    refuses = (carries or flags) and not of.confirmed
    lost = 0.0 if of.recall[1] is None else of.recall[1]
    why = ""
    if refuses:
        moved = (
            "carry the improvement: " if carries else "decide who is flagged: "
        ) + f"without them recall at the friction budget is {lost:.4f} instead of {of.recall[0]:.4f}"
        why = (
            f"the labels of {analyst} alone ({share:.0%} of the frauds) {moved}, and {of.swung} held-out accounts that "
            "nobody else calls fraud are flagged for them; have another analyst look at these cases"
        )
    elif of.confirmed and (carries or flags):
        why = "they change much, and fraud that others labelled confirms it"
    return Influence(
        analyst,
        frauds,
        share,
        left_out,
        of.recall[0],
        of.recall[1],
        *of.others,
        *of.alone,
        of.low,
        of.high,
        refuses,
        why,
    )
