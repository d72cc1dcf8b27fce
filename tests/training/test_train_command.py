from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from service.cli import cli
from service.model.artefact import read_artefact
from service.model.scorer import Scorer
from tests.training.report.pages import check_page, text_of
from training.simulate import simulate
from training.simulate.command import DEFAULT_START

AS_OF = "2026-06-01T00:00:00Z"


def database(folder: Path) -> list[str]:
    return ["--database", f"sqlite:///{folder / 'gatehouse.db'}"]


def gatehouse(folder: Path, *words: str) -> Result:
    """In this process, where a command is expected to be done."""
    done = CliRunner().invoke(cli, [*words, *database(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done


def refused(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As a program, for its exit code."""
    command = [sys.executable, "-m", "service.cli", *words, *database(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answer(done: Result) -> Any:
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    simulate(
        folder / "world", accounts=2_400, days=40, campaigns=30, seed=11, start=DEFAULT_START, exchanges_per_day=1.0
    )
    answer(gatehouse(folder, "import", str(folder / "world"), "--json"))
    return folder


@pytest.fixture(scope="module")
def trained(imported: Path) -> tuple[Path, Any]:
    report = imported / "report"
    return imported, answer(gatehouse(imported, "train", "--as-of", AS_OF, "--report", str(report), "--json"))


def test_training_says_what_it_learned_from_how_it_did_and_whether_it_was_promoted(trained: tuple[Path, Any]) -> None:
    _, said = trained
    assert said["positives"] > 20
    assert said["rows"] > said["accounts"] >= said["positives"] + said["legitimate"]
    assert said["campaigns"] > 3
    assert {"roc_auc", "average_precision", "recall_at_fpr_0.001", "brier", "log_loss"} <= set(said["metrics"])
    assert said["promoted"]
    assert "there was no champion" in said["why"]
    assert [one["chosen"] for one in said["sizes_tried"]].count(True) == 1
    assert "would have added to its average precision" in said["size"]


def test_the_report_tells_what_the_friction_budget_rests_on_and_whom_it_is_spent_on(trained: tuple[Path, Any]) -> None:
    told = json.loads((trained[0] / "report" / "report.json").read_text())
    assert told["lives"]["looks"] > 10 * told["lives"]["accounts"]
    assert 0 < told["lives"]["in_groups"] < told["lives"]["accounts"]
    assert 1 < told["lives"]["life_days"] < 40
    assert all(one["share"] <= one["upper"] for one in told["thresholds"])
    assert {one["segment"] for one in told["segments"]} == {"country", "plan", "mail", "group"}
    assert all(one["low"] <= one["share"] <= one["high"] for one in told["segments"])


def test_what_is_registered_can_be_loaded_and_is_what_was_said(trained: tuple[Path, Any]) -> None:
    folder, said = trained
    listed = answer(gatehouse(folder, "models", "list", "--json"))["models"]
    (model,) = [one for one in listed if one["version"] == said["model_version"]]
    assert model["state"] == "champion"
    assert model["metrics"] == said["metrics"]
    artefact = read_artefact(folder / "models" / said["model_version"])
    assert artefact.manifest.feature_fingerprint == model["feature_fingerprint"]
    assert set(artefact.manifest.gain) == set(artefact.manifest.features)
    assert artefact.manifest.lightgbm["sizes_tried"] == trained[1]["sizes_tried"]
    assert artefact.manifest.lightgbm["size"] == trained[1]["size"]
    scores = Scorer(artefact).score(np.full((3, len(artefact.manifest.features)), np.nan, np.float32))
    assert ((scores > 0) & (scores < 1)).all()


def test_the_same_data_and_seed_give_the_same_model_which_the_gate_lets_pass(trained: tuple[Path, Any]) -> None:
    folder, said = trained
    again = answer(gatehouse(folder, "train", "--as-of", AS_OF, "--json"))
    assert again["model_version"] != said["model_version"]
    first, second = (read_artefact(folder / "models" / one["model_version"]) for one in (said, again))
    assert first.booster == second.booster
    assert first.manifest.data_fingerprint == second.manifest.data_fingerprint
    assert first.manifest.policy == second.manifest.policy
    assert again["promoted"]
    assert f"not worse than trained model {said['model_version']}" in again["why"]
    back = answer(gatehouse(folder, "models", "rollback", "--reason", "a try", "--json"))
    assert back["version"] == said["model_version"]


def kept_pairs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models" / "linking").glob("*"))


def test_the_pair_model_is_reported_and_kept_where_it_beats_no_labels(trained: tuple[Path, Any]) -> None:
    folder, said = trained
    pairs = said["pair_model"]
    assert {"kept", "why", "average_precision", "label_free"} <= set(pairs)
    assert pairs["campaigns"] >= 5
    assert pairs["kept"] == (pairs["average_precision"] - pairs["label_free"] > pairs["standard_error"])
    assert (pairs["version"] in kept_pairs(folder)) == pairs["kept"]
    whole = json.loads((folder / "report" / "report.json").read_text())
    assert whole["pair_model"] == pairs


def test_the_gate_tells_every_figure_and_what_each_analyst_did_and_a_refusal_is_done(
    trained: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = trained
    keys = {"figure", "champion", "challenger", "low", "high", "refuses", "why"}
    assert all(set(one) == keys and not one["refuses"] for one in said["gate"])
    assert {"analyst", "share", "left_out", "recall", "recall_without", "refuses", "why"} <= set(said["influence"][0])
    monkeypatch.setenv("GATEHOUSE_LEAST_ANALYSTS", "9")
    monkeypatch.setenv("GATEHOUSE_TWO_ANALYSTS_ABOVE", "10")
    again = answer(gatehouse(folder, "train", "--as-of", AS_OF, "--seed", "2", "--json"))
    assert not again["promoted"]
    assert "6 analysts" in again["why"]
    assert [one["figure"] for one in again["gate"] if one["refuses"]] == ["analysts behind the frauds"]
    compared = {one["figure"] for one in again["gate"] if one["low"] is not None}
    assert {"recall at the friction budget", "average precision", "calibration error"} <= compared
    assert states(folder)[again["model_version"]] == "challenger"


def states(folder: Path) -> dict[str, str]:
    return {one["version"]: one["state"] for one in answer(gatehouse(folder, "models", "list", "--json"))["models"]}


@pytest.fixture(scope="module")
def challenger(trained: tuple[Path, Any]) -> tuple[Path, str, dict[str, str], str]:
    folder, _ = trained
    before = states(folder)
    done = gatehouse(folder, "train", "--promote", "never", "--seed", "5", "--segment-bound", "10", "--json")
    assert not answer(done)["promoted"]
    return folder, answer(done)["model_version"], before, done.stderr


def test_never_registers_a_challenger_and_leaves_the_champion(
    challenger: tuple[Path, str, dict[str, str], str],
) -> None:
    folder, version, before, _ = challenger
    assert states(folder) == {**before, version: "challenger"}


def test_never_keeps_no_pair_model_either(challenger: tuple[Path, str, dict[str, str], str]) -> None:
    linking = challenger[0] / "models" / "linking"
    assert all(read_artefact(linking / name).manifest.training["seed"] != 5 for name in kept_pairs(challenger[0]))


def test_the_next_detection_uses_the_newest_pair_model_that_knew_no_more(trained: tuple[Path, Any]) -> None:
    folder, said = trained
    done = gatehouse(folder, "detect", "--as-of", AS_OF, "--json")
    used = [json.loads(line)["model"] for line in done.stderr.splitlines() if "pair_model_used" in line]
    assert used == kept_pairs(folder)[-1:]
    assert (said["pair_model"]["version"] in kept_pairs(folder)) == said["pair_model"]["kept"]
    earlier = gatehouse(folder, "detect", "--as-of", "2026-05-30", "--json")
    assert "pair_model_used" not in earlier.stderr


def test_an_as_of_left_to_now_is_warned_about_when_the_facts_are_old(
    challenger: tuple[Path, str, dict[str, str], str],
) -> None:
    assert "the newest fact is of 2026-" in challenger[3]


def test_a_model_whose_files_were_altered_is_not_promoted_and_the_champion_stays(
    challenger: tuple[Path, str, dict[str, str], str],
) -> None:
    folder, version, _, _ = challenger
    booster = folder / "models" / version / "booster.txt"
    booster.write_text(booster.read_text() + "\n")
    done = refused(folder, "models", "promote", version)
    assert done.returncode == 1
    assert "booster.txt is truncated or altered" in done.stderr
    assert states(folder)[version] == "challenger"


def test_the_report_is_one_page_that_needs_nothing_else(trained: tuple[Path, Any]) -> None:
    folder, said = trained
    page = (folder / "report" / "report.html").read_text()
    check_page(page)
    assert said["model_version"] in page
    whole = json.loads((folder / "report" / "report.json").read_text())
    assert whole["metrics"] == said["metrics"]
    assert whole["by_campaign"]
    assert whole["calibration_table"]


def test_the_report_says_what_was_learned_from_and_draws_what_came_of_it(trained: tuple[Path, Any]) -> None:
    folder, said = trained
    whole = json.loads((folder / "report" / "report.json").read_text())
    assert sum(one["fraud"] for one in whole["analysts"]) >= said["positives"]
    assert [curve["of"] for curve in whole["friction_curves"]] == ["challenger"]  # there was no champion
    assert whole["friction_curves"][0]["frauds"] == whole["training"]["sides"]["test"]["positives"]
    assert {one["campaign_id"] for one in whole["detection"]} == set(whole["by_campaign"])
    assert len(whole["swarm"]["features"]) == 20
    assert all(len(one["dots"]) == whole["swarm"]["rows"] == 500 for one in whole["swarm"]["features"])
    text = text_of((folder / "report" / "report.html").read_text())
    assert whole["model"]["data_fingerprint"] in text
    assert whole["swarm"]["features"][0]["feature"] in text
    assert all(one["analyst"] in text for one in whole["analysts"])


def test_without_labels_the_exit_code_is_2_and_the_mend_is_named(imported: Path) -> None:
    done = refused(imported, "train", "--as-of", "2026-04-22T00:00:01Z", "--json")
    assert done.returncode == 2
    assert "there are no labels to train on" in done.stderr
    assert "gatehouse labels import" in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_that_all_say_legitimate_are_refused(tmp_path: Path) -> None:
    world = tmp_path / "world"
    world.mkdir()
    (world / "accounts.csv").write_text("account_id,created_at\nann,2026-04-22T12:00:00Z\n")
    (world / "labels.csv").write_text(
        "account_id,verdict,decided_at,analyst\nann,legitimate,2026-04-23T12:00:00Z,eve\n"
    )
    answer(gatehouse(tmp_path, "import", str(world), "--json"))
    done = refused(tmp_path, "train", "--as-of", "2026-05-01")
    assert done.returncode == 2
    assert "a model needs fraud to learn from" in done.stderr


def test_labels_of_accounts_that_never_signed_up_are_refused(tmp_path: Path) -> None:
    world = tmp_path / "world"
    world.mkdir()
    (world / "labels.csv").write_text("account_id,verdict,decided_at,analyst\nann,fraud,2026-04-23T12:00:00Z,eve\n")
    answer(gatehouse(tmp_path, "import", str(world), "--json"))
    done = refused(tmp_path, "train", "--as-of", "2026-05-01")
    assert done.returncode == 2
    assert "had signed up" in done.stderr


def test_fraud_labels_alone_are_enough_beside_silent_accounts_and_the_report_warns(tmp_path: Path) -> None:
    world = tmp_path / "world"
    world.mkdir()
    hours = [f"2026-04-{22 + i // 24:02d}T{i % 24:02d}:00:00Z" for i in range(150)]
    mail = ["pay-me.example" if i % 5 == 0 else f"shop{i}.example" for i in range(150)]
    accounts = [f"a{i},{hours[i]},user{i}@{mail[i]}" for i in range(150)]
    labels = [f"a{i},fraud,2026-05-10T00:00:00Z,eve" for i in range(0, 150, 5)]
    (world / "accounts.csv").write_text("\n".join(["account_id,created_at,email", *accounts]))
    (world / "labels.csv").write_text("\n".join(["account_id,verdict,decided_at,analyst", *labels]))
    gatehouse(tmp_path, "import", str(world), "--json")
    said = answer(gatehouse(tmp_path, "train", "--as-of", "2026-05-20", "--json"))
    assert (said["positives"], said["legitimate"]) == (30, 0)
    assert any("no account is labelled legitimate" in warning for warning in said["warnings"])
    assert all(one["value"] is None for one in said["thresholds"])  # 50 held-out accounts bear no budget of 0.001
