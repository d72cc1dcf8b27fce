"""Each reason to refuse: a real pair of trained models refused for just that, and one that passes beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.time import DAY
from service.model.artefact import make_artefact
from tests.training.gate_worlds import BUDGET, T, World, against, crowned, model, refusing, registry
from training.dataset import FRAUD, Dataset
from training.fit import FitRows, fit_booster, parameters_of
from training.gate import Basis, Case, rule
from training.influence import _fraud_by_others, influences
from training.pipeline import Trained
from training.register import judge, register

RANKING = {
    "recall at the friction budget",
    "worst campaign's recall",
    "average precision",
    "share of exchanges let through before caught",
}


@cache
def clean() -> tuple[World, Dataset, Trained]:
    """A world and the model of it."""
    world = World()
    dataset = world.dataset()
    return world, dataset, model(dataset, at=T - DAY)


@cache
def again() -> Trained:
    """The same model, a day later."""
    return model(clean()[1])


def test_the_same_model_again_passes_and_says_both_figures(tmp_path: Path) -> None:
    world, dataset, made = clean()
    done = against(tmp_path, made, (again(), dataset), world.labels())
    assert done.promoted
    assert re.search(
        r"recall at the friction budget 0\.(\d+) against 0\.\1 \(difference \+0.0000 to \+0.0000\)", done.why
    )
    assert refusing(done) == set()


def test_a_model_that_learned_from_noise_is_refused_for_its_recall(tmp_path: Path) -> None:
    world, _, made = clean()
    poor = world.shuffled("good", "late").dataset()
    done = against(tmp_path, made, (model(poor), poor), world.labels())
    assert not done.promoted
    assert (
        {"recall at the friction budget", "average precision"}
        <= refusing(done)
        <= RANKING | {"ROC AUC", "calibration error"}
    )
    said = r"worse beyond noise: recall at the friction budget 0\.\d+ against 0\.\d+ \(difference -0\.\d+ to -0\.\d+\)"
    assert re.search(said, done.why)


def test_a_better_model_passes(tmp_path: Path) -> None:
    world, dataset, _ = clean()
    poor = world.shuffled("good", "late").dataset()
    done = against(tmp_path, model(poor, at=T - DAY), (again(), dataset), world.labels())
    assert done.promoted, done.why


def test_a_difference_within_noise_is_not_held_against_the_challenger(tmp_path: Path) -> None:
    world, _, made = clean()
    few = world.dataset(without=world.learning & (np.arange(world.n) % 7 == 0))
    done = against(tmp_path, made, (model(few), few), world.labels())
    assert done.promoted, done.why


def odd_campaigns(world: World) -> World:
    """Every fifth campaign looks honest but for ``odd``, which nobody else has."""
    odd = world.fraud & (world.group % 5 == 3)
    plain = world.told({"odd": 0.0})
    honest = np.random.default_rng(9).normal(size=(world.n, 1))
    return plain.told({"odd": 1.0, "good": honest, "late": honest * np.array([0.0, 0.0, 1.0])}, of=odd)


def test_a_lost_campaign_refuses_though_the_others_hide_it_from_the_recall(tmp_path: Path) -> None:
    world = odd_campaigns(World())
    dataset = world.dataset()
    blind = world.told({"odd": 0.0}, of=world.learning).dataset()
    done = against(tmp_path, model(dataset, at=T - DAY), (model(blind), blind), world.labels())
    assert refusing(done) == {"worst campaign's recall"}
    assert not done.promoted


def test_a_model_that_finds_the_same_accounts_a_week_later_is_refused_for_what_they_use_until_then(
    tmp_path: Path,
) -> None:
    world, _, made = clean()
    late = world.shuffled("good").dataset()
    done = against(tmp_path, made, (model(late), late), world.labels())
    assert refusing(done) == {"share of exchanges let through before caught"}
    (spent,) = [one for one in done.ruling.figures if one.figure.startswith("share of exchanges")]
    assert spent.champion is not None
    assert spent.challenger is not None
    assert spent.champion < 0.2
    assert spent.challenger > 0.9


def test_a_model_that_ranks_alike_but_boasts_is_refused_for_its_calibration(tmp_path: Path) -> None:
    world, _, made = clean()
    place = np.arange(world.n) / world.n
    thinned = (place > 0.64) & (place < 0.8) & ~world.fraud & (np.arange(world.n) % 10 > 0)
    boastful = world.dataset(without=thinned)
    done = against(tmp_path, made, (model(boastful), boastful), world.labels())
    assert refusing(done) == {"calibration error"}


def test_a_model_that_puts_its_false_alarms_on_one_honest_segment_is_refused_for_it(tmp_path: Path) -> None:
    world = World(n=6_000)
    some = np.random.default_rng(6).random(world.n) < 0.75
    fair = world.told({"plan": 5.0}, of=world.fraud & ~world.learning & some)
    unfair = fair.told({"plan": 5.0}, of=world.fraud & world.learning)
    dataset, partial = fair.dataset(), unfair.dataset()
    done = against(tmp_path, model(dataset, at=T - DAY), (model(partial), partial), world.labels())
    assert refusing(done) == {"false alarms"}
    assert "false alarms, plan 5 0." in done.why
    assert "it alone touches" in done.why


def test_a_model_of_many_more_trees_is_refused_for_its_latency(tmp_path: Path) -> None:
    world, dataset, made = clean()
    same = again()
    names = same.artefact.manifest.features
    features = tuple(one for one in dataset.features if one.name in names)
    matrix = dataset.only(np.array([one.name in names for one in dataset.features])).matrix
    rows = FitRows(matrix, world.fraud[dataset.row], np.ones(len(matrix)), world.group[dataset.row])
    parameters = {**parameters_of(features, 31, 1), "min_data_in_leaf": 5, "learning_rate": 0.001}
    large = fit_booster(rows, features, parameters, 3_000).model_to_string()
    slow = replace(same, artefact=make_artefact(same.artefact.manifest, large))
    done = against(tmp_path, made, (slow, dataset), world.labels())
    assert refusing(done) == {"scoring"}
    assert "us a row against" in done.why


def test_data_that_shifted_are_refused_where_the_models_rest_on_them(tmp_path: Path) -> None:
    world, _, made = clean()
    moved = world.told({name: world.values[name] * 3 + 4 for name in ("good", "late")}).dataset()
    done = against(tmp_path, made, (model(moved), moved), world.labels())
    assert refusing(done) == {"gain of shifted features"}
    assert "signal.good (" in done.why


def test_a_shift_in_what_no_model_rests_on_is_shown_and_refuses_nothing(tmp_path: Path) -> None:
    world, _, made = clean()
    moved = world.told({"odd": 1.0 - world.values["odd"], "noise": world.values["noise"] + 9}).dataset()
    done = against(tmp_path, made, (model(moved), moved), world.labels())
    assert done.promoted, done.why
    assert any(one.figure == "population stability, signal.noise" for one in done.ruling.figures)


def test_fraud_labelled_by_one_analyst_is_refused_and_the_ways_out_are_told(tmp_path: Path) -> None:
    world, dataset, _ = clean()
    done = against(tmp_path, None, (again(), dataset), world.labels(lambda _: "ann"))
    assert refusing(done) == {"analysts behind the frauds"}
    assert "one analyst (ann)" in done.why
    assert "GATEHOUSE_LEAST_ANALYSTS" in done.why
    assert "--promote always" in done.why


def test_a_second_analyst_who_looked_twice_is_no_second_pair_of_eyes(tmp_path: Path) -> None:
    world, dataset, _ = clean()
    frauds = np.flatnonzero(world.fraud).tolist()
    labels = world.labels(lambda i: "bob" if i in frauds[:2] else "ann")
    assert refusing(against(tmp_path, None, (again(), dataset), labels)) == {"analysts behind the frauds"}


def test_an_installation_with_one_analyst_may_say_so(tmp_path: Path) -> None:
    world, dataset, _ = clean()
    done = against(tmp_path, None, (again(), dataset), world.labels(lambda _: "ann"), least_analysts=1)
    assert done.promoted, done.why


def test_one_analyst_is_enough_for_few_frauds(tmp_path: Path) -> None:
    world = World(frauds_in=14)
    dataset = world.dataset()
    done = against(tmp_path, None, (model(dataset), dataset), world.labels(lambda _: "ann"))
    assert done.promoted, done.why


def test_whatever_the_gate_says_a_model_can_be_promoted_by_hand(tmp_path: Path) -> None:
    world, dataset, _ = clean()
    with registry(tmp_path) as app:
        labels = world.labels(lambda _: "ann")
        done = register(app, model(dataset), dataset, labels, at=T, promote="always", budget=BUDGET, seed=1)
        assert done.promoted
        assert done.why.startswith(
            "promoted because it was asked for; the gate: refused: labels of fraud come from one"
        )
        assert app.store.champion() is not None


def grudge(world: World) -> World:
    """Mallory calls fraud what is odd, and it is not."""
    other = world.told({})
    other.fraud = world.fraud | (world.values["odd"][:, 0] == 1)
    return other


def test_a_model_that_one_analysts_grudge_swings_is_refused_and_the_analyst_is_shown(tmp_path: Path) -> None:
    world, _, made = clean()
    swung = grudge(world)
    odd = np.flatnonzero(swung.fraud & ~world.fraud)
    labels = swung.labels(lambda i: "mallory" if i in odd else ("ann", "bob", "eve")[i % 3])
    told = swung.dataset()
    done = against(tmp_path, made, (model(told), told), labels)
    assert refusing(done) == {"influence of mallory"}
    assert "the labels of mallory alone" in done.why
    mallory = next(one for one in done.ruling.influence if one.analyst == "mallory")
    assert mallory.frauds == len(odd)
    assert mallory.recall_without is not None
    assert mallory.recall > mallory.recall_without + 0.2
    assert not any(one.refuses for one in done.ruling.influence if one.analyst != "mallory")


def test_the_grudge_is_seen_in_a_sample_too_where_there_is_too_much_to_fit_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _, made = clean()
    swung = grudge(world)
    odd = np.flatnonzero(swung.fraud & ~world.fraud)
    labels = swung.labels(lambda i: "mallory" if i in odd else ("ann", "bob", "eve")[i % 3])
    told = swung.dataset()
    monkeypatch.setattr("training.influence.MOST_ROWS", 3_000)
    assert len(made.taught.rows) > 5_000
    assert refusing(against(tmp_path, made, (model(told), told), labels)) == {"influence of mallory"}


def test_analysts_who_share_a_campaigns_members_out_confirm_one_another_and_a_borrowed_name_does_not() -> None:
    world, dataset, _ = clean()
    name = [f"case-{of}" if fraud and of < 10**6 else None for of, fraud in zip(world.group, world.fraud, strict=True)]
    rank = {i: sum(other == one for other in name[:i]) for i, one in enumerate(name) if one is not None}
    size = Counter(dataset.accounts.campaign)
    number, campaign = dataset.accounts.account.tolist(), dataset.accounts.campaign
    large = np.array([one is not None and size[one] >= 6 for one in campaign])
    alone = np.array([one is None for one in campaign])
    assert large.sum() > 20

    def by_others(colleague_has: Callable[[int], bool]) -> NDArray[np.bool_]:
        """Every third account on its own, and of campaigns what is said, are the colleague's."""
        labels = world.labels(lambda i: "bob" if (colleague_has(rank[i]) if i in rank else i % 3 == 0) else "ann")
        return _fraud_by_others("ann", labels, dataset)

    shared_out = by_others(lambda place: place % 2 == 0)
    assert shared_out[large].all()
    assert not shared_out[alone & np.array([i % 3 > 0 for i in number])].any()
    borrowed = by_others(lambda place: place == 0)  # one member in each: too few beside the others
    assert not borrowed[large & np.array([rank.get(i) != 0 for i in number])].any()


