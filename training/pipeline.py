"""One run of training: from a dataset to an artefact, its report, and what the gate needs to judge it.

Every side has one use. The train side is learned from and chooses the size, the calibration side sets the
calibration, the test side gives the figures. Thresholds take the calibration and test sides together: conformal
quantiles need every legitimate account that the booster has not seen, and the figures do not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.time import rfc3339
from service.features.catalogue import fingerprint
from service.model.artefact import Artefact, Manifest, make_artefact
from service.model.calibration import Calibration
from service.policy.policy import Policy
from service.policy.rules import LADDERS
from training.calibrate import calibrate
from training.dataset import AGES, FRAUD, LEGITIMATE, OTHER_AGE, UNLABELLED, Dataset
from training.deciding import Surroundings, decide_on, membership
from training.drift import reference_of
from training.evaluate import (
    by_age,
    by_campaign,
    calibration_error,
    calibration_table,
    figures,
    highest_of,
    too_good,
)
from training.fit import FitRows, fit
from training.gate import Basis
from training.held import Held, hold_out
from training.influence import Taught
from training.silence import Silence, campaign_share, learning_weight, weigh_silence
from training.splits import CALIBRATION, TEST, TRAIN, Split, split
from training.thresholds import Threshold

LEAST_LEGITIMATE = 100  # labelled accounts on the test side for its headline figures to be theirs alone
LEAST_FRAUD = 20
AGE_NAMES = {**{age: name for name, age in AGES.items()}, OTHER_AGE: "before confirmation"}

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that is not registered yet, and everything to say about it."""

    artefact: Artefact
    report: dict[str, Any]
    basis: Basis
    test: Int64s  # rows of the dataset that the gate compares on
    held: Held
    scores: Float64s  # of those rows, calibrated
    taught: Taught


def train(
    dataset: Dataset,
    *,
    seed: int,
    budget: float,
    origin: str,
    created_at: int,
    code_version: str,
    source: Surroundings | None = None,
    segment_times: float | None = None,
) -> Trained:
    """Learns from ``dataset``. The caller has made sure that there are both verdicts, or unlabelled accounts.

    ``source`` is the store that the dataset came from: thresholds then rest on whole lives and on groups. With
    ``segment_times`` no segment of honest accounts is clearly touched beyond so many times the friction budget.
    """
    accounts, verdict = dataset.accounts, dataset.accounts.verdict
    share = campaign_share(accounts.group, accounts.stands_for)
    sides = split(accounts.created_at, accounts.group, np.where(verdict == FRAUD, share, 0.0), seed=seed)
    side = sides.side[dataset.row]
    silence = weigh_silence(dataset, sides, share, seed)
    member = membership(dataset)
    weight = learning_weight(dataset, sides, silence, share, member)
    rows = FitRows(dataset.matrix, verdict[dataset.row] == FRAUD, weight, accounts.group[dataset.row])
    learned = side == TRAIN
    fitted = fit(rows.part(learned), dataset.features, seed=seed)
    whole = dataset
    # What the model never splits on is not computed for it either: a call then costs a fraction of what all would take.
    dataset = dataset.only(fitted.used() | _ruled(dataset))
    rows = FitRows(dataset.matrix, rows.fraud, rows.weight, rows.group)
    fitted = fitted.again(rows.part(learned), dataset.features)
    raw = np.asarray(fitted.booster.predict(dataset.matrix, raw_score=True, num_threads=1), np.float64)
    counts = accounts.stands_for[dataset.row] / np.bincount(dataset.row, minlength=len(accounts))[dataset.row]
    on = side == CALIBRATION
    known_fraud = int((verdict[sides.on(CALIBRATION)] == FRAUD).sum())
    calibration = (
        calibrate(raw[on], silence.hidden[on], counts[on], fraud_accounts=known_fraud)
        if on.any()
        else Calibration.identity()
    )
    score = calibration.probability(raw)
    booster = fitted.booster

    def scored(rows: Float32s) -> Float64s:
        return calibration.probability(np.asarray(booster.predict(rows, raw_score=True, num_threads=1), np.float64))

    decided = decide_on(
        dataset,
        sides.on(CALIBRATION) | sides.on(TEST),
        silence,
        member,
        scored,
        score,
        budget=budget,
        source=source,
        segment_times=segment_times,
    )
    policy = decided.policy
    measured = _measure(dataset, sides, silence, score, counts, policy)
    manifest = Manifest(
        version=f"m-{rfc3339(created_at)[:19].replace('-', '').replace(':', '')}-{dataset.fingerprint[:8]}",
        created_at=rfc3339(created_at),
        origin=origin,
        code_version=code_version,
        features=tuple(feature.name for feature in dataset.features),
        feature_fingerprint=fingerprint(dataset.features),
        data_fingerprint=dataset.fingerprint,
        training=_about(dataset, sides, silence, seed, budget),
        lightgbm={
            "version": lightgbm.__version__,
            "parameters": {name: value for name, value in fitted.parameters.items() if name != "monotone_constraints"},
            "trees": fitted.trees,
            "sizes_tried": fitted.sizes(),
            "size": fitted.chosen_because(),
        },
        calibration=calibration.to_json(),
        policy=policy.to_json(),
        metrics=measured["metrics"],
        gain=fitted.gain(dataset.features),
        reference=reference_of(dataset, score, held=side != TRAIN).to_json(),
    )
    report = {
        **measured,
        "thresholds": [one.to_json() for one in decided.thresholds],
        "lives": decided.about,
        "segments": [one.to_json() for one in decided.segments],
        "rules": decided.rules,
        "sizes_tried": fitted.sizes(),
        "size": fitted.chosen_because(),
        "warnings": [*_warnings(dataset, sides, decided.thresholds), *too_good(measured["metrics"])],
    }
    test = np.flatnonzero(side == TEST)
    return Trained(
        artefact=make_artefact(manifest, fitted.text()),
        report=report,
        basis=_basis(dataset, sides),
        test=test,
        held=hold_out(whole, test, fraud=silence.hidden, weight=counts, innocent=decided.innocent),
        scores=score[test],
        taught=Taught(
            np.flatnonzero(learned), weight[learned], int(str(fitted.parameters["num_leaves"])), fitted.trees
        ),
    )