def test_where_all_fraud_came_too_late_to_be_learned_from_no_analyst_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first weeks of a large installation: every campaign labelled so far is among the held-out accounts."""
    world, dataset, made = clean()
    silent = dataset.accounts.verdict[dataset.row[made.taught.rows]] != FRAUD
    taught = replace(made.taught, rows=made.taught.rows[silent], weight=made.taught.weight[silent])
    labels = world.labels(lambda i: ("ann", "bob")[i % 2])
    features = made.artefact.manifest.features
    monkeypatch.setattr("training.influence.MOST_ROWS", 3_000)
    scores = (made.scores, None)
    held, test = made.held, made.test
    assert influences(dataset, labels, taught, held, test, scores, features, budget=BUDGET, seed=1) == ()


def test_what_one_analyst_alone_teaches_passes_where_others_call_the_same_accounts_fraud(tmp_path: Path) -> None:
    world, _, made = clean()
    swung = grudge(world)
    odd = np.flatnonzero(swung.fraud & ~world.fraud)
    learned = 0.7 * world.n
    labels = swung.labels(
        lambda i: ("ann", "bob")[i % 2] if i in odd and i > learned else "mallory" if i in odd else "eve"
    )
    told = swung.dataset()
    done = against(tmp_path, made, (model(told), told), labels)
    assert done.promoted, done.why


def test_figures_too_good_to_be_true_are_refused_and_named(tmp_path: Path) -> None:
    world, _, made = clean()
    leak = world.told({"leak": world.fraud.astype(float)[:, None]}).dataset()
    done = against(tmp_path, made, (model(leak), leak), world.labels())
    assert refusing(done) > {"too good: roc_auc"}
    assert all(one.startswith("too good") for one in refusing(done))
    assert "roc_auc is 1.0000: too good to be true, look for a leak" in done.why
    assert "promote by hand" in done.why


def test_figures_as_good_as_a_champions_that_somebody_let_pass_are_not_refused_again(tmp_path: Path) -> None:
    world, _, _ = clean()
    leak = world.told({"leak": world.fraud.astype(float)[:, None]}).dataset()
    done = against(tmp_path, model(leak, at=T - DAY), (model(leak), leak), world.labels())
    assert done.promoted, done.why


def test_the_first_trained_model_replaces_a_starter_that_is_no_better_on_the_operators_accounts(tmp_path: Path) -> None:
    world, dataset, _ = clean()
    elsewhere = World(seed=8).told({"good": np.random.default_rng(4).normal(2, 3, (world.n, 1)), "plan": 9.0}).dataset()
    starter = model(elsewhere, at=T - DAY, origin="starter")
    done = against(tmp_path, starter, (again(), dataset), world.labels())
    assert done.promoted, done.why
    assert "not worse than starter model" in done.why
    assert not any("stability" in one.figure for one in done.ruling.figures)


def test_a_first_model_that_is_worse_than_the_starter_is_refused(tmp_path: Path) -> None:
    world, dataset, _ = clean()
    poor = world.shuffled("good", "late").dataset()
    done = against(tmp_path, model(dataset, at=T - DAY, origin="starter"), (model(poor), poor), world.labels())
    assert not done.promoted
    assert "recall at the friction budget" in refusing(done)
    assert "champion: starter model" in done.why


def test_a_champion_whose_files_are_gone_is_said_and_not_compared_with(tmp_path: Path) -> None:
    world, dataset, made = clean()
    with registry(tmp_path) as app:
        crowned(app, made)
        (tmp_path / "models" / made.artefact.manifest.version / "booster.txt").unlink()
        said = judge(app, model(dataset), dataset, world.labels(), app.store.champion(), budget=BUDGET, seed=1)
    assert said.passes
    assert "cannot be used" in said.why


def test_every_reason_is_told_not_only_the_first(tmp_path: Path) -> None:
    world, _, made = clean()
    poor = world.shuffled("good", "late").dataset()
    done = against(tmp_path, made, (model(poor), poor), world.labels(lambda _: "ann"))
    assert {"analysts behind the frauds", "average precision"} <= refusing(done)
    assert all(one.why in done.why for one in done.ruling.figures if one.refuses)


@pytest.mark.parametrize("basis", [Basis(19, 12), Basis(200, 2)])
def test_too_little_fraud_is_refused_however_good_it_looks(basis: Basis) -> None:
    _, _, made = clean()
    ruling = rule(Case(basis, made.held, made.scores), budget=BUDGET)
    assert not ruling.passes
    assert "label more" in ruling.why


def test_a_model_that_ranks_backwards_or_has_nothing_to_be_judged_by_is_refused() -> None:
    _, _, made = clean()
    assert "no better than chance" in rule(Case(made.basis, made.held, 1 - made.scores), budget=BUDGET).why
    nobody = replace(made.held, verdict=np.where(made.held.frauds, -1, made.held.verdict))
    assert "label more" in rule(Case(made.basis, nobody, made.scores), budget=BUDGET).why


def test_the_same_case_and_seed_get_the_same_ruling() -> None:
    world, _, made = clean()
    other = model(world.shuffled("late").dataset())
    rulings = [
        rule(Case(made.basis, made.held, other.scores, made.scores, "it"), budget=BUDGET, seed=5) for _ in range(2)
    ]
    assert rulings[0] == rulings[1]