def _ruled(dataset: Dataset) -> Bools:
    """Which features a rule reads."""
    read = {rung.feature for ladder in LADDERS for rung in ladder}
    return np.array([feature.name in read for feature in dataset.features])


def _measure(
    dataset: Dataset, sides: Split, silence: Silence, score: Float64s, counts: Float64s, policy: Policy
) -> dict[str, Any]:
    """Figures of the test side. Labelled accounts alone are the headline where there are enough legitimate ones."""
    accounts, test = dataset.accounts, sides.on(TEST)
    on = test[dataset.row]
    verdict = accounts.verdict[dataset.row]
    labelled = on & (verdict != UNLABELLED)
    fraud = (verdict == FRAUD).astype(np.float64)
    some = int((accounts.verdict[test] == LEGITIMATE).sum()) >= LEAST_LEGITIMATE
    head = labelled if some else on
    table = calibration_table(score[on], silence.hidden[on], counts[on])
    highest = highest_of(score, dataset.row, len(accounts))
    campaigns = [name if member else None for name, member in zip(accounts.campaign, test, strict=True)]
    challenge = policy.thresholds[0]
    frauds = test & (accounts.verdict == FRAUD)
    metrics: dict[str, Any] = {
        **figures(score[head], fraud[head], counts[head]),
        "calibration_error": calibration_error(table),
        "recall_at_budget": float((highest[frauds] > challenge).mean()) if frauds.any() else None,
        "rows_of": "labelled accounts of the test side" if some else "test side, unlabelled taken as legitimate",
    }
    per_campaign = by_campaign(highest, campaigns, challenge)
    recalls = [one["recall"] for one in per_campaign.values()]
    metrics["worst_campaign_recall"] = min(recalls, default=None)
    metrics["suspicious"] = too_good(metrics)
    return {
        "metrics": metrics,
        "metrics_unlabelled_as_legitimate": figures(score[on], fraud[on], counts[on]),
        "metrics_unlabelled_weighed": figures(score[on], silence.hidden[on], counts[on]),
        "by_age": by_age(score[head], fraud[head], counts[head], dataset.fixed_age[head], AGE_NAMES),
        "by_campaign": per_campaign,
        "calibration_table": table,
    }


def _basis(dataset: Dataset, sides: Split) -> Basis:
    learned = sides.on(TRAIN) & (dataset.accounts.verdict == FRAUD)
    return Basis(int(learned.sum()), len(np.unique(dataset.accounts.group[learned])))


def _about(dataset: Dataset, sides: Split, silence: Silence, seed: int, budget: float) -> dict[str, Any]:
    accounts = dataset.accounts
    verdict = accounts.verdict
    return {
        "as_of": rfc3339(dataset.as_of),
        "seed": seed,
        "friction_budget": budget,
        "rows": len(dataset.row),
        "accounts": len(accounts),
        "accounts_stood_for": float(accounts.stands_for.sum()),
        "positives": int((verdict == FRAUD).sum()),
        "legitimate": int((verdict == LEGITIMATE).sum()),
        "unlabelled": int((verdict == UNLABELLED).sum()),
        "campaigns": len({name for name in accounts.campaign if name}),
        "overturned": int(dataset.overturned.sum()),
        "labels_of_unknown_accounts": dataset.odd.unknown,
        "contradicted": dataset.odd.contradicted,
        "judged_before_signup": dataset.odd.early,
        "frauds_ever_labelled": silence.ever,
        "verdict_delay_90_days": silence.delays.quantile(0.9) / 86_400e6,
        "split_by": sides.by,
        "split_at": [rfc3339(cut) for cut in sides.cuts],
        "dropped_past_their_campaigns_side": sides.dropped,
        "sides": {
            name: {
                "accounts": int(sides.on(side).sum()),
                "positives": int((verdict[sides.on(side)] == FRAUD).sum()),
                "legitimate": int((verdict[sides.on(side)] == LEGITIMATE).sum()),
            }
            for name, side in (("train", TRAIN), ("calibration", CALIBRATION), ("test", TEST))
        },
    }


def _odd_labels(dataset: Dataset) -> list[str]:
    odd = dataset.odd
    told = (
        (odd.unknown, "under a verdict that have not signed up", "nothing is learned of them, and their labels stay"),
        (odd.contradicted, "called fraud by one label and legitimate by another", "the one decided last counts"),
        (odd.early, "judged before they signed up", "only their signup is learned from"),
    )
    return [f"accounts {whose}: {count:,} ({what})" for count, whose, what in told if count]


def _warnings(dataset: Dataset, sides: Split, made: tuple[Threshold, ...]) -> list[str]:
    out = []
    verdict = dataset.accounts.verdict
    infinite = [one.decision.value for one in made if np.isinf(one.value)]
    if infinite:
        held = int(((sides.on(CALIBRATION) | sides.on(TEST)) & (verdict != FRAUD)).sum())
        out.append(
            f"no threshold for {', '.join(infinite)}: {held} held-out accounts that are not fraud are too few for a "
            f"friction budget of {made[0].budget:g}; these decisions are left to rules"
        )
    out += _odd_labels(dataset)
    if len({name for name in dataset.accounts.campaign if name}) == 1:
        out.append("all labelled campaigns are one: what is learned of it may say nothing of the next")
    if sides.by == "hash":
        out.append("all accounts or all frauds share too few creation times to split by time; they were split by hash")
    if sides.by == "campaign":
        out.append(
            "campaigns ran side by side, so time leaves hardly a member to learn from; whole campaigns were dealt out "
            "to the sides instead, and no figure here shows how the model ages"
        )
    if not (verdict == LEGITIMATE).any():
        out.append(
            "no account is labelled legitimate: unlabelled ones stand in, and no figure here is about known ones"
        )
    for name, side in (("calibration", CALIBRATION), ("test", TEST)):
        frauds = int((verdict[sides.on(side)] == FRAUD).sum())
        if frauds < LEAST_FRAUD:
            out.append(f"only {frauds} frauds on the {name} side: its figures are little more than a guess")
    return out
